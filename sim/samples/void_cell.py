"""The metal | Li6PS5Cl | lithiated indium cell, whose metal loses contact by discrete voids.

A is the metal (lithium or Li0.97Mg0.03), B the lithiated indium: at rest V(A) - V(B) is -0.623 V,
and a positive current strips the metal. Only `apply_current`, `apply_voltage` and `apply_pressure`
change it. Everything else may be asked at any time from 0 s on, in any order and as often as one
likes, and answers the same bits. Times are seconds since the world began.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sim.errors import SimulationError
from sim.samples.constants import UM_PER_MAH_PER_CM2
from sim.samples.impedance import CellResistances
from sim.samples.void_composition import Film, effective_cm2_per_s, metal_magnesium
from sim.samples.void_course import Course, Piece
from sim.samples.void_geometry import VoidGeometry
from sim.samples.void_parameters import (
    LATTICE_MAH_PER_CM2,
    VoidPreset,
    describe_parameters,
    find_preset,
)
from sim.samples.void_population import contact_loss
from sim.world import Floats, Terminals

_NONE = np.empty(0)


class VoidCell:
    """A metal electrode on Li6PS5Cl against lithiated indium; implements `sim.world.Sample`.

    Under a forced voltage the current is constant within a step of 0.005 mAh/cm2 and follows the
    contact from step to step. After a short the filament carries all of the current: the voltage
    is the filament's, no lithium moves, and the interface stays as it was; what the cell would
    lose to itself through the short is not part of the model.

    Args:
        preset: The metal and its cell.
        seed: Seed of the voids, their events and the filaments.
        stack_pressure_mpa: Stack pressure from the beginning, MPa; None for the preset's.
        temperature_celsius: Temperature from the beginning, degree Celsius.

    Attributes:
        area_cm2: Electrode area, cm2.
        seed: The sample's seed.

    Raises:
        SimulationError: The pressure is negative or not finite.
    """

    def __init__(
        self,
        preset: VoidPreset,
        *,
        seed: int = 0,
        stack_pressure_mpa: float | None = None,
        temperature_celsius: float = 25.0,
    ) -> None:
        self.seed = seed
        self._preset, self._p = preset, preset.parameters
        self.area_cm2 = self._p.area_cm2
        self._pressure_mpa = _checked_pressure(
            self._p.stack_pressure_mpa if stack_pressure_mpa is None else stack_pressure_mpa
        )
        self._course = Course(self._p, seed=seed, pressure_mpa=self._pressure_mpa)
        self._temperatures: list[tuple[float, float]] = [(0.0, temperature_celsius)]

    @classmethod
    def from_preset(
        cls,
        name: str,
        *,
        seed: int = 0,
        stack_pressure_mpa: float | None = None,
        temperature_celsius: float = 25.0,
    ) -> VoidCell:
        """A cell of the paper by name.

        ``li_lpscl`` and ``limg_lpscl`` are the pellets of 12.7 mm, ``li_lpscl_operando`` and
        ``limg_lpscl_operando`` the cells of 3 x 3 mm under the microscope.
        """
        return cls(
            find_preset(name),
            seed=seed,
            stack_pressure_mpa=stack_pressure_mpa,
            temperature_celsius=temperature_celsius,
        )

    def apply_current(self, t_s: float, current_ma: float) -> None:
        """Force a current from `t_s` on, mA; > 0 strips the metal, 0 is open circuit.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        density = current_ma / self.area_cm2
        self._course.apply(t_s, self._course.drive._replace(is_voltage=False, value=density))

    def apply_voltage(self, t_s: float, voltage_v: float) -> None:
        """Force V(A) - V(B) on the cell from `t_s` on, V; above -0.623 V strips the metal.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        self._course.apply(t_s, self._course.drive._replace(is_voltage=True, value=voltage_v))

    def apply_pressure(self, t_s: float, pressure_mpa: float) -> None:
        """Change the stack pressure from `t_s` on, MPa.

        Raises:
            SimulationError: The time goes back, or the pressure is negative or not finite.
        """
        checked = _checked_pressure(pressure_mpa)
        self._course.apply(t_s, self._course.drive._replace(pressure_mpa=checked))

    def set_temperature(self, t_s: float, celsius: float) -> None:
        """Change the temperature from `t_s` on, degree Celsius: magnesium diffuses faster.

        Nothing else of the model depends on it.

        Raises:
            SimulationError: The time goes back, or it is not a temperature.
        """
        before_s = self._temperatures[-1][0]
        if not (t_s >= before_s and math.isfinite(celsius) and celsius > -273.15):
            raise SimulationError(
                f"void_cell: temperature {celsius} C at {t_s} s after {before_s} s, expected one"
                " above -273.15 C and ascending times (give degrees Celsius)"
            )
        if t_s == before_s:
            self._temperatures.pop()
        self._temperatures.append((t_s, celsius))

    def terminals(self, times_s: Floats) -> Terminals:
        """Noise-free voltage (V) and current (mA) at ascending times, s.

        At a switching instant the new values hold. Where the metal is used up a forced stripping
        current cannot flow: the voltage is infinite and the current 0.

        Raises:
            SimulationError: Times descend, or are negative or not finite.
        """
        times = np.asarray(times_s, dtype=np.float64)
        if times.size and not (times[1:] >= times[:-1]).all():
            raise SimulationError(
                "void_cell: times of terminals() descend or are not numbers, expected ascending"
                " (sort them)"
            )
        pairs = [self._conduct(t_s) for t_s in times.tolist()]
        voltage_v, current_ma = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return Terminals(voltage_v.copy(), current_ma.copy())

    def charge_mah(self, t_s: float) -> tuple[float, float]:
        """Charge that the lithium carried until `t_s`: (net A -> B, throughput), mAh."""
        at = self._course.position(t_s)
        net, throughput = at.stripped - at.plated, at.stripped + at.plated
        return net * self.area_cm2, throughput * self.area_cm2

    def short_time_s(self, t_now_s: float) -> float | None:
        """When a filament crossed the electrolyte, s; None until `t_now_s` has reached it."""
        return self._course.short_s(t_now_s)

    def geometry(self, t_s: float) -> VoidGeometry:
        """Voids and filaments at `t_s` as a microscope would find them."""
        at = self._course.position(t_s)
        population = self._course.population(at)
        voids = [void for void in population.voids if void.width_um > 0.0]
        sites, grown = self._course.sites, at.grown > 0.0
        return VoidGeometry(
            window_um=self._p.window_um,
            left_um=np.array([void.left_um for void in voids]),
            right_um=np.array([void.right_um for void in voids]),
            height_um=np.array([void.height_um for void in voids]),
            area_um2=np.array([void.area_um2 for void in voids]),
            filament_places_um=sites.places_um.copy() if grown else _NONE.copy(),
            filament_diameters_um=sites.diameters_um.copy() if grown else _NONE.copy(),
            filament_lengths_um=(sites.lengths_um(at.grown, self._p) if grown else _NONE.copy()),
        )

    def resistances(self, t_s: float) -> CellResistances:
        """What the impedance at `t_s` depends on."""
        population = self._course.population(self._course.position(t_s))
        return CellResistances(
            bulk_ohm_cm2=self._p.electrolyte_ohm_cm2,
            interface_ohm_cm2=self._p.transfer_ohm_cm2 / self._course.contact(population),
            area_cm2=self.area_cm2,
            short_ohm=None if self.short_time_s(t_s) is None else self._p.short_ohm,
        )

    def magnesium(self, depths_um: Floats, t_s: float) -> Floats:
        """Atomic fraction of magnesium at `t_s` along a line from the electrolyte into the metal.

        Lithium plated since the metal was last stripped lies next to the electrolyte, and
        magnesium diffuses into it from below since that plating began, the faster the warmer.

        Args:
            depths_um: Distance from the electrolyte, um, (n,); 0 beyond the metal.
            t_s: Time, s.
        """
        begin_s, plated, stripped = self._course.plating(t_s)
        film = Film(plated * UM_PER_MAH_PER_CM2, self._diffused_cm2(begin_s, t_s))
        return metal_magnesium(np.asarray(depths_um, dtype=np.float64), film, stripped, self._p)

    def snapshot(self, t_s: float) -> dict[str, Any]:
        """The whole truth at `t_s`, for tests and for instruments that see inside; JSON-able.

        The areas balance: the voids' area, what splits and collapses closed and what plating
        refilled add up to what was supplied.
        """
        at = self._course.position(t_s)
        population = self._course.population(at)
        geometry = self.geometry(t_s)
        voltage_v, current_ma = self._conduct(t_s)
        short_s = self.short_time_s(t_s)
        return {
            "t_s": t_s,
            "voltage_v": voltage_v if math.isfinite(voltage_v) else None,
            "current_ma": current_ma,
            "stack_pressure_mpa": self._course.at(t_s).drive.pressure_mpa,
            "stripped_mah_per_cm2": at.stripped,
            "plated_mah_per_cm2": at.plated,
            "void_charge_mah_per_cm2": population.void_charge,
            "contact_loss": contact_loss(self._p, population),
            "voids_per_100_um": geometry.voids_per_100_um,
            "void_intervals_um": np.stack([geometry.left_um, geometry.right_um], -1).tolist(),
            "void_heights_um": geometry.height_um.tolist(),
            "void_areas_um2": geometry.area_um2.tolist(),
            "supplied_um2": population.supplied_um2,
            "closed_um2": population.closed_um2,
            "refilled_um2": population.refilled_um2,
            "filament_lengths_um": geometry.filament_lengths_um.tolist(),
            "filament_charge_mah_per_cm2": self._course.sites.charge_mah_per_cm2(at.grown, self._p),
            "counter_depletion_v": self._course.depletion_v(at),
            "short_s": short_s,
        }

    def describe(self) -> dict[str, Any]:
        """Model, preset, seed and every parameter with its source; JSON-able."""
        return {
            "model": "void_interface",
            "preset": self._preset.name,
            "seed": self.seed,
            "stack_pressure_mpa": self._pressure_mpa,
            "parameters": describe_parameters(self._preset),
            "lattice_mah_per_cm2": LATTICE_MAH_PER_CM2,
        }

    def _diffused_cm2(self, begin_s: float, end_s: float) -> float:
        """Diffusivity of magnesium integrated over a time, cm2."""
        ends_s = [*(t_s for t_s, _ in self._temperatures[1:]), math.inf]
        return sum(
            effective_cm2_per_s(celsius) * (min(until_s, end_s) - max(from_s, begin_s))
            for (from_s, celsius), until_s in zip(self._temperatures, ends_s, strict=True)
            if min(until_s, end_s) > max(from_s, begin_s)
        )

    def _conduct(self, t_s: float) -> tuple[float, float]:
        """Voltage (V) and current (mA) of the terminals."""
        piece = self._course.at(t_s)
        if piece.position.shorted:
            return self._through_short(piece)
        if piece.drive.is_voltage:
            return piece.drive.value, piece.ionic * self.area_cm2
        if piece.exhausted:
            return math.inf, 0.0
        return self._cell_v(piece, t_s), piece.ionic * self.area_cm2

    def _through_short(self, piece: Piece) -> tuple[float, float]:
        if piece.drive.is_voltage:
            return piece.drive.value, 1e3 * piece.drive.value / self._p.short_ohm
        current_ma = piece.drive.value * self.area_cm2
        return 1e-3 * current_ma * self._p.short_ohm, current_ma

    def _cell_v(self, piece: Piece, t_s: float) -> float:
        """Voltage that goes with a forced current, V."""
        if piece.ionic == 0.0:
            return -self._p.counter_v
        at = self._course.position(t_s)
        resistance = self._course.resistance_kohm_cm2(self._course.population(at))
        depletion_v = self._course.depletion_v(at) if piece.ionic < 0.0 else 0.0
        return -self._p.counter_v + piece.ionic * resistance - depletion_v


def _checked_pressure(pressure_mpa: float) -> float:
    if not (math.isfinite(pressure_mpa) and pressure_mpa >= 0.0):
        raise SimulationError(
            f"void_cell: stack pressure {pressure_mpa} MPa, expected 0 or more (check the bolt)"
        )
    return pressure_mpa
