"""A laboratory that outlives its host: clock, cell and instrument stay, device and driver go."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from devices.adoption import Journaled
from devices.link import open_link
from devices.potentiostat import Potentiostat
from devices.roles import CellLimits
from sim.clock import EPOCH_S
from sim.samples.linear_cell import LinearCell
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

LIMITS = CellLimits(-5.0, 5.0, -2.0, 2.0)


class HandClock:
    """Time that a test moves; what is due meanwhile happens in order."""

    simulated = True

    def __init__(self) -> None:
        self.now_s, self.set_by_s = 0.0, 0.0
        self._timers: list[Any] = []

    def time(self) -> float:
        return EPOCH_S + self.now_s + self.set_by_s

    def call_later(self, delay_s, callback, *, owner):
        del owner
        timer = _Timer(self.now_s + max(delay_s, 0.0), callback)
        self._timers.append(timer)
        return timer

    def cancel_all(self, owner):
        del owner
        self._timers.clear()

    def to(self, t_s: float) -> None:
        """Let time pass until `t_s`, s since the world began."""
        while due := [one for one in self._timers if one.due_s <= t_s]:
            first = min(due, key=lambda one: one.due_s)
            self._timers.remove(first)
            if not first.cancelled:
                self.now_s = max(self.now_s, first.due_s)
                first.callback()
        self.now_s = max(self.now_s, t_s)


class _Timer:
    def __init__(self, due_s, callback):
        self.due_s, self.callback, self.cancelled = due_s, callback, False

    def cancel(self):
        self.cancelled = True


class Killed(BaseException):
    """The host is killed while it talks to the instrument."""


class CutOff:
    """A cell with its instrument, and a host with its potentiostat that may die.

    Args:
        instrument: Makes the simulated instrument in a world.
        backend: Makes the driver on a link.
        cell: The sample.
    """

    def __init__(self, instrument, backend, cell=None) -> None:
        self.clock = HandClock()
        self.cell = cell or LinearCell(0.0, 1000.0, stiffness_v_per_mah=0.1)
        self.world = World(self.cell, now=lambda: self.clock.now_s)
        self.instrument = instrument(self.world)
        self.heard: list[str] = []
        self.lives, self.lost, self.silent = 10**9, False, False
        self.garbled = -1
        self.make_backend = backend
        self._library = SimulatedVisaLibrary({"cell": self})
        self.journal: dict[str, list[Any]] = {}
        self.state: dict[str, Any] | None = None
        self.journal_charge = (0.0, 0.0)
        self.host()
        self.pstat.stage()

    def answer(self, message: bytes) -> bytes | None:
        self.heard.append(message.decode())
        if self.silent:
            return None
        self.lives -= 1
        if self.lives < 0 and self.lost:
            raise Killed
        reply = self.instrument.answer(message)
        if self.lives < 0:
            raise Killed
        return b"\x07?" if len(self.heard) - 1 == self.garbled and reply is not None else reply

    def host(self) -> Potentiostat:
        """A host begins: a link, a driver, a device."""
        self.link = open_link("sim://cell", who="pstat", visa_library=self._library)
        self.backend = self.make_backend(self.link)
        self.pstat = Potentiostat(
            name="pstat", clock=self.clock, backend=self.backend, limits=LIMITS, poll_period_s=30.0
        )
        self.pstat.remember = self.remember
        return self.pstat

    def remember(self) -> None:
        """Write the checkpoint."""
        self.state = json.loads(json.dumps(self.pstat.checkpoint(), allow_nan=False))

    def collect(self, *, remember: bool = True) -> None:
        """A page goes to the journal, and a checkpoint after it."""
        for page in (*self.pstat.collect_pages(), *self.pstat.eis.collect_pages()):
            columns = page["data"]
            if "pstat_voltage_v" in columns:
                columns["time"] = page["time"]
            for name, values in columns.items():
                self.journal.setdefault(name, []).extend(values)
        if remember:
            self.remember()

    def run(self, technique) -> None:
        """Prepare and kick off."""
        self.pstat.prepare(technique)
        self.pstat.kickoff()
        self.pstat.complete()

    def die(self) -> None:
        """The host is gone: no timer of it is called any more, its link drops."""
        self.clock.cancel_all(self.pstat)
        self.link.close()

    def adopt(self):
        """A host that goes on."""
        self.host()
        self.heard.clear()
        adoption = self.pstat.adopt(self.state, self.journaled())
        self.pstat.stage()
        return adoption

    def journaled(self) -> Journaled:
        """What is known of the journal."""
        if "time" not in self.journal:
            return Journaled()
        last = (self.journal[name][-1] for name in ("pstat_charge_mah", "pstat_throughput_mah"))
        return Journaled(self.journal["time"][-1], self.spectra, *last)

    @property
    def spectra(self) -> int:
        """Number of spectra in the journal."""
        return 1 + max(self.journal.get("pstat_eis_spectrum", [-1]))

    def off(self) -> None:
        """What a watchdog does: a link and a driver of its own, and off."""
        link = open_link("sim://cell", who="watchdog", visa_library=self._library)
        self.make_backend(link).stop()
        link.close()

    @property
    def driven(self) -> list[str]:
        """Everything that the last host wrote that could energise or load."""
        starts = (":INIT", "TECH:STAR", "TECH:LOAD {", ":OUTP ON", ":TRIG:LOAD")
        return [line for line in self.heard if any(word in line for word in starts)]

    @property
    def charge_mah(self) -> float:
        return self.cell.charge_mah(self.clock.now_s)[0]

    def rows(self) -> np.ndarray:
        """What the journal has: time, voltage, current, charge, step, cycle."""
        names = ("time", "pstat_voltage_v", "pstat_current_ma", "pstat_charge_mah")
        return np.array([self.journal[name] for name in names]).T
