"""When a reading is bad: one rule for each kind of interlock, without any I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.profile.interlocks import (
    DataRateInterlock,
    FreeDiskInterlock,
    HeartbeatInterlock,
    ImageInterlock,
    InterlockEntry,
    PlausibleInterlock,
    ReadingInterlock,
)

OK = "ok"
"""Quality of a reading or frame with which nothing is wrong."""


@dataclass(frozen=True)
class Sample:
    """One reading, or the lack of one.

    Attributes:
        t_s: Experiment time, Unix s.
        value: In the unit of what is looked at; NaN where there is none.
        quality: ``ok``, or why there is no reading, or what is wrong with it.
    """

    t_s: float
    value: float = math.nan
    quality: str = OK


class Rule(Protocol):
    """Says what is wrong with a reading; it may remember those before."""

    def wrong(self, sample: Sample) -> str:
        """What is wrong; empty where nothing is."""
        ...

    def reset(self) -> None:
        """A run begins: forget what came before."""
        ...


class _Forgetful:
    """A rule that needs nothing from before."""

    def reset(self) -> None:
        """Nothing to forget."""


@dataclass
class Bounds(_Forgetful):
    """A number within bounds; none, and none that is finite, is outside.

    Attributes:
        low: Lowest allowed value.
        high: Highest allowed value.
        unit: For the text, with a space before it.
    """

    low: float = -math.inf
    high: float = math.inf
    unit: str = ""

    def wrong(self, sample: Sample) -> str:
        """See `Rule.wrong`."""
        if sample.quality != OK:
            return sample.quality
        if not math.isfinite(sample.value):
            return f"got {sample.value:g}, expected a number"
        if sample.value > self.high:
            return f"got {sample.value:.6g}{self.unit}, expected at most {self.high:g}{self.unit}"
        if sample.value < self.low:
            return f"got {sample.value:.6g}{self.unit}, expected at least {self.low:g}{self.unit}"
        return ""


@dataclass
class Plausible:
    """A finite number that does not stand still.

    A value is stuck where it has not differed by more than `change` from the one at which it came
    to stand, for `stuck_s`. Readings that are missing or no number say nothing about that.

    Attributes:
        stuck_s: Time after which it is stuck, s; infinite: never.
        change: Smallest change that shows that it lives.
        unit: For the text, with a space before it.
    """

    stuck_s: float = math.inf
    change: float = 0.0
    unit: str = ""
    _stands: tuple[float, float] | None = field(default=None, init=False)

    def wrong(self, sample: Sample) -> str:
        """See `Rule.wrong`."""
        if sample.quality != OK:
            return sample.quality
        if not math.isfinite(sample.value):
            return f"got {sample.value:g}, expected a number"
        if self._stands is None or abs(sample.value - self._stands[1]) > self.change:
            self._stands = (sample.t_s, sample.value)
        stood_s = sample.t_s - self._stands[0]
        if stood_s < self.stuck_s:
            return ""
        return f"stuck at {sample.value:.6g}{self.unit} for {stood_s:.0f} s, expected it to change"

    def reset(self) -> None:
        """See `Rule.reset`."""
        self._stands = None


@dataclass
class Answer(_Forgetful):
    """Something that must answer, or show something; the quality of a reading says whether."""

    def wrong(self, sample: Sample) -> str:
        """See `Rule.wrong`."""
        return "" if sample.quality == OK else sample.quality


@dataclass
class Frame(_Forgetful):
    """A frame that must show something.

    Attributes:
        min_spread: Least difference of its 99th and 1st percentile, in its unit.
    """

    min_spread: float = 0.0

    def wrong(self, sample: Sample) -> str:
        """See `Rule.wrong`."""
        if sample.quality != OK:
            return f"got a frame that is {sample.quality}, expected one that shows something"
        if not sample.value >= self.min_spread:
            return (
                f"got a blank frame (spread {sample.value:.4g}), expected a spread of at least "
                f"{self.min_spread:g}"
            )
        return ""


_UNITS = {
    "v": "V", "ma": "mA", "mah": "mAh", "celsius": "C", "mpa": "MPa", "n": "N",
}  # fmt: skip


def unit_of(signal: str) -> str:
    """Unit of a signal by the end of its name, with a space before it; empty where it says none."""
    unit = _UNITS.get(signal.rpartition("_")[2].lower())
    return f" {unit}" if unit else ""


def rule_of(entry: InterlockEntry) -> Rule:
    """The rule of an interlock."""
    if isinstance(entry, ReadingInterlock):
        low = -math.inf if entry.min is None else entry.min
        high = math.inf if entry.max is None else entry.max
        return Bounds(low, high, unit_of(entry.signal))
    if isinstance(entry, PlausibleInterlock):
        stuck_s = math.inf if entry.stuck_s is None else entry.stuck_s
        return Plausible(stuck_s, entry.change, unit_of(entry.signal))
    if isinstance(entry, FreeDiskInterlock):
        return Bounds(low=entry.min_gb, unit=" GB")
    if isinstance(entry, DataRateInterlock):
        return Bounds(low=entry.min_records, unit=f" records in {entry.within_s:g} s")
    if isinstance(entry, ImageInterlock):
        return Frame(entry.min_spread or 0.0)
    assert isinstance(entry, HeartbeatInterlock)  # noqa: S101 - there is no other kind
    return Answer()
