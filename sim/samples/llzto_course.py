"""The pellet's course: steps on a charge lattice, committed as time is looked at.

A step ends at the next lattice point of the throughput, at a short, when an electrode is used up
or when what is applied changes. Within a step the charges and the dendrites are straight lines,
so any time can be answered without committing; the steps depend on the drives alone. Looking may
run ahead of a later change: the steps since the last change are then done again up to it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.errors import SimulationError
from sim.samples.llzto_equations import (
    bulk_ohm_cm2,
    conductivity_s_per_cm,
    contact_fraction,
    dendrite_growth_cm2_per_mah,
    interface_ohm_cm2,
    next_node_mah_per_cm2,
)
from sim.samples.llzto_parameters import LlztoParameters
from sim.samples.llzto_pores import Pores, PoreState
from sim.world import Floats

SECONDS_PER_HOUR = 3600.0
_FLICKER_STREAM, _FLICKER_BLOCK = 5, 256
_EXHAUSTED_MAH_PER_CM2 = 1e-9
"""Lithium below which an electrode counts as used up, so that rounding cannot leave a rest."""


class Drive(NamedTuple):
    """What is applied: a voltage (V) or a current density (mA/cm2) at a temperature (C)."""

    is_voltage: bool
    value: float
    temperature_celsius: float


@dataclass(frozen=True)
class CellState:
    """Where a step begins.

    Attributes:
        net_mah_per_cm2: Charge A -> B.
        throughput_mah_per_cm2: Charge in either direction.
        plated_mah_per_cm2: Charge plated on face A and on face B.
        dendrites: Length of the dendrite from face A and from face B, 0 to 1 of the thickness.
        pores: Pores under A and under B.
        shorted: Whether a dendrite has bridged the electrolyte.
    """

    net_mah_per_cm2: float
    throughput_mah_per_cm2: float
    plated_mah_per_cm2: tuple[float, float]
    dendrites: tuple[float, float]
    pores: tuple[PoreState, PoreState]
    shorted: bool


@dataclass(frozen=True)
class Step:
    """A stretch of constant ionic current.

    Attributes:
        t0_s: Its beginning; it ends where the next begins.
        drive: What is applied.
        state: The cell at its beginning.
        ionic_ma_per_cm2: Current that lithium carries, A -> B.
        held_ohm_cm2: Resistance of that path at the beginning, flicker included.
        flicker: Factor of the resistance from spallations; 1 without any.
        conductivity_s_per_cm: Of the electrolyte.
        growth_cm2_per_mah: Growth of the plated face's dendrite per charge.
        filling: Pores of the plated face that fill.
        exhausted: Whether the electrode to be stripped is used up.
    """

    t0_s: float
    drive: Drive
    state: CellState
    ionic_ma_per_cm2: float
    held_ohm_cm2: float
    flicker: float
    conductivity_s_per_cm: float
    growth_cm2_per_mah: float
    filling: npt.NDArray[np.bool_]
    exhausted: bool

    @property
    def face(self) -> int:
        """Index of the plated face: 0 is A, 1 is B."""
        return 1 if self.ionic_ma_per_cm2 > 0.0 else 0


class Course:
    """Steps of one pellet under piecewise constant drives.

    Args:
        parameters: Constants.
        faces: Pores under A and under B.
        seed: The sample's seed.
        temperature_celsius: Temperature from 0 s on.
    """

    def __init__(
        self,
        parameters: LlztoParameters,
        faces: tuple[Pores, Pores],
        seed: int,
        temperature_celsius: float,
    ) -> None:
        self._parameters, self._faces, self._seed = parameters, faces, seed
        self._flicker_block: tuple[int, Floats] = (-1, np.empty(0))
        fresh = CellState(
            0.0, 0.0, (0.0, 0.0), (0.0, 0.0), (faces[0].fresh(), faces[1].fresh()), shorted=False
        )
        self._steps: list[Step] = []
        self._starts_s: list[float] = []
        self._begin(0.0, Drive(False, 0.0, temperature_celsius), fresh)  # noqa: FBT003 - named in Drive
        self._changed = 0

    @property
    def drive(self) -> Drive:
        """What is applied since the last change."""
        return self._steps[self._changed].drive

    def apply(self, t_s: float, drive: Drive) -> None:
        """Drive the cell differently from `t_s` on; the same drive again changes nothing.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        if not all(map(math.isfinite, (t_s, drive.value, drive.temperature_celsius))):
            raise SimulationError(
                f"llzto_pellet: applied {drive} at t = {t_s!r} s, expected finite numbers"
                " (check what the instrument sources)"
            )
        changed_s = self._starts_s[self._changed]
        if t_s < changed_s:
            raise SimulationError(
                f"llzto_pellet: applied at t = {t_s} s, expected not before {changed_s} s"
                " (what is applied cannot be changed in the past)"
            )
        if drive == self.drive:
            return
        index = self.index_at(t_s)
        state = self._state_after(self._steps[index], self.passed_at(index, t_s))
        del self._steps[index + 1 :], self._starts_s[index + 1 :]
        self._begin(t_s, drive, state)
        self._changed = len(self._steps) - 1

    def index_at(self, t_s: float) -> int:
        """Index of the step that holds at `t_s`; commits every step that ends until then.

        Raises:
            SimulationError: The time is negative or not finite.
        """
        if t_s < 0.0 or not math.isfinite(t_s):
            raise SimulationError(
                f"llzto_pellet: asked for t = {t_s} s, expected a finite time from 0 s on"
                " (times count from the world's beginning)"
            )
        while True:
            last = self._steps[-1]
            passed = self._passed_at_end(last)
            if passed == math.inf:
                break
            density = abs(last.ionic_ma_per_cm2)
            end_s = last.t0_s + passed / density * SECONDS_PER_HOUR
            if end_s > t_s:
                break
            self._begin(end_s, last.drive, self._state_after(last, passed))
        return bisect_right(self._starts_s, t_s) - 1

    def indices_at(self, times_s: Floats) -> npt.NDArray[np.int64]:
        """Index of the step that holds at each ascending time, s."""
        self.index_at(float(times_s[0]))
        self.index_at(float(times_s[-1]))
        found = np.searchsorted(np.asarray(self._starts_s), times_s, side="right") - 1
        return np.asarray(found, dtype=np.int64)

    def step(self, index: int) -> Step:
        """A step by its index."""
        return self._steps[index]

    def passed_at(self, index: int, t_s: float) -> float:
        """Charge from a step's beginning to `t_s`, mAh/cm2; not negative."""
        step = self._steps[index]
        return abs(step.ionic_ma_per_cm2) * (t_s - step.t0_s) / SECONDS_PER_HOUR

    def state_at(self, t_s: float) -> tuple[Step, CellState]:
        """The step that holds at `t_s` and the cell then; pores are those of its beginning."""
        index = self.index_at(t_s)
        step = self._steps[index]
        return step, self._moved(step, self.passed_at(index, t_s))

    def short_time_s(self, t_s: float) -> float | None:
        """When the dendrite bridged, s; None until `t_s` has reached it."""
        index = self.index_at(t_s)
        if not self._steps[index].state.shorted:
            return None
        first = bisect_right(self._steps, x=False, key=lambda step: step.state.shorted)
        return self._starts_s[first]

    def _begin(self, t_s: float, drive: Drive, state: CellState) -> None:
        """Begin a step: everything that is held during it is decided here."""
        p = self._parameters
        is_unsteady = any(pores.spalled for pores in state.pores)
        flicker = 1.0 + p.flicker * self._normal(len(self._steps)) if is_unsteady else 1.0
        conductivity = conductivity_s_per_cm(p, drive.temperature_celsius)
        interface = float(interface_ohm_cm2(p, state.throughput_mah_per_cm2))
        bulk = float(bulk_ohm_cm2(p, conductivity, np.asarray(max(state.dendrites))))
        held = (bulk + interface) * flicker
        exhausted = self._is_exhausted(state, drive.value)
        ionic = 0.0 if exhausted else self._ionic_ma_per_cm2(drive, held, shorted=state.shorted)
        face = 1 if ionic > 0.0 else 0
        pores = self._faces[face]
        growth = 0.0
        if not state.shorted:
            growth = dendrite_growth_cm2_per_mah(
                p, state.pores[face].spalled, pores.dendrite_scatter
            )
        filling = pores.filling(abs(ionic), contact_fraction(p, interface))
        self._steps.append(
            Step(t_s, drive, state, ionic, held, flicker, conductivity, growth, filling, exhausted)
        )
        self._starts_s.append(t_s)

    def _ionic_ma_per_cm2(self, drive: Drive, held_ohm_cm2: float, *, shorted: bool) -> float:
        if drive.is_voltage:
            return 1e3 * drive.value / held_ohm_cm2
        if not shorted:
            return drive.value
        short = self._parameters.short_ohm_cm2
        return drive.value * short / (short + held_ohm_cm2)

    def _is_exhausted(self, state: CellState, value: float) -> bool:
        moved = math.copysign(1.0, value) * state.net_mah_per_cm2
        used_up = self._parameters.metal_mah_per_cm2 - _EXHAUSTED_MAH_PER_CM2
        return value != 0.0 and moved >= used_up

    def _passed_at_end(self, step: Step) -> float:
        """Charge after which a step ends by itself, mAh/cm2; infinite at rest."""
        if step.ionic_ma_per_cm2 == 0.0:
            return math.inf
        state = step.state
        node = next_node_mah_per_cm2(state.throughput_mah_per_cm2)
        moved = math.copysign(1.0, step.ionic_ma_per_cm2) * state.net_mah_per_cm2
        left = self._parameters.metal_mah_per_cm2 - moved
        return min(node - state.throughput_mah_per_cm2, left, _until_bridged(step))

    def _moved(self, step: Step, passed: float) -> CellState:
        """The cell after a charge within a step, with the pores of its beginning."""
        state, face = step.state, step.face
        plated, dendrites = list(state.plated_mah_per_cm2), list(state.dendrites)
        plated[face] += passed
        dendrites[face] = min(1.0, dendrites[face] + step.growth_cm2_per_mah * passed)
        return replace(
            state,
            net_mah_per_cm2=state.net_mah_per_cm2 + math.copysign(passed, step.ionic_ma_per_cm2),
            throughput_mah_per_cm2=state.throughput_mah_per_cm2 + passed,
            plated_mah_per_cm2=(plated[0], plated[1]),
            dendrites=(dendrites[0], dendrites[1]),
        )

    def _state_after(self, step: Step, passed: float) -> CellState:
        """The cell at the end of a step, committed."""
        moved, face = self._moved(step, passed), step.face
        pores = list(moved.pores)
        if passed > 0.0:
            pores[face] = self._faces[face].plate(
                pores[face], step.filling, passed, moved.plated_mah_per_cm2[face]
            )
        shorted = moved.shorted or passed >= _until_bridged(step)
        return replace(moved, pores=(pores[0], pores[1]), shorted=shorted)

    def _normal(self, index: int) -> float:
        """The standard normal number of a step, the same whenever it is asked for."""
        block, position = divmod(index, _FLICKER_BLOCK)
        if self._flicker_block[0] != block:
            stream = np.random.default_rng([self._seed, _FLICKER_STREAM, block])
            self._flicker_block = (block, stream.standard_normal(_FLICKER_BLOCK))
        return float(self._flicker_block[1][position])


def _until_bridged(step: Step) -> float:
    """Charge until the growing dendrite bridges the electrolyte, mAh/cm2; infinite if none."""
    if step.growth_cm2_per_mah == 0.0:
        return math.inf
    return (1.0 - step.state.dendrites[step.face]) / step.growth_cm2_per_mah
