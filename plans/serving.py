"""Deals with what people ask of a running protocol: each request an event, done once, answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import bluesky.plan_stubs as bps
from bluesky import Msg
from bluesky.utils import IllegalMessageSequence, MsgGenerator
from ophyd.status import Status

from devices.event import EventNote
from devices.step_end import StepEnd
from devices.technique import Amendment, Technique
from plans.changes import (
    Path,
    Refused,
    amended,
    may_still_run,
    number,
    parse,
    step_with,
    with_limit,
    with_period,
)
from plans.control import AFTER, CLOCK_JUMP, LONGEST_TEXT, After, ClockJump, Control, Ticket
from plans.cycling import Cycling
from plans.schedule import Position
from plans.stubs import is_done, note, wait_any
from plans.track import Track
from plans.trip import INTERLOCK, Trip

log = logging.getLogger(__name__)

_AMEND_DEADLINE_S = 60.0
"""Longest wait for the potentiostat to go on with a changed step, s."""


STOPPED = "stopped"
"""Stop reason of a run that a person has ended."""

Phase = Literal["before", "steps", "after"]
"""Where a run stands: before its first step, among its steps, after its last."""


class Course(Protocol):
    """What a run shows to whoever deals with its requests."""

    cycling: Cycling
    tracks: list[Track]
    event: EventNote
    position: Position | None
    present: Technique | None

    @property
    def now_s(self) -> float:
        """Experiment time, Unix s."""
        ...

    def keep(self) -> MsgGenerator[None]:
        """Have what a run would go on from kept now."""
        ...


class Serving:
    """The requests of one run.

    Args:
        control: Where they come in.
        course: The run.

    Attributes:
        ending: When a stop that was asked for takes effect; None where none was.
        skipping: Whether the present step is to be left; whoever leaves it resets this.
        cut_short: Whether the run was stopped in the midst of everything.
        phase: Whether steps run: ``before`` the first, ``steps``, ``after`` the last.
    """

    def __init__(self, control: Control, course: Course) -> None:
        self.control, self._course = control, course
        self.ending: After | None = None
        self.skipping = self.cut_short = False
        self.phase: Phase = "before"
        self._unnoted: Ticket | None = None
        control.on_trip = self._tripped

    def state(self) -> dict[str, Any]:
        """What was asked for and is in force, JSON-able."""
        return {"ending": self.ending, "cut_short": self.cut_short}

    def restore(self, state: Mapping[str, Any]) -> None:
        """What was asked of an interrupted run holds for the one that goes on."""
        self.ending, self.cut_short = state["ending"], state["cut_short"]

    # --- what the protocol asks -----------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """Whether the run is to end now."""
        return self.ending == "now"

    @property
    def leaves_step(self) -> bool:
        """Whether the present step is to be left now, whatever it waits for."""
        return self.skipping or self.stopped

    def steps_begin(self) -> None:
        """The steps of the method begin."""
        self.phase = "steps"

    def steps_over(self) -> None:
        """Every step has run, or the run was stopped: what would change one is refused."""
        self.phase = "after"
        if not self.cut_short:
            self.ending = None  # it was an orderly end

    def ends_after(self, unit: After) -> bool:
        """Whether the run is to end here: a ``step`` is over, or a ``cycle`` (which ends one)."""
        return self.stopped or self.ending == unit

    def arrival(self) -> Status:
        """A status that is done as soon as a request waits; a new one each time."""
        return self.control.arrival()

    def serve(self) -> MsgGenerator[None]:
        """Deal with trips first, then with every request that waits, in their order."""
        yield from self._note_trips()
        while (ticket := self.control.take()) is not None:
            yield from self._deal(ticket)

    def end_after_frame(self) -> MsgGenerator[None]:
        """Leave the step if the run was to end with the frame that was being taken."""
        if self.ending == "frame" and not any(track.running for track in self._course.tracks):
            self.ending = "now"
            yield from self._end_step()
            self._hold(held=False)  # what the protocol wants at its end is still taken

    def drain(self) -> MsgGenerator[None]:
        """The run ends: what came too late is recorded; nothing more is done."""
        yield from self._note_trips()
        ticket = self._unnoted or self.control.take()
        while ticket is not None:
            try:
                yield from (self._note if ticket.request.verb == "note" else self._late)(ticket)
            except IllegalMessageSequence as error:  # the run was ended in the midst of an event
                log.warning("%s: not in the records: %s", ticket, error)
                self._unnoted = None
                ticket.refuse("the run has ended")
            ticket = self._unnoted or self.control.take()

    def _tripped(self, trip: Trip) -> None:
        """An interlock has tripped, whatever the plan is doing: nothing more is begun."""
        del trip
        self.ending, self.cut_short = "now", True
        self._hold(held=True)

    def _note_trips(self) -> MsgGenerator[None]:
        """Write an event of each trip; frames that only are waited for are given up."""
        while (trip := self.control.take_trip()) is not None:
            yield from bps.stop(self._course.cycling.potentiostat)
            try:
                yield from note(self._course.event, INTERLOCK, trip.sentence, trip.value)
            except IllegalMessageSequence:  # the run was ended in the midst of an event
                log.warning("not in the records: %s", trip.sentence)
            if self.phase == "after":
                for track in self._course.tracks:
                    yield from track.drop()

    # --- one request ----------------------------------------------------------------------------

    def _deal(self, ticket: Ticket) -> MsgGenerator[None]:
        deals: Mapping[str, Callable[[Ticket], MsgGenerator[None]]] = {
            "pause": self._pause,
            "resume": self._resume,
            "stop": self._stop,
            "skip_step": self._skip_step,
            "image_now": self._image_now,
            "note": self._note,
            "set": self._set,
        }
        self._unnoted = ticket
        try:
            yield from deals[ticket.request.verb](ticket)
        except Refused as refused:
            yield from self._refused(ticket, str(refused))

    def _noted(
        self, ticket: Ticket, kind: str, text: str, value: float = float("nan")
    ) -> MsgGenerator[None]:
        """Write the event of a request: once, and before it is done."""
        self._unnoted = ticket
        origin = f"{ticket.request.who} [{ticket.request.id}]"
        yield from note(self._course.event, kind, text, value, origin=origin)
        self._unnoted = None

    def _refused(self, ticket: Ticket, reason: str) -> MsgGenerator[None]:
        verb = ticket.request.verb.replace("_", "-")
        yield from self._noted(ticket, "refused", f"{verb}: {reason}")
        ticket.refuse(reason)

    def _late(self, ticket: Ticket) -> MsgGenerator[None]:
        if ticket.request.verb == "stop":  # of a paused run: this is how it ends
            yield from self._noted(ticket, "stop", "stop: the run ends here")
            ticket.done("the run has ended, the cell is off")
        else:
            yield from self._refused(ticket, "the run has ended")

    def _pause(self, ticket: Ticket) -> MsgGenerator[None]:
        text = "pause: the cell is switched off and the plan rests"
        yield from self._noted(ticket, "pause", text)
        self.control.resting(ticket)
        yield Msg("pause", None, defer=False)

    def _resume(self, ticket: Ticket) -> MsgGenerator[None]:
        yield from self._noted(ticket, "resume", "resume-now: the plan goes on")
        ticket.done("the run goes on")

    def _stop(self, ticket: Ticket) -> MsgGenerator[None]:
        after = ticket.request.arguments.get("after", "now")
        if after not in AFTER:
            raise Refused(f"got after {str(after)[:40]!r}, expected one of {', '.join(AFTER)}")
        if self.control.tripped is not None:
            raise Refused("an interlock has tripped: the run ends already")
        if after != "now" and self.phase == "after":
            raise Refused("every step has run: the run ends by itself")
        when = "now" if after == "now" else f"after this {after}"
        yield from self._noted(ticket, "stop", f"stop: the run ends {when}")
        self.ending = after
        self._hold(held=after in ("now", "frame"))
        if after != "now":
            yield from self._course.keep()
            ticket.done(f"the run ends after this {after}")
            return
        self.cut_short = True
        yield from bps.stop(self._course.cycling.potentiostat)
        if self.phase == "after":  # only frames are waited for: they are given up
            for track in self._course.tracks:
                yield from track.drop()
        yield from self._course.keep()
        ticket.done("the run ends, the cell is off")

    def _hold(self, *, held: bool) -> None:
        """Begin no more frames, or begin them again."""
        for track in self._course.tracks:
            track.held = held

    def _skip_step(self, ticket: Ticket) -> MsgGenerator[None]:
        position = self._course.position
        if position is None or self._course.present is None or self.leaves_step:
            raise Refused("no step runs now that could be left")
        left_s, left_mah = self._course.cycling.potentiostat.left_of_step()
        charge = "" if left_mah != left_mah else f", {left_mah:.6g} mAh"
        left = f"{position} ends with {left_s:.1f} s{charge} left"
        yield from self._noted(ticket, "skip_step", f"skip-step: {left}", left_mah)
        self.skipping = True
        yield from self._end_step()
        yield from self._course.keep()
        ticket.done(f"{left}; the cell is off")

    def _end_step(self) -> MsgGenerator[None]:
        """The step ends as if its time were over, verified; spectra that wait are still taken."""
        yield from bps.trigger(StepEnd(self._course.cycling.potentiostat), wait=True)

    def _image_now(self, ticket: Ticket) -> MsgGenerator[None]:
        tracks = self._meant(ticket.request.arguments.get("device"))
        if any(track.held for track in tracks):
            raise Refused("the run is ending: no frame is begun any more")
        names = ", ".join(dict.fromkeys(track.device.name for track in tracks))
        yield from self._noted(ticket, "image_now", f"image-now: a frame of {names}")
        busy = [track.device.name for track in tracks if track.busy]
        for track in tracks:
            track.want()
        yield from self._course.keep()
        waits = f"; {', '.join(busy)} first finishes its present frame" if busy else ""
        ticket.done(f"a frame of {names} begins{waits}")

    def _meant(self, device: Any) -> list[Track]:
        """One track for each device that a request means; spectra only where they are named."""
        tracks = self._course.tracks
        if device is None:
            meant = [t for t in tracks if t.capture.collects is None] or tracks
        else:
            meant = [t for t in tracks if t.device.name == device]
        if self.phase != "steps":
            raise Refused(f"frames are taken while steps run, this is {self.phase} them")
        if not meant:
            names = ", ".join(dict.fromkeys(track.device.name for track in tracks))
            what = "no frames are taken" if device is None else f"{str(device)[:80]!r} takes none"
            raise Refused(f"{what} in this run (what does: {names or 'nothing'})")
        return list({id(track.device): track for track in reversed(meant)}.values())[::-1]

    def _note(self, ticket: Ticket) -> MsgGenerator[None]:
        request = ticket.request
        said = str(request.arguments.get("text", ""))[:LONGEST_TEXT]
        if isinstance(request, ClockJump):
            yield from self._noted(ticket, CLOCK_JUMP, said, request.seconds)
        else:
            yield from self._noted(ticket, "note", said)
        ticket.done("recorded")

    # --- changes --------------------------------------------------------------------------------

    def _set(self, ticket: Ticket) -> MsgGenerator[None]:
        path = str(ticket.request.arguments.get("path", ""))
        meant, value = parse(path), number(ticket.request.arguments.get("value"))
        if self.phase == "after":
            raise Refused("every step has run: there is nothing left to change")
        if meant.series:
            track = self._series(meant)
            if track.capture.every_s is None:
                raise Refused(f"{track.device.name} takes no frames each so many seconds")
            if value <= 0.0:
                raise Refused(f"got {value:g} s between frames, expected more than 0 s")
            yield from self._note_change(ticket, path, value)
            track.change_period(value, self._course.now_s)
        elif meant.index >= 0:
            step = self._changed_step(meant, value)
            yield from self._note_change(ticket, path, value)
            self._course.cycling.method[meant.index] = step  # type: ignore[index]
        else:
            yield from self._amend(ticket, path, meant, value)
        yield from self._course.keep()
        ticket.done(f"{path} is {value:g} now")

    def _note_change(self, ticket: Ticket, path: str, value: float) -> MsgGenerator[None]:
        yield from self._noted(ticket, "set", f"set: {path} = {value:g}", value)

    def _changed_step(self, meant: Path, value: float) -> Any:
        method = self._course.cycling.method
        if meant.index >= len(method):
            raise Refused(f"the method has {len(method)} steps, got [{meant.index}] (from 0)")
        return step_with(method[meant.index], meant.end, value, self._course.cycling)

    def _series(self, meant: Path) -> Track:
        spectra = meant.series == "spectra"
        tracks = [t for t in self._course.tracks if (t.capture.collects is not None) == spectra]
        if meant.which.isdigit():
            tracks = tracks[int(meant.which) : int(meant.which) + 1]
        elif meant.which:
            tracks = [t for t in tracks if t.device.name == meant.which]
        if len(tracks) != 1:
            raise Refused(
                f"{len(tracks)} series of {meant.series} are meant, expected one "
                f"(name it, as {meant.series}[0].every_s)"
            )
        return tracks[0]

    def _amend(self, ticket: Ticket, path: str, meant: Path, value: float) -> MsgGenerator[None]:
        """Change the running step, or what holds for it and every later one."""
        course, present, step = self._course, self._course.present, None
        cycling = course.cycling
        if meant.present:
            if present is None or self.leaves_step:
                raise Refused("no step runs now")
            if not hasattr(getattr(course.position, "step", None), "step"):
                raise Refused("this step has no end to change (skip-step leaves it)")
            step = step_with(present.step, meant.end, value, cycling)
        elif meant.record:
            cycling = with_period(cycling, value)
        else:
            index = 0 if present is None else present.step_index
            left = may_still_run(cycling.method, index)
            cycling = with_limit(cycling, meant.limit, value, left)
        technique = None if present is None else amended(present, cycling, step)
        yield from self._note_change(ticket, path, value)
        if present is not None and technique is not None:
            yield from self._go_on_with(technique, present)
        course.cycling = cycling
        for track in course.tracks:
            track.tighten(cycling.limits)

    def _go_on_with(self, technique: Technique, present: Technique) -> MsgGenerator[None]:
        """Have the instrument go on with the changed step; it refuses what it cannot do."""
        pstat = self._course.cycling.potentiostat
        amendment = Amendment(technique, present)
        status = yield Msg("prepare", pstat, amendment, group="amend")
        deadline_s = self._course.now_s + _AMEND_DEADLINE_S
        while not is_done(status) and self._course.now_s < deadline_s:
            yield from wait_any([status], deadline_s - self._course.now_s)
        if amendment.refused:
            raise Refused(amendment.refused)
        self._course.present = technique
