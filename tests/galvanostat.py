"""A cycler without an instrument: drives a sample between voltage limits and finds them exactly.

For tests that ask what the sample does, not what a potentiostat makes of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

_ROWS, _REFINEMENTS = 65, 4


class Cycled(NamedTuple):
    """Charges of one cycle, mAh, and when it ended, s."""

    charged_mah: float
    discharged_mah: float
    end_s: float


def run_to(cell: Any, t_s: float, density: float, limit_v: float) -> float:
    """Forces a current density (mA/cm2) until the voltage reaches the limit; the time, s."""
    cell.apply_current(t_s, density * cell.area_cm2)
    sign = 1.0 if density > 0.0 else -1.0
    low_s, high_s = t_s, t_s + 1.5 * 2.75 / abs(density) * 3600.0
    if sign * (float(cell.terminals(np.array([t_s])).voltage_v[0]) - limit_v) >= 0.0:
        return t_s
    for _ in range(_REFINEMENTS):
        times_s = np.linspace(low_s, high_s, _ROWS)
        beyond = sign * (cell.terminals(times_s).voltage_v - limit_v) >= 0.0
        first = int(np.argmax(beyond))
        assert beyond[first]
        low_s, high_s = float(times_s[first - 1]), float(times_s[first])
    return high_s


def cycle(cell: Any, t_s: float, density: float, window_v: tuple[float, float]) -> Cycled:
    """One galvanostatic cycle, charge first; the cell is open afterwards."""
    begun = cell.charge_mah(t_s)[0]
    turn_s = run_to(cell, t_s, density, window_v[1])
    full = cell.charge_mah(turn_s)[0]
    end_s = run_to(cell, turn_s, -density, window_v[0])
    cell.apply_current(end_s, 0.0)
    return Cycled(full - begun, full - cell.charge_mah(end_s)[0], end_s)
