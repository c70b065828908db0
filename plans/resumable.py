"""How what a run of a protocol keeps is written down, and taken over by a run that goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from devices.attempt import Attempt
from devices.event import EventNote
from devices.roles import Derived
from plans.changes import as_changed, changed
from plans.conditions import Condition
from plans.course import Course, same
from plans.cycling import Cycling
from plans.environment import Surveillance
from plans.imaging import SPECTRA
from plans.keeping import RESUMED, Keeper, Place, cut_off
from plans.schedule import Position
from plans.serving import Serving
from plans.steps import FrameStep
from plans.stubs import note
from plans.track import Track
from plans.triggers import Cause


class Resumable:
    """The part of `plans.progress.Progress` that outlives its process."""

    cycling: Cycling
    tracks: list[Track]
    series: list[Track]
    event: EventNote
    surveillance: Surveillance
    requests: Serving
    attempts: dict[int, Attempt]
    course: Course
    keeper: Keeper | None
    frames_left: int
    derived: Sequence[Derived]
    _asked: Cycling
    _every: Sequence[Condition]
    _place: Place | None
    _refused: list[str]
    _went_on_s: float

    @property
    def now_s(self) -> float:
        """Experiment time, Unix s."""
        return float(self.cycling.potentiostat.clock.time())

    def state(self) -> dict[str, Any]:
        """What a run that goes on must know, JSON-able; at any moment between messages."""
        pstat: Any = self.cycling.potentiostat
        causes = [(one.device.name, one.causes) for one in self.attempts.values() if one.causes]
        return {
            "course": self.course.state(),
            "cycling": changed(self._asked, self.cycling),
            "conditions": [one.state() for one in self._every],
            "tracks": [track.state() for track in self.series],
            "causes": {name: [one.state() for one in found] for name, found in causes},
            "requests": self.requests.state(),
            "environment": self.surveillance.state(),
            "derived": {one.name: one.state() for one in self.derived},
            "frames_left": self.frames_left,
            "known": [[*what, times] for what, times in self.event.known.items() if times > 0],
            "devices": {one.name: one.checkpoint() for one in self._outliving()},
            "name": pstat.name,
            "potentiostat": pstat.checkpoint(),
        }

    @contextmanager
    def kept_by(self, keeper: Keeper | None) -> Iterator[None]:
        """Have the state of the run kept as long as this lasts; it may begin where one stopped."""
        self.keeper = keeper
        remembering = [self.cycling.potentiostat, *self._imagers()]
        if keeper is not None:
            if keeper.place is not None:
                self._restore(keeper.place)
            keeper.follow(self.state)
            for device in remembering:
                device.remember = keeper.keep
            keeper.keep()
        try:
            yield
        finally:
            for device in remembering:
                device.remember = _nothing

    def _restore(self, place: Place) -> None:
        """Take over what an interrupted run has left."""
        state = place.state
        self._place, self.course = place, Course.of(state["course"])
        self.event.known = Counter({(kind, text): n for kind, text, n in state["known"]})
        self.event.known += place.noted
        self.frames_left = state["frames_left"]
        self.requests.restore(state["requests"])
        ending, self._refused = cut_off(self.event.known)
        if ending is not None:
            self.requests.restore({"ending": ending, "cut_short": ending == "now"})
        self.cycling = as_changed(self.cycling, state["cycling"])
        self.surveillance.restore(state["environment"])
        self._recall(place)
        for condition, kept in zip(self._every, state["conditions"], strict=True):
            condition.restore(kept)
        for track, kept in zip(self.series, state["tracks"], strict=True):
            track.restore(
                kept,
                recorded=self._recorded(track, place),
                found=place.adopted.get(track.device.name, ""),
                holds=place.adoption.holds,
            )
        for attempt in self.attempts.values():
            attempt.causes += [
                Cause.of(one) for one in state["causes"].get(attempt.device.name, ())
            ]
        if self.course.reason or self.course.stage in ("finish", "after", "over"):
            self.tracks = self.series  # what is left of them is finished

    def _recall(self, place: Place) -> None:
        """Numbers out of frames and spectra know again what they had seen."""
        past, kept = place.past, place.state.get("derived", {})
        if past is None or not self.derived:
            return
        for one in self.derived:
            if one.name in kept:
                delivered = past.delivered(one.source)
                one.restore(kept[one.name], delivered, past.last_s(one.name))
        for one in self.derived:
            one.recall(past.delivered(one.source))

    def go_on(self, place: Place) -> MsgGenerator[None]:
        """Say what was found, and leave nothing running that is no step of the method."""
        gap = place.adoption.gap
        yield from note(self.event, RESUMED, place.text, 0.0 if gap is None else gap.duration_s)
        self._went_on_s = self.now_s
        for text in self._refused:
            yield from note(self.event, "refused", text)
        held = place.adoption.holds  # at rest for an exposure, which lets it go when it is over
        if self.cycling.potentiostat.energised and not (held or self._runs_on()):
            yield from bps.stop(self.cycling.potentiostat)  # a rest, or a spectrum of the open cell
        for track in self.series:
            yield from track.let_go()
            yield from track.say_served(self.event, place.past)
        if self.course.stage not in (
            "environment",
            "over",
        ):  # whoever switched off may have meant the chamber
            yield from self.surveillance.bring_about(waits=not self.cycling.potentiostat.energised)

    def _runs_on(self) -> bool:
        """Whether the potentiostat runs the step at hand."""
        course, begun = self.course, self.cycling.potentiostat.technique
        if course.here is None or begun is None or course.turn != "run":
            return False
        return same(Position(begun.step_index, begun.cycle, begun.step), course.here)

    def _imagers(self) -> list[Any]:
        """Devices whose frames survive a program that ends while they are taken."""
        steps = (*self.cycling.before, *self.cycling.after)
        devices = [track.device for track in self.series]
        devices += [step.device for step in steps if isinstance(step, FrameStep)]
        found = {id(one): one for one in devices if hasattr(one, "checkpoint")}
        return list(found.values())

    def _outliving(self) -> list[Any]:
        """Devices beside the potentiostat that go on when the program ends."""
        chamber = self.surveillance.environment.chamber
        return self._imagers() if chamber is None else [*self._imagers(), chamber]

    def _recorded(self, track: Track, place: Place) -> bool:
        """Whether a frame of a series was recorded after its state was kept last."""
        stream = SPECTRA if track.capture.collects is not None else track.device.name
        return bool(place.frames.get(stream))

    def taken_up(self, position: Position) -> Place | None:
        """What was found of a step that has begun in an interrupted run; asked for once."""
        place, self._place = self._place, None
        begun = self.cycling.potentiostat.technique
        if place is None or begun is None:
            return None
        step = Position(begun.step_index, begun.cycle, begun.step)
        return place if same(step, position) else None


def _nothing() -> None:
    """Nobody keeps anything."""
