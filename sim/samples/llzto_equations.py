"""Resistances, local current and dendrite growth of the Li/LLZTO/Li pellet.

The picture is that of Siniscalchi et al., Energy Environ. Sci. 2024 (doi 10.1039/d3ee03916a);
the rate laws are calibrated to it [A]. Functions take numbers or arrays alike.
"""

from __future__ import annotations

import math

import numpy as np

from sim.samples.llzto_parameters import LlztoParameters
from sim.world import Floats

KELVIN_AT_0_CELSIUS = 273.15
_REFERENCE_K = KELVIN_AT_0_CELSIUS + 30.0
_BOLTZMANN_EV_PER_K = 8.617333262e-5

FINE_MAH_PER_CM2 = 2e-4
"""Spacing of the charge lattice while the interface still changes, mAh/cm2."""
COARSE_MAH_PER_CM2 = 1e-3
"""Spacing of the charge lattice afterwards, mAh/cm2."""
FINE_UNTIL_MAH_PER_CM2 = 0.05
"""Throughput at which the lattice becomes coarse, mAh/cm2."""
_ROUNDING = 1e-9
"""Part of a lattice step within which a charge counts as being on the lattice."""


def next_node_mah_per_cm2(throughput_mah_per_cm2: float) -> float:
    """The first point of the charge lattice above a throughput, mAh/cm2."""
    begin, spacing = 0.0, FINE_MAH_PER_CM2
    if throughput_mah_per_cm2 >= FINE_UNTIL_MAH_PER_CM2 - _ROUNDING * spacing:
        begin, spacing = FINE_UNTIL_MAH_PER_CM2, COARSE_MAH_PER_CM2
    passed = math.floor((throughput_mah_per_cm2 - begin) / spacing + _ROUNDING)
    return begin + (passed + 1) * spacing


def conductivity_s_per_cm(p: LlztoParameters, temperature_celsius: float) -> float:
    """Ionic conductivity, S/cm: ``sigma_30 exp(-E_a/k (1/T - 1/303.15 K))``, Arrhenius [L]."""
    inverse_k = 1.0 / (KELVIN_AT_0_CELSIUS + temperature_celsius) - 1.0 / _REFERENCE_K
    return p.conductivity_s_per_cm * math.exp(-p.activation_ev / _BOLTZMANN_EV_PER_K * inverse_k)


def interface_ohm_cm2(p: LlztoParameters, throughput_mah_per_cm2: Floats | float) -> Floats:
    """Both interfaces after a throughput, ohm cm2: falls from R_0 to R_inf with q_c [A]."""
    fresh = np.exp(-np.asarray(throughput_mah_per_cm2) / p.interface_charge_mah_per_cm2)
    first, last = p.interface_first_ohm_cm2, p.interface_last_ohm_cm2
    return np.asarray(last + (first - last) * fresh)


def contact_fraction(p: LlztoParameters, interface: float) -> float:
    """Part of the face that touches the metal, from the interface's resistance (ohm cm2) [A].

    The local current density is the mean one over this fraction, times `edge_factor`.
    """
    return min(1.0, p.full_contact_ohm_cm2 / interface)


def edge_factor(p: LlztoParameters, radius_um: Floats) -> Floats:
    """Local current at a distance from the electrode's centre over that far from its edge [A]."""
    edge = np.exp(-(p.electrode_radius_um - radius_um) / p.edge_width_um)
    return np.asarray(1.0 + p.edge_gain * edge)


def bulk_ohm_cm2(p: LlztoParameters, conductivity: Floats | float, dendrite: Floats) -> Floats:
    """The electrolyte, ohm cm2; a dendrite that spans it takes 45 % of its resistance [A].

    Args:
        p: Constants.
        conductivity: Ionic conductivity, S/cm.
        dendrite: Length of the longer dendrite, as a fraction of the thickness.
    """
    return np.asarray(p.thickness_cm / conductivity * (1.0 - p.bulk_shunting * dendrite))


def dendrite_growth_cm2_per_mah(p: LlztoParameters, spallations: int, scatter: float) -> float:
    """Growth of a face's dendrite per charge plated on it: ``1.30 z n/(n+20)`` [A]."""
    share = spallations / (spallations + p.dendrite_half_count)
    return p.dendrite_cm2_per_mah * scatter * share
