"""Every constant of the metal | Li6PS5Cl interface with its unit and source, and the presets.

Sources: ``[P]`` stated in Zhao et al., Nature Communications 2025 (doi
10.1038/s41467-025-59567-8); ``[A]`` assumed or calibrated so that the model shows what the paper
describes; ``[L]`` handbook. Calibrated values are not knowledge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sim.errors import SimulationError
from sim.samples.constants import constant, described

LATTICE_MAH_PER_CM2 = 0.005
"""Charge per committed step. The order of splits and collapses depends on it: it is frozen."""


@dataclass(frozen=True)
class VoidParameters:
    """Constants of one metal on Li6PS5Cl; the defaults are lithium's.

    Each field carries its unit and source as metadata; `describe_parameters` lists them. The
    letters used in the model's description stand in the comments.
    """

    # A, P at construction, W
    area_cm2: float = constant(1.267, "cm2", "[P] pellet diameter 12.7 mm")
    stack_pressure_mpa: float = constant(0.2, "MPa", "[P] operando cell")
    window_um: float = constant(160.0, "um", "[P] analysed width")
    metal_um: float = constant(100.0, "um", "[P] foil 100 +- 10 um")
    # n100, w1, cv, d_min
    voids_per_100_um: float = constant(17.5, "1/(100 um)", "[P] 16 to 18, before first merges")
    first_width_um: float = constant(1.87, "um", "[P] 2.2 +- 1.3 um, before first merges")
    growth_cv: float = constant(0.59, "1", "[P] from 2.2 +- 1.3 um")
    spacing_um: float = constant(2.4, "um", "[A] smallest distance of births")
    # q1, p, gamma, q_h
    first_charge_mah_per_cm2: float = constant(0.125, "mAh/cm2", "[P] one image in 15 min")
    widening_exponent: float = constant(0.45, "1", "[A] from 90 % at 1.0 to 1.25 mAh/cm2 [P]")
    crowding_exponent: float = constant(0.65, "1", "[A] from 90 % at 1.0 to 1.25 mAh/cm2 [P]")
    evening_mah_per_cm2: float = constant(
        0.25, "mAh/cm2", "[A] over which edges come to move alike; none: they never do"
    )
    first_void_share: float = constant(
        0.8, "1", "[A] f_v at 0.5 mA/cm2 and 0.2 MPa, where w1 was read"
    )
    # kappa, nu
    void_share: float = constant(0.50, "1", "[A] of void-forming charge that becomes seen area")
    nucleation_per_100_um_per_mah: float = constant(0.0, "cm2/(100 um mAh)", "[A]")
    # w_s, h_c, q_m, g_inf, q_rec and the shares of splits and collapses
    split_um: float = constant(math.inf, "um", "[A] never")
    collapse_um: float = constant(math.inf, "um", "[A] never")
    slowing_mah_per_cm2: float = constant(
        math.inf, "mAh/cm2", "[A] accumulation of Mg; none: widening follows the power law"
    )
    late_widening: float = constant(0.0, "1", "[A] only with slowing")
    recovery_mah_per_cm2: float = constant(math.inf, "mAh/cm2", "[A] only with splits")
    split_cv: float = constant(0.10, "1", "[A]")
    collapse_cv: float = constant(0.15, "1", "[A]")
    split_recovery: float = constant(0.40, "1", "[A] of width and area")
    collapse_recovery: float = constant(0.15, "1", "[A] of width; area loses half")
    least_split: float = constant(0.05, "1", "[A] recovery of a late split")
    # j_diff, j_c, P_c, n
    diffusion_ma_per_cm2: float = constant(0.10, "mA/cm2", "[A] from the rates [P]")
    creep_ma_per_cm2: float = constant(0.40, "mA/cm2", "[A] from the pressures [P]")
    creep_mpa: float = constant(1.5, "MPa", "[A] from the pressures [P]")
    creep_exponent: float = constant(6.6, "1", "[L] power-law creep of Li, Masias et al.")
    # R_se, R_ct, c_res, OU correlation, E(In)
    electrolyte_ohm_cm2: float = constant(14.3, "ohm cm2", "[P] 500 um at 3.5 mS/cm")
    transfer_ohm_cm2: float = constant(20.0, "ohm cm2", "[A]")
    residual_contact: float = constant(0.02, "1", "[A]")
    flicker_mah_per_cm2: float = constant(0.02, "mAh/cm2", "[A] correlation of fluctuations")
    counter_v: float = constant(0.623, "V", "[P] lithiated In against Li+/Li")
    # counter electrode
    usable_share: float = constant(0.92, "1", "[A] of stripped lithium; drop above 3.2 [P]")
    depletion_v: float = constant(0.25, "V", "[A]")
    depletion_mah_per_cm2: float = constant(0.05, "mAh/cm2", "[A]")
    # j_cf, g_f, n100, d, zeta
    filament_ma_per_cm2: float = constant(4.0, "mA/cm2", "[A] short near 1.0 mAh/cm2 [P]")
    filament_um_per_mah: float = constant(
        455.0 * 1.1, "um cm2/mAh", "[A] short near 1.0 mAh/cm2 [P]"
    )
    filaments_per_100_um: float = constant(6.0, "1/(100 um)", "[A] multiple sites [P]")
    filament_um: float = constant(1.1, "um", "[P] diameter 1.1 +- 0.4 um")
    filament_sd_um: float = constant(0.4, "um", "[P] diameter 1.1 +- 0.4 um")
    filament_least_um: float = constant(0.3, "um", "[A] thinnest filament")
    filament_rate_sd: float = constant(0.45, "1", "[A] of the logarithm of the rates")
    filament_fastest_sd: float = constant(0.08, "1", "[A] of the fastest rate between cells")
    # q_refill, L_se, R_short
    refill_mah_per_cm2: float = constant(2.5, "mAh/cm2", "[A]")
    electrolyte_um: float = constant(500.0, "um", "[P]")
    short_ohm: float = constant(20.0, "ohm", "[A] from 'voltage to 0', as in the garnet cell")
    # c_Mg, f_acc, delta
    magnesium: float = constant(0.0, "1", "[P] pure lithium")
    magnesium_at_interface: float = constant(0.0, "1", "[A] share of the Mg left behind")
    magnesium_depth_um: float = constant(2.0, "um", "[A] slightly enriched interface [P]")


@dataclass(frozen=True)
class VoidPreset:
    """A sample of the paper.

    Attributes:
        name: Its name in experiment files.
        parameters: Constants of the equations.
        sources: Sources that differ from those of `VoidParameters`, by field.
    """

    name: str
    parameters: VoidParameters
    sources: Mapping[str, str]


_LITHIUM = VoidParameters()

_ALLOY = replace(
    _LITHIUM,
    voids_per_100_um=2.5,
    first_width_um=3.4,
    growth_cv=0.26,
    spacing_um=12.0,
    widening_exponent=1.0,
    crowding_exponent=0.0,
    evening_mah_per_cm2=math.inf,
    first_void_share=0.97,
    nucleation_per_100_um_per_mah=1.3,
    split_um=21.0,
    collapse_um=5.0,
    slowing_mah_per_cm2=0.75,
    late_widening=0.30,
    recovery_mah_per_cm2=2.3,
    diffusion_ma_per_cm2=0.06,
    creep_ma_per_cm2=0.44,
    creep_mpa=6.0,
    residual_contact=0.06,
    filament_ma_per_cm2=9.0,
    magnesium=0.03,
    magnesium_at_interface=0.15,
)

_ALLOY_SOURCES = {
    "voids_per_100_um": "[P] 2 to 3",
    "first_width_um": "[A] from 3.8 +- 1.0 um [P]",
    "growth_cv": "[P] from 3.8 +- 1.0 um",
    "widening_exponent": "[A] proportional, slowed by Mg",
    "crowding_exponent": "[A] none",
    "first_void_share": "[A] normalises the first width",
    "nucleation_per_100_um_per_mah": "[A] number rises [P]",
    "split_um": "[A] from about 20 um [P]",
    "collapse_um": "[A] heights fall at times [P]",
    "creep_mpa": "[A] only bounded: 1 to 14 MPa [P]",
    "filament_ma_per_cm2": "[A] above what the least contact gives: no filaments [P]",
    "magnesium": "[P] Li0.97Mg0.03, atomic",
    "magnesium_at_interface": "[A] slightly enriched interface [P]",
}

_MINI = {"area_cm2": "[P] operando cell 3 x 3 mm"}


def _preset(name: str, parameters: VoidParameters, *sources: Mapping[str, str]) -> VoidPreset:
    merged = {key: text for each in sources for key, text in each.items()}
    return VoidPreset(name=name, parameters=parameters, sources=MappingProxyType(merged))


PRESETS: Mapping[str, VoidPreset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            _preset("li_lpscl", _LITHIUM),
            _preset("limg_lpscl", _ALLOY, _ALLOY_SOURCES),
            _preset("li_lpscl_operando", replace(_LITHIUM, area_cm2=0.09), _MINI),
            _preset("limg_lpscl_operando", replace(_ALLOY, area_cm2=0.09), _ALLOY_SOURCES, _MINI),
        )
    }
)


def find_preset(name: str) -> VoidPreset:
    """The preset of this name; raises `SimulationError` that lists those that exist."""
    try:
        return PRESETS[name]
    except KeyError:
        raise SimulationError(
            f"void_cell: preset, got {name!r}, expected one of {', '.join(PRESETS)}"
            " (choose one of them in the sample's simulate_as)"
        ) from None


def describe_parameters(preset: VoidPreset) -> dict[str, dict[str, Any]]:
    """Value, unit and source of every constant, JSON-able; an infinite value becomes None."""
    return described(preset.parameters, preset.sources)
