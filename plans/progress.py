"""What one run of a protocol keeps, and how it serves everything beside the running step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import bluesky.plan_stubs as bps
from bluesky import Msg
from bluesky.utils import MsgGenerator
from ophyd.status import Status

from devices.attempt import Attempt
from devices.event import EventNote
from devices.roles import Derived
from devices.technique import Technique
from devices.timer import Timer
from plans.conditions import Condition, derived_of
from plans.control import Control
from plans.course import Course
from plans.cycling import Cycling
from plans.environment import Environment, Surveillance
from plans.holding import Holding
from plans.imaging import SPECTRA, Capture, Moment
from plans.keeping import Keeper, Place, keep
from plans.resumable import Resumable
from plans.schedule import Position
from plans.serving import Serving
from plans.stubs import is_done, note, wait_any
from plans.track import Track

ECHEM = "echem"
"""Stream of the potentiostat's records."""

_AT_ONCE_S = 5.0
"""What an interrupted run has noted last is what one that goes on would note first, s."""


@dataclass
class Progress(Resumable):
    """What one run of the stub keeps.

    Attributes:
        cycling: What is done to the cell from now on; requests may change it.
        conditions: End the protocol when met.
        tracks: Images and spectra beside the running part, one for each series.
        event: Notes what happens.
        surveillance: Readings of what surrounds the cell.
        control: Where people's requests come in.
        requests: Deals with them.
        position: The step that runs; None between steps.
        present: What the potentiostat runs for it; None where it runs nothing.
        derived: Numbers out of frames and spectra that conditions look at; each has a stream.
        watched: Statuses of the conditions.
        flush_at_s: When records become a page at the latest, Unix s.
        series: All series of images and spectra; they begin with the protocol.
        attempts: What takes the frames of a device, by the device's id.
        tracks_made: How many series there were so far.
        course: How far the protocol has come.
        keeper: Keeps what a run would go on from; None where nothing could.
        frames_left: Frames that a step of frames has still to take.
    """

    cycling: Cycling
    conditions: Sequence[Condition]
    tracks: list[Track]
    event: EventNote
    surveillance: Surveillance
    control: Control = field(default_factory=Control)
    position: Position | None = None
    present: Technique | None = None
    derived: Sequence[Derived] = ()
    watched: list[Status | None] = field(default_factory=list)
    flush_at_s: float = 0.0
    series: list[Track] = field(default_factory=list)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    tracks_made: int = 0
    course: Course = field(default_factory=Course)
    keeper: Keeper | None = None
    frames_left: int = 0

    def __post_init__(self) -> None:
        self.cycling = replace(self.cycling, method=list(self.cycling.method))
        self.requests = Serving(self.control, self)
        self._place: Place | None = None
        self._refused: list[str] = []
        self._went_on_s = 0.0
        self._asked = replace(self.cycling, method=tuple(self.cycling.method))
        self._every = tuple(self.conditions)
        self.surveillance.meanwhile = self.requests

    @classmethod
    def of(
        cls,
        cycling: Cycling,
        captures: Sequence[Capture],
        conditions: Sequence[Condition],
        environment: Environment | None,
        control: Control,
    ) -> Progress:
        """Of a run that begins."""
        event = EventNote(clock=cycling.potentiostat.clock)
        surveillance = Surveillance(environment or Environment(), event)
        progress = cls(cycling, conditions, [], event, surveillance, control)
        triggers = [c.on for c in captures if c.on is not None]
        progress.derived = derived_of([*conditions, *triggers])
        progress.series = [progress.track(capture) for capture in captures]
        return progress

    def attempt(self, device: Any) -> Attempt:
        """What takes the frames of a device: one frame at a time, whoever asks."""
        return self.attempts.setdefault(id(device), Attempt(device))

    def track(self, capture: Capture) -> Track:
        """Takes the frames of a capture."""
        attempt, pstat = self.attempt(capture.device), self.cycling.potentiostat
        track = Track(capture, pstat, self.event, attempt, self._holding(capture))
        track.meanwhile, track.keep = self.requests, self.keep
        return track

    def _holding(self, capture: Capture) -> Holding | None:
        """What holds the cell for the exposures of a capture, where it is not to go on."""
        if capture.cell == "keep" or capture.collects is not None:
            return None
        self.tracks_made += 1
        cycling, who = self.cycling, f"{capture.device.name}_{self.tracks_made}"
        cell = cycling.potentiostat.held_cell(who, cycling.limits, cycling.period_s)
        return Holding(cell, capture.cell, capture.device.name, self.event)

    @property
    def takes_spectra(self) -> bool:
        """Whether anything asks for spectra: a series, or a step."""
        series = any(track.capture.collects is not None for track in self.series)
        return self.cycling.takes_spectra or series

    def met(self) -> Condition | None:
        """The condition that was met first, if any."""
        met = [c for c in self.conditions if c.met is not None]
        return min(met, key=lambda c: c.met.t_s if c.met else 0.0, default=None)

    @property
    def leaves_step(self) -> bool:
        """Whether the step is to be left now: a condition is met, or a person wants it."""
        return self.met() is not None or self.requests.leaves_step

    # --- pieces of the plan ---------------------------------------------------------------------

    def declare(self) -> MsgGenerator[None]:
        """Declare the streams of the potentiostat."""
        self.flush_at_s = self.now_s + self.cycling.journal_every_s
        pstat = self.cycling.potentiostat
        yield from bps.declare_stream(pstat, name=ECHEM, collect=True)
        if self.takes_spectra:
            yield from bps.declare_stream(pstat.eis, name=SPECTRA, collect=True)
        for one in self.derived:
            yield from bps.declare_stream(one, name=one.name, collect=True)

    def begin(self) -> MsgGenerator[None]:
        """The protocol begins, or goes on: conditions are watched, series of frames begin."""
        for condition in self.conditions:
            status = yield from bps.trigger(condition, group=condition.name)
            self.watched.append(status)
        self.flush_at_s = self.now_s + self.cycling.journal_every_s
        self.tracks = self.series
        self.requests.steps_begin()
        for track in self.tracks:
            yield from track.begin(self.now_s)
        for one in self.derived if self.course.resumed else ():
            one.show_missed()  # who looks at it does so by now

    def serve(self, *awaited: Status | None) -> MsgGenerator[None]:
        """Wait for whatever comes next, and deal with all that is due beside the step.

        Args:
            awaited: What the step itself waits for.
        """
        wait_s = min(
            self.flush_at_s - self.now_s,
            *(track.due_in_s(self.now_s) for track in self.tracks),
            self.surveillance.due_in_s(self.now_s),
            self.cycling.journal_every_s,
        )
        frames = [status for track in self.tracks for status in track.waits_for()]
        asked = self.requests.arrival()
        yield from wait_any([*awaited, *frames, *self.watched, asked], max(wait_s, 0.0))
        yield from self.requests.serve()
        if self.event.known and self.now_s > self._went_on_s + _AT_ONCE_S:
            self.event.known.clear()  # what would be noted twice would have been by now
        if self.now_s >= self.flush_at_s:
            yield from self.collect()
        yield from self.surveillance.serve(self.now_s)
        for track in self.tracks:
            yield from track.serve(self.now_s)
        yield from self.requests.end_after_frame()

    def spend(self, seconds: float) -> MsgGenerator[None]:
        """Let time pass, s, with everything beside served, or until the step is to be left."""
        timer = Timer(self.cycling.potentiostat.clock)
        passed = yield Msg("set", timer, seconds, group=timer.name)
        while not (is_done(passed) or self.leaves_step):
            yield from self.serve(passed)

    def collect(self) -> MsgGenerator[None]:
        """What was recorded becomes pages."""
        self.flush_at_s = self.now_s + self.cycling.journal_every_s
        yield Msg("collect", self.cycling.potentiostat, name=ECHEM, return_payload=False)
        yield from self.collect_spectra()
        yield from self.collect_derived()
        yield from self.keep()

    def collect_derived(self) -> MsgGenerator[None]:
        """Numbers out of frames and spectra become pages."""
        for one in self.derived:
            yield Msg("collect", one, name=one.name, return_payload=False)

    def collect_spectra(self) -> MsgGenerator[None]:
        """Whole spectra become a page."""
        if self.takes_spectra:
            yield Msg("collect", self.cycling.potentiostat.eis, name=SPECTRA, return_payload=False)

    def settle(self) -> MsgGenerator[None]:
        """Exposures of the resting or open cell, and spectra of it, end before a step begins.

        No more of them begin meanwhile; a condition that is met ends the protocol at once.
        """
        for track in self.tracks:
            track.waits = track.takes_cell
        while not self.leaves_step and any(track.occupies_cell for track in self.tracks):
            yield from self.serve()
        for track in self.tracks:
            track.waits = False

    def moment(self, moment: Moment, *place: int) -> MsgGenerator[None]:
        """Frames that are wanted at this moment begin."""
        for track in self.tracks:
            yield from track.moment(moment, *place)

    def note_condition(self) -> MsgGenerator[str]:
        """A condition was met: the cell is off first of all; returns its name."""
        condition = self.met()
        assert condition is not None  # noqa: S101 - the caller has asked
        assert condition.met is not None  # noqa: S101
        yield from bps.stop(self.cycling.potentiostat)
        text = f"{condition.name}: {condition.met.text}"
        yield from note(self.event, "condition", text, condition.met.value)
        self.ends(condition.name)
        return condition.name

    def leave_off(self) -> MsgGenerator[None]:
        """Whatever happened: the cell is off, and its last records are in the journal."""
        yield from bps.stop(self.cycling.potentiostat)
        for condition in self.conditions:
            yield from bps.stop(condition)
        yield from self.collect()
        self.step_left()
        self.requests.steps_over()

    def step_begins(self, position: Position) -> None:
        """A step begins."""
        self.position = position

    def step_left(self) -> None:
        """No step runs any more."""
        self.position = self.present = None
        self.requests.skipping = False

    def finish(self, *, cut_short: bool) -> MsgGenerator[None]:
        """The protocol has ended and the cell is off: frames that run first, then the last ones.

        Args:
            cut_short: A condition ended the protocol.
        """
        for track in sorted(self.tracks, key=lambda track: not track.running):
            yield from track.finish(cut_short=cut_short)
        yield from self.collect_derived()
        self.tracks, self.watched, self.conditions = [], [], ()

    def ends(self, reason: str) -> None:
        """Something has ended the protocol, and that is noted; what comes later does not count."""
        if self.course.stage in ("preflight", "before", "steps"):
            self.course.reason = self.course.reason or reason

    def keep(self) -> MsgGenerator[None]:
        """Have what a run would go on from kept now."""
        yield from keep(self.keeper)
