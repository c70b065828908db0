"""Magnesium in Li0.97Mg0.03 as an EDS line scan would find it, in closed form.

After stripping: the magnesium of the lithium that left stays behind, some of it near the
interface [A], so the total is exactly constant. After plating: diffusion from the alloy into a
film that was pure, sealed at its outer face, with the effective diffusivities that give the
published 50 % at 25 degC and 80 % at 60 degC of the bulk's magnesium [P, A]. The diffusivities of
the paper's calculation (2.06e-13 and 2.42e-12 cm2/s [P]) give 3.7 and 12.7 %, and do not fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, erfc, erfcx

from sim.errors import SimulationError
from sim.samples.constants import UM_PER_MAH_PER_CM2
from sim.samples.void_parameters import VoidParameters
from sim.world import Floats

_UM2_PER_CM2 = 1e8
_WARM_CELSIUS, _HOT_CELSIUS = 25.0, 60.0
_KELVIN = 273.15
EFFECTIVE_CM2_PER_S = {_WARM_CELSIUS: 4.5e-11, _HOT_CELSIUS: 3.8e-10}
"""Effective diffusivity of Mg in Li by temperature, degC [A]."""


def effective_cm2_per_s(temperature_celsius: float) -> float:
    """Effective diffusivity of Mg, cm2/s: an Arrhenius line through the two fitted values [A].

    Args:
        temperature_celsius: Temperature, degC; beyond 25 to 60 it is an extrapolation.
    """
    warm, hot = (1.0 / (_KELVIN + t) for t in (_WARM_CELSIUS, _HOT_CELSIUS))
    low, high = (math.log(EFFECTIVE_CM2_PER_S[t]) for t in (_WARM_CELSIUS, _HOT_CELSIUS))
    share = (1.0 / (_KELVIN + temperature_celsius) - warm) / (hot - warm)
    return math.exp(low + share * (high - low))


def stripped_magnesium(depths_um: Floats, stripped_mah_per_cm2: float, p: VoidParameters) -> Floats:
    """Atomic fraction of Mg in the metal that is left after stripping.

    Args:
        depths_um: Distance from the interface into the metal, um, any shape.
        stripped_mah_per_cm2: Charge stripped from the metal, mAh/cm2.
        p: The metal.

    Returns:
        Atomic fraction at each depth; its mean over the rest times the rest's thickness is that
        of the metal at the beginning.

    Raises:
        SimulationError: The charge strips more than there is, or a depth lies outside the metal.
    """
    gone_um = UM_PER_MAH_PER_CM2 * stripped_mah_per_cm2
    rest_um = p.metal_um - gone_um
    depths = np.asarray(depths_um, dtype=np.float64)
    if not 0.0 <= gone_um < p.metal_um:
        raise SimulationError(
            f"void_composition: stripped {stripped_mah_per_cm2} mAh/cm2 ({gone_um:.1f} um),"
            f" expected 0 to less than the metal's {p.metal_um} um (strip less)"
        )
    if depths.size and not (depths.min() >= 0.0 and depths.max() <= rest_um + 1e-9):
        raise SimulationError(
            f"void_composition: depths {depths.min()} to {depths.max()} um, expected 0 to"
            f" {rest_um:.1f} um, the metal that is left (shorten the line)"
        )
    uniform, peak = _stripped_parts(stripped_mah_per_cm2, p)
    return np.asarray(uniform + peak * np.exp(-depths / p.magnesium_depth_um))


def _stripped_parts(stripped_mah_per_cm2: float, p: VoidParameters) -> tuple[float, float]:
    """Atomic fraction of Mg after stripping: the uniform part, and the excess at the interface."""
    gone_um = UM_PER_MAH_PER_CM2 * stripped_mah_per_cm2
    rest_um = p.metal_um - gone_um
    depth_um, near = p.magnesium_depth_um, p.magnesium_at_interface
    peak = gone_um * near / (depth_um * -math.expm1(-rest_um / depth_um))
    uniform = 1.0 + gone_um * (1.0 - near) / rest_um
    return p.magnesium * uniform, p.magnesium * peak


def film_magnesium(
    heights_um: Floats, film_um: float, time_s: float, diffusivity_cm2_per_s: float
) -> Floats:
    """Mg in a plated film as a share of the bulk's, at heights above the alloy.

    The film is there from the beginning, the alloy below is semi-infinite and at 1, and nothing
    leaves through the outer face.

    Args:
        heights_um: Distance from the alloy into the film, um, any shape; negative in the alloy.
        film_um: Thickness of the film, um.
        time_s: Time of diffusion, s, > 0.
        diffusivity_cm2_per_s: Diffusivity of Mg, cm2/s.
    """
    reach_um = 2.0 * _length_um(time_s, diffusivity_cm2_per_s)
    outwards = film_um - np.asarray(heights_um, dtype=np.float64)
    both = erf((film_um - outwards) / reach_um) + erf((film_um + outwards) / reach_um)
    return np.asarray(1.0 - 0.5 * both)


def mean_film_magnesium(film_um: float, time_s: float, diffusivity_cm2_per_s: float) -> float:
    """Mean Mg in a plated film as a share of the bulk's: ``(s/L)(ierfc(0) - ierfc(L/s))``.

    `s` is the square root of diffusivity times time, `L` the film's thickness. Arguments as of
    `film_magnesium`.
    """
    relative = film_um / _length_um(time_s, diffusivity_cm2_per_s)
    return (_ierfc(0.0) - _ierfc(relative)) / relative


@dataclass(frozen=True)
class Film:
    """Lithium plated on the metal.

    Attributes:
        thickness_um: Its thickness, um; 0 where there is none.
        diffused_cm2: Diffusivity of Mg integrated over the time of diffusion, cm2; at one
            temperature their product. Nothing else of the time matters.
    """

    thickness_um: float
    diffused_cm2: float


def metal_magnesium(
    depths_um: Floats, film: Film, stripped_mah_per_cm2: float, p: VoidParameters
) -> Floats:
    """Atomic fraction of Mg from the electrolyte through a plated film into the metal.

    The film begins without magnesium and takes it from the metal below, whose profile of
    stripping spreads at the same time; nothing leaves at the electrolyte, and the metal is as good
    as semi-infinite. Without a film nothing spreads: it is `stripped_magnesium`.

    Args:
        depths_um: Distance from the electrolyte, um, any shape; beyond the metal it is 0.
        film: What was plated.
        stripped_mah_per_cm2: Net charge stripped before, mAh/cm2.
        p: The metal.
    """
    depths = np.asarray(depths_um, dtype=np.float64)
    stripped = max(stripped_mah_per_cm2, 0.0)
    rest_um = p.metal_um - UM_PER_MAH_PER_CM2 * stripped
    below_um = depths - film.thickness_um
    if rest_um <= 0.0 or not p.magnesium:
        return np.zeros(depths.shape)
    if film.thickness_um > 0.0 and film.diffused_cm2 > 0.0:
        uniform, peak = _stripped_parts(stripped, p)
        profile = uniform * film_magnesium(-below_um, film.thickness_um, film.diffused_cm2, 1.0)
        sigma_um = math.sqrt(2.0 * _UM2_PER_CM2 * film.diffused_cm2)
        mirrored_um = -depths - film.thickness_um
        for at_um in (below_um, mirrored_um):
            profile += peak * _spread(at_um, p.magnesium_depth_um, sigma_um)
    else:
        profile = stripped_magnesium(np.clip(below_um, 0.0, rest_um), stripped, p)
    return np.asarray(np.where((below_um <= rest_um) & (depths >= 0.0), profile, 0.0))


def _spread(at_um: Floats, decay_um: float, sigma_um: float) -> Floats:
    """``exp(-x / decay)`` for x > 0 and 0 before, after Gaussian spreading by `sigma_um`."""
    reduced = (sigma_um / decay_um - at_um / sigma_um) / math.sqrt(2.0)
    inner = np.exp(-0.5 * (at_um / sigma_um) ** 2) * erfcx(np.maximum(reduced, 0.0))
    with np.errstate(over="ignore"):
        outer = np.exp(0.5 * (sigma_um / decay_um) ** 2 - at_um / decay_um) * erfc(reduced)
    return np.asarray(0.5 * np.where(reduced > 0.0, inner, outer))


def _length_um(time_s: float, diffusivity_cm2_per_s: float) -> float:
    return math.sqrt(diffusivity_cm2_per_s * time_s * _UM2_PER_CM2)


def _ierfc(x: float) -> float:
    """Integral of the complementary error function from `x` to infinity."""
    return math.exp(-x * x) / math.sqrt(math.pi) - x * math.erfc(x)
