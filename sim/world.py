"""One sample and its surroundings, shared by every simulated instrument of a bench.

Time is asked for, never ticked: an instrument that is addressed at time t first lets every
instrument that acts on its own (a trigger model, a running scan) catch up with t, in the order
in which they were added, and then answers. One lock per world covers prompt thread and loop.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

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


@dataclass
class World:
    """The sample, its surroundings and the cables between instruments.

    Args:
        sample: The cell on the bench.
        now: Seconds since the world began.
        seed: Seed of every instrument's noise.
        revision: How often somebody changed what lies ahead (a fault was added): what was looked
            at beforehand no longer holds.
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
                    for actor in self._actors:
                        actor.advance(t_s)
                finally:
                    self._advancing = False
            return t_s

    def connect(self, cable: str, listener: Callable[[float], None]) -> None:
        """Connect a trigger input to a cable by name."""
        self._cables[cable].append(listener)

    def pulse(self, cable: str, t_s: float) -> None:
        """Send a TTL pulse down a cable at `t_s`."""
        for listener in self._cables[cable]:
            listener(t_s)
