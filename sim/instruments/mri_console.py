"""A simulated MRI and NMR console: arms, waits for its trigger, acquires, reconstructs.

It speaks the bridge's line protocol (`docs/reference/bridge-protocol.md`), as the agent on a
vendor's PC does. Nothing runs by itself: an acquisition is its start time, and every answer
looks at where that puts it now. The image, the volume or the pair of spectra is computed when it
is first read, from what the sample held on average while data were taken, with the number of the
frame as the index of its noise; so neither polling nor reading late changes it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.clock import EPOCH_S
from sim.errors import SimulationError
from sim.faults.upsets import IMAGER_KINDS, Upsets, drifted
from sim.instruments.bridge_protocol import CommandError, CommandSet, block, json_line
from sim.instruments.mri_acquirers import Acquirer, AcquirerFactory
from sim.instruments.mri_settings import PUBLISHED_FLASH_2D, duration_s, last_data_s, updated
from sim.world import World


@dataclass
class Acquisition:
    """One experiment, from arming on; times are seconds of the world.

    Attributes:
        number: Experiment number, from 1.
        settings: As read back when it was armed.
        ready_s: From when on a trigger is accepted.
        start_s: When the first excitation came; None while waiting.
        ended_s: When it was aborted or failed; None otherwise.
        reason: Why it ended early; empty otherwise.
        failed: Whether the console, not its client, ended it.
        acknowledged: Whether the client took note of the failure.
        first_frame: Number of its first image, given when it is complete.
    """

    number: int
    settings: dict[str, Any]
    ready_s: float
    start_s: float | None = None
    ended_s: float | None = None
    reason: str = ""
    failed: bool = False
    acknowledged: bool = False
    first_frame: int | None = None

    @property
    def end_s(self) -> float:
        """When the last echo is in; infinite while it has not begun."""
        return math.inf if self.start_s is None else self.start_s + duration_s(self.settings)

    def end(self, t_s: float, reason: str, *, failed: bool) -> None:
        """It ended early."""
        self.ended_s, self.failed = t_s, failed
        self.reason = f"experiment {self.number}: {reason}"

    def last_repetition_s(self) -> tuple[float, float]:
        """The interval over which the last repetition takes data, dummy scans left out."""
        if self.start_s is None:
            raise CommandError(-230, f"experiment {self.number} has not begun")
        return self.end_s - last_data_s(self.settings), self.end_s

    @property
    def repetitions(self) -> int:
        """Frames that it makes."""
        return int(self.settings.get("repetitions", 1))


class SimulatedMriConsole:
    """MRI console with a trigger input.

    Args:
        world: The sample and the cables.
        acquirers: Makes what receives the sample's signal, for some settings.
        cable: Name of the cable at the trigger input.
        serial: Third field of ``*IDN?``; begins with ``SIM-``.
        clock_offset_s: What the console's clock (Unix s) shows when the world begins.
        clock_drift_ppm: How much faster than the world's it runs, parts per million.
        preparation_s: Time from ``ACQ:ARM`` until triggers are accepted (state ``armed``), s.
        reconstruction_s: Time from the last echo to the image, s.
        strict: Raise `sim.errors.UnknownCommand` at an undefined header.

    Attributes:
        upsets: Faults of its scans and frames.
    """

    upset_kinds = IMAGER_KINDS

    def __init__(
        self,
        world: World,
        acquirers: AcquirerFactory,
        *,
        cable: str = "ttl",
        serial: str = "SIM-MRI-0001",
        clock_offset_s: float = EPOCH_S,
        clock_drift_ppm: float = 0.0,
        preparation_s: float = 0.0,
        reconstruction_s: float = 2.0,
        strict: bool = True,
    ) -> None:
        self._world, self._acquirer_factory = world, acquirers
        self._clock_offset_s, self.clock_drift_ppm = clock_offset_s, clock_drift_ppm
        self._preparation_s, self._reconstruction_s = preparation_s, reconstruction_s
        self.upsets = Upsets()
        self._settings = dict(PUBLISHED_FLASH_2D)
        self._acquisition: Acquisition | None = None
        self._experiment = 0
        self._frames = 0
        self._pulses = {"accepted": 0, "ignored": 0}
        self._now_s = 0.0
        self._image: tuple[int, npt.NDArray[np.float32]] | None = None
        self._acquirers: dict[str, Acquirer] = {}
        self._commands = self._declare(serial, strict=strict)
        world.connect(cable, self.pulse)

    def _declare(self, serial: str, *, strict: bool) -> CommandSet:
        identity = f"Operando,Simulated MRI console,{serial},1.0"
        commands = CommandSet(identity=identity, strict=strict)
        commands.add("SYSTem:TIME?", lambda: repr(self._console_time(self._now_s)))
        commands.add("ACQuire:CONFigure", self._configure, takes=dict)
        commands.add("ACQuire:CONFigure?", lambda: json_line(self._settings))
        commands.add("ACQuire:DURation?", lambda: repr(duration_s(self._settings)))
        commands.add("ACQuire:ARM", self._arm)
        commands.add("ACQuire:ABORt", self._abort)
        commands.add("ACQuire:STATus?", lambda: json_line(self._status()))
        commands.add("ACQuire:IMAGe:HEADer?", lambda: json_line(self._header()))
        commands.add("ACQuire:IMAGe?", lambda: block(self._latest_image().tobytes()))
        return commands

    def answer(self, message: bytes) -> bytes | None:
        """Answer one line of the protocol, both without terminator."""
        with self._world.lock:
            self._settle(self._world.catch_up())
            return self._commands.answer(message)

    def pulse(self, t_s: float) -> None:
        """A rising edge at the trigger input at `t_s`: starts a waiting acquisition.

        As on a real console, an edge that nothing waits for is counted and has no effect.
        """
        with self._world.lock:
            self._settle(t_s)
            waiting = self._state() == "waiting_trigger"
            if waiting and self._acquisition is not None:
                self._acquisition.start_s = t_s
            self._pulses["accepted" if waiting else "ignored"] += 1

    def fail(self, reason: str) -> None:
        """End the acquisition from the console's side, as an operator or a fault would."""
        with self._world.lock:
            self._settle(self._world.catch_up())
            self._end(reason, failed=True)

    def _settle(self, t_s: float) -> None:
        """Look at the acquisition from `t_s`: number the frames of one that is complete."""
        self._now_s = t_s
        acquisition = self._acquisition
        if acquisition is None or acquisition.ended_s is not None:
            return
        if acquisition.start_s is not None:
            until_s = min(t_s, acquisition.end_s)
            upset_s = self.upsets.first_within("abort", acquisition.start_s, until_s)
            if upset_s is not None:
                acquisition.end(upset_s, "aborted by a fault", failed=True)
                return
        complete = t_s >= acquisition.end_s + self._reconstruction_s
        if complete and acquisition.first_frame is None:
            acquisition.first_frame = self._frames
            self._frames += acquisition.repetitions

    def _state(self) -> str:
        state = self._own_state()
        occupied = state == "idle" and self.upsets.holds_at("occupied", self._now_s)
        return "acquiring" if occupied else state

    def _own_state(self) -> str:
        acquisition, t_s = self._acquisition, self._now_s
        if acquisition is None or acquisition.first_frame is not None:
            return "idle"
        if acquisition.ended_s is not None:
            return "error" if acquisition.failed and not acquisition.acknowledged else "idle"
        if acquisition.start_s is None:
            return "armed" if t_s < acquisition.ready_s else "waiting_trigger"
        if t_s < acquisition.start_s:
            return "armed"
        return "acquiring" if t_s < acquisition.end_s else "reconstructing"

    def _refuse_busy(self, code: int) -> None:
        state = self._state()
        if state not in {"idle", "error"}:
            raise CommandError(code, f"experiment {self._experiment} is {state}, expected idle")

    def _configure(self, changes: dict[str, Any]) -> None:
        self._refuse_busy(-221)
        settings = updated(self._settings, changes)
        try:
            self._acquirer(settings)
        except SimulationError as error:
            raise CommandError(-222, str(error)) from error
        self._settings = settings

    def _arm(self) -> None:
        self._refuse_busy(-213)
        self._experiment += 1
        ready_s = self._now_s + self._preparation_s
        self._acquisition = Acquisition(self._experiment, dict(self._settings), ready_s)
        if self._settings["trigger_mode"] == "off":
            self._acquisition.start_s = ready_s

    def _abort(self) -> None:
        """End what goes on; an error that the console reported is acknowledged."""
        self._end("aborted by the client", failed=False)
        if self._acquisition is not None:
            self._acquisition.acknowledged = True

    def _end(self, reason: str, *, failed: bool) -> None:
        acquisition = self._acquisition
        if acquisition is None or self._own_state() in {"idle", "error"}:
            return
        acquisition.end(self._now_s, reason, failed=failed)

    def _status(self) -> dict[str, Any]:
        acquisition = self._acquisition
        state = self._state()
        start_s = end_s = None
        progress = 0.0
        if acquisition is not None and acquisition.start_s is not None:
            until_s = self._now_s if acquisition.ended_s is None else acquisition.ended_s
            elapsed_s = min(until_s, acquisition.end_s) - acquisition.start_s
            progress = max(0.0, elapsed_s) / duration_s(acquisition.settings)
            start_s = self._console_time(acquisition.start_s)
            if until_s >= acquisition.end_s:
                end_s = self._console_time(acquisition.end_s)
        return {
            "state": state,
            "progress": progress,
            "experiment": self._experiment,
            "t_start_s": start_s,
            "t_end_s": end_s,
            "error": acquisition.reason if acquisition and state == "error" else "",
            "outcome": self._outcome(),
            "triggers_accepted": self._pulses["accepted"],
            "triggers_ignored": self._pulses["ignored"],
        }

    def _outcome(self) -> str:
        acquisition = self._acquisition
        if acquisition is None:
            return "none"
        if acquisition.first_frame is not None:
            return "complete"
        if acquisition.ended_s is None:
            return "pending"
        return "failed" if acquisition.failed else "aborted"

    def _complete(self) -> tuple[Acquisition, int]:
        acquisition = self._acquisition
        if acquisition is None or acquisition.first_frame is None:
            what = self._outcome()
            raise CommandError(-230, f"no image: experiment {self._experiment} is {what}")
        return acquisition, acquisition.first_frame + acquisition.repetitions - 1

    def _latest_image(self) -> npt.NDArray[np.float32]:
        acquisition, index = self._complete()
        if self._image is None or self._image[0] != index:
            t0_s, t1_s = acquisition.last_repetition_s()
            acquirer = self._acquirer(acquisition.settings)
            image = acquirer.acquire(self._world.sample, t0_s, t1_s, index)
            upset = self._upset(image, acquirer, t1_s)
            self._image = index, np.ascontiguousarray(upset, dtype="<f4")
        return self._image[1]

    def _upset(
        self, image: npt.NDArray[np.float32], acquirer: Acquirer, t_s: float
    ) -> npt.NDArray[np.float32]:
        """A frame as the faults at its end leave it; only what shows places can drift."""
        if self.upsets.holds_at("black", t_s):
            return np.zeros_like(image)
        lines, columns = acquirer.axes[-2:]
        if lines.get("units") != "mm":
            return image
        x_um, y_um = self.upsets.drift_um(t_s)
        return drifted(image, (1e-3 * x_um / columns["step"], 1e-3 * y_um / lines["step"]))

    def _header(self) -> dict[str, Any]:
        acquisition, index = self._complete()
        image = self._latest_image()
        return {
            "experiment": acquisition.number,
            "frame": index,
            "shape": list(image.shape),
            "axes": self._acquirer(acquisition.settings).axes,
            "dtype": "<f4",
            "nbytes": image.nbytes,
            "crc32": zlib.crc32(image.tobytes()),
            "t_start_s": self._console_time(acquisition.start_s or 0.0),
            "t_end_s": self._console_time(acquisition.end_s),
            "settings": acquisition.settings,
        }

    def _acquirer(self, settings: Mapping[str, Any]) -> Acquirer:
        """One acquirer per set of settings: its basis images are costly to make."""
        key = json_line(settings)
        if key not in self._acquirers:
            self._acquirers = {key: self._acquirer_factory(settings)}
        return self._acquirers[key]

    def _console_time(self, t_s: float) -> float:
        return self._clock_offset_s + t_s * (1.0 + 1e-6 * self.clock_drift_ppm)
