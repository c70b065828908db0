"""A simulated potentiostat with impedance, behind the bridge.

It speaks the bridge's line protocol (`docs/reference/bridge-protocol.md`, "Potentiostat"), as the
agent on a vendor's PC does: a linked sequence of techniques is loaded, started once, runs by
itself, and ends with the cell open whatever happens. Its envelope is that of a small research
instrument such as the SP-200 of Siniscalchi et al., Energy Environ. Sci. 2024, and the Reference
600+ of Liu et al., Nature Materials 2025. Never compared with hardware.

Simplifications: commands take no time, settling between frequencies neither; the perturbation of
a spectrum changes nothing in the cell, the direct current about which it is taken does; the
response is linear whatever the amplitude, which is why the amplitude is reported.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np

from sim.clock import EPOCH_S
from sim.faults.upsets import METER_KINDS, MeterUpsets
from sim.instruments.bridge_protocol import CommandError, CommandSet, block, json_line
from sim.instruments.potentiostat_program import (
    HIGHEST_HZ,
    LARGEST_MA,
    LARGEST_V,
    LOWEST_HZ,
    MAX_ROWS,
    MAX_TECHNIQUES,
    MAX_TESTS,
    SHORTEST_PERIOD_S,
    Program,
    read_program,
)
from sim.instruments.potentiostat_run import POINT_COLUMNS, ROW_COLUMNS, ProgramRun
from sim.instruments.smu_meter import NoiseStream
from sim.world import World

MAX_ROWS_PER_BLOCK = 20_000
_NOISE_STREAM = 11
"""Noise of this instrument's samples; 4 is that of its spectra (physics.md, B0.3)."""

CAPABILITIES = {
    "techniques": ["ocv", "cc", "cv", "scan", "geis", "peis"],
    "max_techniques": MAX_TECHNIQUES,
    "max_tests": MAX_TESTS,
    "max_rows": MAX_ROWS,
    "min_period_s": SHORTEST_PERIOD_S,
    "limits": {
        "min_voltage_v": -LARGEST_V,
        "max_voltage_v": LARGEST_V,
        "min_current_ma": -LARGEST_MA,
        "max_current_ma": LARGEST_MA,
    },
    "frequency_hz": [LOWEST_HZ, HIGHEST_HZ],
    "counter": True,
    "token": True,
}


class SimulatedPotentiostat:
    """A potentiostat at the cell; it adds itself to the world, so that it runs by itself.

    Args:
        world: The sample and its surroundings.
        serial: Third field of ``*IDN?``; begins with ``SIM-``.
        clock_offset_s: What its clock (Unix s) shows when the world begins.
        noise_factor: Scales the noise of the records; 0 for none. Spectra keep theirs.
        strict: Raise `sim.errors.UnknownCommand` at an undefined header.

    Attributes:
        upsets: Faults of its voltmeter.
    """

    upset_kinds = METER_KINDS

    def __init__(
        self,
        world: World,
        *,
        serial: str = "SIM-PSTAT-0001",
        clock_offset_s: float = EPOCH_S,
        noise_factor: float = 1.0,
        strict: bool = True,
    ) -> None:
        self._world, self._clock_offset_s = world, clock_offset_s
        self._noise_factor = noise_factor
        self.upsets = MeterUpsets(math.nan)
        self._program: Program | None = None
        self._run: ProgramRun | None = None
        self._programs = self._spectra = 0
        self._done_s = 0.0
        self._commands = self._declare(serial, strict=strict)
        world.add(self)

    def _declare(self, serial: str, *, strict: bool) -> CommandSet:
        identity = f"Operando,Simulated potentiostat,{serial},1.0"
        commands = CommandSet(identity=identity, strict=strict)
        commands.add("SYSTem:TIME?", lambda: repr(self._clock_offset_s + self._world.now()))
        commands.add("TECHnique:CAPabilities?", lambda: json_line(CAPABILITIES))
        commands.add("TECHnique:LOAD", self._load, takes=dict)
        commands.add("TECHnique:LOAD?", lambda: json_line(self._loaded()))
        commands.add("TECHnique:STARt", self._start)
        commands.add("TECHnique:STOP", self._stop)
        commands.add("TECHnique:STATus?", lambda: json_line(self._status()))
        commands.add("TECHnique:DATA?", self._data, takes=dict)
        return commands

    def answer(self, message: bytes) -> bytes | None:
        """Answer one line of the protocol, both without terminator."""
        with self._world.lock:
            self._world.catch_up()
            return self._commands.answer(message)

    def advance(self, t_s: float) -> None:
        """Do everything that falls due until `t_s`."""
        if self._run is not None and self._run.running:
            self._run.advance(t_s)
            self._spectra = self._run.spectra
            self._done_s = max(self._done_s, t_s, self._run.done_s)

    @property
    def _now_s(self) -> float:
        """The present, but not before what was done with its own time a moment early."""
        return max(self._world.now(), self._done_s)

    # --- commands -------------------------------------------------------------------------------

    def _load(self, given: dict[str, Any]) -> None:
        if self._run is not None and self._run.running:
            raise CommandError(-221, f"program {self._programs} runs, expected it stopped")
        self._program = read_program(given)
        self._run = None

    def _loaded(self) -> dict[str, Any] | None:
        return None if self._program is None else dict(self._program.document)

    def _start(self) -> None:
        if self._program is None:
            raise CommandError(-221, "nothing is loaded")
        if self._run is not None:
            raise CommandError(-213, "a program is started once; load it again")
        self._programs += 1
        self._run = ProgramRun(
            self._world.sample,
            self._program,
            self._now_s,
            noise=NoiseStream(self._world.seed, self._programs, stream=_NOISE_STREAM),
            noise_factor=self._noise_factor,
            upsets=self.upsets,
            seed=self._world.seed,
            spectra=self._spectra,
        )
        self.advance(self._now_s)  # the first record is there at once

    def _stop(self) -> None:
        """End the program; without one the cell is open already."""
        if self._run is not None:
            self._run.stop(self._now_s)
            self._done_s = max(self._done_s, self._run.done_s)

    def _status(self) -> dict[str, Any]:
        run = self._run
        if run is None:
            state = "idle" if self._program is None else "loaded"
            return {**_NOTHING, "state": state, "program": self._programs}
        ended_s = self._now_s if run.ended_s is None else run.ended_s
        _, current_ma, voltage_v, _, _ = run.last
        return {
            "state": "running" if run.running else "finished",
            "program": self._programs,
            "technique": run.technique,
            "elapsed_s": max(0.0, ended_s - run.start_s),
            "t_start_s": self._clock_offset_s + run.start_s,
            "rows": run.records.count,
            "points": run.points.count,
            "cell_on": run.cell_on,
            "reason": run.reason,
            "current_ma": _number(current_ma),
            "voltage_v": _number(voltage_v),
            "charge_mah": run.charge_mah,
        }

    def _data(self, wanted: dict[str, Any]) -> bytes:
        """Rows of one process as a block, with the CRC-32 of their bytes behind them."""
        process = str(wanted.get("process"))
        first, count = wanted.get("first"), wanted.get("count")
        if set(wanted) != {"process", "first", "count"} or process not in _COLUMNS:
            raise CommandError(-224, "expected process (transient or spectrum), first and count")
        if type(first) is not int or type(count) is not int:
            raise CommandError(-104, "first and count: expected integers")
        there = 0
        if self._run is not None:
            table = self._run.records if process == "transient" else self._run.points
            there = table.count
        if not (0 <= first <= there and 0 <= count <= MAX_ROWS_PER_BLOCK):
            raise CommandError(
                -222,
                f"got rows {first} and {count} more, expected them within the {there} that there "
                f"are, at most {MAX_ROWS_PER_BLOCK} at once",
            )
        rows = np.empty((0, len(_COLUMNS[process])))
        if self._run is not None:
            rows = table.rows(first, count)
        payload = np.ascontiguousarray(rows, dtype="<f8").tobytes()
        return block(payload + zlib.crc32(payload).to_bytes(4, "little"))


_COLUMNS = {"transient": ROW_COLUMNS, "spectrum": POINT_COLUMNS}

_NOTHING: dict[str, Any] = {
    "technique": 0,
    "elapsed_s": 0.0,
    "t_start_s": None,
    "rows": 0,
    "points": 0,
    "cell_on": False,
    "reason": "",
    "current_ma": None,
    "voltage_v": None,
    "charge_mah": 0.0,
}


def _number(value: float) -> float | None:
    """JSON has no word for what is no number."""
    return float(value) if np.isfinite(value) else None
