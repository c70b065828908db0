"""What an interrupted run goes on from: who keeps it, and the place where a run goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from bluesky import Msg
from bluesky.utils import MsgGenerator

from devices.adoption import Adoption
from devices.derived_past import Delivered
from plans.control import AFTER, After

State = dict[str, Any]
"""What is kept, JSON-able."""

OnInterruption = Literal["resume", "hold"]
"""What becomes of a step in which a run was interrupted: it goes on by itself, or the cell is
switched off and a person decides."""

RESUMED = "resumed"
"""Kind of the event that says what a run that goes on has found, and what it does."""


class Past(Protocol):
    """What the runs before one that goes on have recorded."""

    def delivered(self, source: str) -> Sequence[Delivered]:
        """Frames or spectra of a device, in order."""
        ...

    def taken_last(self, stream: str) -> tuple[int, float] | None:
        """Index of the last frame or spectrum of a stream, and when it began, Unix s."""
        ...

    def last_s(self, stream: str) -> float:
        """Time of the last record of a stream, Unix s; minus infinity where there is none."""
        ...


@dataclass(frozen=True)
class Place:
    """Where an interrupted run goes on.

    Attributes:
        state: As `plans.progress.Progress.state` had it when it was kept last.
        adoption: What was found at the potentiostat.
        noted: Events that were recorded since, by kind and text: they are not noted again.
        frames: Frames recorded since, by stream.
        recorded: All frames of the run, by stream.
        adopted: What became of the frame that was being taken, by the name of its device:
            ``running``, ``finished``, or that there is none.
        skips_step: What is left of the step is left out, because a person has decided so.
        past: What was recorded; asked for numbers out of frames and spectra.
        text: For the records: what was interrupted, what was found, what is done.
    """

    state: Mapping[str, Any]
    adoption: Adoption
    noted: Counter[tuple[str, str]] = field(default_factory=Counter)
    frames: Mapping[str, int] = field(default_factory=dict)
    recorded: Mapping[str, int] = field(default_factory=dict)
    adopted: dict[str, str] = field(default_factory=dict)
    skips_step: bool = False
    past: Past | None = None
    text: str = ""

    @property
    def pending(self) -> frozenset[str]:
        """Devices whose frame was fetched, and is not in the records."""
        fetched = {track["device"] for track in self.state["tracks"] if track["storing"]}
        return frozenset(fetched - {name for name, number in self.frames.items() if number})


class Keeper(Protocol):
    """Keeps what a run would go on from, durably.

    Attributes:
        place: Where the run goes on that begins next; None: it begins at its beginning.
    """

    place: Place | None

    def follow(self, state: Callable[[], State]) -> None:
        """A run begins: this is how its state is asked for, at any moment between messages."""
        ...

    def keep(self) -> None:
        """What is recorded is on the disk, and so is the state that belongs to it."""
        ...

    def prepared(self) -> Callable[[], None]:
        """The same in two parts: the state is as it is now; what is returned waits for the disk.

        That may be called in another thread. What is kept later is never replaced by it.
        """
        ...


def engine_keeper() -> MsgGenerator[Keeper | None]:
    """Who keeps the state of the run; None where nothing could go on from it."""
    engine: Any = yield Msg("RE_class")
    if not getattr(engine, "HAS_CONTROL", False):
        return None
    keeper: Keeper | None = yield Msg("keeper")
    return keeper


def keep(keeper: Keeper | None) -> MsgGenerator[None]:
    """Have the state of the run kept now."""
    if keeper is not None:
        yield Msg("keep")


def cut_off(noted: Counter[tuple[str, str]]) -> tuple[After | None, list[str]]:
    """Requests that were recorded, and cut off before they were kept; a stop comes into force.

    Args:
        noted: Events by kind and text; those that are dealt with are taken out.

    Returns:
        When the run is to end, if that was asked for, and what was not carried out, in words.
    """
    ending: After | None = None
    lost = []
    for kind, text in list(noted):
        if kind not in ("stop", "set", "skip_step", "image_now"):
            continue
        del noted[kind, text]
        after = next((one for one in AFTER if text.endswith(one)), None)
        if kind == "stop" and after is not None:
            ending = after
        else:
            lost.append(f"{text}: the program was cut off before it was carried out")
    return ending, lost
