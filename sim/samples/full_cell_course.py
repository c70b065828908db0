"""The full cell's course in time: what is applied, what follows from it, nothing from looking.

A segment has one drive and a closed form from its beginning on; asking about it changes nothing.
Applying again what is applied already begins no new segment.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sim.errors import SimulationError
from sim.samples.full_cell_equations import (
    Conditions,
    OpenCircuit,
    Relaxation,
    conditions,
    open_circuit,
)
from sim.samples.full_cell_parameters import FullCellParameters
from sim.world import Floats

_S_PER_H = 3600.0


class Drive(NamedTuple):
    """What is applied: a current density (mA/cm2) or a voltage (V), pressure and temperature."""

    is_voltage: bool
    value: float
    pressure_mpa: float
    celsius: float


class State(NamedTuple):
    """How far the cell has come.

    Attributes:
        state: Share of the cathode's lithium taken out.
        contact: Share of the cathode that takes part.
        net: Charge passed A -> B, mAh/cm2.
        throughput: Charge passed in either direction, mAh/cm2.
    """

    state: float = 0.0
    contact: float = 1.0
    net: float = 0.0
    throughput: float = 0.0


class Seen(NamedTuple):
    """The cell at some times, all of shape (n,).

    Attributes:
        state: Share of the cathode's lithium taken out.
        contact: Share of the cathode that takes part.
        moved: Charge since the segment began, without sign, mAh/cm2.
        density: Current density, mA/cm2.
        volts: V(A) - V(B), V; infinite where a forced current cannot flow.
    """

    state: Floats
    contact: Floats
    moved: Floats
    density: Floats
    volts: Floats


@dataclass(frozen=True)
class Segment:
    """The course from `t0_s` on under one drive."""

    t0_s: float
    begin: State
    drive: Drive
    at: Conditions
    curve: OpenCircuit

    def seen(self, times_s: Floats) -> Seen:
        """The cell at times within the segment, s."""
        elapsed_s = times_s - self.t0_s
        return self._held(elapsed_s) if self.drive.is_voltage else self._driven(elapsed_s)

    def end(self, t_s: float) -> State:
        """State at one time within the segment."""
        seen = self.seen(np.array([t_s]))
        moved, begin = float(seen.moved[0]), self.begin
        sign = self._relaxation.sign if self.drive.is_voltage else np.sign(self.drive.value)
        return State(
            state=float(seen.state[0]),
            contact=float(seen.contact[0]),
            net=begin.net + float(sign) * moved,
            throughput=begin.throughput + moved,
        )

    @cached_property
    def _kappa(self) -> float:
        """Growth of y with the state, k Q c0."""
        return self.at.loss * self.at.capacity * self.begin.contact

    @cached_property
    def _relaxation(self) -> Relaxation:
        begin = self.begin
        return Relaxation(self.curve, self.at, begin.state, begin.contact, self.drive.value)

    def _held(self, elapsed_s: Floats) -> Seen:
        state, over_v = self._relaxation.state(elapsed_s)
        y_less_1 = self._kappa * np.abs(state - self.begin.state)
        contact = self.begin.contact / (1.0 + y_less_1)
        moved = np.log1p(y_less_1) / self.at.loss
        density = 1e3 * over_v / self.at.ohm_cm2(contact)
        return Seen(state, contact, moved, density, np.full(elapsed_s.shape, self.drive.value))

    def _driven(self, elapsed_s: Floats) -> Seen:
        value, loss, begin = self.drive.value, self.at.loss, self.begin
        least, most = float(self.curve.states[0]), float(self.curve.states[-1])
        limit = most if value > 0.0 else least
        room = math.log1p(self._kappa * abs(limit - begin.state)) / loss
        asked = abs(value) * elapsed_s / _S_PER_H
        moved = np.minimum(asked, room)
        travelled = np.expm1(loss * moved) / self._kappa
        state = np.clip(begin.state + np.sign(value) * travelled, least, most)
        contact = begin.contact * np.exp(-loss * moved)
        volts = self.curve.at(state) + 1e-3 * value * self.at.ohm_cm2(contact)
        density = np.full(elapsed_s.shape, value)
        if value:
            spent = asked >= room
            volts = np.where(spent, math.copysign(math.inf, value), volts)
            density = np.where(spent, 0.0, density)
        return Seen(state, contact, moved, density, volts)


class Course:
    """Follows one cell under piecewise constant drives.

    Args:
        parameters: The cell.
        pressure_mpa: Stack pressure at the beginning, MPa.
        celsius: Temperature at the beginning, degree Celsius.
    """

    def __init__(
        self, parameters: FullCellParameters, *, pressure_mpa: float, celsius: float
    ) -> None:
        self._p = parameters
        self._curve = open_circuit(parameters)
        self._segments: list[Segment] = []
        self._starts_s: list[float] = []
        self._begin(0.0, State(), Drive(False, 0.0, pressure_mpa, celsius))  # noqa: FBT003 - named in Drive

    @property
    def drive(self) -> Drive:
        """What is applied now."""
        return self._segments[-1].drive

    def apply(self, t_s: float, drive: Drive) -> None:
        """Apply something else from `t_s` on.

        Raises:
            SimulationError: The time goes back or a number is not finite.
        """
        last_s = self._starts_s[-1]
        if not (math.isfinite(t_s) and all(math.isfinite(number) for number in drive)):
            raise SimulationError(
                f"full_cell: apply {drive} at {t_s} s, expected finite numbers (check the request)"
            )
        if t_s < last_s:
            raise SimulationError(
                f"full_cell: apply at {t_s} s after one at {last_s} s, expected ascending times"
                " (apply in order)"
            )
        if drive == self.drive:
            return
        state = self._segments[-1].end(t_s)
        if t_s == last_s:
            self._segments.pop()
            self._starts_s.pop()
        self._begin(t_s, state, drive)

    def segment(self, t_s: float) -> Segment:
        """The segment that holds at `t_s`; at a switching instant the new one."""
        if not 0.0 <= t_s < math.inf:
            raise SimulationError(f"full_cell: asked at {t_s} s, expected 0 or later (check it)")
        return self._segments[bisect_right(self._starts_s, t_s) - 1]

    def state(self, t_s: float) -> State:
        """How far the cell has come at `t_s`."""
        return self.segment(t_s).end(t_s)

    def seen(self, times_s: Floats) -> list[Seen]:
        """The cell at ascending times, one entry per segment that they touch."""
        found, k = [], 0
        while k < len(times_s):
            segment = self.segment(float(times_s[k]))
            following = bisect_right(self._starts_s, segment.t0_s)
            end_s = self._starts_s[following] if following < len(self._starts_s) else math.inf
            stop = int(np.searchsorted(times_s, end_s, side="left"))
            found.append(segment.seen(times_s[k:stop]))
            k = stop
        return found

    def _begin(self, t_s: float, state: State, drive: Drive) -> None:
        at = conditions(self._p, drive.pressure_mpa, drive.celsius)
        self._segments.append(Segment(t_s, state, drive, at, self._curve))
        self._starts_s.append(t_s)
