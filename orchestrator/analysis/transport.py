"""What curves of current say about paths for electrons, and at which current a cell fails.

Current against voltage of a dendrite, current after a voltage step on a cell with blocking
electrodes, the map of the current that an electron beam induces around a spallation, and series
of cells plated at rising current: the measurements of Siniscalchi et al., Energy Environ. Sci.
2024 (doi 10.1039/d3ee03916a).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from orchestrator.analysis.measured import Measured
from orchestrator.analysis.spots import largest, sector_radii

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LITHIUM_RESISTIVITY_OHM_M = 9.28e-8
"""Electrical resistivity of lithium at 20 degrees Celsius (CRC Handbook)."""

DETECTED_SIGMA = 3.0
SIGNIFICANT = 4.0
DRIFT_TOLERATED = 0.01
MIN_SWEEP_POINTS = 5
TAIL_POINTS = 10
_SECTORS = 16
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class CriticalCurrent:
    """Current density from which cells fail.

    Attributes:
        lower_ma_per_cm2: Lower end of the range in which it lies; 0 if every cell failed.
        upper_ma_per_cm2: Upper end; infinite if no cell failed.
        estimate_ma_per_cm2: Middle of the range; NaN if it is open.
        error_ma_per_cm2: Standard deviation of an even distribution over the range; NaN if open.
        quality: ``ok`` or a reason.
    """

    lower_ma_per_cm2: float
    upper_ma_per_cm2: float
    estimate_ma_per_cm2: float
    error_ma_per_cm2: float
    quality: str = "ok"


def ohmic_resistance_ohm(voltage_v: Floats, current_ma: Floats) -> Measured:
    """Resistance from a sweep of voltage, ohm: a straight line with an offset through I(V).

    Args:
        voltage_v: Applied voltages, V, free of error, shape (n,).
        current_ma: Measured currents, mA, shape (n,); points that are not finite are left out.

    Returns:
        Resistance with the error from the scatter about the line. Flagged where a cubic through
        the points is significantly better: then the path is not ohmic.

    Raises:
        ValueError: For shapes that differ, fewer than five points, or a single voltage.
    """
    volt, milliampere = np.asarray(voltage_v, float), np.asarray(current_ma, float)
    same = volt.shape == milliampere.shape and volt.ndim == 1
    kept = np.isfinite(volt) & np.isfinite(milliampere) if same else np.zeros(0, dtype=bool)
    if kept.sum() < MIN_SWEEP_POINTS or np.ptp(volt[kept]) == 0:
        raise ValueError(
            f"I-V curve: got {volt.shape} voltages and {milliampere.shape} currents, "
            f"{kept.sum()} of them usable; expected two equal rows with at least "
            f"{MIN_SWEEP_POINTS} points at different voltages"
        )
    volt, ampere = volt[kept], milliampere[kept] * 1e-3
    scale_v = float(np.abs(volt).max())
    line, line_error = _polynomial(volt / scale_v, ampere, 1)
    slope, slope_error = float(line[1]), float(line_error[1])
    if not slope > SIGNIFICANT * slope_error:
        return Measured(math.nan, math.nan, "no current that grows with the voltage")
    quality = "ok"
    if len(volt) > MIN_SWEEP_POINTS:
        curve, curve_error = _polynomial(volt / scale_v, ampere, 3)
        bent = np.abs(curve[2:]) > SIGNIFICANT * curve_error[2:]
        if (bent & (np.abs(curve[2:]) > DRIFT_TOLERATED * slope)).any():
            quality = "not ohmic: the current is not a straight line of the voltage"
    return Measured(scale_v / slope, scale_v / slope * slope_error / slope, quality)


def wire_diameter_nm(
    resistance: Measured,
    *,
    length_cm: float,
    resistivity_ohm_m: float = LITHIUM_RESISTIVITY_OHM_M,
) -> Measured:
    """Diameter of a straight round wire, ``2 sqrt(rho L / (pi R))``, nm.

    Args:
        resistance: Resistance of the wire, ohm.
        length_cm: Length of the wire, at least the thickness of the electrolyte, cm.
        resistivity_ohm_m: Resistivity of its metal, ohm m.

    Raises:
        ValueError: If a length or a resistivity is not positive.
    """
    if not (length_cm > 0 and resistivity_ohm_m > 0):
        raise ValueError(
            f"wire: got a length of {length_cm} cm and a resistivity of {resistivity_ohm_m} "
            "ohm m, expected positive values"
        )
    if not resistance.value > 0:
        return Measured(math.nan, math.nan, resistance.quality)
    nanometre = 2e9 * math.sqrt(resistivity_ohm_m * length_cm * 1e-2 / math.pi / resistance.value)
    error = 0.5 * nanometre * resistance.error / resistance.value
    return Measured(nanometre, error, resistance.quality)


def electronic_conductivity_s_per_cm(
    time_s: Floats,
    current_a: Floats,
    *,
    step_v: float,
    area_cm2: float,
    thickness_cm: float,
    tail_points: int = TAIL_POINTS,
) -> Measured:
    """Electronic conductivity from the current after a voltage step, S/cm.

    Between electrodes that block ions, ions move until they screen the field; the current that
    stays is electronic (M. H. Hebb, J. Chem. Phys. 20 (1952) 185; C. Wagner).

    Args:
        time_s: Times since the step, s, ascending, shape (n,).
        current_a: Currents, A, shape (n,).
        step_v: Voltage of the step, V; either sign.
        area_cm2: Area of the smaller electrode, cm2.
        thickness_cm: Thickness of the electrolyte, cm.
        tail_points: Number of last points taken as steady.

    Returns:
        Mean over the last points with the error of the mean. Flagged if the current still
        falls within them.

    Raises:
        ValueError: For shapes that differ, fewer than twice as many points as in the tail, or
            lengths, areas or voltages that are zero or negative.
    """
    if (
        time_s.shape != current_a.shape
        or len(time_s) < 2 * tail_points
        or tail_points < MIN_SWEEP_POINTS
        or not (area_cm2 > 0 and thickness_cm > 0 and step_v != 0)
    ):
        raise ValueError(
            f"step potential: got {time_s.shape} times, {current_a.shape} currents, a tail of "
            f"{tail_points}, {step_v} V, {area_cm2} cm2, {thickness_cm} cm; expected two equal "
            f"rows of at least two tails of at least {MIN_SWEEP_POINTS} points, a voltage, and a "
            "positive area and thickness"
        )
    s_per_cm = current_a * thickness_cm / (step_v * area_cm2)
    tail = s_per_cm[-tail_points:]
    mean, error = float(tail.mean()), float(tail.std(ddof=1)) / math.sqrt(tail_points)
    if not mean > DETECTED_SIGMA * error:
        return Measured(mean, error, "no steady current above the noise")
    elapsed = np.log(time_s[-tail_points:])
    trend, trend_error = _polynomial((elapsed - elapsed.mean()) / np.ptp(elapsed), tail, 1)
    falls = trend[1] < -SIGNIFICANT * trend_error[1] and -trend[1] > DRIFT_TOLERATED * mean
    return Measured(mean, error, "the current still falls: wait longer" if falls else "ok")


def ebic_diameter_um(current_na: Floats, *, pixel_um: float) -> Measured:
    """Diameter at half maximum of the dark spot that a connected spallation makes, um.

    The map shows electron-beam-induced current: zero beside the spallation, negative where the
    beam's electrons reach the electrode through it. The diameter is that of the circle with the
    area beyond half of the plateau; its error is the scatter over sixteen sectors, which holds
    noise, pixels and a shape that is not round. The blurred edge of a spot that is not much wider
    than it makes the spot look larger: with an edge of 1 um by 1 % at 12 um, by a fifth at 5 um.

    Args:
        current_na: Induced current, nA, shape (lines, columns).
        pixel_um: Edge of a pixel, um.

    Returns:
        Diameter of the largest spot; NaN if none stands out of the noise.

    Raises:
        ValueError: If the map has fewer than 16 x 16 pixels, or the pixel no size.
    """
    if current_na.ndim != 2 or min(current_na.shape) < _SECTORS or not pixel_um > 0:
        raise ValueError(
            f"EBIC map: got shape {current_na.shape} with pixels of {pixel_um} um, expected at "
            f"least {_SECTORS} x {_SECTORS} pixels of a positive size"
        )
    smooth = ndimage.gaussian_filter(np.asarray(current_na, dtype=float), 1.0)
    edge = np.concatenate([smooth[0], smooth[-1], smooth[1:-1, 0], smooth[1:-1, -1]])
    beside = float(np.median(edge))
    noise = _MAD_TO_SD * float(np.median(np.abs(edge - beside)))
    depth = beside - smooth
    spot = largest(depth > 0.5 * depth.max())
    # The edge is a slope: only the inner half of a spot shows how deep it is.
    inside = ndimage.distance_transform_edt(spot)
    depth_at_plateau = float(np.median(depth[inside >= 0.5 * inside.max()]))
    spot = largest(depth > 0.5 * depth_at_plateau)
    if not depth_at_plateau > 2 * SIGNIFICANT * noise or spot.sum() < _SECTORS:
        return Measured(math.nan, math.nan, "no connected spallation stands out of the noise")
    radii = sector_radii(spot, _SECTORS)
    value = 2.0 * math.sqrt(float(spot.sum()) / math.pi) * pixel_um
    error = 2.0 * float(np.std(radii, ddof=1)) / math.sqrt(_SECTORS) * pixel_um
    cut = spot[0].any() or spot[-1].any() or spot[:, 0].any() or spot[:, -1].any()
    return Measured(value, error, "the edge of the map cuts the spot" if cut else "ok")


def critical_current(current_ma_per_cm2: Floats, failed: Flags) -> CriticalCurrent:
    """Range of the critical current from cells, or steps, at different current densities.

    Without contradiction the range lies between the largest current that every cell up to it
    survived and the smallest from which every cell failed. Where a cell survived more than
    another failed at, the range is the overlap, and the result says so.

    Args:
        current_ma_per_cm2: Current densities, mA/cm2, positive, in any order, shape (n,).
        failed: Whether the cell failed (spalled, or shorted), shape (n,).

    Raises:
        ValueError: For shapes that differ, no cell, or currents that are not positive.
    """
    current, failed = np.asarray(current_ma_per_cm2, float), np.asarray(failed, bool)
    if current.shape != failed.shape or not len(current) or not (current > 0).all():
        raise ValueError(
            f"critical current: got {current.shape} currents and {failed.shape} outcomes, "
            "expected two equal rows, at least one cell, and positive currents (give sizes)"
        )
    if not failed.any():
        return _open(float(current.max()), math.inf, "no cell failed")
    if failed.all():
        return _open(0.0, float(current.min()), "every cell failed")
    survived, broke = float(current[~failed].max()), float(current[failed].min())
    lower, upper = sorted((survived, broke))
    quality = "ok"
    if survived >= broke:
        count = int(((current >= lower) & (current <= upper)).sum())
        quality = f"{count} of {len(current)} cells overlap: cells differ, add more of them"
    return CriticalCurrent(
        lower, upper, 0.5 * (lower + upper), (upper - lower) / math.sqrt(12.0), quality
    )


def _open(lower: float, upper: float, quality: str) -> CriticalCurrent:
    return CriticalCurrent(lower, upper, math.nan, math.nan, quality)


def _polynomial(abscissa: Floats, values: Floats, order: int) -> tuple[Floats, Floats]:
    """Coefficients by ascending power and their standard errors from the scatter."""
    powers = np.vander(abscissa, order + 1, increasing=True)
    found, _, _, _ = np.linalg.lstsq(powers, values, rcond=None)
    left = values - powers @ found
    variance = float(left @ left) / (len(values) - order - 1)
    covariance = variance * np.linalg.pinv(powers.T @ powers, hermitian=True)
    return np.asarray(found, float), np.sqrt(np.diag(np.asarray(covariance, float)))
