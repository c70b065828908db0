"""Conditions on what a run measures: pure criteria, and the triggerable things plans wait for.

A criterion looks at batches of records and says when it is met; it is the only implementation,
used by plans, interlocks and reports alike. A `Condition` connects one to a potentiostat and can
be triggered: its status is done when the criterion is met.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from ophyd.status import Status

from devices.cell_records import Records
from devices.potentiostat import Potentiostat

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Met:
    """When and how a condition was met.

    Attributes:
        t_s: Experiment time of the record that met it, Unix s.
        value: The number that was compared, in the unit that `text` names.
        text: A sentence for a person.
    """

    t_s: float
    value: float
    text: str


class Criterion(Protocol):
    """Decides from records; keeps what it must remember between batches."""

    def update(self, records: Records) -> Met | None:
        """Look at new records; returns when the criterion was first met, else None."""
        ...


class ResistanceDrop:
    """The cell's resistance |V/I| falls below a part of its own recent value.

    Only records with current count, and not those within `settle_s` of the current's onset or
    reversal or of the cell's connection, where a real cell's capacitance still charges. The recent
    value is the median over the last `memory` batches that did not fall.

    Args:
        ratio: Part of the recent resistance below which a record counts as fallen.
        confirm: Number of consecutive fallen records that meet the criterion.
        settle_s: Time after onset or reversal of the current, or after the cell was connected, that
            is not looked at, s.
        min_current_ma: Records with less current than this tell nothing, mA.
        memory: Number of batches whose medians make the recent value.
        name: What the drop means, for the text.
    """

    def __init__(
        self,
        ratio: float,
        *,
        confirm: int = 2,
        settle_s: float = 5.0,
        min_current_ma: float = 1e-5,
        memory: int = 64,
        name: str = "resistance drop",
    ) -> None:
        if not 0.0 < ratio < 1.0:
            raise ValueError(f"{name}: ratio {ratio:g}, expected between 0 and 1 (lower it)")
        self.ratio, self.confirm, self.settle_s = ratio, confirm, settle_s
        self.min_current_ma, self.name = min_current_ma, name
        self._medians: deque[float] = deque(maxlen=memory)
        self._onset_s = -np.inf
        self._sign = 0.0
        self._fallen = 0

    def update(self, records: Records) -> Met | None:
        """Look at new records; see `Criterion.update`."""
        self._onset_s = max(self._onset_s, records.connected_s)
        return self.look(records.t_s, records.voltage_v, records.current_ma)

    def look(self, t_s: Floats, voltage_v: Floats, current_ma: Floats) -> Met | None:
        """Look at columns of equal length; returns when the drop was confirmed, else None."""
        counts = self._settled(t_s, current_ma) & np.isfinite(voltage_v)
        if not counts.any():
            return None
        at_s = t_s[counts]
        ohm = np.abs(voltage_v[counts] / (current_ma[counts] * 1e-3))
        if not self._medians:
            self._medians.append(_median(ohm.tolist()))
        recent = _median(self._medians)
        fallen = ohm < self.ratio * recent
        if not fallen.any():
            self._fallen = 0
            self._medians.append(_median(ohm.tolist()))
            return None
        return self._count(at_s, ohm, fallen, recent)

    def _settled(self, t_s: Floats, current_ma: Floats) -> npt.NDArray[np.bool_]:
        """Which records carry current that began long enough ago."""
        sign = np.where(np.abs(current_ma) >= self.min_current_ma, np.sign(current_ma), 0.0)
        changed = sign != np.concatenate(([self._sign], sign[:-1]))
        onsets = np.where(changed, t_s, -np.inf)
        onsets[0] = max(onsets[0], self._onset_s)
        since = np.maximum.accumulate(onsets)
        self._sign, self._onset_s = float(sign[-1]), float(since[-1])
        settled: npt.NDArray[np.bool_] = (sign != 0.0) & (t_s - since >= self.settle_s)
        return settled

    def _count(
        self, t_s: Floats, ohm: Floats, fallen: npt.NDArray[np.bool_], recent: float
    ) -> Met | None:
        for k in range(len(fallen)):
            self._fallen = self._fallen + 1 if fallen[k] else 0
            if self._fallen >= self.confirm:
                text = f"{self.name}: {ohm[k]:.4g} ohm after {recent:.4g} ohm"
                return Met(float(t_s[k]), float(ohm[k]), text)
        return None


def _median(values: Iterable[float]) -> float:
    """Median of a few numbers; NumPy's takes longer to begin than this takes in all."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return 0.5 * (ordered[middle] + ordered[~middle])


def hard_short() -> ResistanceDrop:
    """The one definition of a hard short: resistance below a tenth of its recent value, twice.

    Liu et al. 2025 see the voltage collapse to zero (their Fig. 4a) and Siniscalchi et al. 2024
    18 kohm fall to 0.5 kohm; both lie far below a tenth.
    """
    return ResistanceDrop(0.1, confirm=2, name="hard short")


def soft_short() -> ResistanceDrop:
    """The one definition of a soft short: resistance below 70 % of its recent value, 3 times.

    Source: [A] a sudden drop that leaves a resistance, against the slow fall of a cell that
    conditions (which moves the recent value along).
    """
    return ResistanceDrop(0.7, confirm=3, name="soft short")


@dataclass
class Threshold:
    """A column of the records rises above or falls below a value.

    Args:
        column: Attribute of `Records`.
        limit: Value to compare with.
        above: Whether rising above meets it; otherwise falling below.
        magnitude: Whether the absolute value is compared.
        confirm: Number of consecutive records that meet it.
        label: Name and unit for the text.
    """

    column: str
    limit: float
    above: bool = True
    magnitude: bool = False
    confirm: int = 1
    label: str = ""

    def __post_init__(self) -> None:
        self._met = 0

    def update(self, records: Records) -> Met | None:
        """Look at new records; see `Criterion.update`."""
        values = np.asarray(getattr(records, self.column), dtype=float)
        values = np.abs(values) if self.magnitude else values
        beyond = values > self.limit if self.above else values < self.limit
        if not beyond.any():
            self._met = 0
            return None
        for k in range(len(beyond)):
            self._met = self._met + 1 if beyond[k] else 0
            if self._met >= self.confirm:
                word = "above" if self.above else "below"
                text = f"{self.label} {values[k]:.6g}, {word} {self.limit:g}"
                return Met(float(records.t_s[k]), float(values[k]), text)
        return None


class Elapsed:
    """Time since the first record exceeds a duration.

    Args:
        duration_s: The duration, s.
    """

    def __init__(self, duration_s: float) -> None:
        self.duration_s = duration_s
        self._first_s: float | None = None

    def update(self, records: Records) -> Met | None:
        """Look at new records; see `Criterion.update`."""
        if self._first_s is None:
            self._first_s = float(records.t_s[0])
        late = np.nonzero(records.t_s - self._first_s >= self.duration_s)[0]
        if not len(late):
            return None
        t_s = float(records.t_s[late[0]])
        return Met(t_s, t_s - self._first_s, f"{t_s - self._first_s:.0f} s passed")


class Condition:
    """A criterion on a potentiostat's records that a plan can trigger and wait for.

    Args:
        name: Its name in the experiment file; also the stop reason it gives.
        criterion: Decides; it remembers, so make a new one for each run.
        source: The potentiostat whose records it sees.

    Attributes:
        met: When and how it was met; None before.
    """

    parent = None

    def __init__(self, name: str, criterion: Criterion, source: Potentiostat) -> None:
        self.name, self.met = name, None
        self._criterion, self._source = criterion, source
        self._status: Status | None = None
        self._detach: Callable[[], Any] | None = None

    met: Met | None

    def trigger(self) -> Status:
        """Begin to look; the status is done when the criterion is met. Idempotent."""
        if self._status is None:
            self._status = Status(obj=self, timeout=None)
            self._detach = self._source.subscribe_records(self._look)
        return self._status

    def stop(self, *, success: bool = True) -> None:
        """Stop looking."""
        del success
        if self._detach is not None:
            self._detach()
            self._detach = None

    def _look(self, records: Records) -> None:
        met = self._criterion.update(records)
        if met is not None and self._status is not None and not self._status.done:
            self.met = met
            self.stop()
            self._status.set_finished()


Parameters = Mapping[str, float]

CRITERIA: dict[str, Callable[[float, float], Criterion]] = {
    "hard_short": lambda _value, _area: hard_short(),
    "soft_short": lambda _value, _area: soft_short(),
    "voltage_above_v": lambda value, _area: Threshold(
        "voltage_v", value, magnitude=True, label="voltage / V"
    ),
    "charge_mah_per_cm2": lambda value, area: Threshold(
        "charge_mah", value * area, magnitude=True, label="net charge / mAh"
    ),
    "throughput_mah_per_cm2": lambda value, area: Threshold(
        "throughput_mah", value * area, label="charge throughput / mAh"
    ),
    "duration_s": lambda value, _area: Elapsed(value),
}
"""Conditions by their name in the experiment file; called with the value given there (0 where
none is given) and the electrode area in cm2. All voltages and charges are magnitudes."""


def condition(
    name: str, source: Potentiostat, *, value: float = 0.0, area_cm2: float = 1.0
) -> Condition:
    """Make a condition by its name in the experiment file.

    Args:
        name: One of `CRITERIA`.
        source: The potentiostat whose records it sees.
        value: The threshold, in the unit that the name ends with.
        area_cm2: Electrode area, cm2.

    Raises:
        ValueError: There is no such condition.
    """
    if name not in CRITERIA:
        known = ", ".join(CRITERIA)
        raise ValueError(f"stop_when: no condition {name!r} (use one of {known})")
    return Condition(name, CRITERIA[name](value, area_cm2), source)
