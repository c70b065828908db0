"""Takes the frames of one series beside a running cell, one attempt after another.

Where the cell is to rest or to be open during the exposure, it is held first, then the frame is
taken, then the cell goes on: three messages, each of which may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import bluesky.plan_stubs as bps
from bluesky import Msg
from bluesky.utils import MsgGenerator
from ophyd.status import Status

from devices.attempt import DROPPED, Attempt
from devices.event import EventNote
from devices.potentiostat import Potentiostat
from devices.roles import CellLimits
from plans.conditions import Condition
from plans.control import Meanwhile, waiting_for
from plans.criteria import column
from plans.holding import Holding
from plans.imaging import SPECTRA, Capture, Moment
from plans.stubs import is_done, note, nothing
from plans.track_state import TrackState
from plans.triggers import causes_of, note_missed, note_served

_GIVE_UP_AFTER = 3
_LAST_FRAME_EXTRA_S = 3600.0


class Track(TrackState):
    """The frames of one capture during one run.

    Args:
        capture: What to take and when.
        source: The potentiostat whose charge frames may follow.
        event: Where missing frames are noted.
        attempt: Takes the frames of the device; shared by the tracks of one device, of which one
            takes a frame at a time. None: a new one.
        holding: Holds the cell for its exposures; None where the protocol goes on meanwhile.

    Attributes:
        running: Whether a frame is being taken.
        waits: No frame that takes the cell is begun, because a step is about to.
        held: No frame is begun, because the run is ending.
        wanted: A frame is to be taken as soon as the device is free.
        meanwhile: Deals with what people ask while a frame is waited for.
        keep: Has what a run would go on from kept now.
    """

    meanwhile: Meanwhile | None = None

    def __init__(
        self,
        capture: Capture,
        source: Potentiostat,
        event: EventNote,
        attempt: Attempt | None = None,
        holding: Holding | None = None,
    ) -> None:
        super().__init__(capture, attempt or Attempt(capture.device), holding)
        self.device, self._source, self._event = capture.device, source, event
        self._deadline_s = 0.0
        self.status: Status | None = None
        self.waits = False
        self.awaited: Status | None = None
        self._collects = capture.collects
        self._watch = capture.on
        self.keep: Callable[[], MsgGenerator[None]] = nothing

    @property
    def busy(self) -> bool:
        """Whether the device takes a frame now."""
        return self._attempt.taker is not None

    def want(self) -> None:
        """Take a frame as soon as the device is free, even if too many have failed before."""
        self.wanted = True
        self._failures = min(self._failures, _GIVE_UP_AFTER - 1)

    def change_period(self, every_s: float, now_s: float) -> None:
        """Take frames each so many seconds from the last one that was due."""
        former_s, self.capture = self.capture.every_s, replace(self.capture, every_s=every_s)
        if self._next_s is not None and former_s is not None:
            self._next_s = max(now_s, self._next_s - former_s + every_s)

    def tighten(self, limits: CellLimits) -> None:
        """Take later spectra, and let the cell rest, within these limits; images have none."""
        if self._collects is not None:
            self.device.limits = limits
        if self._holding is not None:
            self._holding.tighten(limits)

    def drop(self) -> MsgGenerator[None]:
        """Give up the frame that is being taken, if one is."""
        if self._engaged and self._holding is not None:
            yield from self._holding.release()
            self._attempt.taker = None if not self.running else self._attempt.taker
        if self.running:
            yield from bps.stop(self.device)
            self.running, self._attempt.taker = False, None
            self._give_back()
            yield from note(
                self._event, "frame_dropped", f"{self.device.name}: dropped, the protocol ended"
            )

    @property
    def given_up(self) -> bool:
        """Whether too many frames in a row have failed."""
        return self._failures >= _GIVE_UP_AFTER

    def begin(self, now_s: float) -> MsgGenerator[None]:
        """The protocol begins, or goes on."""
        if not self._begun:
            self._next_s = now_s if self.capture.every_s else None
            self._begun = True
            yield from self.moment("start")
        if self._lost:
            yield from self._note_lost()
        elif self._rejoins:
            yield from self._rejoin()
        if self.capture.every_mah:
            self._watch_next_charge()
        yield from self._arm()
        yield from self.serve(now_s)

    def moment(self, moment: Moment, *place: int) -> MsgGenerator[None]:
        """Take a frame if this moment of the protocol asks for one, once.

        Args:
            moment: Which.
            place: What tells it from others of its kind.
        """
        if moment in self.capture.at and not self.held and self._moment != [moment, *place]:
            self._moment = [moment, *place]
            yield from self._trigger()

    def _rejoin(self) -> MsgGenerator[None]:
        """The frame that was being taken in the interrupted run goes on, and is waited for."""
        self._rejoins, self._attempt.taker = False, self
        if self._holding is not None:
            self._holding.goes_on(self._since_s)
            self._released = self._event.forget("cell_goes_on", self.device.name)
        yield from self._expose()

    def _note_lost(self) -> MsgGenerator[None]:
        """The frame that was being taken is given up; one that no clock wants is taken again."""
        self._lost = False
        yield from bps.stop(self.device)
        if self._holding is not None:
            yield from self._holding.release()
        self.wanted |= bool(self.capture.at or self.capture.every_mah)
        text = f"{self.device.name}: the program was interrupted during it"
        yield from note(self._event, "frame_missing", text)

    def take(self) -> MsgGenerator[None]:
        """Begin a frame now, whatever `when` says; `serve` stores it."""
        yield from self._trigger()

    @property
    def takes_cell(self) -> bool:
        """Whether the protocol cannot go on to its next step during a frame."""
        return self._collects is not None or self._holding is not None

    @property
    def occupies_cell(self) -> bool:
        """Whether no step may begin now."""
        letting_go = self._holding is not None and self._holding.letting_go
        return self.takes_cell and (self._engaged or letting_go)

    _overtaken = 0

    def serve(self, now_s: float) -> MsgGenerator[None]:
        """Store a frame that is done; take the next if it is due."""
        if self._holding is not None and self._holding.in_force:
            yield from self._holding.begin()
            yield from self._expose()
        if self.running and is_done(self.status):
            yield from self._store()
        elif self.running and self._holding is not None and now_s >= self._deadline_s:
            yield from bps.stop(self.device)  # the protocol stands still for it no longer
            yield from self._store()
        if self.waits:
            return
        if self.awaited is not None and is_done(self.awaited):
            yield from self._met()
        if self._is_due(now_s):
            yield from self._note_overtaken()
            yield from self._trigger()

    def _note_overtaken(self) -> MsgGenerator[None]:
        """Say how many frames were due while there could be none: they are left out."""
        if self._overtaken:
            text = f"{self.device.name}: {self._overtaken} due meanwhile left out, it was busy"
            yield from note(self._event, "frame_skipped", text, self._overtaken)

    def waits_for(self) -> list[Status | None]:
        """Statuses whose end gives this track something to do."""
        found: list[Status | None] = [self.status] if self.running else []
        if self._holding is not None:
            found += self._holding.waits_for()
        if self.awaited is not None and not self.waits:
            found.append(self.awaited)
        return found

    def due_in_s(self, now_s: float) -> float:
        """Time to the next frame, s; infinite where none can be due before something happens."""
        if self.running and self._holding is not None:
            return max(0.0, self._deadline_s - now_s)
        if self.waits:
            return float("inf")
        if self.wanted and not self.busy and not self.held:
            return 0.0
        if self._engaged or self.given_up or self.held:
            return float("inf")  # the end of the running frame is waited for, not the clock
        if self.capture.back_to_back or self._wanted:
            return 0.0
        return float("inf") if self._next_s is None else max(0.0, self._next_s - now_s)

    def finish(self, *, cut_short: bool) -> MsgGenerator[None]:
        """The protocol has ended and the cell is off: finish or drop the frame, take the last.

        Args:
            cut_short: The protocol was ended by a condition: the running frame, begun under
                other conditions, is dropped and a last one taken.
        """
        if self._over:
            return
        if self._watch is not None:
            yield from bps.stop(self._watch)
            self._attempt.causes += causes_of(self.capture.on)
        drops = cut_short and not self._last_begun
        yield from self._take_back(drops=drops)
        if drops or not self.running:
            yield from self.drop()
        self._holding, self.waits = None, False  # the cell is off
        if self.running:
            yield from self._wait()
        wants_last = "end" in self.capture.at or (self.capture.back_to_back and cut_short)
        wants_last = wants_last and not self._last_begun
        while (wants_last or self._attempt.causes) and not self.given_up and not self.held:
            self._last_begun, wants_last = self._last_begun or wants_last, False
            yield from self._trigger()
            yield from self._wait()
        causes, self._attempt.causes = self._attempt.causes, []
        yield from note_missed(self._event, self.device.name, causes)
        self._over = True
        yield from self.keep()

    def take_last(self) -> MsgGenerator[None]:
        """After everything: take one more frame of the open cell and wait for it."""
        self._holding, self.held, self.waits = None, False, False
        yield from self._trigger()
        yield from self._wait()

    def _take_back(self, *, drops: bool) -> MsgGenerator[None]:
        """What became of the frame that was being taken in an interrupted run, at its end."""
        if self._lost:
            yield from self._note_lost()
        elif self._rejoins and not drops:
            yield from self._rejoin()
        elif self._rejoins:
            self._rejoins, self.running, self._attempt.taker = False, True, self

    def _watch_next_charge(self) -> None:
        """Watch for the next multiple of the charge; multiples already passed are skipped."""
        every_mah = self.capture.every_mah or float("inf")
        while self._next_mah <= self._source.throughput_mah.get():
            self._next_mah += every_mah
        # a record may fall short of a multiple by rounding only
        criterion = column("throughput_mah", self._next_mah * (1 - 1e-9), label="charge / mAh")
        self._watch = Condition(f"{self.device.name}_charge", criterion, self._source)

    def _arm(self) -> MsgGenerator[None]:
        if self._watch is not None:
            self.awaited = yield from bps.trigger(self._watch, group=self._watch.name)

    def _met(self) -> MsgGenerator[None]:
        """What was awaited has happened: a frame, and what is awaited next."""
        self.awaited = None
        if self.capture.every_mah:
            if not self.given_up and not self.held:
                yield from self._trigger()
            self._watch_next_charge()
            yield from self._arm()
            return
        self._attempt.causes += causes_of(self.capture.on)
        if self.capture.on is not None and self.capture.on.repeat:
            yield from self._arm()

    def _is_due(self, now_s: float) -> bool:
        if self.wanted and not self.held:
            return not self.busy
        if self._engaged or self.given_up or self.held:
            return False
        if self.capture.back_to_back or self._wanted:
            return self._attempt.taker is None
        if self._next_s is None or self.capture.every_s is None or now_s < self._next_s:
            return False
        self._overtaken = -1
        while self._next_s <= now_s:  # the last one due is taken late: the schedule stays absolute
            self._next_s += self.capture.every_s
            self._overtaken += 1
        return True

    @property
    def _wanted(self) -> bool:
        """Whether something that happened waits for a frame, and there can be one now."""
        waits = self.capture.on is not None and self._attempt.causes
        return bool(waits) and self._attempt.taker is None

    def _give_back(self) -> None:
        """There is no frame: what it was wanted for waits for the next."""
        self._attempt.causes += self._serves
        self._serves = []

    def _trigger(self) -> MsgGenerator[None]:
        if self._attempt.taker is not None:
            yield from note(
                self._event, "frame_skipped", f"{self.device.name}: still busy with a frame"
            )
            return
        self._attempt.taker, self.wanted = self, False
        if self._holding is None:
            yield from self._expose()
        else:
            yield from self._holding.ask()

    def _expose(self) -> MsgGenerator[None]:
        self._serves, self._attempt.causes = self._attempt.causes, []
        self._attempt.on_pause = self.capture.on_pause
        self.running, self._deadline_s = True, self._latest_s()  # what is kept meanwhile knows it
        self.status = yield from bps.trigger(self._attempt, group=self._attempt.name)

    def _latest_s(self) -> float:
        """When a frame that begins now is over at the latest, Unix s."""
        duration_s = float(self.device.expected_duration_s.get())
        return float(self.device.clock.time() + 2.0 * duration_s + _LAST_FRAME_EXTRA_S)

    def _wait(self) -> MsgGenerator[None]:
        """Wait for the frame that is being taken, with a deadline, and store it."""
        deadline_s = self._latest_s()
        while not is_done(self.status):
            left_s = deadline_s - self.device.clock.time()
            if left_s <= 0:
                yield from bps.stop(self.device)
                break
            yield from waiting_for(self.status, left_s, self.meanwhile)
            if not self.running:
                return  # dropped meanwhile
        yield from self._store()

    def _store(self) -> MsgGenerator[None]:
        """Write the frame's event, or note that there is none."""
        self.running, self._attempt.taker, self._storing = False, None, True
        if self._holding is not None:
            yield from self._holding.release(noted=self._released)
        self._released = False
        error = self._attempt.error
        has_frame = yield from bps.rd(self.device.new_frame, default_value=1)
        if error is not None or not has_frame:
            self._give_back()
            self._storing = False
            yield from self._missing(str(error or self.device.quality.get()))
            return
        self._failures = 0
        if self._collects is not None:
            yield from self._store_rows()
        else:
            yield from bps.create(name=self.device.name)
            yield from bps.read(self.device)
            yield from bps.save()
        self._storing = False
        served, self._serves = self._serves, []
        yield from note_served(self._event, self.device, served)
        yield from self.keep()

    def _missing(self, reason: str) -> MsgGenerator[None]:
        """Note that there is no frame, and why; a few in a row that failed are the last ones."""
        if reason == DROPPED:  # as it was told to: no failure
            yield from note(self._event, "frame_dropped", f"{self.device.name}: {reason}")
            return
        self._failures += 1
        yield from note(self._event, "frame_missing", f"{self.device.name}: {reason}")
        if self.given_up:
            text = f"{self.device.name}: {self._failures} frames in a row failed; no more"
            yield from note(self._event, "imaging_ended", text)
        yield from self.keep()

    def _store_rows(self) -> MsgGenerator[None]:
        """Write what the device collected; the first remark on it becomes an event."""
        yield Msg("collect", self._collects, name=SPECTRA, return_payload=False)
        remark = str((yield from bps.rd(self.device.quality, default_value="ok")))
        if remark != "ok" and not self._remarked:
            self._remarked = True
            yield from note(self._event, "spectrum_quality", f"{self.device.name}: {remark}")
