"""An LLZTO pellet between nickel electrodes, which block lithium: what leaks is electronic.

After a potential step the paper's current is ``I = V [sigma_e A / L + 2e-8 S exp(-t / 60 s)]``
(Siniscalchi et al., Energy Environ. Sci. 2024, doi 10.1039/d3ee03916a: sigma_e [P], the charging
[A]). That is the response of a circuit, and the circuit answers any drive: a leak in parallel with
a resistor and a capacitor in series, ``I = G_e V + G_c (V - u)``, ``tau du/dt = V - u``. Under a
forced current ``V = (I + G_c u) / (G_e + G_c)``, so that u approaches ``I / G_e`` with the time
constant ``tau (G_e + G_c) / G_e``. At open circuit I is 0 and the electrodes discharge by
themselves through the leak.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.errors import SimulationError
from sim.samples.impedance import CellResistances
from sim.samples.llzto_parameters import LlztoParameters, find_preset
from sim.samples.llzto_transients import CHARGING_S_PER_V, CHARGING_TIME_S
from sim.world import Floats, Terminals

PRESETS = ("nickel_2mm",)
"""Nickel electrodes of 2 mm on both faces [P]."""

_A_TO_MA = 1e3
_S_PER_H = 3600.0


@dataclass(frozen=True)
class _Segment:
    """What is forced from `t0_s` on, the capacitor's voltage then, and what had passed."""

    t0_s: float
    is_voltage: bool
    value: float
    u0_v: float
    net_mah: float
    throughput_mah: float


class BlockingPellet:
    """Nickel | LLZTO | nickel; implements `sim.world.Sample`.

    Only `apply_current` and `apply_voltage` change it; everything else may be asked for any time.

    Args:
        parameters: Of the pellet: thickness, electrode, conductivities.
        preset: Name for the provenance.
        seed: Kept for the provenance; nothing here is drawn.

    Attributes:
        area_cm2: Electrode area, cm2.
        seed: As given.
    """

    def __init__(self, parameters: LlztoParameters, *, preset: str, seed: int = 0) -> None:
        self.seed, self._preset, self._p = seed, preset, parameters
        self.area_cm2 = parameters.area_cm2
        self.leak_s = parameters.electronic_s_per_cm * self.area_cm2 / parameters.thickness_cm
        self._segments = [_Segment(0.0, False, 0.0, 0.0, 0.0, 0.0)]  # noqa: FBT003 - named above
        self._starts = [0.0]

    @classmethod
    def from_preset(cls, name: str, *, seed: int = 0) -> BlockingPellet:
        """The paper's sample, ``nickel_2mm``.

        Raises:
            SimulationError: There is no such preset.
        """
        if name not in PRESETS:
            raise SimulationError(
                f"llzto_blocking: preset, got {name!r}, expected one of {', '.join(PRESETS)}"
                " (choose one of them)"
            )
        return cls(find_preset("lithiophobic").parameters, preset=name, seed=seed)

    def apply_current(self, t_s: float, current_ma: float) -> None:
        """Force a current from `t_s` on, mA; 0 is open circuit.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        self._apply(t_s, current_ma / _A_TO_MA, is_voltage=False)

    def apply_voltage(self, t_s: float, voltage_v: float) -> None:
        """Force V(A) - V(B) from `t_s` on, V.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        self._apply(t_s, voltage_v, is_voltage=True)

    def terminals(self, times_s: Floats) -> Terminals:
        """Noise-free voltage (V) and current (mA) at ascending times, s.

        Raises:
            SimulationError: Times descend, or are negative or not finite.
        """
        times = np.asarray(times_s, dtype=np.float64)
        if times.size and not ((times[1:] >= times[:-1]).all() and times[0] >= 0.0):
            raise SimulationError(
                "llzto_blocking: times of terminals() descend or are not numbers, expected"
                " ascending from 0 s (sort them)"
            )
        pairs = [self._conduct(self._segment(t_s), t_s) for t_s in times.tolist()]
        voltage_v, current_a = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return Terminals(voltage_v.copy(), _A_TO_MA * current_a)

    def charge_mah(self, t_s: float) -> tuple[float, float]:
        """Charge that lithium has carried to the electrodes: (net A -> B, throughput), mAh.

        What leaks is carried by electrons and does not count.
        """
        segment = self._segment(t_s)
        moved = self._moved_mah(segment, self._u_v(segment, t_s))
        return segment.net_mah + moved, segment.throughput_mah + abs(moved)

    def resistances(self, t_s: float) -> CellResistances:
        """What its impedance depends on: the bulk, and electrodes that block."""
        del t_s
        p = self._p
        return CellResistances(
            bulk_ohm_cm2=p.thickness_cm / p.conductivity_s_per_cm,
            interface_ohm_cm2=self.area_cm2 / self.leak_s,
            area_cm2=self.area_cm2,
        )

    def snapshot(self, t_s: float) -> dict[str, Any]:
        """The whole truth at `t_s`; JSON-able."""
        segment = self._segment(t_s)
        voltage_v, current_a = self._conduct(segment, t_s)
        net_mah, throughput_mah = self.charge_mah(t_s)
        return {
            "t_s": t_s,
            "voltage_v": voltage_v,
            "current_ma": _A_TO_MA * current_a,
            "charge_mah": net_mah,
            "throughput_mah": throughput_mah,
            "electrode_v": self._u_v(segment, t_s),
            "leak_ohm": 1.0 / self.leak_s,
            "electronic_s_per_cm": self._p.electronic_s_per_cm,
        }

    def describe(self) -> dict[str, Any]:
        """Model, preset, seed and every parameter with its source; JSON-able."""
        return {
            "model": "llzto_blocking",
            "preset": self._preset,
            "seed": self.seed,
            "parameters": {
                "electronic_s_per_cm": {
                    "value": self._p.electronic_s_per_cm,
                    "unit": "S/cm",
                    "source": "[P]",
                },
                "thickness_cm": {"value": self._p.thickness_cm, "unit": "cm", "source": "[P]"},
                "area_cm2": {"value": self.area_cm2, "unit": "cm2", "source": "[P]"},
                "charging_s": {"value": CHARGING_S_PER_V, "unit": "S", "source": "[A]"},
                "charging_time_s": {"value": CHARGING_TIME_S, "unit": "s", "source": "[A]"},
            },
        }

    def _apply(self, t_s: float, value: float, *, is_voltage: bool) -> None:
        if not (math.isfinite(t_s) and math.isfinite(value) and t_s >= self._starts[-1]):
            raise SimulationError(
                f"llzto_blocking: apply {value} at {t_s} s after a change at {self._starts[-1]} s,"
                " expected finite numbers and no time before it (check the caller)"
            )
        net_mah, throughput_mah = self.charge_mah(t_s)
        u_v = self._u_v(self._segments[-1], t_s)
        if t_s == self._starts[-1]:
            self._segments.pop()
            self._starts.pop()
        self._segments.append(_Segment(t_s, is_voltage, value, u_v, net_mah, throughput_mah))
        self._starts.append(t_s)

    def _segment(self, t_s: float) -> _Segment:
        return self._segments[max(0, bisect_right(self._starts, t_s) - 1)]

    def _u_v(self, segment: _Segment, t_s: float) -> float:
        """Voltage of the capacitor, V: exponential to where the drive leads it."""
        if segment.is_voltage:
            goal_v, time_s = segment.value, CHARGING_TIME_S
        else:
            goal_v = segment.value / self.leak_s
            time_s = CHARGING_TIME_S * (self.leak_s + CHARGING_S_PER_V) / self.leak_s
        return goal_v + (segment.u0_v - goal_v) * math.exp(-(t_s - segment.t0_s) / time_s)

    def _conduct(self, segment: _Segment, t_s: float) -> tuple[float, float]:
        """Voltage (V) and current (A) of the terminals."""
        u_v = self._u_v(segment, t_s)
        if segment.is_voltage:
            return segment.value, self.leak_s * segment.value + CHARGING_S_PER_V * (
                segment.value - u_v
            )
        conductance_s = self.leak_s + CHARGING_S_PER_V
        return (segment.value + CHARGING_S_PER_V * u_v) / conductance_s, segment.value

    def _moved_mah(self, segment: _Segment, u_v: float) -> float:
        """Charge on the capacitor since the segment began, mAh."""
        farad = CHARGING_S_PER_V * CHARGING_TIME_S
        return farad * (u_v - segment.u0_v) * _A_TO_MA / _S_PER_H
