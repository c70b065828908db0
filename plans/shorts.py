"""Short circuits of a cell, seen in its voltage and current: the one definition of each.

A symmetric cell that shorts loses its resistance: |V/I| collapses. A cell with an electromotive
force (a battery, or lithium against lithiated indium) loses its voltage instead: V goes to zero
whatever drives it, and |V/I| tells nothing, since V passes through zero by polarisation alone when
such a cell is discharged far enough. Which of the two a cell is shows at rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from devices.cell_records import Records
from plans.criteria import Floats, Met

Flags = npt.NDArray[np.bool_]

EMF_V = 0.05
"""Voltage at rest from which a cell has an electromotive force, V [A]: far above what a symmetric
cell shows, far below that of any couple."""


class Settling:
    """Which records carry a current, or none, that began long enough ago.

    Args:
        settle_s: Time after onset, reversal or end of the current, or after the cell was
            connected, that is not looked at, s: a real cell's capacitance still charges.
        min_current_ma: Records with less current than this are at rest, mA.
    """

    def __init__(self, settle_s: float, min_current_ma: float) -> None:
        self.settle_s, self.min_current_ma = settle_s, min_current_ma
        self._onset_s = -np.inf
        self._sign = 0.0

    def connected(self, t_s: float) -> None:
        """The cell was connected at this time."""
        self._onset_s = max(self._onset_s, t_s)

    def signs(self, t_s: Floats, current_ma: Floats) -> tuple[Floats, Flags]:
        """Sign of each record's current, 0 at rest, and whether it has lasted."""
        sign = np.where(np.abs(current_ma) >= self.min_current_ma, np.sign(current_ma), 0.0)
        changed = sign != np.concatenate(([self._sign], sign[:-1]))
        onsets = np.where(changed, t_s, -np.inf)
        onsets[0] = max(onsets[0], self._onset_s)
        since = np.maximum.accumulate(onsets)
        self._sign, self._onset_s = float(sign[-1]), float(since[-1])
        lasted: Flags = t_s - since >= self.settle_s
        return sign, lasted


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
        self.ratio, self.confirm, self.name = ratio, confirm, name
        self._medians: deque[float] = deque(maxlen=memory)
        self._settling = Settling(settle_s, min_current_ma)
        self._fallen = 0

    def update(self, records: Records) -> Met | None:
        """Look at new records; see `Criterion.update`."""
        self._settling.connected(records.connected_s)
        return self.look(records.t_s, records.voltage_v, records.current_ma)

    def look(self, t_s: Floats, voltage_v: Floats, current_ma: Floats) -> Met | None:
        """Look at columns of equal length; returns when the drop was confirmed, else None."""
        sign, lasted = self._settling.signs(t_s, current_ma)
        counts = (sign != 0.0) & lasted & np.isfinite(voltage_v)
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

    def _count(
        self, t_s: Floats, ohm: Floats, fallen: npt.NDArray[np.bool_], recent: float
    ) -> Met | None:
        for k in range(len(fallen)):
            self._fallen = self._fallen + 1 if fallen[k] else 0
            if self._fallen >= self.confirm:
                text = f"{self.name}: {ohm[k]:.4g} ohm after {recent:.4g} ohm"
                return Met(float(t_s[k]), float(ohm[k]), text)
        return None


class VoltageCollapse:
    """The voltage of a cell with an electromotive force falls to a part of that at rest.

    While the cell is charged its voltage lies beyond that at rest: near zero it can only be
    shorted. While it is discharged far enough, polarisation alone takes it through zero; there it
    must stay near zero for longer.

    Args:
        ratio: Part of the voltage at rest below which a record counts as fallen.
        confirm: Number of consecutive fallen records that meet the criterion while the cell is
            charged.
        confirm_discharge: The same while it is discharged.
        settle_s: As for `ResistanceDrop`; also how long a rest must have lasted.
        min_current_ma: Records with less current than this are at rest, mA.
        name: What the collapse means, for the text.

    Attributes:
        rest_v: Voltage of the last rest, V; 0 before the first.
    """

    def __init__(
        self,
        ratio: float,
        *,
        confirm: int = 2,
        confirm_discharge: int = 20,
        settle_s: float = 5.0,
        min_current_ma: float = 1e-5,
        name: str = "voltage collapse",
    ) -> None:
        self.ratio, self.name, self.rest_v = ratio, name, 0.0
        self.confirm, self.confirm_discharge = confirm, confirm_discharge
        self._settling = Settling(settle_s, min_current_ma)
        self._fallen = 0

    @property
    def applies(self) -> bool:
        """Whether the cell has shown an electromotive force."""
        return abs(self.rest_v) > EMF_V

    def update(self, records: Records) -> Met | None:
        """Look at new records; see `Criterion.update`."""
        self._settling.connected(records.connected_s)
        return self.look(records.t_s, records.voltage_v, records.current_ma)

    def look(self, t_s: Floats, voltage_v: Floats, current_ma: Floats) -> Met | None:
        """Look at columns of equal length; returns when the collapse was confirmed, else None."""
        sign, lasted = self._settling.signs(t_s, current_ma)
        for k in np.flatnonzero(lasted & np.isfinite(voltage_v)).tolist():
            volts = float(voltage_v[k])
            if sign[k] == 0.0:
                self._at_rest(volts)
            elif self.applies and self._counts(volts, discharging=sign[k] * self.rest_v < 0.0):
                text = f"{self.name}: {volts:.4g} V after {self.rest_v:.4g} V at rest"
                return Met(float(t_s[k]), volts, text)
        return None

    def _at_rest(self, volts: float) -> None:
        """Learn the voltage at rest, but not that of a cell that is shorted already."""
        if not self.applies or abs(volts) > self.ratio * abs(self.rest_v):
            self.rest_v = volts

    def _counts(self, volts: float, *, discharging: bool) -> bool:
        fallen = abs(volts) < self.ratio * abs(self.rest_v)
        self._fallen = self._fallen + 1 if fallen else 0
        return self._fallen >= (self.confirm_discharge if discharging else self.confirm)


class HardShort:
    """A hard short of any cell: resistance or voltage collapses, by what the cell shows at rest.

    Args:
        ratio: Part of the recent resistance, or of the voltage at rest, that is left.
        confirm: Number of consecutive records.
    """

    def __init__(self, ratio: float = 0.1, *, confirm: int = 2) -> None:
        self._resistance = ResistanceDrop(ratio, confirm=confirm, name="hard short")
        self._voltage = VoltageCollapse(ratio, confirm=confirm, name="hard short")

    def update(self, records: Records) -> Met | None:
        """Look at new records; see `Criterion.update`."""
        return self._of(self._voltage.update(records), self._resistance.update(records))

    def look(self, t_s: Floats, voltage_v: Floats, current_ma: Floats) -> Met | None:
        """Look at columns of equal length; returns when it was confirmed, else None."""
        columns = (t_s, voltage_v, current_ma)
        return self._of(self._voltage.look(*columns), self._resistance.look(*columns))

    def _of(self, collapse: Met | None, drop: Met | None) -> Met | None:
        return collapse if self._voltage.applies else drop


def _median(values: Iterable[float]) -> float:
    """Median of a few numbers; NumPy's takes longer to begin than this takes in all."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return 0.5 * (ordered[middle] + ordered[~middle])


def hard_short() -> HardShort:
    """The one definition of a hard short: a tenth of the resistance, or of the voltage, twice.

    Liu et al. 2025 see the voltage collapse to zero (their Fig. 4a) and Siniscalchi et al. 2024
    18 kohm fall to 0.5 kohm; both lie far below a tenth.
    """
    return HardShort(0.1, confirm=2)


def soft_short() -> ResistanceDrop:
    """The one definition of a soft short: resistance below 70 % of its recent value, 3 times.

    Source: [A] a sudden drop that leaves a resistance, against the slow fall of a cell that
    conditions (which moves the recent value along).
    """
    return ResistanceDrop(0.7, confirm=3, name="soft short")
