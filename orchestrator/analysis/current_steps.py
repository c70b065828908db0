"""Steps of constant current in records, and the critical current of a cell plated at rising ones.

A cell that is plated step by step at rising current fails within one of them: its voltage falls to
less than half at constant current. The critical current lies between the last step that it
survived and that one (`orchestrator.analysis.transport.critical_current`).
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.cycles import flowing
from orchestrator.analysis.transport import CriticalCurrent, critical_current

Floats = npt.NDArray[np.float64]

SAME_CURRENT = 0.05
"""Relative change of the current within which records belong to one step."""
FALL = 0.5
"""|V| over its median so far in the step, below which the cell has failed."""
MIN_RECORDS = 3
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class CurrentStep:
    """One step of constant current.

    Attributes:
        start_s: Time of its first record, s.
        end_s: Time of its last record, s.
        current_ma_per_cm2: Median current density, mA/cm2, signed.
        voltage_v: Median voltage, V.
        voltage_error_v: Standard error of that median from the scatter of the records, V.
        scatter: Standard deviation between neighbouring records over the voltage: 3 % where
            spallations make it unsteady.
        charge_mah_per_cm2: Charge that passed, mAh/cm2, signed.
        failed_s: Time of the record at which |V| had fallen to less than half, s; NaN if not.
        quality: ``ok`` or a reason.
    """

    start_s: float
    end_s: float
    current_ma_per_cm2: float
    voltage_v: float
    voltage_error_v: float
    scatter: float
    charge_mah_per_cm2: float
    failed_s: float
    quality: str = "ok"

    @property
    def failed(self) -> bool:
        """Whether the voltage fell within it."""
        return math.isfinite(self.failed_s)


def current_steps(
    time_s: npt.ArrayLike, voltage_v: npt.ArrayLike, current_ma: npt.ArrayLike, *, area_cm2: float
) -> tuple[CurrentStep, ...]:
    """Steps of constant current; rests are left out.

    Args:
        time_s: Times of the records, s, ascending, shape (n,).
        voltage_v: Voltages, V; records that are not finite are left out.
        current_ma: Currents, mA; at rest only noise.
        area_cm2: Electrode area, cm2.

    Raises:
        ValueError: For shapes that differ, times that fall, or an area that is not positive.
    """
    t, v, i = (np.asarray(each, dtype=np.float64) for each in (time_s, voltage_v, current_ma))
    if t.shape != v.shape or t.shape != i.shape or t.ndim != 1 or not area_cm2 > 0:
        raise ValueError(
            f"current steps: got {t.shape} times, {v.shape} voltages, {i.shape} currents and an "
            f"area of {area_cm2} cm2, expected three equal rows and a positive area"
        )
    kept = np.isfinite(t) & np.isfinite(v) & np.isfinite(i)
    t, v, i = t[kept], v[kept], i[kept]
    if (np.diff(t) < 0).any():
        raise ValueError("current steps: got times that fall, expected ascending ones (sort them)")
    if not len(t):
        return ()
    on = flowing(i)
    changed = np.abs(np.diff(i)) > SAME_CURRENT * np.maximum(np.abs(i[1:]), np.abs(i[:-1]))
    breaks = np.flatnonzero((on[1:] != on[:-1]) | (on[1:] & changed)) + 1
    parts = np.split(np.arange(len(t)), breaks)
    return tuple(_step(t[p], v[p], i[p] / area_cm2) for p in parts if on[p[0]])


def critical_current_of_steps(steps: tuple[CurrentStep, ...]) -> CriticalCurrent:
    """Critical current of one cell that is plated at rising current until it fails.

    What follows the step that failed says nothing about a whole cell and is left out.

    Raises:
        ValueError: No step.
    """
    failed = next((k for k, step in enumerate(steps) if step.failed), len(steps) - 1)
    used = steps[: failed + 1]
    sizes = np.array([abs(step.current_ma_per_cm2) for step in used])
    return critical_current(sizes, np.array([step.failed for step in used], dtype=bool))


def _step(t: Floats, v: Floats, density: Floats) -> CurrentStep:
    size = np.abs(v)
    middle = float(np.median(v))
    failed_s = _failed_s(t, size)
    noise = 0.0
    if len(v) > 2:
        noise = _MAD_TO_SD * float(np.median(np.abs(np.diff(v)))) / math.sqrt(2.0)
    quality = "ok" if len(v) >= MIN_RECORDS else f"{len(v)} records"
    return CurrentStep(
        start_s=float(t[0]),
        end_s=float(t[-1]),
        current_ma_per_cm2=float(np.median(density)),
        voltage_v=middle,
        voltage_error_v=1.2533 * noise / math.sqrt(len(v)),
        scatter=noise / abs(middle) if middle else math.nan,
        charge_mah_per_cm2=float(np.trapezoid(density, t)) / 3600.0,
        failed_s=failed_s,
        quality=quality,
    )


def _failed_s(t: Floats, size: Floats) -> float:
    """First record from which |V| stays below half of the median of those before it."""
    before: list[float] = []
    for k, value in enumerate(size.tolist()):
        if k >= MIN_RECORDS:
            middle = 0.5 * (before[(k - 1) // 2] + before[k // 2])
            if value < FALL * middle and np.median(size[k : k + MIN_RECORDS]) < FALL * middle:
                return float(t[k])
        insort(before, value)
    return math.nan
