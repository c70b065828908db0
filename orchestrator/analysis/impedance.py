"""Resistances of bulk and interface from an impedance spectrum, and whether the cell is shorted.

Two depressed arcs (ZARC elements, a resistance in parallel with a constant phase element) in
series with the inductance of the leads, as Siniscalchi et al., Energy Environ. Sci. 2024 (doi
10.1039/d3ee03916a) fit them::

    Z = R_b / (1 + (jw tau_b)^n_b) + R_i / (1 + (jw tau_i)^n_i) + jw L

The high-frequency arc is the electrolyte with its grain boundaries, the low-frequency one both
interfaces. All seven parameters are positive and spread over decades, so that their logarithms
are fitted, weighted by the modulus (B. A. Boukamp, Solid State Ionics 20 (1986) 31).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares, nnls

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]
CellState = Literal["cell", "short", "undecided"]

SHORT_FRACTION = 0.5
"""A path below this share of the electrolyte's own resistance is electronic ([A]: dendrites that
have not yet bridged an electrolyte lower its ionic resistance by up to 45 %)."""

DIRECT_BELOW_HZ = 1e3
"""Above this frequency the bulk's capacitance may carry the current of a cell that is whole."""

MIN_POINTS = 10
POOR_RESIDUAL = 0.05
UNCERTAIN = 0.1
_LOWEST_POINTS = 5
_START_EXPONENT = 0.9
_GRID_PER_DECADE = 2.0
_STARTS = 3
_BULK, _INTERFACE, _INDUCTANCE = slice(0, 3), slice(3, 6), 6
_LOG_LOW = np.log([1e-6, 1e-12, 0.4, 1e-6, 1e-12, 0.4, 1e-13])
_LOG_HIGH = np.log([1e12, 1e6, 1.0, 1e12, 1e6, 1.0, 1e-2])


@dataclass(frozen=True)
class Arc:
    """One depressed arc.

    Attributes:
        ohm_cm2: Resistance times area, ohm cm2.
        error_ohm_cm2: Its standard error, ohm cm2.
        peak_hz: Frequency of the largest -Im Z, 1 / (2 pi tau), Hz.
        exponent: Exponent n of the constant phase element; 1 is a capacitor.
    """

    ohm_cm2: float
    error_ohm_cm2: float
    peak_hz: float
    exponent: float


@dataclass(frozen=True)
class TwoArcFit:
    """What a spectrum says about a cell.

    Attributes:
        state: ``cell``, ``short`` or ``undecided``; only a cell is fitted.
        low_frequency_ohm_cm2: Median |Z| of the five lowest frequencies times area, ohm cm2.
        bulk: High-frequency arc; NaN if there is no fit.
        interface: Low-frequency arc; NaN if there is no fit.
        inductance_h: Inductance of the leads, H.
        log_covariance: Covariance of the logarithms of (R_b, tau_b, n_b, R_i, tau_i, n_i, L),
            scaled by the residuals, shape (7, 7).
        residual: Root mean square of |Z_fit - Z| / |Z|.
        quality: ``ok`` or a reason.
    """

    state: CellState
    low_frequency_ohm_cm2: float
    bulk: Arc
    interface: Arc
    inductance_h: float
    log_covariance: Floats
    residual: float
    quality: str


def classify(
    frequencies_hz: Floats,
    impedance_ohm: Complexes,
    *,
    area_cm2: float,
    electrolyte_ohm_cm2: float,
) -> CellState:
    """Whether an electronic path bridges the electrolyte, from |Z| at low frequency.

    An ionic path cannot be much less resistive than the electrolyte alone.

    Args:
        frequencies_hz: Frequencies, Hz, shape (n,), in any order.
        impedance_ohm: Impedance, ohm, shape (n,).
        area_cm2: Electrode area, cm2.
        electrolyte_ohm_cm2: Thickness over ionic conductivity of the electrolyte, ohm cm2.

    Returns:
        ``short``, ``cell``, or ``undecided`` for a spectrum that does not reach 1 kHz.

    Raises:
        ValueError: For shapes that differ, or values that are not positive.
    """
    hertz, ohm = _ascending(frequencies_hz, impedance_ohm, area_cm2)
    if not electrolyte_ohm_cm2 > 0:
        raise ValueError(
            f"impedance: got an electrolyte of {electrolyte_ohm_cm2} ohm cm2, expected a positive "
            "value (thickness over ionic conductivity)"
        )
    if not len(hertz) or hertz[0] > DIRECT_BELOW_HZ:
        return "undecided"
    low_ohm_cm2 = _low_frequency_ohm(ohm) * area_cm2
    return "short" if low_ohm_cm2 < SHORT_FRACTION * electrolyte_ohm_cm2 else "cell"


def fit_two_arc(
    frequencies_hz: Floats,
    impedance_ohm: Complexes,
    *,
    area_cm2: float,
    electrolyte_ohm_cm2: float,
) -> TwoArcFit:
    """Fit both arcs, unless the cell is shorted: its spectrum holds no arc worth a fit.

    No guess is asked for: fits begin at the best three points of a grid of pairs of time
    constants, each with the resistances of a non-negative linear least-squares fit.

    Args:
        frequencies_hz: Frequencies, Hz, shape (n,), in any order.
        impedance_ohm: Impedance, ohm, shape (n,), capacitive Im Z negative; points that are not
            finite are left out.
        area_cm2: Electrode area, cm2.
        electrolyte_ohm_cm2: Thickness over ionic conductivity of the electrolyte, ohm cm2; used
            by `classify` only.

    Raises:
        ValueError: For shapes that differ, or values that are not positive.
    """
    state = classify(
        frequencies_hz, impedance_ohm, area_cm2=area_cm2, electrolyte_ohm_cm2=electrolyte_ohm_cm2
    )
    hertz, ohm = _ascending(frequencies_hz, impedance_ohm, area_cm2)
    low_ohm_cm2 = _low_frequency_ohm(ohm) * area_cm2
    if len(hertz) < MIN_POINTS:
        return _no_fit(state, low_ohm_cm2, f"{len(hertz)} usable, {MIN_POINTS} points needed")
    if state != "cell":
        reason = "shorted" if state == "short" else f"no point below {DIRECT_BELOW_HZ:g} Hz"
        return _no_fit(state, low_ohm_cm2, reason)
    jw = np.asarray(2j * math.pi * hertz, dtype=np.complex128)
    logs, covariance, residual = _best_fit(jw, ohm)
    bulk, interface = (_arc_of(logs, covariance, part, area_cm2) for part in (_BULK, _INTERFACE))
    return TwoArcFit(
        state=state,
        low_frequency_ohm_cm2=low_ohm_cm2,
        bulk=bulk,
        interface=interface,
        inductance_h=float(np.exp(logs[_INDUCTANCE])),
        log_covariance=covariance,
        residual=residual,
        quality=_quality(bulk, interface, residual, hertz),
    )


def two_arc_ohm(frequencies_hz: Floats, fit: TwoArcFit, *, area_cm2: float) -> Complexes:
    """Impedance of a fit, ohm, at any frequencies (Hz), to be drawn beside the points."""
    logs = np.log(
        [
            *(_parameters(fit.bulk, area_cm2)),
            *(_parameters(fit.interface, area_cm2)),
            fit.inductance_h,
        ]
    )
    jw = np.asarray(2j * math.pi * np.asarray(frequencies_hz), dtype=np.complex128)
    return _model(jw, logs)[0]


def _parameters(arc: Arc, area_cm2: float) -> tuple[float, float, float]:
    return arc.ohm_cm2 / area_cm2, 1.0 / (2.0 * math.pi * arc.peak_hz), arc.exponent


def _ascending(
    frequencies_hz: Floats, impedance_ohm: Complexes, area_cm2: float
) -> tuple[Floats, Complexes]:
    """Finite points by ascending frequency."""
    hertz, ohm = np.asarray(frequencies_hz, float), np.asarray(impedance_ohm, np.complex128)
    if hertz.shape != ohm.shape or hertz.ndim != 1 or (hertz <= 0).any() or not area_cm2 > 0:
        raise ValueError(
            f"impedance: got {hertz.shape} frequencies, {ohm.shape} impedances and an area of "
            f"{area_cm2} cm2, expected two equal rows, positive frequencies and a positive area"
        )
    finite = np.isfinite(ohm) & np.isfinite(hertz)
    order = np.argsort(hertz[finite])
    return hertz[finite][order], ohm[finite][order]


def _low_frequency_ohm(ohm: Complexes) -> float:
    return float(np.median(np.abs(ohm[:_LOWEST_POINTS]))) if len(ohm) else math.nan


def _best_fit(jw: Complexes, ohm: Complexes) -> tuple[Floats, Floats, float]:
    """Logarithms of the parameters, their covariance, and the relative residual."""
    weight = 1.0 / np.abs(ohm)

    def residuals(logs: Floats) -> Floats:
        return _stacked((_model(jw, logs)[0] - ohm) * weight)

    def jacobian(logs: Floats) -> Floats:
        return _stacked(_model(jw, logs)[1] * weight).T

    fits = [
        least_squares(residuals, start, jacobian, bounds=(_LOG_LOW, _LOG_HIGH), xtol=1e-10)
        for start in _starts(jw, ohm)
    ]
    best = min(fits, key=lambda fit: float(fit.cost))
    logs = np.asarray(best.x, dtype=float)
    if logs[1] > logs[4]:
        logs = logs[[3, 4, 5, 0, 1, 2, 6]]
    slopes = jacobian(logs)
    free = max(2 * len(ohm) - len(logs), 1)
    covariance = np.linalg.pinv(slopes.T @ slopes, hermitian=True) * (2.0 * best.cost / free)
    return logs, np.asarray(covariance), math.sqrt(2.0 * best.cost / len(ohm))


def _starts(jw: Complexes, ohm: Complexes) -> list[Floats]:
    """Logarithms of the parameters at the best points of a grid of two time constants."""
    omega = np.abs(jw)
    decades = math.log10(omega[-1] / omega[0])
    tau_s = np.geomspace(0.3 / omega[-1], 1.0 / omega[0], round(_GRID_PER_DECADE * decades) + 2)
    weight = 1.0 / np.abs(ohm)
    columns = 1.0 / (1.0 + (jw * tau_s[:, None]) ** _START_EXPONENT)
    arcs = _stacked(columns * weight)
    # The inductance is scaled to be of the order of the resistances: nnls stops early otherwise.
    leads = _stacked(jw / omega[-1] * weight)
    target = _stacked(ohm * weight)
    found: list[tuple[float, Floats]] = []
    for fast, slow in combinations(range(len(tau_s)), 2):
        matrix = np.column_stack([arcs[fast], arcs[slow], leads])
        (bulk, interface, scaled), left = nnls(matrix, target)
        least = 1e-3 * max(bulk, interface, 1e-3)
        values = [
            *(max(bulk, least), tau_s[fast], _START_EXPONENT),
            *(max(interface, least), tau_s[slow], _START_EXPONENT),
            max(scaled / omega[-1], 1e-9),
        ]
        found.append((float(left), np.log(values)))
    found.sort(key=lambda each: each[0])
    inside = 1e-6
    return [np.clip(logs, _LOG_LOW + inside, _LOG_HIGH - inside) for _, logs in found[:_STARTS]]


def _model(jw: Complexes, logs: Floats) -> tuple[Complexes, Complexes]:
    """Impedance, shape (n,), and its derivatives by the seven logarithms, shape (7, n)."""
    impedance = jw * math.exp(logs[_INDUCTANCE])
    slopes = np.empty((len(logs), len(jw)), dtype=np.complex128)
    slopes[_INDUCTANCE] = impedance
    for part in (_BULK, _INTERFACE):
        resistance, tau_s, exponent = np.exp(logs[part])
        power = exponent * np.log(jw * tau_s)
        raised = np.exp(power)
        arc = resistance / (1.0 + raised)
        slope = -arc * raised / (1.0 + raised)
        slopes[part] = arc, exponent * slope, power * slope
        impedance = impedance + arc
    return impedance, slopes


def _stacked(values: Complexes) -> Floats:
    """Real parts followed by imaginary parts along the last axis."""
    return np.concatenate([values.real, values.imag], axis=-1)


def _arc_of(logs: Floats, covariance: Floats, part: slice, area_cm2: float) -> Arc:
    resistance, tau_s, exponent = np.exp(logs[part])
    relative = math.sqrt(max(covariance[part.start, part.start], 0.0))
    ohm_cm2 = float(resistance) * area_cm2
    return Arc(ohm_cm2, ohm_cm2 * relative, 1.0 / (2.0 * math.pi * tau_s), float(exponent))


def _quality(bulk: Arc, interface: Arc, residual: float, hertz: Floats) -> str:
    """Why a fit may not be believed."""
    if residual > POOR_RESIDUAL:
        return f"two arcs leave {100 * residual:.1f} % of |Z|"
    for name, arc in (("bulk", bulk), ("interface", interface)):
        if arc.error_ohm_cm2 > UNCERTAIN * arc.ohm_cm2:
            return f"{name} arc is not resolved"
        if not hertz[0] <= arc.peak_hz <= hertz[-1]:
            return f"{name} arc peaks at {arc.peak_hz:.3g} Hz, outside the spectrum"
    return "ok"


def _no_fit(state: CellState, low_ohm_cm2: float, reason: str) -> TwoArcFit:
    missing = Arc(math.nan, math.nan, math.nan, math.nan)
    return TwoArcFit(
        state=state,
        low_frequency_ohm_cm2=low_ohm_cm2,
        bulk=missing,
        interface=missing,
        inductance_h=math.nan,
        log_covariance=np.full((7, 7), np.nan),
        residual=math.nan,
        quality=reason,
    )
