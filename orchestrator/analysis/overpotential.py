"""Where the overpotential of a stripped metal begins to run away.

The onset is the charge at which the overpotential first exceeds five times its value at the
beginning and stays beyond it. Zhao et al. (Nature Communications 2025, doi
10.1038/s41467-025-59567-8) see it rise drastically at 90 % contact loss: there an interface whose
resistance grows as 1/contact, in series with an electrolyte of about the same resistance, has
five times that of the beginning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.measured import Measured

Floats = npt.NDArray[np.float64]

ONSET_RATIO = 5.0
"""Overpotential over that of the beginning at the onset ([A]; see above)."""
BASELINE_MAH_PER_CM2 = 0.125
"""Charge over which the beginning is taken, mAh/cm2: up to the first frame."""
MIN_BASELINE = 3
_STAYS = 5
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class OverpotentialOnset:
    """Where the overpotential runs away.

    Attributes:
        onset_mah_per_cm2: Charge at the onset, mAh/cm2; NaN without one.
        baseline_v: Overpotential at the beginning, V.
        level_v: Overpotential at the onset, V.
        peak_v: Largest overpotential, V.
        fluctuation_v: Standard deviation between neighbouring records after the onset, V; NaN
            without.
        quality: ``ok`` or a reason.
    """

    onset_mah_per_cm2: Measured
    baseline_v: Measured
    level_v: float
    peak_v: float
    fluctuation_v: float
    quality: str = "ok"


def overpotential_onset(
    charge_mah_per_cm2: npt.ArrayLike,
    overpotential_v: npt.ArrayLike,
    *,
    ratio: float = ONSET_RATIO,
    baseline_mah_per_cm2: float = BASELINE_MAH_PER_CM2,
) -> OverpotentialOnset:
    """Find the onset.

    Args:
        charge_mah_per_cm2: Charge stripped at each record, ascending, mAh/cm2, shape (n,).
        overpotential_v: Voltage minus that at rest, V, either sign; records that are not finite
            are left out.
        ratio: Overpotential at the onset over that of the beginning.
        baseline_mah_per_cm2: Charge over which the beginning is taken, mAh/cm2.

    Raises:
        ValueError: For shapes that differ, charges that fall, or a ratio of 1 or less.
    """
    charge = np.asarray(charge_mah_per_cm2, dtype=np.float64)
    size_v = np.abs(np.asarray(overpotential_v, dtype=np.float64))
    if charge.shape != size_v.shape or charge.ndim != 1 or not ratio > 1:
        raise ValueError(
            f"overpotential: got {charge.shape} charges, {size_v.shape} voltages and a ratio of "
            f"{ratio}, expected two equal rows and a ratio above 1"
        )
    kept = np.isfinite(size_v) & np.isfinite(charge)
    charge, size_v = charge[kept], size_v[kept]
    if (np.diff(charge) < 0).any():
        raise ValueError("overpotential: got charges that fall, expected one stripping (cut it)")
    first = charge <= (charge[0] if len(charge) else 0.0) + baseline_mah_per_cm2
    if first.sum() < MIN_BASELINE:
        reason = f"{int(first.sum())} records in the first {baseline_mah_per_cm2:g} mAh/cm2"
        nothing = Measured(math.nan, math.nan, reason)
        return OverpotentialOnset(nothing, nothing, math.nan, math.nan, math.nan, reason)
    baseline = _baseline(size_v[first])
    level_v, peak_v = ratio * baseline.value, float(size_v.max())
    at = _stays_beyond(size_v, level_v)
    if at is None:
        missing = Measured(math.nan, math.nan, "no onset")
        return OverpotentialOnset(missing, baseline, level_v, peak_v, math.nan, "no onset")
    onset = _interpolated(charge, size_v, at, level_v, ratio * baseline.error)
    later = np.diff(size_v[at:])
    fluctuation_v = float(np.std(later)) / math.sqrt(2.0) if len(later) > 1 else math.nan
    return OverpotentialOnset(onset, baseline, level_v, peak_v, fluctuation_v, onset.quality)


def _baseline(values: Floats) -> Measured:
    middle = float(np.median(values))
    spread = _MAD_TO_SD * float(np.median(np.abs(values - middle)))
    return Measured(middle, 1.2533 * spread / math.sqrt(len(values)))


def _stays_beyond(values: Floats, level: float) -> int | None:
    """First record beyond a level of which the median of the next ones is beyond it too."""
    for at in np.flatnonzero(values > level):
        if np.median(values[at : at + _STAYS]) > level:
            return int(at)
    return None


def _interpolated(
    charge: Floats, size_v: Floats, at: int, level_v: float, level_error_v: float
) -> Measured:
    """Charge at the crossing between two records."""
    if at == 0:
        return Measured(float(charge[0]), math.nan, "beyond from the first record")
    step = float(charge[at] - charge[at - 1])
    rise = float(size_v[at] - size_v[at - 1])
    share = float(np.clip((level_v - size_v[at - 1]) / rise, 0.0, 1.0)) if rise > 0 else 1.0
    error = math.hypot(step / math.sqrt(12.0), level_error_v * step / rise if rise > 0 else 0.0)
    return Measured(float(charge[at - 1]) + share * step, error)
