"""Every constant of the Li/LLZO/Li cell with its unit and its source, and the presets.

Sources: ``[P]`` stated in Liu et al., Nature Materials 2025 (doi 10.1038/s41563-024-02094-6);
``[C]`` a constant of the authors' tracer-exchange script; ``[A]`` assumed or calibrated so that
the model shows what the paper describes; ``[L]`` handbook. Calibrated values are not knowledge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from sim.errors import SimulationError
from sim.samples.constants import constant, described
from sim.samples.geometry import PelletGeometry

SECONDS_PER_DAY = 86_400.0
COULOMB_PER_MAH = 3.6
FARADAY_C_PER_MOL = 96_485.33212
UMOL_PER_MAH = 1e6 * COULOMB_PER_MAH / FARADAY_C_PER_MOL
"""37.31 micromol of lithium per mAh."""


@dataclass(frozen=True)
class LlzoParameters:
    """Constants of the cell; area-specific where they depend on area.

    Each field carries its unit and source as metadata; `describe_parameters` lists them. The
    letters used in the model's description stand in the comments.
    """

    # L, sigma, A
    thickness_cm: float = constant(0.10, "cm", "[P] pellet 1.0 mm")
    conductivity_s_per_cm: float = constant(1e-3, "S/cm", "[P] about 1 mS/cm")
    area_cm2: float = constant(0.1257, "cm2", "[P] electrode diameter 4 mm")
    # R_i, k_sei, w_b
    interface_ohm_cm2: float = constant(195.0, "ohm cm2", "[A] from 50 mV at 0.1 mA/cm2 [P]")
    sei_ohm_cm2_per_sqrt_day: float = constant(3.0, "ohm cm2 d^-1/2", "[A]")
    bulk_shunting: float = constant(0.25, "1", "[A] share of R_b lost when all layers bridge")
    # k_u, rho, u_c, p_u, u_max, and the half-value of healing
    contact_loss_cm2_per_mah: float = constant(
        0.0697, "cm2/mAh", "[A] from 7.6 d and sudden polarisation [P]"
    )
    healing: float = constant(0.5, "1", "[A]")
    contact_loss_onset: float = constant(0.25, "1", "[A]")
    contact_loss_exponent: float = constant(8.0, "1", "[A]")
    contact_loss_max: float = constant(0.85, "1", "[A]")
    healing_half_value: float = constant(0.02, "1", "[A]")
    # phi1, A_sat, phi3, X_c, m, g_A, g_B
    surface_fraction: float = constant(0.10, "1", "[A] stage I")
    surface_saturation_mah_per_cm2: float = constant(0.040, "mAh/cm2", "[A] stage I")
    crystalline_gain: float = constant(0.014, "1", "[A] stages III and IV")
    crystalline_onset: float = constant(0.70, "1", "[A] stage II")
    crystalline_exponent: float = constant(6.0, "1", "[A] stage II")
    gain_a: float = constant(1.08, "1", "[A] faces differ [P, qualitatively]")
    gain_b: float = constant(0.92, "1", "[A] faces differ [P, qualitatively]")
    # k0, k1
    crystallisation_per_day: float = constant(0.05, "1/d", "[A] length of stage II")
    autocatalysis_per_day: float = constant(1.5, "1/d", "[A] length of stage II")
    # B, w, b0, r2, V*
    bulk_capacity_mah_per_cm2: float = constant(0.25, "mAh/cm2", "[A]")
    bulk_weights: tuple[float, float, float, float] = constant(
        (0.11, 0.40, 0.38, 0.11), "1", "[A] grain-boundary sites per layer"
    )
    bulk_seed: float = constant(0.003, "1", "[A]")
    bulk_growth_per_day: float = constant(2.25, "1/d", "[A]")
    nucleation_v: float = constant(0.030, "V", "[A] from 5 mV against 40 mV [P]")
    # T_1..4, T_pen, R_short, f_min
    bridging_mah_per_cm2: tuple[float, float, float, float] = constant(
        (0.139, 0.075, 0.070, 0.123), "mAh/cm2", "[A] from the short at 7.6 d [P]"
    )
    penetration_mah_per_cm2: float = constant(0.16, "mAh/cm2", "[A]")
    short_ohm: float = constant(20.0, "ohm", "[A] from 'voltage to 0' [P]")
    min_electrode_share: float = constant(0.30, "1", "[A] current that reaches the electrode")
    # m1, m2, x1, x2
    electrodes_c: float = constant(100.0, "C", "[C]")
    electrolyte_c: float = constant(300.47, "C", "[C]")
    x6_electrodes: float = constant(0.95, "1", "[C], [P] 95 % 6Li")
    x6_electrolyte: float = constant(0.069825, "1", "[C]; the text says 7.5 % [P]")
    # theta, f_gb, kappa
    surface_direct_share: float = constant(0.30, "1", "[A] not calibrated in this preset")
    grain_boundary_share: float = constant(0.04, "1", "[A] not calibrated in this preset")
    grain_exchange: float = constant(0.05, "1", "[A] not calibrated in this preset")


@dataclass(frozen=True)
class LlzoPreset:
    """A sample of the paper.

    Attributes:
        name: Its name in experiment files.
        geometry: Shape of the pellet and its electrodes.
        parameters: Constants of the equations.
        sources: Sources that differ from those of `LlzoParameters`, by field.
    """

    name: str
    geometry: PelletGeometry
    parameters: LlzoParameters
    sources: Mapping[str, str]


_SMALL = LlzoPreset(
    name="small_4p8",
    geometry=PelletGeometry(electrode_diameter_mm=4.0, pellet_diameter_mm=4.8, thickness_cm=0.10),
    parameters=LlzoParameters(),
    sources=MappingProxyType({}),
)

_INSITU = LlzoPreset(
    name="insitu_8p9",
    geometry=PelletGeometry(electrode_diameter_mm=8.0, pellet_diameter_mm=8.9, thickness_cm=0.12),
    parameters=replace(_SMALL.parameters, thickness_cm=0.12, area_cm2=0.5027),
    sources=MappingProxyType(
        {
            "thickness_cm": "[P] pellet 1.2 mm",
            "area_cm2": "[P] electrode diameter 8 mm",
        }
    ),
)

_TRACER = LlzoPreset(
    name="tracer_8p9",
    geometry=PelletGeometry(electrode_diameter_mm=8.0, pellet_diameter_mm=8.9, thickness_cm=0.12),
    parameters=replace(
        _INSITU.parameters,
        area_cm2=0.6044,
        contact_loss_cm2_per_mah=0.0697 / 5.0,
        crystalline_gain=0.005,
        bulk_capacity_mah_per_cm2=2.0,
        bulk_growth_per_day=0.60,
        bridging_mah_per_cm2=(math.inf, math.inf, math.inf, math.inf),
        penetration_mah_per_cm2=math.inf,
        surface_direct_share=0.35,
        grain_boundary_share=0.10,
        grain_exchange=0.03,
    ),
    sources=MappingProxyType(
        {
            "thickness_cm": "[P] pellet 1.2 mm",
            "area_cm2": "[C] from n = 0.1088 C and 0.05 mAh/cm2; wider than the 8 mm electrode",
            "contact_loss_cm2_per_mah": "[A] a fifth of the other presets: survives 122 C",
            "crystalline_gain": "[A] survives 122 C",
            "bulk_capacity_mah_per_cm2": "[A] tracer samples",
            "bulk_growth_per_day": "[A] tracer samples",
            "bridging_mah_per_cm2": "[A] never: survives 122 C",
            "penetration_mah_per_cm2": "[A] never: survives 122 C",
            "surface_direct_share": "[A] from the 6Li fractions' order [P]",
            "grain_boundary_share": "[A] from the 6Li fractions' order [P]",
            "grain_exchange": "[A] from the 6Li fractions' order [P]",
        }
    ),
)

PRESETS: Mapping[str, LlzoPreset] = MappingProxyType(
    {preset.name: preset for preset in (_SMALL, _INSITU, _TRACER)}
)


def find_preset(name: str) -> LlzoPreset:
    """The preset of this name; raises `SimulationError` that lists those that exist."""
    try:
        return PRESETS[name]
    except KeyError:
        raise SimulationError(
            f"llzo_cell: preset, got {name!r}, expected one of {', '.join(PRESETS)}"
            " (choose one of them in the sample's simulate_as)"
        ) from None


def with_jitter(parameters: LlzoParameters, *, seed: int, jitter: float) -> LlzoParameters:
    """Scatter four rate constants as between nominally equal pellets.

    The contact-loss rate, the bulk growth, the autocatalysis and the crystalline gain are
    multiplied by ``exp(jitter * r)`` with standard normal `r` from the stream [seed, 0, 0] [A].

    Args:
        parameters: Nominal constants.
        seed: The sample's seed.
        jitter: Standard deviation of the logarithms; 0 changes nothing.
    """
    if jitter == 0.0:
        return parameters
    factors = np.exp(jitter * np.random.default_rng([seed, 0, 0]).standard_normal(4))
    return replace(
        parameters,
        contact_loss_cm2_per_mah=parameters.contact_loss_cm2_per_mah * float(factors[0]),
        bulk_growth_per_day=parameters.bulk_growth_per_day * float(factors[1]),
        autocatalysis_per_day=parameters.autocatalysis_per_day * float(factors[2]),
        crystalline_gain=parameters.crystalline_gain * float(factors[3]),
    )


def describe_parameters(
    parameters: LlzoParameters, sources: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Value, unit and source of every constant, JSON-able; an infinite value becomes None."""
    return described(parameters, sources)
