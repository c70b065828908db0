"""Every constant of the NMC83 | Li6PS5Cl | Li-Mg full cell with unit and source, and its presets.

Sources: ``[P]`` stated in Zhao et al., Nature Communications 2025 (doi
10.1038/s41467-025-59567-8); ``[A]`` assumed, or calibrated so that the model gives the published
numbers; ``[L]`` handbook. Calibrated values are not knowledge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sim.errors import SimulationError
from sim.samples.constants import constant, described


@dataclass(frozen=True)
class FullCellParameters:
    """Constants of one full cell.

    Each field carries its unit and source as metadata; `describe_parameters` lists them. The
    letters used in the model's description stand in the comments.
    """

    # A, m, Q_th, Q_nominal, P and T at construction
    area_cm2: float = constant(1.267, "cm2", "[A] the paper's pellet diameter of 12.7 mm")
    loading_mg_per_cm2: float = constant(10.0, "mg/cm2", "[P] NMC83")
    theoretical_mah_per_g: float = constant(275.0, "mAh/g", "[L] all lithium of LiNi0.83CoMnO2")
    nominal_mah_per_cm2: float = constant(2.0, "mAh/cm2", "[P] what 1 C refers to: 2 mA/cm2")
    upper_v: float = constant(4.25, "V", "[P] end of charge")
    lower_v: float = constant(2.6, "V", "[P] end of discharge")
    stack_pressure_mpa: float = constant(1.0, "MPa", "[P] the lower of two pressures")
    temperature_celsius: float = constant(25.0, "degree Celsius", "[P] 25 +- 1 C")
    # open-circuit voltage: u0, u1, a, x_a, w_a, b, w_b, d, w_d, least and most x
    ocv_v: float = constant(3.53, "V", "[A] shape of NMC811 against lithium")
    ocv_slope_v: float = constant(0.8788, "V", "[A] calibrated: 208 mAh/g at 0.1 C [P]")
    step_v: float = constant(0.037, "V", "[A] shape of NMC811: H1-H2-M")
    step_place: float = constant(0.486, "1", "[A] shape of NMC811")
    step_width: float = constant(0.08, "1", "[A] shape of NMC811")
    knee_v: float = constant(0.893, "V", "[A] so that 0 is the state that rests at 2.6 V")
    knee_width: float = constant(0.010, "1", "[A] steep end of discharge")
    rise_v: float = constant(3.0, "V", "[A] steep end of over-charge")
    rise_width: float = constant(0.031, "1", "[A] steep end of over-charge")
    least_state: float = constant(-0.02, "1", "[A] where NMC takes up no more lithium")
    most_state: float = constant(1.0, "1", "[L] where NMC has no more lithium")
    # L, sigma at 25 and 60 C, R_t
    electrolyte_um: float = constant(500.0, "um", "[A] as in the paper's Li | Li6PS5Cl | In cells")
    conductivity_25_ms_per_cm: float = constant(3.5, "mS/cm", "[P] 3.5 +- 0.1 at RT")
    conductivity_60_ms_per_cm: float = constant(12.4, "mS/cm", "[P] 12.4 +- 0.3 at 60 C")
    transfer_ohm_cm2: float = constant(67.94, "ohm cm2", "[A] calibrated: 163 mAh/g at 1 C [P]")
    # k1, n, P_least
    loss_per_mah_per_cm2: float = constant(
        2.968e-4, "cm2/mAh", "[A] calibrated: 76 % after 260 cycles at 1 MPa [P]"
    )
    pressure_exponent: float = constant(
        0.4897, "1", "[A] calibrated: 80 % after 750 cycles at 14 MPa [P]"
    )
    least_pressure_mpa: float = constant(0.1, "MPa", "[A] below it pressure makes no difference")


@dataclass(frozen=True)
class FullCellPreset:
    """A sample of the paper.

    Attributes:
        name: Its name in experiment files.
        parameters: Constants of the equations.
        sources: Sources that differ from those of `FullCellParameters`, by field.
    """

    name: str
    parameters: FullCellParameters
    sources: Mapping[str, str]


PRESETS: Mapping[str, FullCellPreset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (FullCellPreset("nmc83_limg", FullCellParameters(), MappingProxyType({})),)
    }
)


def find_preset(name: str) -> FullCellPreset:
    """The preset of this name; raises `SimulationError` that lists those that exist."""
    try:
        return PRESETS[name]
    except KeyError:
        raise SimulationError(
            f"full_cell: preset, got {name!r}, expected one of {', '.join(PRESETS)}"
            " (choose one of them in the sample's simulate_as)"
        ) from None


def describe_parameters(preset: FullCellPreset) -> dict[str, dict[str, Any]]:
    """Value, unit and source of every constant, JSON-able."""
    return described(preset.parameters, preset.sources)
