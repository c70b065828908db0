"""Direct-current measurements of LLZTO: electronic leakage and the wire that shorts a cell.

After Siniscalchi et al., Energy Environ. Sci. 2024 (doi 10.1039/d3ee03916a): a potential step on
a pellet between blocking Ni electrodes of 2 mm, and current against voltage of a single dendrite
that a probe touches. Tags of sources as in `sim.samples.llzto_parameters`.
"""

from __future__ import annotations

import math

import numpy as np

from sim.samples.llzto_parameters import LlztoParameters
from sim.world import Floats

CHARGING_S_PER_V = 2e-8
"""Conductance with which the blocking electrodes begin to charge, S [A]."""
CHARGING_TIME_S = 60.0
"""Time constant of that charging, s [A]."""
LITHIUM_RESISTIVITY_OHM_M = 9.28e-8
"""At room temperature [L]."""


def step_potential_current_a(
    times_s: Floats, voltage_v: float, parameters: LlztoParameters
) -> Floats:
    """Current of Ni/LLZTO/Ni after a potential step, A.

    ``I = V [sigma_e A / L + 2e-8 S exp(-t / 60 s)]``: what remains after minutes is electronic,
    2.6 nA per volt for electrodes of 2 mm on 1.2 mm.

    Args:
        times_s: Times since the step, s, from 0 on.
        voltage_v: The step, V.
        parameters: Of the pellet: thickness, electrode, electronic conductivity.
    """
    p = parameters
    leak_s = p.electronic_s_per_cm * p.area_cm2 / p.thickness_cm
    charging = CHARGING_S_PER_V * np.exp(-np.asarray(times_s) / CHARGING_TIME_S)
    return np.asarray(voltage_v * (leak_s + charging))


def dendrite_current_ma(voltages_v: Floats, parameters: LlztoParameters) -> Floats:
    """Current between a probe on a connected dendrite and the counter electrode, mA: ohmic."""
    return np.asarray(1e3 * np.asarray(voltages_v) / parameters.filament_ohm)


def wire_diameter_um(resistance_ohm: float, parameters: LlztoParameters) -> float:
    """Diameter of a straight lithium wire across the pellet with this resistance, um.

    ``d = 2 sqrt(rho L / (pi R))``.
    """
    length_m = 1e-2 * parameters.thickness_cm
    area_m2 = LITHIUM_RESISTIVITY_OHM_M * length_m / resistance_ohm
    return 2e6 * math.sqrt(area_m2 / math.pi)
