"""What collapses when a cell shorts: its resistance, or the voltage of one that has an EMF.

How records fall into batches does not matter: what is recent is told in blocks of time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import pairwise
from math import copysign, floor, isfinite
from typing import NamedTuple

import numpy as np

from devices.cell_records import Records
from plans.criteria import Flags, Floats, Latch, Met, State
from plans.evidence import MIN_CURRENT_MA, SETTLE_S

EMF_V = 0.05
"""Voltage at rest from which a cell has an electromotive force, V [A]: far above what a symmetric
cell shows, far below that of any couple."""

BLOCK_S = 30.0
"""Time whose records make one recent value, s: that between two polls."""


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

    def one(self, t_s: float, current_ma: float) -> tuple[float, bool]:
        """`signs` of a single record, as most pages hold one."""
        flows = current_ma != 0.0 and abs(current_ma) >= self.min_current_ma
        sign = copysign(1.0, current_ma) if flows else 0.0
        if sign != self._sign:
            self._sign, self._onset_s = sign, max(t_s, self._onset_s)
        return sign, t_s - self._onset_s >= self.settle_s

    def state(self) -> State:
        """The last current and when it began."""
        onset_s = self._onset_s if np.isfinite(self._onset_s) else None
        return {"onset_s": onset_s, "sign": self._sign}

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._onset_s = -np.inf if state["onset_s"] is None else state["onset_s"]
        self._sign = state["sign"]


class RecentResistance:
    """The cell's resistance |V/I|, and what it was recently.

    Only records with current count, and not those within `settle_s` of the current's onset or
    reversal or of the cell's connection, where a real cell's capacitance still charges. The recent
    value is the median over the last `memory` blocks of `BLOCK_S` in which nothing fell below
    `ratio` of it; there is none before the first block is over.

    Args:
        ratio: Part of the recent resistance below which a record counts as fallen.
        settle_s: Time after onset or reversal of the current, or after the cell was connected, that
            is not looked at, s.
        min_current_ma: Records with less current than this tell nothing, mA.
        memory: Number of blocks whose medians make the recent value.
    """

    def __init__(
        self,
        ratio: float,
        *,
        settle_s: float = SETTLE_S,
        min_current_ma: float = MIN_CURRENT_MA,
        memory: int = 64,
    ) -> None:
        self.ratio = ratio
        self._medians: deque[float] = deque(maxlen=memory)
        self._recent = np.nan
        self._block = -1
        self._open: list[float] = []
        self._settling = Settling(settle_s, min_current_ma)

    def connected(self, t_s: float) -> None:
        """The cell was connected at this time."""
        self._settling.connected(t_s)

    def look(self, t_s: Floats, voltage_v: Floats, current_ma: Floats) -> Iterator[Resistances]:
        """Those records that count, in parts with one recent value each."""
        if len(t_s) == 1:
            ohm = self._look_at(float(t_s[0]), float(voltage_v[0]), float(current_ma[0]))
            if ohm is not None:
                yield Resistances(t_s, np.array([ohm]), self._recent)
            return
        yield from self._look_at_all(t_s, voltage_v, current_ma)

    def _look_at(self, t_s: float, voltage_v: float, current_ma: float) -> float | None:
        """The resistance of a single record, ohm, if it counts."""
        sign, lasted = self._settling.one(t_s, current_ma)
        if sign == 0.0 or not lasted or not isfinite(voltage_v):
            return None
        number = floor(t_s / BLOCK_S)
        if number != self._block:
            self._close()
            self._block = number
        self._open.append(abs(voltage_v / (current_ma * 1e-3)))
        return self._open[-1]

    def _look_at_all(
        self, t_s: Floats, voltage_v: Floats, current_ma: Floats
    ) -> Iterator[Resistances]:
        sign, lasted = self._settling.signs(t_s, current_ma)
        counts = (sign != 0.0) & lasted & np.isfinite(voltage_v)
        if not counts.any():
            return
        at_s = t_s[counts]
        ohm = np.abs(voltage_v[counts] / (current_ma[counts] * 1e-3))
        numbers = np.floor(at_s / BLOCK_S).astype(np.int64)
        edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for first, last in pairwise(edges):
            if numbers[first] != self._block:
                self._close()
                self._block = int(numbers[first])
            self._open.extend(ohm[first:last].tolist())
            yield Resistances(at_s[first:last], ohm[first:last], self._recent)

    def state(self) -> State:
        """What was recent, and what is open."""
        return {
            "medians": list(self._medians),
            "block": self._block,
            "open": list(self._open),
            "settling": self._settling.state(),
        }

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._medians = deque(state["medians"], maxlen=self._medians.maxlen)
        self._recent = median(self._medians) if self._medians else np.nan
        self._block, self._open = state["block"], list(state["open"])
        self._settling.restore(state["settling"])

    def _close(self) -> None:
        """A block is over: it was recent if nothing fell in it."""
        usual = self.ratio * self._recent
        if self._open and not min(self._open) < usual:
            self._medians.append(median(self._open))
            self._recent = median(self._medians)
        self._open.clear()


class Resistances(NamedTuple):
    """Records that tell the cell's resistance.

    Attributes:
        t_s: Their times, Unix s.
        ohm: Resistance of each, ohm.
        recent_ohm: What it was recently, ohm; NaN where that is not known yet.
    """

    t_s: Floats
    ohm: Floats
    recent_ohm: float


class ResistanceDrop:
    """The cell's resistance falls below a part of its own recent value.

    Args:
        ratio: Part of the recent resistance below which a record counts as fallen.
        confirm: Number of consecutive fallen records that meet the criterion.
        name: What the drop means, for the text.
    """

    def __init__(self, ratio: float, *, confirm: int = 2, name: str = "resistance drop") -> None:
        if not 0.0 < ratio < 1.0:
            raise ValueError(f"{name}: ratio {ratio:g}, expected between 0 and 1 (lower it)")
        self.ratio, self.name = ratio, name
        self._resistance = RecentResistance(ratio)
        self._latch = Latch(confirm)

    @property
    def holding(self) -> bool:
        """Whether the resistance is down now."""
        return self._latch.holding

    def update(self, records: Records) -> list[Met]:
        """Look at new records; see `Criterion.update`."""
        self._resistance.connected(records.connected_s)
        return self.look(records.t_s, records.voltage_v, records.current_ma)

    def look(self, t_s: Floats, voltage_v: Floats, current_ma: Floats) -> list[Met]:
        """Look at columns of equal length; each time that a drop was confirmed."""
        parts = self._resistance.look(t_s, voltage_v, current_ma)
        return [met for part in parts for met in self._fallen(part)]

    def state(self) -> State:
        """What was recent, and how many have fallen."""
        return {"resistance": self._resistance.state(), "latch": asdict(self._latch)}

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._resistance.restore(state["resistance"])
        self._latch = Latch(**state["latch"])

    def _fallen(self, part: Resistances) -> Iterator[Met]:
        fallen = part.ohm < self.ratio * part.recent_ohm  # never, where nothing is recent yet
        for k in self._latch.beginnings(fallen, ~fallen):
            ohm = float(part.ohm[k])
            text = f"{self.name}: {ohm:.4g} ohm after {part.recent_ohm:.4g} ohm"
            yield Met(float(part.t_s[k]), ohm, text)


class ResistanceFall:
    """Evidence: how far the resistance is below its recent value, as a part of it."""

    def __init__(self) -> None:
        self._resistance = RecentResistance(0.7)

    def of(self, records: Records) -> tuple[Floats, Floats]:
        """See `plans.evidence.Evidence.of`."""
        self._resistance.connected(records.connected_s)
        found = self._resistance.look(records.t_s, records.voltage_v, records.current_ma)
        parts = [(part.t_s, 1.0 - part.ohm / part.recent_ohm) for part in found]
        if not parts:
            return np.array([]), np.array([])
        times, falls = zip(*parts, strict=True)
        return np.concatenate(times), np.concatenate(falls)

    def state(self) -> State:
        """What was recent."""
        return self._resistance.state()

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._resistance.restore(state)


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
        settle_s: float = SETTLE_S,
        min_current_ma: float = MIN_CURRENT_MA,
        name: str = "voltage collapse",
    ) -> None:
        self.ratio, self.name, self.rest_v = ratio, name, 0.0
        self.confirm, self.confirm_discharge = confirm, confirm_discharge
        self._settling = Settling(settle_s, min_current_ma)
        self._latch = Latch(confirm)

    @property
    def applies(self) -> bool:
        """Whether the cell has shown an electromotive force."""
        return abs(self.rest_v) > EMF_V

    @property
    def holding(self) -> bool:
        """Whether the voltage is down now."""
        return self._latch.holding

    def update(self, records: Records) -> list[Met]:
        """Look at new records; see `Criterion.update`."""
        self._settling.connected(records.connected_s)
        return self.look(records.t_s, records.voltage_v, records.current_ma)

    def look(self, t_s: Floats, voltage_v: Floats, current_ma: Floats) -> list[Met]:
        """Look at columns of equal length; each time that a collapse was confirmed."""
        if len(t_s) == 1:
            one, counts = self._settling.one(float(t_s[0]), float(current_ma[0]))
            sign, looked_at = [one], [0] if counts and isfinite(voltage_v[0]) else []
        else:
            signs, lasted = self._settling.signs(t_s, current_ma)
            sign = signs.tolist()
            looked_at = np.flatnonzero(lasted & np.isfinite(voltage_v)).tolist()
        found = []
        for k in looked_at:
            volts = float(voltage_v[k])
            if sign[k] == 0.0:
                self._at_rest(volts)
            elif self.applies and self._begins(volts, discharging=sign[k] * self.rest_v < 0.0):
                text = f"{self.name}: {volts:.4g} V after {self.rest_v:.4g} V at rest"
                found.append(Met(float(t_s[k]), volts, text))
        return found

    def state(self) -> State:
        """The voltage at rest, and how many have fallen."""
        return {
            "rest_v": self.rest_v,
            "settling": self._settling.state(),
            "latch": asdict(self._latch),
        }

    def restore(self, state: State) -> None:
        """Remember it again."""
        self.rest_v = state["rest_v"]
        self._settling.restore(state["settling"])
        self._latch = Latch(**state["latch"])

    def _at_rest(self, volts: float) -> None:
        """Learn the voltage at rest, but not that of a cell that is shorted already."""
        if not self.applies or abs(volts) > self.ratio * abs(self.rest_v):
            self.rest_v = volts

    def _begins(self, volts: float, *, discharging: bool) -> bool:
        fallen = abs(volts) < self.ratio * abs(self.rest_v)
        self._latch.confirm = self.confirm_discharge if discharging else self.confirm
        return self._latch.begins(beyond=fallen, back=not fallen)


def median(values: Iterable[float]) -> float:
    """Median of a few numbers; NumPy's takes longer to begin than this takes in all."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return 0.5 * (ordered[middle] + ordered[~middle])
