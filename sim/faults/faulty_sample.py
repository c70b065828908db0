"""Faults of the cell itself: an electronic short, and a contact that is lost.

`FaultySample` stands between the instruments and the sample: a resistor in parallel with the cell
(``short``) and, outside both, a switch in series (``open``), each for a time. Potentiostat,
impedance and charge all see the same cell:

- terminals: with a short the current splits between cell and resistor; a voltage that is forced
  lies on both. With the contact lost no current flows: a forced current cannot be carried
  (infinite voltage, as of a used-up electrode), and a voltmeter reads 0 V, since a lead that ends
  nowhere has no source;
- impedance: the resistor lies in parallel with the cell's own short; with the contact lost only
  the leads' stray capacitance is left;
- charge: `charge_mah` stays the charge that the *lithium* carried, as everywhere. What passes
  through the resistor moves no lithium and is not in it, though an ammeter integrates it: after a
  short, a coulomb counter reads more than the cell took. A cell with an electromotive force also
  discharges itself through the short, at open circuit and with its contact lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from sim.errors import SimulationError
from sim.faults.cell import CellFault, is_open, parallel_ohm, short_ohm
from sim.faults.shorted_course import Course, Drive
from sim.samples.impedance import CellResistances
from sim.world import Floats, Terminals

_CHANGES = ("apply_", "set_")
"""Methods of a sample that change it begin with these; their first argument is the time, s."""


class FaultySample:
    """A sample between whose terminals and instruments faults come and go.

    Implements `sim.world.Sample`; whatever else the sample can tell (layers, voids, resistances,
    a snapshot) is passed on. Without faults it changes no bit of any answer.

    Args:
        sample: The cell; nobody else may drive it.
        faults: Faults known from the start; `add` brings more.

    Attributes:
        area_cm2: Electrode area, cm2.
    """

    def __init__(self, sample: Any, faults: Iterable[CellFault] = ()) -> None:
        self.area_cm2: float = sample.area_cm2
        self._faults = tuple(faults)
        self._driven_s = 0.0
        self._switched: CellFault | None = None
        self._now = Course(sample, self._faults)
        self._ahead: Course | None = None

    @property
    def faults(self) -> tuple[CellFault, ...]:
        """Every fault, past and future."""
        return self._faults

    def add(self, fault: CellFault) -> None:
        """Let one more fault happen.

        Raises:
            SimulationError: It begins before what is applied now was applied.
        """
        if fault.start_s < self._driven_s:
            raise SimulationError(
                f"cell: {fault.kind} at {fault.start_s:g} s, expected one from "
                f"{self._driven_s:g} s on (the past cannot be changed)"
            )
        self._faults = (*self._faults, fault)
        self._now.faults, self._ahead = self._faults, None
        self._now.look_for_edge()

    def disconnect(self, t_s: float) -> None:
        """Open a switch in series with the cell at `t_s`, until `connect`; idempotent."""
        if self._switched is None:
            self._switched = CellFault("open", t_s, math.inf)
            self._switch(t_s, (*self._faults, self._switched))

    def connect(self, t_s: float) -> None:
        """Close the switch that `disconnect` opened; idempotent."""
        if self._switched is not None:
            opened, self._switched = self._switched, None
            kept = tuple(one for one in self._faults if one is not opened)
            past = () if opened.start_s >= t_s else (replace(opened, end_s=t_s),)
            self._switch(t_s, (*kept, *past))

    def _switch(self, t_s: float, faults: tuple[CellFault, ...]) -> None:
        """Let other faults hold from `t_s` on; what is applied stays applied."""
        course = self._change(t_s)
        self._faults = course.faults = faults
        course.enter_again(t_s)

    def apply_current(self, t_s: float, current_ma: float) -> None:
        """Force a current at the terminals from `t_s` on, mA; 0 is open circuit."""
        self._change(t_s).drive_with(t_s, Drive("current", current_ma))

    def apply_voltage(self, t_s: float, voltage_v: float) -> None:
        """Force a voltage on the terminals from `t_s` on, V."""
        self._change(t_s).drive_with(t_s, Drive("voltage", voltage_v))

    def terminals(self, times_s: Floats) -> Terminals:
        """Voltage and current of the terminals at ascending times since the last `apply_*`."""
        times = np.asarray(times_s, dtype=np.float64)
        if not times.size or self._now.answers(float(times[-1])):
            return self._now.terminals(times)
        seen = []
        while times.size:
            course = self._course_at(float(times[0]))
            count = max(1, int(np.searchsorted(times, course.answers_until_s, "left")))
            seen.append(course.terminals(times[:count]))
            times = times[count:]
        return Terminals(
            np.concatenate([one.voltage_v for one in seen]),
            np.concatenate([one.current_ma for one in seen]),
        )

    def charge_mah(self, t_s: float) -> tuple[float, float]:
        """Charge that the lithium carried until `t_s`: (net A -> B, throughput), mAh.

        What passed through a short is not in it.
        """
        charge: tuple[float, float] = self._sample_at(t_s).charge_mah(t_s)
        return charge

    def resistances(self, t_s: float) -> CellResistances:
        """What the impedance at `t_s` depends on, faults included.

        Raises:
            AttributeError: The sample has no such model.
        """
        own: CellResistances = self._sample_at(t_s).resistances(t_s)
        return replace(
            own,
            short_ohm=parallel_ohm(own.short_ohm, short_ohm(self._faults, t_s)),
            is_open=own.is_open or is_open(self._faults, t_s),
        )

    def snapshot(self, t_s: float) -> dict[str, Any]:
        """The whole truth at `t_s`, faults included."""
        truth: dict[str, Any] = self._sample_at(t_s).snapshot(t_s)
        acting = [one.kind for one in self._faults if one.holds_at(t_s)]
        if not acting:
            return truth
        seen = self.terminals(np.array([t_s]))
        voltage_v = float(seen.voltage_v[0])
        return {
            **truth,
            "voltage_v": voltage_v if np.isfinite(voltage_v) else None,
            "current_ma": float(seen.current_ma[0]),
            "short_ohm": parallel_ohm(truth.get("short_ohm"), short_ohm(self._faults, t_s)),
            "is_open": "open" in acting,
            "faults": acting,
        }

    def __getattr__(self, name: str) -> Any:
        """Whatever else the sample has: changes at their time, everything else at its time."""
        if name.startswith("_"):
            raise AttributeError(name)
        own = getattr(self._now.sample, name)
        if not callable(own):
            return own
        if name.startswith(_CHANGES):
            return lambda t_s, *args: self._change(t_s).change(t_s, name, *args)
        return self._looking(name)

    def _looking(self, name: str) -> Callable[..., Any]:
        """A method that only looks: its plain numbers are times, the last of which counts."""

        def look(*args: Any) -> Any:
            times = [float(one) for one in args if isinstance(one, int | float)]
            sample = self._sample_at(max(times)) if times else self._now.sample
            return getattr(sample, name)(*args)

        return look

    def _change(self, t_s: float) -> Course:
        """The course at `t_s`, from where on something else is applied."""
        if t_s < self._driven_s:
            raise SimulationError(
                f"cell: applied at t = {t_s} s, expected not before {self._driven_s} s"
                " (what is applied cannot be changed in the past)"
            )
        ahead = self._ahead
        if ahead is not None and ahead.driven_s <= t_s:
            self._now = ahead
        self._ahead, self._driven_s = None, t_s
        self._now.reach(t_s)
        return self._now

    def _course_at(self, t_s: float) -> Course:
        """A course whose terminals answer at `t_s`; the one that counts stays where it is."""
        if self._now.answers(t_s):
            return self._now
        if self._ahead is None or t_s < self._ahead.answers_from_s:
            self._ahead = self._now.copy()
        self._ahead.reach_beyond(t_s)
        return self._ahead

    def _sample_at(self, t_s: float) -> Any:
        """The sample, driven as it is until `t_s`."""
        if not self._faults or self._now.answers(t_s):
            return self._now.sample
        if self._ahead is not None and self._ahead.answers(t_s):
            return self._ahead.sample
        return self._course_at(t_s).sample
