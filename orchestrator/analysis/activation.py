"""Activation energy of a conductivity, from resistances at several temperatures."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.measured import Measured

BOLTZMANN_EV_PER_K = 8.617333262e-5
"""CODATA 2018, eV/K."""
ZERO_CELSIUS_K = 273.15
MIN_TEMPERATURES = 3
LEAST_SPAN_K = 10.0
"""Temperatures closer together than this say little about an activation energy, K."""


def activation_energy(
    celsius: npt.ArrayLike, ohm: npt.ArrayLike, errors_ohm: npt.ArrayLike
) -> Measured:
    """Slope of ln R against 1/kT, eV: R = R0 exp(Ea / kT), so conductivity = s0 exp(-Ea / kT).

    (The other convention, conductivity x T = s0 exp(-Ea / kT), gives about kT, 0.026 eV, more.)
    The standard error is that of the weighted line, or of what the points leave of it if that is
    larger: the temperature's own error is in the scatter.

    Args:
        celsius: Temperatures, degree Celsius, shape (n,).
        ohm: Resistances in any one unit, shape (n,); those that are not positive are left out.
        errors_ohm: Their standard errors; equal weights where one is not positive.

    Returns:
        The energy, eV; NaN with the reason where there are too few temperatures.
    """
    t, r, e = (np.asarray(v, dtype=np.float64) for v in (celsius, ohm, errors_ohm))
    usable = np.isfinite(t) & np.isfinite(r) & (r > 0)
    t, r, e = t[usable], r[usable], e[usable]
    apart = len(np.unique(np.round(t)))
    if apart < MIN_TEMPERATURES or float(np.ptp(t)) < LEAST_SPAN_K:
        reason = (
            f"{apart} temperatures, expected {MIN_TEMPERATURES} over {LEAST_SPAN_K:g} K or more"
        )
        return Measured(math.nan, math.nan, reason)
    x, y = 1.0 / (BOLTZMANN_EV_PER_K * (t + ZERO_CELSIUS_K)), np.log(r)
    known = bool((np.isfinite(e) & (e > 0)).all())
    weights = (r / e) ** 2 if known else np.ones(len(x))
    centre = float(weights @ x / weights.sum())
    spread = float(weights @ (x - centre) ** 2)
    slope = float(weights @ ((x - centre) * y)) / spread
    left = y - float(weights @ y / weights.sum()) - slope * (x - centre)
    chi2 = float(weights @ left**2) / max(len(x) - 2, 1)
    return Measured(slope, math.sqrt(max(chi2, 1.0 if known else 0.0) / spread))
