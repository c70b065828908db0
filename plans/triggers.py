"""What triggers a frame, and how long after it the frame began."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from devices.event import EventNote
from plans.conditions import Condition
from plans.criteria import Met
from plans.stubs import note

TRIGGERED = "triggered"
"""Kind of the event that says which frame was taken for what; its value is the latency, s."""

MISSED = "trigger_missed"
"""Kind of the event that says that no frame could be taken."""


@dataclass(frozen=True)
class Cause:
    """One time that a condition was met which wants a frame.

    Attributes:
        name: Name of the condition.
        met: When and how it was met.
    """

    name: str
    met: Met

    def state(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {"name": self.name, "met": asdict(self.met)}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Cause:
        """The cause that `state` has written."""
        return cls(state["name"], Met(**state["met"]))


def causes_of(condition: Condition | None) -> list[Cause]:
    """Every time that a condition was met and nobody has taken yet; each is given once."""
    if condition is None:
        return []
    return [Cause(condition.name, met) for met in condition.take()]


def note_served(event: EventNote, device: Any, causes: Iterable[Cause]) -> MsgGenerator[None]:
    """Record for each cause how long after it the frame began.

    Args:
        event: Notes it.
        device: Has taken the frame.
        causes: What it was taken for.
    """
    for cause in causes:
        began_s = yield from bps.rd(device.t_start_s, default_value=cause.met.t_s)
        yield from _served(event, device.name, cause, (device.frame.get(), float(began_s)))


def note_recorded(
    event: EventNote, device: str, causes: Iterable[Cause], taken: tuple[int, float]
) -> MsgGenerator[None]:
    """The same of a frame that an interrupted run has recorded, where it had not come to say it.

    Args:
        event: Notes it.
        device: Name of the device.
        causes: What the frame was taken for.
        taken: Its index, and when it began, Unix s.
    """
    for cause in causes:
        if not event.forget(TRIGGERED, f"{device}: ", f" after {cause.name}: {cause.met.text}"):
            yield from _served(event, device, cause, taken)


def _served(
    event: EventNote, device: str, cause: Cause, taken: tuple[int, float]
) -> MsgGenerator[None]:
    frame, latency_s = taken[0], taken[1] - cause.met.t_s
    text = f"{device}: {frame} began {latency_s:.3f} s after {cause.name}: {cause.met.text}"
    yield from note(event, TRIGGERED, text, latency_s)


def note_missed(event: EventNote, device: str, causes: Iterable[Cause]) -> MsgGenerator[None]:
    """Record that there is no frame for a cause.

    Args:
        event: Notes it.
        device: Name of the device that should have taken one.
        causes: What it should have been taken for.
    """
    for cause in causes:
        text = f"{device}: no frame for {cause.name}: {cause.met.text}"
        yield from note(event, MISSED, text, cause.met.value)
