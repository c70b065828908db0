"""Air of a chamber and the cell in it: how their temperatures follow what the chamber is told.

The model is two first-order lags behind one ramp [A]: the chamber's own setpoint moves at the ramp
rate from the air's temperature to the target, the air follows it with `AIR_S`, and the cell (a
steel die in an enclosure) follows the air with `CELL_S`. With the stream off the air relaxes to
the room with `ROOM_S`. Every temperature is a closed form of time, so nothing is ever ticked.

The sample sees the cell's temperature as a staircase on a fixed lattice of the world's time:
`LATTICE_S` apart and in whole `QUANTUM_CELSIUS`. What it sees is therefore the same however often
anybody asks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sim.world import Floats

ROOM_CELSIUS = 25.0
"""Temperature of the room and of everything in it when the world begins [A]."""

AIR_S, CELL_S, ROOM_S = 30.0, 300.0, 900.0
"""Time constants, s: air behind the setpoint, cell behind the air, air behind the room [A]."""

LATTICE_S = 10.0
QUANTUM_CELSIUS = 0.01
_SETTLED_CELSIUS = 1e-3
_DIGITS = 2


@dataclass(frozen=True)
class _Phase:
    """A stretch in which the setpoint moves at one rate.

    Attributes:
        t0_s: Its beginning, s.
        setpoint: Setpoint at the beginning, C.
        rate: Its rate, C/s.
        air_s: Time constant of the air, s.
        air0: Air at the beginning, C.
        cell0: Cell at the beginning, C.
    """

    t0_s: float
    setpoint: float
    rate: float
    air_s: float
    air0: float
    cell0: float

    def air(self, times_s: Floats) -> Floats:
        """Air, C: solution of x' = (u - x)/air_s with u = setpoint + rate t."""
        t = times_s - self.t0_s
        lagging = self.setpoint - self.rate * self.air_s
        return np.asarray(lagging + self.rate * t + self._excess * np.exp(-t / self.air_s))

    def cell(self, times_s: Floats) -> Floats:
        """Cell, C: solution of y' = (x - y)/CELL_S with the air x above."""
        t = times_s - self.t0_s
        lagging = self.setpoint - self.rate * (self.air_s + CELL_S)
        passed_on = self._excess * self.air_s / (self.air_s - CELL_S)
        own = self.cell0 - lagging - passed_on
        return np.asarray(
            lagging
            + self.rate * t
            + passed_on * np.exp(-t / self.air_s)
            + own * np.exp(-t / CELL_S)
        )

    @property
    def _excess(self) -> float:
        """How far the air is above the lagging setpoint at the beginning, C."""
        return self.air0 - (self.setpoint - self.rate * self.air_s)

    def settled_s(self) -> float:
        """When air and cell have come to rest, s, for a phase whose setpoint stands still."""
        span = abs(self.air0 - self.setpoint) + abs(self.cell0 - self.setpoint)
        slowest_s = max(self.air_s, CELL_S)
        factor = slowest_s / abs(self.air_s - CELL_S) + 1.0
        return self.t0_s + slowest_s * math.log1p(factor * span / _SETTLED_CELSIUS)


class ThermalCourse:
    """Temperatures of the air and the cell, from the last command on.

    Args:
        room_celsius: Temperature of the room, C; also of air and cell in the beginning.
    """

    def __init__(self, room_celsius: float = ROOM_CELSIUS) -> None:
        self._room = room_celsius
        self._phases = [_Phase(0.0, room_celsius, 0.0, ROOM_S, room_celsius, room_celsius)]
        self._given = round(room_celsius, _DIGITS)

    def force(self, t_s: float, celsius: float, rate_celsius_per_s: float = math.inf) -> None:
        """Bring the air to a temperature from `t_s` on, at most at a rate.

        Args:
            t_s: Now, s since the world began.
            celsius: The target, C.
            rate_celsius_per_s: Rate of the setpoint, C/s; infinite for a step.
        """
        air, cell = self.at(t_s)
        ramp_s = abs(celsius - air) / rate_celsius_per_s
        if ramp_s <= 0.0:
            self._phases = [_Phase(t_s, celsius, 0.0, AIR_S, air, cell)]
            return
        rate = math.copysign(rate_celsius_per_s, celsius - air)
        ramp = _Phase(t_s, air, rate, AIR_S, air, cell)
        end = np.array([t_s + ramp_s])
        held = _Phase(
            t_s + ramp_s, celsius, 0.0, AIR_S, float(ramp.air(end)[0]), float(ramp.cell(end)[0])
        )
        self._phases = [ramp, held]

    def release(self, t_s: float) -> None:
        """Leave the air to itself from `t_s` on: it relaxes to the room."""
        air, cell = self.at(t_s)
        self._phases = [_Phase(t_s, self._room, 0.0, ROOM_S, air, cell)]

    def at(self, t_s: float) -> tuple[float, float]:
        """(air, cell) at a time since the last command, C."""
        now = np.array([t_s])
        return float(self.air(now)[0]), float(self.cell(now)[0])

    def air(self, times_s: Floats) -> Floats:
        """Air at times since the last command, C."""
        return self._by_phase(times_s, [phase.air(times_s) for phase in self._phases])

    def cell(self, times_s: Floats) -> Floats:
        """Cell at times since the last command, C."""
        return self._by_phase(times_s, [phase.cell(times_s) for phase in self._phases])

    def setpoint(self, t_s: float) -> float:
        """Where the moving setpoint is, C."""
        phase = self._phases[-1] if t_s >= self._phases[-1].t0_s else self._phases[0]
        return phase.setpoint + phase.rate * (t_s - phase.t0_s)

    def settled_s(self) -> float:
        """From when on neither air nor cell moves, s."""
        return self._phases[-1].settled_s()

    def changes(self, after_s: float, until_s: float) -> Iterator[tuple[float, float]]:
        """Steps of the staircase in (`after_s`, `until_s`], as (time, C), ascending.

        To be asked for one stretch after the other, without gap, and read to the end.
        """
        first = math.floor(after_s / LATTICE_S) + 1
        resting = max(math.ceil(self.settled_s() / LATTICE_S), first)
        last = min(math.floor(until_s / LATTICE_S), resting)
        if last < first:
            return
        times = np.arange(first, last + 1, dtype=np.float64) * LATTICE_S
        for at_s, celsius in zip(
            times.tolist(), np.round(self.cell(times), _DIGITS).tolist(), strict=True
        ):
            if celsius != self._given:
                self._given = celsius
                yield at_s, celsius

    def _by_phase(self, times_s: Floats, values: list[Floats]) -> Floats:
        if len(values) == 1:
            return values[0]
        return np.where(times_s >= self._phases[1].t0_s, values[1], values[0])
