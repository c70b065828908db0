"""How a sample goes on behind a short and a switch, stretch by stretch.

A stretch lasts from one change (of the drive, or of the faults) to the next. Behind a short a
current that is forced on the terminals is neither a forced current nor a forced voltage for the
sample: the share that the resistor takes follows from the state. It is found at nodes, 1 s after
the change and then at growing distances up to 300 s [C], as the voltage at which both paths add
up to the current. Between two nodes the sample is held, at its voltage where the resistor is the
better conductor and at its current where the sample is, as they will be half-way by the last two
nodes (so charge is right to second order), and the terminals are interpolated. Nodes lie at times
that follow from the changes alone, so nobody who looks moves them. Everything else is exact:
without a short, with a voltage forced, with the contact lost.
"""

from __future__ import annotations

import copy
import copyreg
import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from sim.faults.cell import CellFault, is_open, short_ohm
from sim.world import Floats, Terminals

FIRST_STEP_S, GROWTH, LONGEST_STEP_S = 1.0, 1.5, 300.0
"""Distances of the nodes after a change: the first, its growth, the longest."""

_PROBE_MA_PER_CM2 = 1e-3
"""Small current that tells which path conducts better, mA/cm2."""

_TOLERANCE, _MOST_TRIALS = 1e-10, 60

# samples hold constants in read-only mappings, which copy and pickle do not know by themselves
copyreg.pickle(MappingProxyType, lambda mapping: (MappingProxyType, (dict(mapping),)))


class Drive(NamedTuple):
    """What an instrument forces on the terminals: mA or V by quantity."""

    quantity: Literal["current", "voltage"]
    value: float


class Course:
    """A sample behind its faults, as far as it was driven.

    Args:
        sample: The cell.
        faults: What is wrong with it, and when.

    Attributes:
        sample: As given.
        faults: As given; call `look_for_edge` after a change.
        answers_from_s: Beginning of the present stretch, s: terminals answer from there on.
    """

    def __init__(self, sample: Any, faults: tuple[CellFault, ...]) -> None:
        self.sample, self.faults = sample, faults
        self._drive = Drive("current", 0.0)
        self._edge_s = math.inf
        self._times_s: list[float] = []
        self._volts: list[float] = []
        self._enter(0.0, as_made=True)

    def copy(self) -> Course:
        """The same course, to be driven further without consequences."""
        return copy.deepcopy(self)

    @property
    def answers_until_s(self) -> float:
        """Terminals answer before this time, s, without the sample being driven further."""
        return self._times_s[-1] if self._is_shared else self._edge_s

    def answers(self, t_s: float) -> bool:
        """Whether the terminals answer at `t_s` without the sample being driven further."""
        return t_s < self.answers_until_s or t_s == self.answers_from_s

    @property
    def driven_s(self) -> float:
        """When the sample was last driven, s."""
        return self._times_s[-1] if self._is_shared else self.answers_from_s

    def look_for_edge(self) -> None:
        """Take note of faults that begin later than everything that was driven."""
        self._edge_s = self._next_edge_s(self.answers_from_s)

    def enter_again(self, t_s: float) -> None:
        """Other faults hold from `t_s` on; `reach` it first. The drive stays what it is."""
        self._enter(t_s)

    def drive_with(self, t_s: float, drive: Drive) -> None:
        """Force something else on the terminals from `t_s` on; `reach` it first."""
        self._drive = drive
        self._enter(t_s)

    def change(self, t_s: float, name: str, *args: Any) -> None:
        """Change something else about the sample at `t_s`, by a method whose time comes first."""
        getattr(self.sample, name)(t_s, *args)
        if self._is_shared:
            self._enter(t_s)

    def reach(self, t_s: float) -> None:
        """Drive the sample until `t_s`, not beyond."""
        while True:
            while self._is_shared and self._times_s[-1] < self._next_node_s() <= t_s:
                self._node(self._next_node_s())
            if self._edge_s > t_s:
                return
            self._enter(self._edge_s)

    def reach_beyond(self, t_s: float) -> None:
        """Drive the sample so far that the terminals answer at `t_s`."""
        self.reach(t_s)
        while self._is_shared and self._times_s[-1] <= t_s:
            self._node(self._next_node_s())

    def terminals(self, times_s: Floats) -> Terminals:
        """Voltage and current at ascending times between `answers_from_s` and `answers_until_s`."""
        drive = self._drive
        if self._is_open:
            forced_v = math.copysign(math.inf, drive.value) if drive.value else 0.0
            volts = drive.value if drive.quantity == "voltage" else forced_v
            return Terminals(np.full(times_s.shape, volts), np.zeros(times_s.shape))
        if self._is_shared:
            volts_at = np.interp(times_s, self._times_s, self._volts)
            return Terminals(volts_at, np.full(times_s.shape, drive.value))
        own: Terminals = self.sample.terminals(times_s)
        if self._ohm is None:
            return own
        return Terminals(own.voltage_v, own.current_ma + 1e3 * own.voltage_v / self._ohm)

    # --- inside ---

    def _enter(self, t_s: float, *, as_made: bool = False) -> None:
        """Begin a stretch at `t_s`; a sample as it was made is at rest."""
        self.answers_from_s, self._edge_s = t_s, self._next_edge_s(t_s)
        self._ohm, self._is_open = short_ohm(self.faults, t_s), is_open(self.faults, t_s)
        current = self._is_open or self._drive.quantity == "current"
        self._is_shared = self._ohm is not None and current
        self._times_s, self._volts, self._step_s = [], [], FIRST_STEP_S / GROWTH
        self._found = Drive("current", math.nan)
        if self._is_shared:
            self._node(t_s)
        elif not as_made:
            self._apply(t_s, Drive("current", 0.0) if self._is_open else self._drive)

    def _apply(self, t_s: float, drive: Drive) -> None:
        if drive.quantity == "current":
            self.sample.apply_current(t_s, drive.value)
        else:
            self.sample.apply_voltage(t_s, drive.value)

    def _next_edge_s(self, t_s: float) -> float:
        edges = [edge for one in self.faults for edge in (one.start_s, one.end_s)]
        return min((edge for edge in edges if edge > t_s), default=math.inf)

    def _next_node_s(self) -> float:
        step_s = min(self._step_s * GROWTH, LONGEST_STEP_S)
        return min(self._times_s[-1] + step_s, self._edge_s)

    def _node(self, t_s: float) -> None:
        """Find how the current splits at `t_s` and hold the sample until the next node."""
        former, length_s = self._found, t_s - self._times_s[-1] if self._times_s else math.inf
        volts, self._found = self._split(t_s)
        self._volts.append(volts)
        self._times_s.append(t_s)
        self._step_s = min(self._step_s * GROWTH, LONGEST_STEP_S)
        held = self._found.value
        if former.quantity == self._found.quantity and math.isfinite(former.value):
            ahead = 0.5 * (self._next_node_s() - t_s) / length_s
            held += min(ahead, GROWTH) * (held - former.value)
        self._apply(t_s, Drive(self._found.quantity, held))

    def _split(self, t_s: float) -> tuple[float, Drive]:
        """Voltage at which resistor and sample carry the current, and what drives the sample so."""
        ohm, total_ma = self._ohm or math.inf, 0.0 if self._is_open else self._drive.value
        rest_v, alone_v = self._voltage(t_s, 0.0), 1e-3 * total_ma * ohm
        if rest_v == alone_v:
            return rest_v, Drive("current", 0.0)
        probe_ma = math.copysign(_PROBE_MA_PER_CM2 * self.sample.area_cm2, alone_v - rest_v)
        probe_v = self._voltage(t_s, probe_ma)
        if not math.isfinite(probe_v):  # the sample can carry nothing this way: the resistor does
            return alone_v, Drive("current", 0.0)
        if 1e3 * (probe_v - rest_v) / probe_ma > ohm:
            volts = _root(
                lambda volts: self._current(t_s, volts) + 1e3 * volts / ohm - total_ma,
                (rest_v, 1e3 * (rest_v - alone_v) / ohm),
                alone_v,
            )
            return volts, Drive("voltage", volts)
        through_ma = _root(
            lambda ma: self._voltage(t_s, ma) - 1e-3 * (total_ma - ma) * ohm,
            (0.0, rest_v - alone_v),
            total_ma - 1e3 * rest_v / ohm,
        )
        return 1e-3 * (total_ma - through_ma) * ohm, Drive("current", through_ma)

    def _voltage(self, t_s: float, current_ma: float) -> float:
        self.sample.apply_current(t_s, current_ma)
        return float(self.sample.terminals(np.array([t_s])).voltage_v[0])

    def _current(self, t_s: float, voltage_v: float) -> float:
        self.sample.apply_voltage(t_s, voltage_v)
        return float(self.sample.terminals(np.array([t_s])).current_ma[0])


def _root(function: Callable[[float], float], known: tuple[float, float], other: float) -> float:
    """Where a rising function is zero between two places.

    Illinois' variant of the false position (Dowell and Jarratt, BIT 11, 1971).

    Args:
        function: Rises, and may be infinite.
        known: One of the places and the function's value there.
        other: The other place, on the other side of the zero.
    """
    a, at_a = known
    b, at_b = other, function(other)
    accuracy = _TOLERANCE * abs(at_a)
    c, at_c = b, at_b
    for _ in range(_MOST_TRIALS):
        if abs(at_c) <= accuracy:
            break
        c = b - at_b * (b - a) / (at_b - at_a) if math.isfinite(at_b) else 0.5 * (a + b)
        at_c = function(c)
        if at_c * at_b < 0.0:
            a, at_a = b, at_b
        else:
            at_a *= 0.5
        b, at_b = c, at_c
    return c
