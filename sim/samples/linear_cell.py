"""The smallest cell: an EMF that moves linearly with charge, behind a resistance.

It has closed-form answers, so instruments can be tested against arithmetic: with stiffness `k`
(V per mAh) the EMF is ``E = emf + k q``; a forced current moves `q` linearly, a forced voltage
exponentially with the time constant ``R / (k / 3600)``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.samples.impedance import CellResistances
from sim.world import Floats, Terminals

_MA_S_PER_MAH = 3600.0


@dataclass(frozen=True)
class _Segment:
    """What is applied from `t0_s` on, and the charge until then."""

    t0_s: float
    forced: str
    value: float
    net_mah: float
    throughput_mah: float


class LinearCell:
    """A battery or a resistor with closed-form answers; implements `sim.world.Sample`.

    Args:
        emf_v: Open-circuit voltage before any charge has passed, V.
        resistance_ohm: Series resistance, ohm.
        stiffness_v_per_mah: Rise of the open-circuit voltage with charge, V/mAh; 0 for a constant
            EMF, and with `emf_v` 0 for a plain resistor.
        area_cm2: Electrode area, cm2.
    """

    def __init__(
        self,
        emf_v: float = 0.0,
        resistance_ohm: float = 1000.0,
        *,
        stiffness_v_per_mah: float = 0.0,
        area_cm2: float = 1.0,
    ) -> None:
        self.emf_v, self.resistance_ohm = emf_v, resistance_ohm
        self.stiffness_v_per_mah, self.area_cm2 = stiffness_v_per_mah, area_cm2
        self._segments = [_Segment(0.0, "current", 0.0, 0.0, 0.0)]
        self._starts = [0.0]

    def apply_current(self, t_s: float, current_ma: float) -> None:
        """Force a current from `t_s` on; 0 is open circuit."""
        self._append(t_s, "current", current_ma)

    def apply_voltage(self, t_s: float, voltage_v: float) -> None:
        """Force a voltage from `t_s` on."""
        self._append(t_s, "voltage", voltage_v)

    def terminals(self, times_s: Floats) -> Terminals:
        """Voltage and current at ascending times since the last `apply_*`."""
        segment = self._segments[-1]
        times = np.asarray(times_s, dtype=np.float64)
        if times.size and times[0] < segment.t0_s:
            raise ValueError(f"{times[0]} s lies before the last change at {segment.t0_s} s")
        if segment.forced == "voltage":
            currents = self._decaying_ma(segment, times - segment.t0_s)
            return Terminals(np.full(times.shape, segment.value), currents)
        charge = segment.net_mah + segment.value * (times - segment.t0_s) / _MA_S_PER_MAH
        voltages = self.open_circuit_v(charge) + segment.value * self.resistance_ohm / 1000.0
        return Terminals(voltages, np.full(times.shape, segment.value))

    def charge_mah(self, t_s: float) -> tuple[float, float]:
        """Net and throughput charge until `t_s`, mAh."""
        segment = self._segments[max(0, bisect_right(self._starts, t_s) - 1)]
        moved = self._moved_mah(segment, t_s - segment.t0_s)
        return segment.net_mah + moved, segment.throughput_mah + abs(moved)

    def open_circuit_v(self, charge_mah: Floats) -> Floats:
        """Open-circuit voltage after a net charge, V."""
        return self.emf_v + self.stiffness_v_per_mah * charge_mah

    def resistances(self, t_s: float) -> CellResistances:
        """Its resistance as that of an electrolyte without interfaces, at any time.

        The rise of the EMF with charge is left out: it shows below every frequency in use.
        """
        del t_s
        return CellResistances(self.resistance_ohm * self.area_cm2, 0.0, self.area_cm2)

    def describe(self) -> dict[str, Any]:
        """Model and parameters."""
        return {
            "model": "linear_cell",
            "emf_v": self.emf_v,
            "resistance_ohm": self.resistance_ohm,
            "stiffness_v_per_mah": self.stiffness_v_per_mah,
            "area_cm2": self.area_cm2,
        }

    def _append(self, t_s: float, forced: str, value: float) -> None:
        if t_s < self._starts[-1]:
            raise ValueError(f"apply at {t_s} s after one at {self._starts[-1]} s: time went back")
        net, throughput = self.charge_mah(t_s)
        if t_s == self._starts[-1]:
            self._segments.pop()
            self._starts.pop()
        self._segments.append(_Segment(t_s, forced, value, net, throughput))
        self._starts.append(t_s)

    def _decaying_ma(self, segment: _Segment, elapsed_s: Floats) -> Floats:
        """Current under a forced voltage: exponential where the EMF follows the charge."""
        first_ma = (
            (segment.value - float(self.open_circuit_v(np.array(segment.net_mah))))
            / self.resistance_ohm
            * 1000.0
        )
        return first_ma * np.exp(-self._rate_per_s() * elapsed_s)

    def _moved_mah(self, segment: _Segment, elapsed_s: float) -> float:
        if segment.forced == "current":
            return segment.value * elapsed_s / _MA_S_PER_MAH
        first_ma = float(self._decaying_ma(segment, np.zeros(1))[0])
        rate = self._rate_per_s()
        seconds = elapsed_s if rate == 0.0 else -math.expm1(-rate * elapsed_s) / rate
        return first_ma * seconds / _MA_S_PER_MAH

    def _rate_per_s(self) -> float:
        return self.stiffness_v_per_mah * 1000.0 / (self.resistance_ohm * _MA_S_PER_MAH)
