"""Every constant of the Li/LLZTO/Li pellet with its unit and its source, and the presets.

Sources: ``[P]`` stated in Siniscalchi et al., Energy Environ. Sci. 2024 (doi 10.1039/d3ee03916a)
or, where named, in Zhao et al., Nat. Commun. 2025 (doi 10.1038/s41467-025-59567-8); ``[A]``
assumed or calibrated so that the model shows what the paper describes; ``[L]`` handbook.
Calibrated values are not knowledge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sim.errors import SimulationError
from sim.samples.constants import UM_PER_MAH_PER_CM2, constant, described
from sim.samples.geometry import PelletGeometry


@dataclass(frozen=True)
class LlztoParameters:
    """Constants of the cell; area-specific where they depend on area.

    Each field carries its unit and source as metadata; `describe_parameters` lists them. The
    letters used in the model's description stand in the comments.
    """

    # L, R, thickness of the metal
    thickness_cm: float = constant(0.12, "cm", "[P] pellet about 1.2 mm")
    electrode_radius_um: float = constant(1000.0, "um", "[P] electrode diameter 2 mm")
    pellet_diameter_mm: float = constant(10.0, "mm", "[A] wider than the masked electrode")
    metal_um: float = constant(200.0, "um", "[P] 200 um of metal on each face")
    # sigma_30, its activation energy, sigma_e
    conductivity_s_per_cm: float = constant(1e-3, "S/cm", "[P] about 1 mS/cm, taken at 30 C")
    activation_ev: float = constant(0.42, "eV", "[A] within the handbook's range for LLZTO [L]")
    electronic_s_per_cm: float = constant(1e-8, "S/cm", "[P]")
    # R_0, R_inf, q_c, R_ref
    interface_first_ohm_cm2: float = constant(2000.0, "ohm cm2", "[P] before plating")
    interface_last_ohm_cm2: float = constant(500.0, "ohm cm2", "[P] soon after plating starts")
    interface_charge_mah_per_cm2: float = constant(0.02, "mAh/cm2", "[A] from 'soon' [P]")
    full_contact_ohm_cm2: float = constant(120.0, "ohm cm2", "[A]")
    # edge enhancement
    edge_gain: float = constant(0.30, "1", "[A] from craters at the electrode's edge [P]")
    edge_width_um: float = constant(60.0, "um", "[A]")
    # pores: density at rho_rel 0.97, thresholds, passed charge
    relative_density: float = constant(0.97, "1", "[A]")
    pores_per_mm2: float = constant(40.0, "mm^-2", "[A] at 3 % porosity")
    reference_porosity: float = constant(0.03, "1", "[A]")
    threshold_ma_per_cm2: float = constant(
        5.2, "mA/cm2", "[A] from spallations of lithiophilic cells at 5, not at 2.5 mA/cm2 [P]"
    )
    threshold_scale_ma_per_cm2: float = constant(0.8, "mA/cm2", "[A]")
    threshold_shape: float = constant(2.0, "1", "[A] Weibull modulus")
    spalling_mah_per_cm2: float = constant(
        0.003, "mAh/cm2", "[A] from spallations after 10 uAh/cm2 [P]"
    )
    # diameters
    first_diameter_um: float = constant(5.0, "um", "[P] 5-100 um")
    last_diameter_um: float = constant(100.0, "um", "[P] 5-100 um")
    growth_um_cm2_per_mah: float = constant(90.0, "um cm2/mAh", "[A] 45 um in 0.5 mAh/cm2")
    growth_scatter: float = constant(0.9, "1", "[A] standard deviation of the logarithm")
    connected_um: float = constant(12.0, "um", "[A] magnesium present [P, states only]")
    developed_um: float = constant(35.0, "um", "[A] magnesium strong [P, states only]")
    # dendrite, R_fil, R_lead
    dendrite_cm2_per_mah: float = constant(1.30, "cm2/mAh", "[A] short near 0.9 mAh/cm2")
    dendrite_half_count: float = constant(20.0, "1", "[A] spallations for half the growth")
    dendrite_scatter: float = constant(0.06, "1", "[A] standard deviation of the logarithm")
    bulk_shunting: float = constant(0.45, "1", "[A] from 'bulk falls gradually' [P]")
    filament_ohm: float = constant(440.0, "ohm", "[P] I-V of the dendrite")
    lead_ohm: float = constant(59.0, "ohm", "[A] from the cell's 487 ohm after the short [P]")
    # voltage noise
    flicker: float = constant(0.03, "1", "[A] from unstable voltage with spallations [P]")

    @property
    def area_cm2(self) -> float:
        """Area of an electrode, cm2."""
        return math.pi * (1e-4 * self.electrode_radius_um) ** 2

    @property
    def metal_mah_per_cm2(self) -> float:
        """Lithium that an electrode can give before any has passed, mAh/cm2."""
        return self.metal_um / UM_PER_MAH_PER_CM2

    @property
    def short_ohm_cm2(self) -> float:
        """Electronic path through a shorted pellet with its leads, ohm cm2."""
        return (self.filament_ohm + self.lead_ohm) * self.area_cm2

    @property
    def geometry(self) -> PelletGeometry:
        """Shape of the pellet and its electrodes."""
        return PelletGeometry(
            electrode_diameter_mm=2e-3 * self.electrode_radius_um,
            pellet_diameter_mm=self.pellet_diameter_mm,
            thickness_cm=self.thickness_cm,
        )


@dataclass(frozen=True)
class LlztoPreset:
    """A sample of the paper.

    Attributes:
        name: Its name in experiment files.
        has_magnesium: Whether the metal is LiMg (10 at% Mg), which marks connected spallations.
        parameters: Constants of the equations.
        sources: Sources that differ from those of `LlztoParameters`, by field.
    """

    name: str
    has_magnesium: bool
    parameters: LlztoParameters
    sources: Mapping[str, str]


_PHOBIC = LlztoPreset("lithiophobic", False, LlztoParameters(), MappingProxyType({}))  # noqa: FBT003 - a field, named above

_PHILIC = LlztoPreset(
    name="lithiophilic",
    has_magnesium=False,
    parameters=replace(_PHOBIC.parameters, interface_first_ohm_cm2=6.0, interface_last_ohm_cm2=5.0),
    sources=MappingProxyType(
        {
            "interface_first_ohm_cm2": "[A] from 'near zero' after acid and heat [P]",
            "interface_last_ohm_cm2": "[A] from 'near zero' after acid and heat [P]",
        }
    ),
)

_LIMG = replace(_PHOBIC, name="limg", has_magnesium=True)

PRESETS: Mapping[str, LlztoPreset] = MappingProxyType(
    {preset.name: preset for preset in (_PHOBIC, _PHILIC, _LIMG)}
)

SINTERED_DENSITY: Mapping[int, float] = MappingProxyType({1000: 0.93, 1100: 0.96, 1200: 0.98})
"""Relative density by temperature of spark plasma sintering (C, [P]); the densities are [A]."""


def find_preset(name: str) -> LlztoPreset:
    """The preset of this name; raises `SimulationError` that lists those that exist."""
    try:
        return PRESETS[name]
    except KeyError:
        raise SimulationError(
            f"llzto_pellet: preset, got {name!r}, expected one of {', '.join(PRESETS)}"
            " (choose one of them)"
        ) from None


def with_density(preset: LlztoPreset, relative_density: float) -> LlztoPreset:
    """The same sample with another relative density, 0 < density <= 1 (1: no pores).

    Raises:
        SimulationError: The density is not in this range.
    """
    if not 0.0 < relative_density <= 1.0:
        raise SimulationError(
            f"llzto_pellet: relative density, got {relative_density}, expected above 0 and at"
            " most 1 (give the fraction of the crystal's density, not percent)"
        )
    return replace(
        preset,
        parameters=replace(preset.parameters, relative_density=relative_density),
        sources={**preset.sources, "relative_density": "chosen for this sample"},
    )


def describe_parameters(preset: LlztoPreset) -> dict[str, dict[str, Any]]:
    """Value, unit and source of every constant of a preset, JSON-able."""
    return described(preset.parameters, preset.sources)
