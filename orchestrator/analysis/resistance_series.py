"""A resistance through a series of spectra: steady, gradual, or a sudden drop.

While lithium plates into a pellet its bulk resistance falls gradually as dendrites grow, and the
cell's suddenly when one of them reaches the other face (Siniscalchi et al., Energy Environ. Sci.
2024, doi 10.1039/d3ee03916a). A drop is sudden if between two spectra more is lost than a tenth,
more than four standard errors, and more than five times what neighbours usually differ by; or if
the spectrum after it is that of a short.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.impedance import CellState
from orchestrator.analysis.measured import Measured

Floats = npt.NDArray[np.float64]
Course = Literal["falls", "steady", "rises", "unknown"]

SUDDEN_SHARE = 0.1
SUDDEN_SIGMA = 4.0
SUDDEN_STEPS = 5.0
SIGNIFICANT = 3.0
MIN_SPECTRA = 3


@dataclass(frozen=True)
class SuddenDrop:
    """A drop between two spectra.

    Attributes:
        after: Abscissa (charge or time) of the last spectrum before it.
        by: Abscissa of the first spectrum after it; the drop is between.
        before_ohm_cm2: Resistance before, ohm cm2.
        relative: Part of it that was lost; 1 where a short leaves no arc to fit.
        short: Whether the spectrum after it is that of a short.
    """

    after: float
    by: float
    before_ohm_cm2: float
    relative: Measured
    short: bool

    @property
    def at(self) -> Measured:
        """Middle between both spectra, with the error of an even distribution."""
        return Measured(0.5 * (self.after + self.by), (self.by - self.after) / math.sqrt(12.0))


@dataclass(frozen=True)
class ResistanceCourse:
    """What a series says.

    Attributes:
        course: Before a sudden drop: ``falls``, ``steady``, ``rises``; ``unknown`` if too short.
        slope_per_unit: Slope of a weighted line before a drop, ohm cm2 per unit of the abscissa.
        change: Last over first value before a drop, minus 1.
        largest_step: Largest relative change between neighbours before a drop.
        sudden: The first sudden drop, or None.
        quality: ``ok`` or a reason.
    """

    course: Course
    slope_per_unit: Measured
    change: Measured
    largest_step: float
    sudden: SuddenDrop | None
    quality: str = "ok"


def resistance_course(
    abscissa: npt.ArrayLike,
    ohm_cm2: npt.ArrayLike,
    errors_ohm_cm2: npt.ArrayLike,
    states: Sequence[CellState] | None = None,
) -> ResistanceCourse:
    """Tell a gradual course from a sudden drop.

    Args:
        abscissa: Charge or time of each spectrum, ascending, shape (n,).
        ohm_cm2: Resistances, ohm cm2; NaN where a spectrum was not fitted.
        errors_ohm_cm2: Standard errors, ohm cm2.
        states: What `orchestrator.analysis.impedance.classify` says of each spectrum.

    Raises:
        ValueError: For rows of different length, or an abscissa that does not ascend.
    """
    x, ohm, errors = (np.asarray(v, dtype=np.float64) for v in (abscissa, ohm_cm2, errors_ohm_cm2))
    stated = tuple(states) if states is not None else ("cell",) * len(x)
    same = x.ndim == 1 and x.shape == ohm.shape == errors.shape and len(stated) == len(x)
    if not same or (np.diff(x) <= 0).any():
        raise ValueError(
            f"resistance series: got {x.shape} places, {ohm.shape} resistances, {errors.shape} "
            f"errors and {len(stated)} states, expected equal rows and an ascending abscissa"
        )
    kept = np.isfinite(ohm) | (np.array(stated) == "short")
    x, ohm, errors = x[kept], ohm[kept], np.nan_to_num(errors[kept])
    short = np.array(stated)[kept] == "short"
    sudden, last = _first_sudden(x, ohm, errors, short)
    x, ohm, errors = x[:last], ohm[:last], errors[:last]
    if len(x) < MIN_SPECTRA:
        reason = f"{len(x)} spectra before a drop, a course needs {MIN_SPECTRA}"
        nothing = Measured(math.nan, math.nan, reason)
        return ResistanceCourse("unknown", nothing, nothing, math.nan, sudden, reason)
    slope = _weighted_slope(x, ohm, errors)
    ratio = float(ohm[-1] / ohm[0])
    change = Measured(ratio - 1.0, ratio * math.hypot(errors[-1] / ohm[-1], errors[0] / ohm[0]))
    significant = abs(slope.value) > SIGNIFICANT * slope.error
    course: Course = "steady"
    if significant and abs(change.value) > SIGNIFICANT * change.error:
        course = "falls" if slope.value < 0 else "rises"
    steps = np.abs(np.diff(ohm)) / ohm[:-1]
    return ResistanceCourse(course, slope, change, float(steps.max()), sudden)


def _first_sudden(
    x: Floats, ohm: Floats, errors: Floats, short: npt.NDArray[np.bool_]
) -> tuple[SuddenDrop | None, int]:
    """The first sudden drop and how many spectra lie before it."""
    for k in range(len(x)):
        if short[k]:
            lost = Measured(1.0, math.nan, "a short leaves no arc to fit")
            return _drop(x, ohm, k, lost, short=True), k
        if k and _is_sudden(ohm[: k + 1], errors[: k + 1]):
            left = float(ohm[k] / ohm[k - 1])
            error = math.hypot(errors[k], errors[k - 1] * left) / float(ohm[k - 1])
            return _drop(x, ohm, k, Measured(1.0 - left, error), short=False), k
    return None, len(x)


def _drop(x: Floats, ohm: Floats, k: int, lost: Measured, *, short: bool) -> SuddenDrop:
    """The drop into spectrum `k`; into the first one nothing is known of what was before."""
    after, before = (float(x[k - 1]), float(ohm[k - 1])) if k else (math.nan, math.nan)
    return SuddenDrop(after, float(x[k]), before, lost, short)


def _is_sudden(ohm: Floats, errors: Floats) -> bool:
    """Whether the last step is larger than a tenth, than noise, and than the steps before it."""
    lost = float(ohm[-2] - ohm[-1])
    usual = float(np.median(np.abs(np.diff(ohm[:-1])))) if len(ohm) > 2 else 0.0
    noise = math.hypot(float(errors[-1]), float(errors[-2]))
    beyond = lost > SUDDEN_SIGMA * noise and lost > SUDDEN_STEPS * usual
    return lost > SUDDEN_SHARE * float(ohm[-2]) and beyond and len(ohm) > MIN_SPECTRA


def _weighted_slope(x: Floats, values: Floats, errors: Floats) -> Measured:
    """Slope of a line weighted by the errors, which grow to what the line leaves."""
    usable = (errors > 0).all()
    weights = 1.0 / errors**2 if usable else np.ones(len(x))
    centre = float(weights @ x) / float(weights.sum())
    spread = float(weights @ (x - centre) ** 2)
    slope = float(weights @ ((x - centre) * values)) / spread
    middle = float(weights @ values) / float(weights.sum())
    left = values - middle - slope * (x - centre)
    chi2 = float(weights @ left**2) / max(len(x) - 2, 1)
    return Measured(slope, math.sqrt(max(chi2, 1.0 if usable else 0.0) / spread))
