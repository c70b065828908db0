"""What numbers of a run are drawn and listed against: time in a natural unit, or charge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from orchestrator.report.contents import Electrochemistry

Floats = npt.NDArray[np.float64]

_UNITS = (("d", 86_400.0), ("h", 3600.0), ("min", 60.0))
_NOTHING = 1e-3
"""Part of the largest value below which one is shown as zero."""
_LEAST = 2.0
"""A unit is used from two of it on, as people do: 90 minutes, not 1.5 hours."""
_BOTH_WAYS = 1e-3
"""Part of the charge that must have gone back before a run is said to go both ways."""


@dataclass(frozen=True)
class TimeUnit:
    """A unit of time.

    Attributes:
        name: As it is written.
        seconds: Its length, s.
    """

    name: str
    seconds: float

    def text(self, time_s: float) -> str:
        """A time in this unit, without the unit."""
        return (
            f"{time_s / self.seconds:.3f}" if self.name == "d" else f"{time_s / self.seconds:.2f}"
        )


def time_unit(duration_s: float) -> TimeUnit:
    """The unit in which a run of this length is read."""
    for name, seconds in _UNITS:
        if duration_s >= _LEAST * seconds:
            return TimeUnit(name, seconds)
    return TimeUnit("s", 1.0)


@dataclass(frozen=True)
class Place:
    """Where things lie in the course of a run.

    Attributes:
        values: Ascending as time does, shape (n,).
        name: What they are.
        unit: Their unit.
    """

    values: Floats
    name: str
    unit: str

    @property
    def label(self) -> str:
        """For an axis or the head of a column."""
        return f"{self.name} / {self.unit}"

    def text(self, index: int) -> str:
        """One of them with its unit."""
        value = float(self.values[index])
        none = abs(value) < _NOTHING * float(np.abs(self.values).max())
        return f"{0.0 if none else value:.3g} {self.unit}"


def place(echem: Electrochemistry | None, time_s: Floats, duration_s: float) -> Place:
    """Charge that had passed, per area where that is known; time where no charge was recorded.

    Args:
        echem: Records of the potentiostat, or None.
        time_s: Moments, seconds since the run began, shape (n,).
        duration_s: Length of the run, s.
    """
    if echem is None or not echem.records.throughput_mah[-1] > 0:
        unit = time_unit(duration_s)
        return Place(np.asarray(time_s, float) / unit.seconds, "Time", unit.name)
    records = echem.records
    passed = np.interp(time_s, records.time_s, records.throughput_mah)
    net, whole = abs(float(records.charge_mah[-1])), float(records.throughput_mah[-1])
    one_way = whole - net <= _BOTH_WAYS * whole
    way = "A → B" if records.charge_mah[-1] > 0 else "B → A"
    name = f"Charge {way}" if one_way else "Charge in either direction"
    if echem.area_cm2 > 0:
        return Place(passed / echem.area_cm2, name, "mAh/cm²")
    return Place(passed, name, "mAh")


def ascending(values: Floats) -> bool:
    """Whether each value is greater than the one before it."""
    return bool(np.isfinite(values).all() and (np.diff(values) > 0).all())


def with_error(value: float, error: float, factor: float = 1.0) -> str:
    """A value to two digits of its error; a dash where there is none."""
    value, error = factor * value, factor * error
    if not math.isfinite(value):
        return "–"
    if not (math.isfinite(error) and error > 0.0):
        return f"{value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def chosen_rows(count: int, most: int) -> list[int]:
    """Evenly spread indices with the first and the last."""
    return sorted({round(k) for k in np.linspace(0, count - 1, min(most, count)).tolist()})


def first_middle_last(usable: list[int]) -> list[int]:
    """Three of some indices, fewer if there are fewer."""
    return sorted({usable[0], usable[len(usable) // 2], usable[-1]}) if usable else []


def configuration_of(descriptor: Any, device: str) -> dict[str, Any]:
    """The device's configuration in a descriptor, keys without its name; empty if it has none."""
    if not isinstance(descriptor, Mapping):
        return {}
    data = descriptor.get("configuration", {}).get(device, {}).get("data", {})
    return {key.removeprefix(f"{device}_"): value for key, value in data.items()}
