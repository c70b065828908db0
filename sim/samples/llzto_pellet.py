"""The Li/LLZTO/Li pellet that every simulated instrument of a bench shares.

Plating makes the interface touch, fills pores where the local current is high, breaks craters
(spallations) out of the electrolyte and grows a dendrite until it shorts, as Siniscalchi et al.,
Energy Environ. Sci. 2024 (doi 10.1039/d3ee03916a) describe; the rate laws are calibrated [A].

Face B is plated while the current is positive, face A while it is negative. The two faces have
pores and dendrites of their own; what has grown stays, it is not stripped again. Only
`apply_current`, `apply_voltage` and `set_temperature` change the pellet.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from sim.errors import SimulationError
from sim.samples.impedance import CellResistances
from sim.samples.llzto_course import SECONDS_PER_HOUR, Course, Drive, Step
from sim.samples.llzto_equations import (
    COARSE_MAH_PER_CM2,
    FINE_MAH_PER_CM2,
    FINE_UNTIL_MAH_PER_CM2,
    bulk_ohm_cm2,
    contact_fraction,
    interface_ohm_cm2,
)
from sim.samples.llzto_parameters import (
    LlztoPreset,
    describe_parameters,
    find_preset,
    with_density,
)
from sim.samples.llzto_pores import Pores, Spallation
from sim.world import Floats, Terminals


class LlztoPellet:
    """A symmetric lithium cell with an LLZTO pellet; implements `sim.world.Sample`.

    Resistance follows the charge continuously while a current is forced. Where the current
    depends on the resistance (a forced voltage, or a short in parallel) it is held from one point
    of the charge lattice to the next, so that charge stays the exact integral of the current.

    Args:
        preset: Shape and constants.
        seed: Seed of the pores, of their growth and of the flicker of the voltage.
        temperature_celsius: Temperature at 0 s; the paper's cells ran at 30 C.

    Attributes:
        area_cm2: Electrode area, cm2.
        geometry: Shape of the pellet and its electrodes.
        seed: The sample's seed.
    """

    def __init__(
        self, preset: LlztoPreset, *, seed: int = 0, temperature_celsius: float = 30.0
    ) -> None:
        self.seed = seed
        self._preset, self._parameters = preset, preset.parameters
        self.area_cm2 = self._parameters.area_cm2
        self.geometry = self._parameters.geometry
        self._first_celsius = _checked_celsius(temperature_celsius)
        self._faces = (Pores(self._parameters, "A", seed), Pores(self._parameters, "B", seed))
        self._course = Course(self._parameters, self._faces, seed, temperature_celsius)

    @classmethod
    def from_preset(
        cls,
        name: str,
        *,
        seed: int = 0,
        temperature_celsius: float = 30.0,
        relative_density: float | None = None,
    ) -> LlztoPellet:
        """A cell of the paper: ``lithiophobic``, ``lithiophilic`` or ``limg``.

        Args:
            name: The preset.
            seed: The sample's seed.
            temperature_celsius: Temperature at 0 s.
            relative_density: Density as a fraction of the crystal's, 0.97 unless given;
                `llzto_parameters.SINTERED_DENSITY` has it by temperature of sintering.
        """
        preset = find_preset(name)
        if relative_density is not None:
            preset = with_density(preset, relative_density)
        return cls(preset, seed=seed, temperature_celsius=temperature_celsius)

    def apply_current(self, t_s: float, current_ma: float) -> None:
        """Force a current A -> B through the cell from `t_s` on, mA; 0 is open circuit.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        drive = self._course.drive
        density = current_ma / self.area_cm2
        self._course.apply(t_s, Drive(False, density, drive.temperature_celsius))  # noqa: FBT003 - named in Drive

    def apply_voltage(self, t_s: float, voltage_v: float) -> None:
        """Force V(A) - V(B) on the cell from `t_s` on, V.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        drive = self._course.drive
        self._course.apply(t_s, Drive(True, voltage_v, drive.temperature_celsius))  # noqa: FBT003 - named in Drive

    def set_temperature(self, t_s: float, celsius: float) -> None:
        """Bring the whole pellet to a temperature from `t_s` on, C.

        Raises:
            SimulationError: The time goes back, or the temperature is not one above -273.15 C.
        """
        drive = self._course.drive
        self._course.apply(t_s, drive._replace(temperature_celsius=_checked_celsius(celsius)))

    def terminals(self, times_s: Floats) -> Terminals:
        """Voltage (V) and current (mA) at ascending times, s, without an instrument's noise.

        Once there are spallations the cell itself is unsteady: its resistance scatters by 3 %
        from one point of the charge lattice to the next. At a switching instant the new values
        hold. Where the electrode to be stripped is used up, a forced current cannot flow: the
        voltage is infinite with its sign and the current is 0 (unless a short carries it); a
        forced voltage drives 0 mA.

        Raises:
            SimulationError: Times descend, or are negative or not finite.
        """
        times = np.asarray(times_s, dtype=np.float64)
        if times.size == 0:
            return Terminals(np.empty(times.shape), np.empty(times.shape))
        if not (times[1:] >= times[:-1]).all():
            raise SimulationError(
                "llzto_pellet: times of terminals() descend or are not numbers, expected"
                " ascending (sort them)"
            )
        indices = self._course.indices_at(times)
        first = int(indices[0])
        steps = [self._course.step(k) for k in range(first, int(indices[-1]) + 1)]
        voltage_v, density = self._conduct(steps, indices - first, times)
        return Terminals(voltage_v, density * self.area_cm2)

    def charge_mah(self, t_s: float) -> tuple[float, float]:
        """Charge that the lithium carried until `t_s`: (net A -> B, throughput), mAh."""
        _, state = self._course.state_at(t_s)
        return (
            state.net_mah_per_cm2 * self.area_cm2,
            state.throughput_mah_per_cm2 * self.area_cm2,
        )

    def short_time_s(self, t_now_s: float) -> float | None:
        """When a dendrite bridged the electrolyte, s; None until `t_now_s` has reached it."""
        return self._course.short_time_s(t_now_s)

    @property
    def filament_ohm(self) -> float:
        """Resistance of a dendrite from end to end, ohm."""
        return self._parameters.filament_ohm

    def spallations(self, t_s: float) -> list[Spallation]:
        """Every crater at `t_s`, those under A first, each face's in the order of their birth."""
        _, state = self._course.state_at(t_s)
        return [
            spallation
            for face, pores, plated in zip(
                self._faces, state.pores, state.plated_mah_per_cm2, strict=True
            )
            for spallation in face.spallations(
                pores, plated, has_magnesium=self._preset.has_magnesium
            )
        ]

    def resistances(self, t_s: float) -> CellResistances:
        """What the impedance depends on at `t_s`; a spectrum sees no flicker."""
        step, state = self._course.state_at(t_s)
        p = self._parameters
        return CellResistances(
            bulk_ohm_cm2=float(
                bulk_ohm_cm2(p, step.conductivity_s_per_cm, np.asarray(max(state.dendrites)))
            ),
            interface_ohm_cm2=float(interface_ohm_cm2(p, state.throughput_mah_per_cm2)),
            area_cm2=self.area_cm2,
            short_ohm=p.filament_ohm + p.lead_ohm if state.shorted else None,
        )

    def snapshot(self, t_s: float) -> dict[str, Any]:
        """The whole truth at `t_s`, for tests and for instruments that see inside; JSON-able.

        Resistances are in ohm cm2, pairs are of face A and face B, a dendrite's length is a
        fraction of the thickness.
        """
        step, state = self._course.state_at(t_s)
        at_now, resistances = self.terminals(np.array([t_s])), self.resistances(t_s)
        net_mah, throughput_mah = self.charge_mah(t_s)
        metal = self._parameters.metal_mah_per_cm2
        return {
            "t_s": t_s,
            "voltage_v": float(at_now.voltage_v[0]),
            "current_ma": float(at_now.current_ma[0]),
            "charge_mah": net_mah,
            "throughput_mah": throughput_mah,
            "plated_mah_per_cm2": list(state.plated_mah_per_cm2),
            "electrodes_mah_per_cm2": [
                metal - state.net_mah_per_cm2,
                metal + state.net_mah_per_cm2,
            ],
            "bulk_ohm_cm2": resistances.bulk_ohm_cm2,
            "interface_ohm_cm2": resistances.interface_ohm_cm2,
            "contact_fraction": contact_fraction(self._parameters, resistances.interface_ohm_cm2),
            "dendrites": list(state.dendrites),
            "pores": [len(face.radius_um) for face in self._faces],
            "spallations": [asdict(each) for each in self.spallations(t_s)],
            "short_ohm": resistances.short_ohm,
            "temperature_celsius": step.drive.temperature_celsius,
        }

    def describe(self) -> dict[str, Any]:
        """Model, preset, seed and every parameter with its source; JSON-able."""
        return {
            "model": "llzto_pellet",
            "preset": self._preset.name,
            "seed": self.seed,
            "has_magnesium": self._preset.has_magnesium,
            "temperature_celsius": self._first_celsius,
            "geometry": asdict(self.geometry),
            "parameters": describe_parameters(self._preset),
            "charge_lattice": {
                "fine_mah_per_cm2": FINE_MAH_PER_CM2,
                "coarse_mah_per_cm2": COARSE_MAH_PER_CM2,
                "fine_until_mah_per_cm2": FINE_UNTIL_MAH_PER_CM2,
            },
        }

    def _conduct(
        self, steps: list[Step], indices: np.ndarray[Any, Any], times_s: Floats
    ) -> tuple[Floats, Floats]:
        """Voltage (V) and current density (mA/cm2) at times within steps."""
        forced, value, ionic, held, shorted, exhausted = np.array(
            [
                (
                    step.drive.is_voltage,
                    step.drive.value,
                    step.ionic_ma_per_cm2,
                    step.held_ohm_cm2,
                    step.state.shorted,
                    step.exhausted,
                )
                for step in steps
            ]
        )[indices].T
        held = np.where(shorted > 0.0, held, self._following_ohm_cm2(steps, indices, times_s))
        short = self._parameters.short_ohm_cm2
        leak = np.where(forced > 0.0, 1e3 * value / short, value - ionic) * (shorted > 0.0)
        voltage_v = np.where(forced > 0.0, value, 1e-3 * ionic * held)
        dead = (exhausted > 0.0) & (forced == 0.0)
        voltage_v[dead] = np.where(
            shorted[dead] > 0.0, 1e-3 * value[dead] * short, np.copysign(np.inf, value[dead])
        )
        return voltage_v, ionic + leak

    def _following_ohm_cm2(
        self, steps: list[Step], indices: np.ndarray[Any, Any], times_s: Floats
    ) -> Floats:
        """Resistance of the lithium's path at times within steps, ohm cm2."""
        t0_s, ionic, throughput, flicker, sigma, slope, growing, other = np.array(
            [
                (
                    step.t0_s,
                    abs(step.ionic_ma_per_cm2),
                    step.state.throughput_mah_per_cm2,
                    step.flicker,
                    step.conductivity_s_per_cm,
                    step.growth_cm2_per_mah,
                    step.state.dendrites[step.face],
                    step.state.dendrites[1 - step.face],
                )
                for step in steps
            ]
        )[indices].T
        passed = ionic * (times_s - t0_s) / SECONDS_PER_HOUR
        dendrite = np.maximum(np.minimum(1.0, growing + slope * passed), other)
        p = self._parameters
        bulk = bulk_ohm_cm2(p, sigma, dendrite)
        return np.asarray((bulk + interface_ohm_cm2(p, throughput + passed)) * flicker)


def _checked_celsius(celsius: float) -> float:
    if not (math.isfinite(celsius) and celsius > -273.15):
        raise SimulationError(
            f"llzto_pellet: temperature, got {celsius!r} C, expected one above -273.15 C"
            " (give degrees Celsius)"
        )
    return celsius
