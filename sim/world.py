"""One sample and its surroundings, shared by every simulated instrument of a bench.

Time is asked for, never ticked: an instrument that is addressed at time t first lets every
instrument that acts on its own (a trigger model, a running scan) catch up with t, in the order
in which they were added, and then answers. One lock per world covers prompt thread and loop.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sim.errors import SimulationError
from sim.samples.impedance import CellResistances

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Terminals:
    """What a voltmeter and an ammeter at the cell's terminals would read, without noise.

    Attributes:
        voltage_v: V(A) - V(B) at each time, shape (n,). Infinite where the cell cannot carry the
            applied current.
        current_ma: Current A -> B through the cell at each time, shape (n,).
    """

    voltage_v: Floats
    current_ma: Floats


class Sample(Protocol):
    """A cell as its terminals and its images show it.

    Times are seconds since the world began. `apply_*` changes what is applied from `t_s` on and
    must be called with times that never go back; everything else only looks (it never changes a
    later answer, whatever was asked before).
    """

    area_cm2: float

    def apply_current(self, t_s: float, current_ma: float) -> None:
        """Force a current through the cell from `t_s` on; 0 is open circuit."""
        ...

    def apply_voltage(self, t_s: float, voltage_v: float) -> None:
        """Force a voltage on the cell from `t_s` on."""
        ...

    def terminals(self, times_s: Floats) -> Terminals:
        """Noise-free voltage and current at ascending times since the last `apply_*`.

        A time equal to the last `apply_*` gives the new (right-continuous) values.
        """
        ...

    def charge_mah(self, t_s: float) -> tuple[float, float]:
        """Charge that the lithium carried until `t_s`: (net A -> B, throughput), mAh."""
        ...

    def resistances(self, t_s: float) -> CellResistances:
        """What the impedance depends on at `t_s`, as `sim.samples.impedance` takes it."""
        ...

    def describe(self) -> dict[str, Any]:
        """Model, preset, seed and every parameter, JSON-able: provenance of simulation."""
        ...


class Autonomous(Protocol):
    """An instrument that acts by itself as time passes."""

    def advance(self, t_s: float) -> None:
        """Do everything that falls due until `t_s`, in order of time."""
        ...


class TemperatureCourse(Protocol):
    """What moves the sample's temperature: `sim.thermal.ThermalCourse`."""

    def changes(self, after_s: float, until_s: float) -> Iterator[tuple[float, float]]:
        """Changes in (`after_s`, `until_s`] as (time, degree Celsius), ascending."""
        ...


@dataclass
class World:
    """The sample, its surroundings and the cables between instruments.

    Temperature and stack pressure act on those samples that have `set_temperature` and
    `apply_pressure`. Both are piecewise constant; a chamber moves the temperature on a lattice of
    time, interleaved with what other instruments do, so that no result depends on polling.

    Args:
        sample: The cell on the bench.
        now: Seconds since the world began.
        seed: Seed of every instrument's noise.
        temperature_celsius: Temperature of the sample now, degree Celsius.
        stack_pressure_mpa: Stack pressure now, MPa; constant unless `apply_pressure` is called.
        revision: How often somebody changed what lies ahead (a fault was added, the temperature or
            the pressure changed): what was looked at beforehand no longer holds.
    """

    sample: Any
    now: Callable[[], float]
    seed: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    temperature_celsius: float = 25.0
    stack_pressure_mpa: float = 5.0
    revision: int = 0

    def __post_init__(self) -> None:
        self._actors: list[Autonomous] = []
        self._cables: defaultdict[str, list[Callable[[float], None]]] = defaultdict(list)
        self._advancing = False
        self._course: TemperatureCourse | None = None
        self._followed_s = 0.0

    def add(self, actor: Autonomous) -> None:
        """Let an instrument act on its own as time passes."""
        self._actors.append(actor)

    def catch_up(self) -> float:
        """Bring every autonomous instrument to the present; returns the present, s."""
        with self.lock:
            t_s = self.now()
            if not self._advancing:
                self._advancing = True
                try:
                    self._follow_course(t_s)
                    self._advance(t_s)
                finally:
                    self._advancing = False
            return t_s

    def follow(self, course: TemperatureCourse) -> None:
        """Let the sample's temperature follow a chamber's.

        Raises:
            SimulationError: It follows another chamber already.
        """
        if self._course is not None:
            raise SimulationError(
                "world: got a second chamber around one sample, expected one (remove the other)"
            )
        self._course = course

    def set_temperature(self, t_s: float, celsius: float) -> None:
        """Bring the sample to a temperature from `t_s` on, where temperature acts on it."""
        self.temperature_celsius = celsius
        self.revision += 1
        act = getattr(self.sample, "set_temperature", None)
        if act is not None:
            act(t_s, celsius)

    def apply_pressure(self, t_s: float, mpa: float) -> None:
        """Change the stack pressure from `t_s` on, where pressure acts on the sample."""
        self.stack_pressure_mpa = mpa
        self.revision += 1
        act = getattr(self.sample, "apply_pressure", None)
        if act is not None:
            act(t_s, mpa)

    def _follow_course(self, t_s: float) -> None:
        """Change the temperature where it falls due; everybody acts until then before."""
        if self._course is None:
            return
        for at_s, celsius in self._course.changes(self._followed_s, t_s):
            self._advance(at_s)
            self.set_temperature(at_s, celsius)
        self._followed_s = t_s

    def _advance(self, t_s: float) -> None:
        for actor in self._actors:
            actor.advance(t_s)

    def connect(self, cable: str, listener: Callable[[float], None]) -> None:
        """Connect a trigger input to a cable by name."""
        self._cables[cable].append(listener)

    def pulse(self, cable: str, t_s: float) -> None:
        """Send a TTL pulse down a cable at `t_s`."""
        for listener in self._cables[cable]:
            listener(t_s)
