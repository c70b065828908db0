"""What surrounds the cell: brought about before anything is energised, recorded while it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator
from ophyd.status import Status

from devices.attempt import Attempt
from devices.chamber import TemperatureChamber
from devices.event import EventNote
from devices.load_cell import LoadCell
from plans.control import Meanwhile, waiting_for
from plans.stubs import is_done, note

ENVIRONMENT = "environment"
"""Stream of the chamber's and the load cell's readings."""

_SETTLING_EVERY_S = 60.0
"""Longest time between readings while the temperature moves, s."""

_SAME_S = 1e-3
"""Times this near are the same, s."""

LATE_S = 2.0
"""A reading that comes later than this after it was due is late, s: more than a transaction and its
repetition may take."""


@dataclass(frozen=True)
class Environment:
    """What is to surround the cell, and what measures it.

    Attributes:
        chamber: Sets and measures the temperature; None where there is none.
        load_cell: Measures the stack pressure; None where there is none.
        temperature_celsius: Temperature to bring the cell to; None leaves the chamber alone.
        stack_pressure_mpa: Stated stack pressure to check, MPa; None checks nothing.
        every_s: Time between readings, s.
    """

    chamber: TemperatureChamber | None = None
    load_cell: LoadCell | None = None
    temperature_celsius: float | None = None
    stack_pressure_mpa: float | None = None
    every_s: float = 300.0

    @property
    def devices(self) -> Sequence[Any]:
        """What is staged and read."""
        return [one for one in (self.chamber, self.load_cell) if one is not None]


class Surveillance:
    """The readings of one run.

    They come at multiples of a period: one that is late shifts none after it, and is noted with
    how late it was; those that it has overtaken are left out, and counted. A reading that fails is
    noted and left out: the run goes on, its gap is recorded.

    Args:
        environment: What to read.
        event: Where gaps are noted.

    Attributes:
        environment: As given.
        meanwhile: Deals with what people ask while the temperature is waited for.
        celsius: Where the chamber was sent last, degree Celsius; None where it was not.
    """

    meanwhile: Meanwhile | None = None

    def __init__(self, environment: Environment, event: EventNote) -> None:
        self.environment, self._event = environment, event
        self._attempts = [Attempt(device) for device in environment.devices]
        self._next_s = float("-inf")
        self.celsius: float | None = None

    def state(self) -> dict[str, Any]:
        """What a run that goes on must know, JSON-able."""
        next_s = self._next_s if math.isfinite(self._next_s) else None
        return {"next_s": next_s, "celsius": self.celsius}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Read on where an interrupted run has stopped."""
        self._next_s = float("-inf") if state["next_s"] is None else state["next_s"]
        self.celsius = state["celsius"]

    def due_in_s(self, now_s: float) -> float:
        """Time to the next reading, s; infinite where nothing is read."""
        return max(0.0, self._next_s - now_s) if self._attempts else float("inf")

    def serve(self, now_s: float) -> MsgGenerator[None]:
        """Take a reading if it is due."""
        if not self._attempts or now_s < self._next_s:
            return
        due_s = self._next_s if math.isfinite(self._next_s) else now_s
        yield from self.record()
        yield from self._note_late(due_s)

    def _note_late(self, due_s: float) -> MsgGenerator[None]:
        """Say of the reading just taken that it was late, if it was; the next comes on schedule."""
        now_s = float(self._attempts[0].device.clock.time())
        every_s, late_s = self.environment.every_s, now_s - due_s
        left_out = int((late_s + _SAME_S) / every_s)
        self._next_s = due_s + (left_out + 1) * every_s
        if late_s > LATE_S:
            text = f"the reading due at {due_s:.1f} s Unix was done {late_s:.1f} s late"
            more = f"; {left_out} after it were left out" if left_out else ""
            yield from note(self._event, "environment_late", text + more, late_s)

    def hasten(self, now_s: float) -> None:
        """Something moves: the next reading comes within a minute."""
        self._next_s = min(self._next_s, now_s + _SETTLING_EVERY_S)

    def record(self) -> MsgGenerator[None]:
        """Take a reading now; where it fails, note that it is missing."""
        failed = []
        for attempt in self._attempts:
            yield from bps.trigger(attempt, wait=True)
            if attempt.error is not None:
                failed.append(f"{attempt.device.name}: {attempt.error}")
        if failed:
            yield from note(self._event, "environment_missing", "; ".join(failed))
        elif self._attempts:
            yield from bps.create(name=ENVIRONMENT)
            for attempt in self._attempts:
                yield from bps.read(attempt.device)
            yield from bps.save()

    def prepare(self) -> MsgGenerator[None]:
        """Check the pressure, bring about the temperature, check again; the cell is still off.

        May be paused: the chamber goes on meanwhile.

        Raises:
            LimitError: The pressure is not the stated one, or the temperature is not allowed.
            NotReachedError: The temperature did not settle in time.
        """
        yield from self._check_pressure()
        self.celsius = self.environment.temperature_celsius
        yield from self.bring_about()
        yield from self.record()

    def bring_about(self, *, waits: bool = True) -> MsgGenerator[None]:
        """Have the chamber go where it was sent last.

        Args:
            waits: Until it has settled there; else it goes while the protocol goes on.
        """
        chamber, celsius = self.environment.chamber, self.celsius
        if chamber is None or celsius is None:
            return
        text = f"{chamber.name}: goes to {celsius:g} C"
        yield from note(self._event, "environment", text, celsius)
        status = yield from bps.abs_set(chamber, celsius, group=chamber.name)
        if waits:
            yield from self._until_settled(chamber, status)
            yield from self._check_pressure()

    def _until_settled(
        self, chamber: TemperatureChamber, status: Status | None
    ) -> MsgGenerator[None]:
        """Record meanwhile; the chamber itself has the deadline."""
        while not is_done(status):
            now_s = float(chamber.clock.time())
            yield from self.serve(now_s)
            self.hasten(now_s)
            yield from waiting_for(status, self.due_in_s(now_s), self.meanwhile)
            if self.meanwhile is not None and self.meanwhile.leaves_step:
                return  # the run ends, nothing was energised
        yield from bps.wait(chamber.name)  # raises here if it failed: nothing is energised after
        reached = yield from bps.rd(chamber.temperature_celsius, default_value=0.0)
        text = f"{chamber.name}: settled at {reached:.1f} C"
        yield from note(self._event, "environment", text, float(reached))

    def _check_pressure(self) -> MsgGenerator[None]:
        load_cell, stated = self.environment.load_cell, self.environment.stack_pressure_mpa
        if load_cell is None or stated is None:
            return
        yield from bps.trigger(load_cell, wait=True)
        got = yield from bps.rd(load_cell.pressure_mpa, default_value=stated)
        load_cell.check(float(got), stated_mpa=stated)
