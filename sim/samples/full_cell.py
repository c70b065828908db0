"""The NMC83 | Li6PS5Cl | Li-Mg full cell: a battery that fades, behind the samples' interface.

A is the working electrode (NMC83), B the lithium alloy: V(A) - V(B) lies between 2.6 and 4.25 V,
and a positive current charges the cell. After Zhao et al., Nature Communications 2025 (doi
10.1038/s41467-025-59567-8), Fig. 5. It is the simplest model that carries the published numbers
(`sim.samples.full_cell_equations`): an open-circuit voltage behind a resistance, and a contact
that every charge passed wears away, the less the higher the stack pressure. Only `apply_current`,
`apply_voltage`, `apply_pressure` and `set_temperature` change it; everything else may be asked at
any time from 0 s on, in any order and as often as one likes, and answers the same bits. Times are
seconds since the world began.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sim.errors import SimulationError
from sim.samples.full_cell_course import Course
from sim.samples.full_cell_equations import LATTICE, loss_rate
from sim.samples.full_cell_parameters import FullCellPreset, describe_parameters, find_preset
from sim.samples.impedance import CellResistances
from sim.world import Floats, Terminals


class FullCell:
    """A full cell as assembled, at rest at 2.6 V; implements `sim.world.Sample`.

    Nothing in it is drawn at random. A forced current that finds the cathode full or empty cannot
    flow: the voltage is infinite with the current's sign and the current 0. The open-circuit
    voltage is steep at both ends, so that a limit acts long before.

    Args:
        preset: The cell.
        seed: Kept with the description; nothing depends on it.
        stack_pressure_mpa: Stack pressure from the beginning, MPa; None for the preset's.
        temperature_celsius: Temperature from the beginning, degree Celsius; None for the preset's.

    Attributes:
        area_cm2: Electrode area, cm2.
        nominal_mah: Charge that 1 C refers to, mAh.
        seed: The sample's seed.

    Raises:
        SimulationError: The pressure or the temperature is none.
    """

    def __init__(
        self,
        preset: FullCellPreset,
        *,
        seed: int = 0,
        stack_pressure_mpa: float | None = None,
        temperature_celsius: float | None = None,
    ) -> None:
        self._preset, self._p = preset, preset.parameters
        self.seed, p = seed, self._p
        self.area_cm2 = p.area_cm2
        self.nominal_mah = p.nominal_mah_per_cm2 * p.area_cm2
        self._first_mpa = _checked_pressure(
            p.stack_pressure_mpa if stack_pressure_mpa is None else stack_pressure_mpa
        )
        self._first_celsius = _checked_celsius(
            p.temperature_celsius if temperature_celsius is None else temperature_celsius
        )
        self._course = Course(p, pressure_mpa=self._first_mpa, celsius=self._first_celsius)

    @classmethod
    def from_preset(
        cls,
        name: str,
        *,
        seed: int = 0,
        stack_pressure_mpa: float | None = None,
        temperature_celsius: float | None = None,
    ) -> FullCell:
        """A cell of the paper by name: ``nmc83_limg``."""
        return cls(
            find_preset(name),
            seed=seed,
            stack_pressure_mpa=stack_pressure_mpa,
            temperature_celsius=temperature_celsius,
        )

    def apply_current(self, t_s: float, current_ma: float) -> None:
        """Force a current from `t_s` on, mA; > 0 charges, 0 is open circuit.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        density = current_ma / self.area_cm2
        self._course.apply(t_s, self._course.drive._replace(is_voltage=False, value=density))

    def apply_voltage(self, t_s: float, voltage_v: float) -> None:
        """Force V(A) - V(B) on the cell from `t_s` on, V.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        self._course.apply(t_s, self._course.drive._replace(is_voltage=True, value=voltage_v))

    def apply_pressure(self, t_s: float, mpa: float) -> None:
        """Change the stack pressure from `t_s` on, MPa.

        Raises:
            SimulationError: The time goes back, or the pressure is negative or not finite.
        """
        checked = _checked_pressure(mpa)
        self._course.apply(t_s, self._course.drive._replace(pressure_mpa=checked))

    def set_temperature(self, t_s: float, celsius: float) -> None:
        """Bring the whole cell to a temperature from `t_s` on, degree Celsius.

        Raises:
            SimulationError: The time goes back, or the temperature is not one above -273.15 C.
        """
        checked = _checked_celsius(celsius)
        self._course.apply(t_s, self._course.drive._replace(celsius=checked))

    def terminals(self, times_s: Floats) -> Terminals:
        """Noise-free voltage (V) and current (mA) at ascending times, s.

        At a switching instant the new values hold.

        Raises:
            SimulationError: Times descend, or are negative or not finite.
        """
        times = np.asarray(times_s, dtype=np.float64)
        if times.size and not (times[1:] >= times[:-1]).all():
            raise SimulationError(
                "full_cell: times of terminals() descend or are not numbers, expected ascending"
                " (sort them)"
            )
        seen = self._course.seen(times)
        if not seen:
            return Terminals(np.empty(times.shape), np.empty(times.shape))
        volts = np.concatenate([each.volts for each in seen])
        return Terminals(volts, self.area_cm2 * np.concatenate([each.density for each in seen]))

    def charge_mah(self, t_s: float) -> tuple[float, float]:
        """Charge that the lithium carried until `t_s`: (net A -> B, throughput), mAh."""
        state = self._course.state(t_s)
        return state.net * self.area_cm2, state.throughput * self.area_cm2

    def resistances(self, t_s: float) -> CellResistances:
        """What the impedance at `t_s` depends on."""
        at = self._course.segment(t_s).at
        return CellResistances(
            bulk_ohm_cm2=at.electrolyte,
            interface_ohm_cm2=at.transfer / self._course.state(t_s).contact,
            area_cm2=self.area_cm2,
        )

    def snapshot(self, t_s: float) -> dict[str, Any]:
        """The whole truth at `t_s`, for tests and for instruments that see inside; JSON-able.

        The charge balances: what passed A -> B is what the touching cathode gave and what was
        stranded with the parts that touch no more (the balance to zero at the beginning).
        """
        segment, state = self._course.segment(t_s), self._course.state(t_s)
        at, drive = segment.at, segment.drive
        seen = segment.seen(np.array([t_s]))
        voltage_v = float(seen.volts[0])
        touching = at.capacity * state.contact * state.state
        return {
            "t_s": t_s,
            "voltage_v": voltage_v if math.isfinite(voltage_v) else None,
            "current_ma": float(seen.density[0]) * self.area_cm2,
            "open_circuit_v": float(segment.curve.at(state.state)),
            "temperature_celsius": drive.celsius,
            "stack_pressure_mpa": drive.pressure_mpa,
            "state": state.state,
            "contact": state.contact,
            "loss_per_mah_per_cm2": loss_rate(self._p, drive.pressure_mpa),
            "resistance_ohm_cm2": float(at.ohm_cm2(state.contact)),
            "electrolyte_ohm_cm2": at.electrolyte,
            "interface_ohm_cm2": at.transfer / state.contact,
            "net_mah_per_cm2": state.net,
            "throughput_mah_per_cm2": state.throughput,
            "stranded_mah_per_cm2": state.net - touching,
        }

    def describe(self) -> dict[str, Any]:
        """Model, preset and every parameter with its source; JSON-able."""
        return {
            "model": "full_cell",
            "preset": self._preset.name,
            "seed": self.seed,
            "stack_pressure_mpa": self._first_mpa,
            "temperature_celsius": self._first_celsius,
            "parameters": describe_parameters(self._preset),
            "lattice": LATTICE,
        }


def _checked_pressure(mpa: float) -> float:
    if not (math.isfinite(mpa) and mpa >= 0.0):
        raise SimulationError(
            f"full_cell: stack pressure {mpa} MPa, expected 0 or more (check the bolt)"
        )
    return mpa


def _checked_celsius(celsius: float) -> float:
    if not (math.isfinite(celsius) and celsius > -273.15):
        raise SimulationError(
            f"full_cell: temperature {celsius} C, expected one above -273.15 (check the chamber)"
        )
    return celsius
