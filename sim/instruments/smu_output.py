"""Output stage of a source-measure unit: a source with a limit, driving the sample.

A current source has a voltage limit and the reverse. Where the cell would go beyond the limit,
the unit clamps: it sources the limit and lets the other quantity be what the cell makes of it
(2450 reference manual, 2450-901-01 Rev. B, page 6-72: the instrument *clamps* the source to
keep it within the limit). A clamp is no end: the unit keeps passing current.

The stage is lazy. `look` only asks what would be seen; `pass_limit` then moves the clamp to the
moment at which the limit was reached, on a 1 ms lattice of world time, so that the answer does
not depend on when anybody asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim.world import Floats, Sample, Terminals

Quantity = Literal["current", "voltage"]

_LATTICE_S = 1e-3
_TOLERANCE = 1e-9
_MOST_SWITCHES_AT_ONCE = 3


@dataclass(frozen=True)
class Drive:
    """What the output does to the cell.

    Attributes:
        quantity: What is sourced.
        level: mA or V by quantity.
        limit: Limit of the other quantity, V or mA, without sign; infinite where there is none.
    """

    quantity: Quantity
    level: float
    limit: float

    def other(self) -> Quantity:
        """The quantity that is limited."""
        return "voltage" if self.quantity == "current" else "current"


OPEN = Drive("current", 0.0, math.inf)
"""Relay open: no current, whatever the voltage."""


class OutputStage:
    """Drives a sample; all times are seconds since the world began.

    Args:
        sample: The cell at the terminals.
    """

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._drive = OPEN
        self._clamp = 0
        self._checked_s = 0.0
        self._switches = 0
        self._changes = 0

    @property
    def changes(self) -> int:
        """How often what is applied has changed."""
        return self._changes

    @property
    def clamped(self) -> bool:
        """Whether the limit, not the level, is what is sourced now."""
        return self._clamp != 0

    def drive(self, t_s: float, drive: Drive) -> None:
        """Source something else from `t_s` on; a limit that is exceeded at once clamps at once."""
        self._drive, self._clamp, self._switches = drive, 0, 0
        self._apply(t_s)
        now = np.array([t_s])
        while not self._settled() and self._beyond(self._sample.terminals(now))[0]:
            self._switch(t_s)

    def look(self, times_s: Floats) -> tuple[Terminals, int]:
        """Terminals at ascending times, and how many of them hold before the clamp must move.

        Nothing changes. With the second value `n` less than the number of times, the first `n`
        are right and `pass_limit(times_s[n])` must be called before asking for the others.
        """
        seen = self._sample.terminals(times_s)
        if self._settled():
            return seen, len(times_s)
        beyond = self._beyond(seen)
        if beyond.any():
            for index in np.flatnonzero(beyond):
                if self._crossing(float(times_s[index])) is not None:
                    return seen, int(index)
        return seen, len(times_s)

    def check(self, t_s: float) -> None:
        """Let the clamp do what falls due until `t_s`."""
        if not self._settled():
            now = np.array([t_s])
            while self.look(now)[1] == 0:
                self.pass_limit(t_s)
        self.accept(t_s)

    def accept(self, t_s: float) -> None:
        """Everything until `t_s` was looked at and holds."""
        if t_s > self._checked_s:
            self._checked_s, self._switches = t_s, 0

    def pass_limit(self, t_s: float) -> None:
        """Move the clamp: at `t_s` the drive was found beyond its limit, or back within it."""
        crossing_s = self._crossing(t_s)
        self._switch(t_s if crossing_s is None else crossing_s)

    def _settled(self) -> bool:
        """Whether no limit can be reached: there is none, or it was just fought over in vain."""
        if self._switches >= _MOST_SWITCHES_AT_ONCE:
            return True
        return not self._clamp and math.isinf(self._drive.limit)

    def _switch(self, t_s: float) -> None:
        """Clamp, or stop clamping, from `t_s` on."""
        if self._clamp:
            self._clamp = 0
        else:
            seen = self._sample.terminals(np.array([t_s]))
            value = seen.voltage_v if self._drive.quantity == "current" else seen.current_ma
            self._clamp = 1 if value[0] > 0 else -1
        self._switches = self._switches + 1 if t_s <= self._checked_s else 1
        self._apply(t_s)

    def _apply(self, t_s: float) -> None:
        drive = self._drive
        self._changes += 1
        quantity, value = drive.quantity, drive.level
        if self._clamp:
            quantity, value = drive.other(), self._clamp * drive.limit
        if quantity == "current":
            self._sample.apply_current(t_s, value)
        else:
            self._sample.apply_voltage(t_s, value)
        self._checked_s = max(self._checked_s, t_s)

    def _beyond(self, seen: Terminals) -> np.typing.NDArray[np.bool_]:
        """Where the present regime (level or clamp) does not hold."""
        drive = self._drive
        level_is_current = drive.quantity == "current"
        if not self._clamp:
            limited = seen.voltage_v if level_is_current else seen.current_ma
            return np.abs(limited) > drive.limit * (1.0 + _TOLERANCE)
        sourced = seen.current_ma if level_is_current else seen.voltage_v
        margin = _TOLERANCE * max(abs(drive.level), _TOLERANCE)
        return self._clamp * (sourced - drive.level) > margin

    def _crossing(self, t_s: float) -> float | None:
        """First lattice time in (checked, `t_s`] at which the regime does not hold, if any."""
        low = math.floor(self._checked_s / _LATTICE_S) + 1
        end = high = math.floor(t_s / _LATTICE_S) + 1
        while low < high:
            middle = (low + high) // 2
            if self._beyond(self._sample.terminals(np.array([middle * _LATTICE_S])))[0]:
                high = middle
            else:
                low = middle + 1
        return high * _LATTICE_S if high < end else None
