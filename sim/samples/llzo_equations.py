"""The Li/LLZO/Li cell as twenty ordinary differential equations.

The cell loses contact where it is stripped, grows dendrites at the plated face (mechanism 1) and
inside the electrolyte (mechanism 2), which crystallise, and shorts when they bridge all layers.
The picture is that of Liu et al., Nature Materials 2025 (doi 10.1038/s41563-024-02094-6); the
rate laws are a calibrated model [A], not the authors'.

Amounts are area-specific charges (mAh/cm2), isotope pools are coulombs. i > 0 is Li+ from A to
B: A is stripped, B is plated, and V = E_A - E_B has the sign of i.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sim.samples.bogacki_shampine import State
from sim.samples.llzo_parameters import COULOMB_PER_MAH, SECONDS_PER_DAY, LlzoParameters

Floats = npt.NDArray[np.float64]


class Component(NamedTuple):
    """Positions in the state: contact loss, dendrites, electrodes, charges, isotope pools."""

    u_a: int = 0
    u_b: int = 1
    amorphous_a: int = 2
    crystalline_a: int = 3
    amorphous_b: int = 4
    crystalline_b: int = 5
    bulk_1: int = 6
    bulk_2: int = 7
    bulk_3: int = 8
    bulk_4: int = 9
    electrode_a: int = 10
    electrode_b: int = 11
    throughput: int = 12
    net: int = 13
    s_electrodes: int = 14
    s_grains: int = 15
    s_boundaries: int = 16
    s_dendrite_1: int = 17
    s_dendrite_2: int = 18
    dendrite_1: int = 19


AT = Component()
SIZE = len(AT)


class Drive(NamedTuple):
    """What is applied to the cell, per area, and the events that change how it conducts.

    Attributes:
        is_voltage: Whether `value` is a voltage (V) or a current density (mA/cm2).
        value: The applied value.
        short_s_per_cm2: Conductance of the short per area, in mA/(V cm2); 0 while there is none.
        exhausted: Whether the electrode to be stripped is used up.
    """

    is_voltage: bool
    value: float
    short_s_per_cm2: float
    exhausted: bool


class LlzoEquations:
    """Right-hand side, resistance and events of the cell.

    Args:
        parameters: The cell's constants.
    """

    def __init__(self, parameters: LlzoParameters) -> None:
        p = parameters
        self.parameters = p
        self.short_ms_per_cm2 = 1e3 / (p.short_ohm * p.area_cm2)
        self._coulomb_per_amount = COULOMB_PER_MAH * p.area_cm2
        # kOhm cm2, so that mA/cm2 times resistance is volts
        self._bulk = 1e-3 * p.thickness_cm / p.conductivity_s_per_cm
        self._per_layer = 0.25 * p.bulk_shunting
        self._interface = 1e-3 * p.interface_ohm_cm2
        self._sei = 1e-3 * p.sei_ohm_cm2_per_sqrt_day
        self._sites = tuple(w * p.bulk_capacity_mah_per_cm2 for w in p.bulk_weights)
        self._seeds = tuple(p.bulk_seed * site for site in self._sites)
        self._crystalline_half = math.pow(p.crystalline_onset, p.crystalline_exponent)
        self._k0 = p.crystallisation_per_day / SECONDS_PER_DAY
        self._k1 = p.autocatalysis_per_day / SECONDS_PER_DAY
        self._r2 = p.bulk_growth_per_day / SECONDS_PER_DAY
        self._grains_c = (1.0 - p.grain_boundary_share) * p.electrolyte_c
        self._boundaries_c = p.grain_boundary_share * p.electrolyte_c

    def initial_state(self) -> list[float]:
        """A pristine cell: no contact loss, no dendrites, all lithium in the electrodes."""
        p = self.parameters
        y = [0.0] * SIZE
        y[AT.electrode_a] = y[AT.electrode_b] = p.electrodes_c / (2.0 * self._coulomb_per_amount)
        y[AT.s_electrodes] = p.x6_electrodes * p.electrodes_c
        y[AT.s_grains] = p.x6_electrolyte * self._grains_c
        y[AT.s_boundaries] = p.x6_electrolyte * self._boundaries_c
        return y

    def bulk_kohm_cm2(self, layers: Any, minimum: Any = min) -> Any:
        """Resistance of the electrolyte, (L/sigma) (1 - w_b mean min(1, L/T)), kOhm cm2.

        Args:
            layers: Amounts of the four layers, mAh/cm2: numbers, or arrays with
                ``minimum=np.minimum``. Both give the same bits.
            minimum: Elementwise minimum of two operands.
        """
        (l_1, l_2, l_3, l_4), t = layers, self.parameters.bridging_mah_per_cm2
        bridged = (
            minimum(1.0, l_1 / t[0])
            + minimum(1.0, l_2 / t[1])
            + minimum(1.0, l_3 / t[2])
            + minimum(1.0, l_4 / t[3])
        )
        return self._bulk * (1.0 - self._per_layer * bridged)

    def contacts_kohm_cm2(self, u_a: Any, u_b: Any, sqrt_days: Any) -> Any:
        """Both interfaces and the growing interphase, kOhm cm2; numbers or arrays."""
        return self._interface / (1.0 - u_a) + self._interface / (1.0 - u_b) + self._sei * sqrt_days

    def ionic(self, t_s: float, y: State, drive: Drive) -> tuple[float, float]:
        """Voltage (V) and current density (mA/cm2) of the lithium ions."""
        if drive.exhausted or drive.value == 0.0:
            return 0.0, 0.0
        layers = (
            y[2] + y[3] + y[6],
            y[7],
            y[8],
            y[4] + y[5] + y[9],
        )
        resistance = self.bulk_kohm_cm2(layers) + self.contacts_kohm_cm2(
            y[0], y[1], math.sqrt(t_s / SECONDS_PER_DAY)
        )
        if drive.is_voltage:
            return drive.value, drive.value / resistance
        current = drive.value / (1.0 + drive.short_s_per_cm2 * resistance)
        return current * resistance, current

    def rates(self, t_s: float, y: State, drive: Drive) -> list[float]:
        """Time derivative of the state, per second."""
        k0, k1 = self._k0, self._k1
        m_a, m_b = y[2] + y[3], y[4] + y[5]
        x_a = y[3] / m_a if m_a > 0.0 else 0.0
        x_b = y[5] / m_b if m_b > 0.0 else 0.0
        crystallised_a = (k0 + k1 * x_a) * y[2]
        crystallised_b = (k0 + k1 * x_b) * y[4]
        rates = [0.0] * SIZE
        rates[2], rates[3] = -crystallised_a, crystallised_a
        rates[4], rates[5] = -crystallised_b, crystallised_b
        voltage_v, current = self.ionic(t_s, y, drive)
        if current == 0.0:
            return rates
        if current > 0.0:
            stripped, plated, amount, x, gain = 0, 1, m_b, x_b, self.parameters.gain_b
        else:
            stripped, plated, amount, x, gain = 1, 0, m_a, x_a, self.parameters.gain_a
        j = abs(current) / 3600.0
        rates[stripped], rates[plated] = self._contact(j, y[stripped], y[plated])
        surface = self._surface(j / (1.0 - y[plated]), amount, x, gain)
        bulk = self._bulk_growth(voltage_v, y)
        surface, bulk = self._limited(j, surface, bulk)
        grown = surface + sum(bulk)
        rates[2 + 2 * plated] += surface
        rates[6:10] = bulk
        rates[10 + stripped] = -j
        rates[10 + plated] = j - grown
        rates[12] = j
        rates[13] = math.copysign(j, current)
        rates[14:20] = self._isotopes(y, j, surface, grown - surface)
        return rates

    def _contact(self, j: float, u_stripped: float, u_plated: float) -> tuple[float, float]:
        """Loss on the stripped side (coalescence runs away), healing on the plated side."""
        p = self.parameters
        rate = p.contact_loss_cm2_per_mah * j
        return (
            rate
            * (1.0 + (u_stripped / p.contact_loss_onset) ** p.contact_loss_exponent)
            * (1.0 - u_stripped / p.contact_loss_max),
            -p.healing * rate * u_plated / (u_plated + p.healing_half_value),
        )

    def _surface(self, j_local: float, amount: float, x: float, gain: float) -> float:
        """Mechanism 1: a saturating start, then growth of what has crystallised."""
        p = self.parameters
        start = max(0.0, 1.0 - amount / (p.surface_saturation_mah_per_cm2 * gain))
        power = math.pow(x, p.crystalline_exponent)
        late = power / (power + self._crystalline_half)
        return gain * j_local * (p.surface_fraction * start + p.crystalline_gain * late)

    def _bulk_growth(self, voltage_v: float, y: State) -> list[float]:
        """Mechanism 2: nucleation at a voltage times logistic growth on finite sites."""
        ratio = self.parameters.nucleation_v / voltage_v if voltage_v else math.inf
        rate = self._r2 * math.exp(
            -ratio * ratio
        )  # a power would overflow at the smallest voltages
        return [
            rate * (b + seed) * max(0.0, 1.0 - b / site)
            for b, seed, site in zip(y[6:10], self._seeds, self._sites, strict=True)
        ]

    def _limited(self, j: float, surface: float, bulk: list[float]) -> tuple[float, list[float]]:
        """Leave the electrode its share of the current."""
        available = (1.0 - self.parameters.min_electrode_share) * j
        wanted = surface + sum(bulk)
        if wanted <= available:
            return surface, bulk
        scale = available / wanted
        return surface * scale, [scale * b for b in bulk]

    def _isotopes(self, y: State, j: float, surface: float, bulk: float) -> list[float]:
        """6Li flows between electrodes, grains, boundaries and both kinds of dendrite, C/s."""
        p = self.parameters
        q = j * self._coulomb_per_amount
        q_1, q_2 = surface * self._coulomb_per_amount, bulk * self._coulomb_per_amount
        x_e = y[14] / (self._coulomb_per_amount * (y[10] + y[11]))
        x_g, x_b = y[15] / self._grains_c, y[16] / self._boundaries_c
        theta = p.surface_direct_share
        to_electrodes = (q - q_1 - q_2) * x_g
        exchange = p.grain_exchange * q * (x_g - x_b)
        return [
            to_electrodes - q * x_e,
            (q - theta * q_1) * x_e - to_electrodes - ((1.0 - theta) * q_1 + q_2) * x_g - exchange,
            q_2 * (x_g - x_b) + exchange,
            q_1 * (theta * x_e + (1.0 - theta) * x_g),
            q_2 * x_b,
            q_1,
        ]

    def bridges(self, y: State) -> bool:
        """Whether the dendrites reach from face to face."""
        p = self.parameters
        t, m_a, m_b = p.bridging_mah_per_cm2, y[2] + y[3], y[4] + y[5]
        bridged = min((m_a + y[6]) / t[0], y[7] / t[1], y[8] / t[2], (m_b + y[9]) / t[3])
        return max(bridged, m_a / p.penetration_mah_per_cm2, m_b / p.penetration_mah_per_cm2) >= 1.0

    def exhausts(self, y: State, value: float) -> bool:
        """Whether the electrode that an applied value of this sign strips is used up."""
        if value == 0.0:
            return False
        return y[AT.electrode_a if value > 0.0 else AT.electrode_b] <= 0.0
