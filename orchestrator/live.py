"""What is going on now: for the progress line, `status`, and anybody who looks at live.json."""

from __future__ import annotations

import os
import threading
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from devices.cell_records import Records
from devices.clock import Clock
from orchestrator.records.live import LiveState

_ENDS = ("condition", "limit", "completed", "interlock")
"""Kinds of event that end a protocol."""

_BLOCKS = ("before", "after")
"""Kinds of event that begin a step of a block."""

_AROUND = {
    "celsius": "_temperature_celsius",
    "setpoint": "_setpoint_celsius",
    "mpa": "_pressure_mpa",
}
"""Readings of a chamber and a load cell, by the end of their data key."""


@dataclass
class Present:
    """The newest numbers of the running or last run.

    Attributes:
        run: Uid of the run; empty before the first.
        state: ``idle``, ``running``, ``paused`` or ``ended``.
        time_s: Experiment time, Unix s.
        elapsed_s: Experiment time since the run began, s.
        step_index: Index of the step in the method; -1 before the first.
        cycle: Number of the cycle.
        voltage_v: Last voltage, V; None where none is known.
        current_ma: Last current, mA; None where none is known.
        charge_mah: Net charge, mAh.
        throughput_mah: Charge in both directions, mAh.
        frames: Frames by stream.
        spectra: Whole impedance spectra that are recorded.
        stopped_at_s: Experiment time since the run began at which the protocol ended, s; the run
            itself may go on for a last frame.
        stop_reason: Why the run ended; empty while it runs.
        pid: The process.
        block: Where in the blocks before and after the protocol, as ``before 1/3``; else empty.
        temperature_celsius: Last temperature of the cell, degree Celsius; None without a chamber.
        heading_celsius: Where the chamber is going, degree Celsius; None unless it is.
        pressure_mpa: Last stack pressure, MPa; None without a load cell.
    """

    run: str = ""
    state: str = "idle"
    time_s: float = 0.0
    elapsed_s: float = 0.0
    step_index: int = -1
    cycle: int = 0
    voltage_v: float | None = None
    current_ma: float | None = None
    charge_mah: float = 0.0
    throughput_mah: float = 0.0
    frames: dict[str, int] | None = None
    spectra: int = 0
    stopped_at_s: float | None = None
    stop_reason: str = ""
    pid: int = field(default_factory=os.getpid)
    block: str = ""
    temperature_celsius: float | None = None
    heading_celsius: float | None = None
    pressure_mpa: float | None = None

    def place(self, steps: int) -> tuple[str, str]:
        """Where in the experiment, in two parts of which the second says less.

        Args:
            steps: Number of steps of the method.
        """
        if self.block:
            return f"  {self.block}", ""
        return f"  cycle {self.cycle}", f"  step {self.step_index + 1}/{steps}"

    def surroundings(self) -> str:
        """Temperature and stack pressure, as far as they are measured."""
        words = ""
        if self.temperature_celsius is not None:
            going = self.heading_celsius
            to = "" if going is None else f" to {going:.4g}"
            words += f"  {self.temperature_celsius:.1f}{to} C"
        if self.pressure_mpa is not None:
            words += f"  {self.pressure_mpa:.3g} MPa"
        return words


class Live:
    """Keeps the `Present` and shows it in ``live.json``.

    Args:
        file: Replaces the file, at most once a real second.
        clock: The experiment's clock.
    """

    def __init__(self, file: LiveState, clock: Clock) -> None:
        self._file, self._clock = file, clock
        self._lock = threading.Lock()
        self._state = Present()
        self._began_s = 0.0
        self._image_streams: dict[str, str] = {}
        self._event_stream = self._interruptions = ""
        self._spectra: dict[str, str] = {}

    def snapshot(self) -> Present:
        """The newest state, with experiment time as it is now."""
        with self._lock:
            state = replace(self._state, frames=dict(self._state.frames or {}))
        if state.state in ("running", "paused"):
            state.time_s = self._clock.time()
            state.elapsed_s = state.time_s - self._began_s
        return state

    def document(self, name: str, doc: dict[str, Any]) -> None:
        """Take note of a document."""
        take = {
            "start": self._start,
            "descriptor": self._descriptor,
            "event": self._event,
            "event_page": self._page,
            "stop": self._stop,
        }.get(name)
        if take is not None:
            with self._lock:
                take(doc)
        turned = name == "event" and doc["descriptor"] == self._interruptions
        self._show(at_once=turned or name in ("start", "stop"))

    def _start(self, doc: dict[str, Any]) -> None:
        self._began_s = doc["time"]
        self._image_streams.clear()
        self._spectra.clear()
        self._state = Present(run=doc["uid"], state="running", frames={})

    def _descriptor(self, doc: dict[str, Any]) -> None:
        if any("external" in key for key in doc["data_keys"].values()):
            self._image_streams[doc["uid"]] = doc["name"]
        elif doc["name"] == "events":
            self._event_stream = doc["uid"]
        elif doc["name"] == "interruptions":
            self._interruptions = doc["uid"]
        for key in doc["data_keys"]:
            device = key.removesuffix("_z_real_ohm")
            if device != key and f"{device}_spectrum" in doc["data_keys"]:
                self._spectra[doc["uid"]] = f"{device}_spectrum"

    def _event(self, doc: dict[str, Any]) -> None:
        if doc["descriptor"] in self._image_streams:
            stream = self._image_streams[doc["descriptor"]]
            frames = self._state.frames or {}
            self._state.frames = {**frames, stream: frames.get(stream, 0) + 1}
        elif doc["descriptor"] == self._interruptions:
            turned = {"pause": "paused", "resume": "running"}.get(doc["data"]["interruption"])
            self._state.state = turned or self._state.state
        elif doc["descriptor"] == self._event_stream:
            self._happened(doc)
        else:
            self._around(doc["data"])

    def _happened(self, doc: dict[str, Any]) -> None:
        kind = doc["data"]["event_kind"]
        if kind in _ENDS:
            self._state.stopped_at_s = doc["time"] - self._began_s
        elif kind in _BLOCKS:
            self._state.block = doc["data"]["event_text"].split(":")[0]

    def _around(self, data: dict[str, Any]) -> None:
        """Take note of what surrounds the cell, if a reading says it."""
        found = {
            name: _finite(data[key])
            for name, ending in _AROUND.items()
            for key in data
            if key.endswith(ending)
        }
        state = self._state
        state.temperature_celsius = found.get("celsius", state.temperature_celsius)
        state.pressure_mpa = found.get("mpa", state.pressure_mpa)
        if "setpoint" in found:
            moving = any(value == "moving" for value in data.values())
            state.heading_celsius = found["setpoint"] if moving else None

    def _page(self, doc: dict[str, Any]) -> None:
        """Spectra come whole, one after the other, each with a number of its own."""
        key = self._spectra.get(doc["descriptor"])
        if key is not None:
            self._state.spectra += len(set(doc["data"][key]))

    def _stop(self, doc: dict[str, Any]) -> None:
        self._state.state, self._state.stop_reason = "ended", doc.get("reason", "")
        self._state.time_s = doc["time"]
        self._state.elapsed_s = doc["time"] - self._began_s

    def records(self, records: Records) -> None:
        """Take note of new records of the potentiostat."""
        with self._lock:
            state = self._state
            state.step_index, state.cycle = records.step_index, records.cycle
            state.block = state.block if records.cycle < 1 else ""
            state.voltage_v = _finite(records.voltage_v[-1])
            state.current_ma = _finite(records.current_ma[-1])
            state.charge_mah = float(records.charge_mah[-1])
            state.throughput_mah = float(records.throughput_mah[-1])
            last = state.state == "paused"  # the last for a while: the cell is off
        self._show(at_once=last)

    def _show(self, *, at_once: bool) -> None:
        """Hand the present to the file; turning it into a dict is left out where it is early."""
        if at_once or self._file.due:
            self._file.update(**asdict(self.snapshot()))
            if at_once:
                self._file.flush()


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if number == number and abs(number) != float("inf") else None
