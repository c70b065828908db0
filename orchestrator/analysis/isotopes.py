"""Fractions of 6Li from nuclear magnetic resonance spectra, and what tracer exchange predicts.

A metal electrode rich in 6Li and an electrolyte of natural lithium exchange isotopes when current
flows; the fraction of 6Li in a dendrite then says where its lithium came from (Liu et al., Nature
Materials 2025, doi 10.1038/s41563-024-02094-6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SENSITIVITY_6LI = 28.45
"""Signal of 7Li over that of 6Li for equal amounts, measured on natural LiCl by Liu et al. It
belongs to their probes and delays: gamma^3 I(I+1) gives 34.5. Calibrate your own."""

DETECTED_SIGMA = 3.0
_MIN_BASELINE = 10


@dataclass(frozen=True)
class LineSignal:
    """Integral of one line of a spectrum.

    Attributes:
        value: Integral over the line without its baseline, intensity times ppm.
        error: Standard error from the noise beside the line, with that of the baseline.
    """

    value: float
    error: float

    @property
    def significance(self) -> float:
        """Signal over error."""
        return self.value / self.error if self.error > 0 else math.inf


@dataclass(frozen=True)
class Fraction6Li:
    """Fraction of 6Li in lithium.

    Attributes:
        x6: 6Li over all lithium, by number; NaN without any signal.
        error: Standard error.
        quality: ``ok`` or a reason.
    """

    x6: float
    error: float
    quality: str = "ok"

    @property
    def upper_limit(self) -> float:
        """Value plus three errors, at most 1; what a line that is not seen allows."""
        return min(1.0, max(self.x6, 0.0) + DETECTED_SIGMA * self.error)


@dataclass(frozen=True)
class TracerCell:
    """Lithium that takes part in the exchange; any unit, the same for all three.

    Attributes:
        electrodes: Lithium in both electrodes, m1.
        electrolyte: Lithium in the electrolyte, m2.
        per_cycle: Lithium passed in one cycle, n.
    """

    electrodes: float
    electrolyte: float
    per_cycle: float

    def __post_init__(self) -> None:
        if not (self.electrodes > 0 and self.electrolyte > 0 and self.per_cycle >= 0):
            raise ValueError(
                f"tracer cell: got electrodes {self.electrodes}, electrolyte {self.electrolyte}, "
                f"per cycle {self.per_cycle}; expected positive amounts of lithium (all in one "
                "unit, for example C)"
            )


def line_signal(
    shift_ppm: Floats,
    intensity: Floats,
    *,
    line_ppm: tuple[float, float],
    baseline_ppm: tuple[float, float],
) -> LineSignal:
    """Integrate a line above a straight baseline.

    The baseline is fitted to the part of `baseline_ppm` outside `line_ppm`; its scatter is the
    noise, taken as independent from point to point (no zero filling, no apodisation).

    Args:
        shift_ppm: Chemical shifts, ppm, evenly spaced, ascending or descending, shape (n,).
        intensity: Real part of the phased spectrum, shape (n,).
        line_ppm: Range that holds the line, ppm, for example (255, 275) for lithium metal.
        baseline_ppm: Wider range around it without another line or sideband, ppm.

    Raises:
        ValueError: If a range holds no line or fewer than ten points of baseline.
    """
    inside = _within(shift_ppm, line_ppm)
    beside = _within(shift_ppm, baseline_ppm) & ~inside
    if not inside.any() or beside.sum() < _MIN_BASELINE:
        raise ValueError(
            f"line: got {inside.sum()} points in {line_ppm} ppm and {beside.sum()} beside it, "
            f"expected points in the line and at least {_MIN_BASELINE} of baseline (widen "
            "`baseline_ppm`)"
        )
    step_ppm = abs(float(shift_ppm[1] - shift_ppm[0]))
    centre_ppm = float(np.mean(line_ppm))
    design = np.column_stack([np.ones(len(shift_ppm)), shift_ppm - centre_ppm])
    found, _, _, _ = np.linalg.lstsq(design[beside], intensity[beside], rcond=None)
    left = intensity - design @ found
    variance = float(left[beside] @ left[beside]) / (beside.sum() - 2)
    summed = design[inside].sum(axis=0)
    under = float(summed @ np.linalg.inv(design[beside].T @ design[beside]) @ summed)
    return LineSignal(
        value=float(left[inside].sum()) * step_ppm,
        error=step_ppm * math.sqrt(variance * (inside.sum() + under)),
    )


def fraction_6li(
    signal_6li: LineSignal,
    signal_7li: LineSignal,
    *,
    sensitivity: float = SENSITIVITY_6LI,
    sensitivity_error: float = 0.0,
) -> Fraction6Li:
    """``x6 = k S6 / (k S6 + S7)`` [Liu et al., Methods], with first-order errors.

    Noise may make a weak signal, and with it the fraction, negative: cutting it off at zero would
    bias a mean of several cells.

    Args:
        signal_6li: Signal of 6Li, S6.
        signal_7li: Signal of 7Li, S7, with the same receiver gain and number of scans.
        sensitivity: Signal of 7Li over that of 6Li for equal amounts, k.
        sensitivity_error: Standard error of k; common to all fractions measured with it.

    Raises:
        ValueError: If the sensitivity is not positive.
    """
    if not sensitivity > 0:
        raise ValueError(
            f"6Li fraction: got a sensitivity of {sensitivity}, expected a positive number "
            f"(measure natural LiCl; Liu et al. found {SENSITIVITY_6LI})"
        )
    s6, s7 = signal_6li.value, signal_7li.value
    total = sensitivity * s6 + s7
    spread = math.hypot(sensitivity * signal_6li.error, signal_7li.error)
    if not total > DETECTED_SIGMA * spread:
        return Fraction6Li(math.nan, math.nan, "no lithium seen")
    error = (
        math.hypot(
            sensitivity * s7 * signal_6li.error,
            sensitivity * s6 * signal_7li.error,
            s6 * s7 * sensitivity_error,
        )
        / total**2
    )
    missing = [
        name
        for name, signal in (("6Li", signal_6li), ("7Li", signal_7li))
        if signal.significance < DETECTED_SIGMA
    ]
    quality = f"no {missing[0]} line seen" if missing else "ok"
    return Fraction6Li(sensitivity * s6 / total, error, quality)


def mean_fraction(cells: Sequence[Fraction6Li]) -> Fraction6Li:
    """Mean over cells treated alike.

    The error is the larger of the one expected from the cells' own errors and the one their
    scatter shows; the scatter of three cells alone would often be too small by chance.

    Args:
        cells: One fraction per cell; fractions that are not numbers are left out.
    """
    values = np.array([cell.x6 for cell in cells if math.isfinite(cell.x6)])
    errors = np.array([cell.error for cell in cells if math.isfinite(cell.x6)])
    if not len(values):
        return Fraction6Li(math.nan, math.nan, "no cell has a fraction")
    expected = float(np.sqrt(errors @ errors)) / len(values)
    observed = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Fraction6Li(
        float(values.mean()),
        max(expected, observed),
        "ok" if len(values) > 1 else "one cell only",
    )


def tracer_step(
    x6_electrodes: float, x6_electrolyte: float, cell: TracerCell
) -> tuple[float, float]:
    """One cycle of equations (1) and (2) of Liu et al., both from the old fractions.

    ``x1' = x1 - n m2 / (m1 (m2 + n)) (x1 - x2)`` and ``x2' = x2 + n / (m2 + n) (x1 - x2)``: the
    passed lithium mixes with the electrolyte, then as much returns; ``m1 x1 + m2 x2`` stays.

    Args:
        x6_electrodes: Fraction in the electrodes before, x1.
        x6_electrolyte: Fraction in the electrolyte before, x2.
        cell: Amounts of lithium.

    Returns:
        The fractions (x1', x2') after the cycle.
    """
    mixed = cell.per_cycle / (cell.electrolyte + cell.per_cycle) * (x6_electrodes - x6_electrolyte)
    return (
        x6_electrodes - cell.electrolyte / cell.electrodes * mixed,
        x6_electrolyte + mixed,
    )


def tracer_exchange(
    x6_electrodes: float, x6_electrolyte: float, cell: TracerCell, cycles: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Fractions after any numbers of cycles, in closed form.

    Each cycle multiplies the difference by ``1 - n (m1 + m2) / (m1 (m2 + n))`` and keeps the
    mean, to which both fractions tend.

    Args:
        x6_electrodes: Initial fraction in the electrodes.
        x6_electrolyte: Initial fraction in the electrolyte.
        cell: Amounts of lithium.
        cycles: Numbers of cycles, shape (n,).

    Returns:
        Fractions in the electrodes and in the electrolyte, each of shape (n,).
    """
    m1, m2, n = cell.electrodes, cell.electrolyte, cell.per_cycle
    kept = 1.0 - n * (m1 + m2) / (m1 * (m2 + n))
    difference = (x6_electrodes - x6_electrolyte) * np.power(kept, np.asarray(cycles, dtype=float))
    mean = (m1 * x6_electrodes + m2 * x6_electrolyte) / (m1 + m2)
    return mean + m2 / (m1 + m2) * difference, mean - m1 / (m1 + m2) * difference


def _within(shift_ppm: Floats, span_ppm: tuple[float, float]) -> npt.NDArray[np.bool_]:
    low, high = sorted(span_ppm)
    return np.asarray((shift_ppm >= low) & (shift_ppm <= high))
