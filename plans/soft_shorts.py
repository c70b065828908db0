"""Soft shorts: a path that comes and goes, or carries a part of the current.

Three signs, for the two kinds of cell (`plans.collapse`). In a symmetric cell the resistance falls
suddenly and partly, or dips again and again. In a cell with an electromotive force, while it is
charged at one current, the voltage falls or dips, which charging alone never makes it do; and the
charge that comes back in a cycle is suddenly less than in the cycles before.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from devices.cell_records import Records
from plans.collapse import EMF_V, ResistanceDrop, ResistanceFall, Settling, median
from plans.criteria import Criterion, Floats, Level, Met, Repeated, State
from plans.evidence import MIN_CURRENT_MA, SETTLE_S, Steady

DIP = 0.15
"""Part of the recent resistance by which a dip is deeper [A]: more than a cell's noise, less than
a soft short that stays."""

BACK = 0.05
"""Part of the recent resistance to within which it must come back after a dip [A]: one that lies
at the limit does not dip again and again with its noise."""

CHARGING_DIP, CHARGING_FALL = (0.02, 0.3), (0.10, 0.5)
"""By how much the voltage of a charged cell dips, or falls and stays, at least [A]: as parts of the
voltage at rest, and of the distance from it. Beyond nucleation, which takes 10 to 50 mV off a
plating voltage once in a charge, and contact that plating restores, which takes minutes."""

BEFORE_DIP, BEFORE_FALL = 3, 12
"""Records before, at the same current, whose median a dip, or a fall, is counted from [A]."""

DIPS, DIPS_WITHIN_S = 3, 600.0
"""So many dips within such a time, s, are noise of a soft short [A]."""

LOSS = 0.10
"""Part of the charge that came back in the cycles before, missing in one cycle [A]."""

_SHORTED = 0.1
_CYCLES, _FEWEST_CYCLES = 5, 3


class Rest:
    """The voltage of the last rest, and which current charges the cell."""

    def __init__(self) -> None:
        self._settling = Settling(SETTLE_S, MIN_CURRENT_MA)
        self.volts = 0.0

    def charging(self, records: Records) -> Floats:
        """1 while the cell is charged, -1 while it is discharged, 0 at rest or without an EMF."""
        self._settling.connected(records.connected_s)
        sign, lasted = self._settling.signs(records.t_s, records.current_ma)
        found = np.zeros(len(sign))
        usable = (lasted & np.isfinite(records.voltage_v)).tolist()
        for k, flows in enumerate(sign.tolist()):
            if flows == 0.0 and usable[k]:
                self._at_rest(float(records.voltage_v[k]))
            elif abs(self.volts) > EMF_V:
                found[k] = flows * np.sign(self.volts)
        return found

    def _at_rest(self, volts: float) -> None:
        """Learn the voltage at rest, but not that of a cell that is shorted already."""
        if abs(self.volts) <= EMF_V or abs(volts) > _SHORTED * abs(self.volts):
            self.volts = volts

    def state(self) -> State:
        """The rest."""
        return {"settling": self._settling.state(), "volts": self.volts}

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._settling.restore(state["settling"])
        self.volts = state["volts"]


class ChargingFall:
    """Evidence: how far the voltage has fallen below that just before, at one charging current.

    Over the least fall that counts, so that 1 is the limit; nothing is said while the cell is
    discharged or rests.

    Args:
        least: Least fall as a part of the voltage at rest, and of the distance from it.
        before: Records before whose median it is counted from.
    """

    def __init__(self, least: tuple[float, float], before: int) -> None:
        self.least = least
        self._rest = Rest()
        self._steady = Steady(np.inf, most=before + 1)

    def of(self, records: Records) -> tuple[Floats, Floats]:
        """See `plans.evidence.Evidence.of`."""
        charging = self._rest.charging(records)
        if abs(self._rest.volts) <= EMF_V:
            return records.t_s, np.full(len(records.t_s), np.nan)
        windows = self._steady.windows(records)
        falls = [
            np.nan if window is None or on <= 0.0 else self._fall(window[1])
            for window, on in zip(windows, charging.tolist(), strict=True)
        ]
        return records.t_s, np.array(falls)

    def _fall(self, volts: Floats) -> float:
        *before, now = np.abs(volts).tolist()
        if not before:
            return float("nan")
        usual, rest = median(before), abs(self._rest.volts)
        least = max(self.least[0] * rest, self.least[1] * abs(usual - rest))
        return float((usual - now) / least)

    def state(self) -> State:
        """The rest, and the stretch so far."""
        return {"rest": self._rest.state(), "steady": self._steady.state()}

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._rest.restore(state["rest"])
        self._steady.restore(state["steady"])


class ChargeLost:
    """Evidence: charge that did not come back in a cycle, against the cycles before.

    A cycle is a charge and the discharge after it, whatever rests lie between; its number comes
    with the first record of the next charge. The first cycle, which loses charge for good, is not
    counted, and nothing is said before three others are known.
    """

    def __init__(self) -> None:
        self._rest = Rest()
        self._last: tuple[float, float, float] | None = None
        self._charged = self._back = 0.0
        self._cycles = 0
        self._efficiencies: deque[float] = deque(maxlen=_CYCLES)

    def of(self, records: Records) -> tuple[Floats, Floats]:
        """See `plans.evidence.Evidence.of`."""
        charging = self._rest.charging(records)
        rows = zip(
            records.t_s.tolist(), records.current_ma.tolist(), charging.tolist(), strict=True
        )
        return records.t_s, np.array([self._take(*row) for row in rows])

    def _take(self, t_s: float, amps: float, way: float) -> float:
        if way == 0.0 or not np.isfinite(amps):
            self._last = None
            return float("nan")
        lost = float("nan")
        if way > 0.0 and self._back > 0.0:
            lost = self._cycle()
        if self._last is not None and self._last[2] == way:
            passed = 0.5 * abs(amps + self._last[1]) * (t_s - self._last[0])
            self._charged += passed if way > 0.0 else 0.0
            self._back += passed if way < 0.0 else 0.0
        self._last = (t_s, amps, way)
        return lost

    def _cycle(self) -> float:
        """A cycle is over; what it lost against those before."""
        efficiency = min(self._back / self._charged, 1.0) if self._charged > 0.0 else float("nan")
        self._charged = self._back = 0.0
        self._cycles += 1
        if self._cycles == 1 or not np.isfinite(efficiency):
            return float("nan")
        before = list(self._efficiencies)
        lost = 1.0 - efficiency / median(before) if len(before) >= _FEWEST_CYCLES else float("nan")
        if not lost > LOSS:
            self._efficiencies.append(efficiency)
        return lost

    def state(self) -> State:
        """The cycle so far, and those before."""
        return {
            "rest": self._rest.state(),
            "last": None if self._last is None else list(self._last),
            "charge": [self._charged, self._back],
            "cycles": self._cycles,
            "efficiencies": list(self._efficiencies),
        }

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._rest.restore(state["rest"])
        last = state["last"]
        self._last = None if last is None else (last[0], last[1], last[2])
        self._charged, self._back = state["charge"]
        self._cycles = state["cycles"]
        self._efficiencies = deque(state["efficiencies"], maxlen=_CYCLES)


class SoftShort:
    """A soft short of any cell, by what the cell shows at rest.

    Args:
        confirm: Number of consecutive records of a fall that stays.
    """

    def __init__(self, *, confirm: int = 3) -> None:
        dips = Level(ResistanceFall(), DIP, hysteresis=DIP - BACK, label="part of it")
        dipping = ChargingFall(CHARGING_DIP, BEFORE_DIP)
        charging = Level(dipping, 1.0, hysteresis=1.0 - BACK / DIP, label="over the least")
        self._rest = Rest()
        self._symmetric: tuple[Criterion, ...] = (
            ResistanceDrop(0.7, confirm=confirm, name="soft short"),
            Repeated(dips, DIPS, DIPS_WITHIN_S, name="soft short: resistance dips"),
        )
        self._with_emf: tuple[Criterion, ...] = (
            Level(
                ChargingFall(CHARGING_FALL, BEFORE_FALL),
                1.0,
                confirm=confirm,
                label="soft short: fall of the voltage over the least that counts",
            ),
            Repeated(charging, DIPS, DIPS_WITHIN_S, name="soft short: voltage dips"),
            Level(ChargeLost(), LOSS, label="soft short: charge lost in a cycle, part,"),
        )

    @property
    def holding(self) -> bool:
        """Whether one of its signs holds now."""
        return any(one.holding for one in self._of_this_cell)

    def update(self, records: Records) -> list[Met]:
        """Look at new records; see `Criterion.update`."""
        self._rest.charging(records)
        found = {id(one): one.update(records) for one in (*self._symmetric, *self._with_emf)}
        mets = [met for one in self._of_this_cell for met in found[id(one)]]
        return sorted(mets, key=lambda met: met.t_s)

    def look(self, t_s: Floats, voltage_v: Floats, current_ma: Floats) -> list[Met]:
        """Look at columns of equal length; each time that it was confirmed."""
        none = np.zeros(len(t_s))
        return self.update(Records(t_s, voltage_v, current_ma, none, none, 0, 0))

    def state(self) -> State:
        """What it remembers."""
        criteria = [one.state() for one in (*self._symmetric, *self._with_emf)]
        return {"rest": self._rest.state(), "criteria": criteria}

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._rest.restore(state["rest"])
        every = (*self._symmetric, *self._with_emf)
        for one, kept in zip(every, state["criteria"], strict=True):
            one.restore(kept)

    @property
    def _of_this_cell(self) -> tuple[Criterion, ...]:
        return self._with_emf if abs(self._rest.volts) > EMF_V else self._symmetric
