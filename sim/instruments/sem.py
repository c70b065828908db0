"""A simulated scanning electron microscope: scans a frame, blanks the beam, hands the frame over.

It speaks the bridge's line protocol (`docs/reference/bridge-protocol.md`), as the agent on a
vendor's PC does. Nothing runs by itself: an acquisition is its start time, and every answer looks
at where that puts it now. A frame shows the sample as it was in the middle of the scan, whenever
it is read, with the number of the frame as the index of its drift and noise.

Frames are float32. Secondary electrons and induced current lie in one array in their own units
(grey values, nA), and every 16-bit grey value of a real microscope is a float32 exactly.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sim.clock import EPOCH_S
from sim.errors import SimulationError
from sim.faults.upsets import IMAGER_KINDS, Upsets
from sim.instruments.bridge_protocol import CommandError, CommandSet, block, json_line
from sim.instruments.sem_settings import (
    PUBLISHED_OPERANDO,
    beam_s,
    dose_rate_uc_per_cm2_s,
    dose_uc_per_cm2,
    duration_s,
    shape,
    updated,
)
from sim.world import World

Frame = npt.NDArray[np.float32]


class View(Protocol):
    """What a microscope sees of a sample."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise `SimulationError` where there is nothing to see with these settings."""
        ...

    def take(self, settings: Mapping[str, Any], t_s: float, frame_index: int) -> Frame:
        """The frame, or the line, at a moment, of the shape that the settings promise."""
        ...


@dataclass
class Acquisition:
    """One acquisition; times are seconds of the world.

    Attributes:
        number: Its number, from 1.
        settings: As read back when it began.
        start_s: When the first pixel was scanned.
        ended_s: When it was aborted or failed; None otherwise.
        reason: Why it ended early; empty otherwise.
        failed: Whether the microscope, not its client, ended it.
        acknowledged: Whether the client took note of the failure.
        frame: Number of its frame, given when it is complete.
        blanked_s: When the client took the beam off the specimen; None: as the settings say.
    """

    number: int
    settings: dict[str, Any]
    start_s: float
    ended_s: float | None = None
    reason: str = ""
    failed: bool = False
    acknowledged: bool = False
    frame: int | None = None
    blanked_s: float | None = None

    @property
    def end_s(self) -> float:
        """When the last pixel is scanned, s."""
        return self.start_s + duration_s(self.settings)

    @property
    def stop_s(self) -> float:
        """When the scan ends, complete or not, s."""
        return self.end_s if self.ended_s is None else self.ended_s

    def end(self, t_s: float, reason: str, *, failed: bool) -> None:
        """End it early."""
        self.ended_s, self.failed = t_s, failed
        self.reason = f"acquisition {self.number}: {reason}"

    def dose_uc_per_cm2(self, t_s: float) -> float:
        """Dose until `t_s`, live scanning after the frame included where nothing blanks it."""
        scanned_s = min(t_s, self.stop_s) - self.start_s
        share = max(scanned_s, 0.0) / duration_s(self.settings)
        dose = share * dose_uc_per_cm2(self.settings)
        if not self.settings["blank_between_frames"] and t_s > self.stop_s:
            live = beam_s(self.settings) / duration_s(self.settings)
            rate = live * dose_rate_uc_per_cm2_s(self.settings)
            until_s = t_s if self.blanked_s is None else min(t_s, self.blanked_s)
            dose += rate * max(until_s - self.stop_s, 0.0)
        return dose


class SimulatedSem:
    """A scanning electron microscope behind the bridge protocol.

    Args:
        world: The sample.
        view: What the microscope sees of it.
        serial: Third field of ``*IDN?``; begins with ``SIM-``.
        clock_offset_s: What the microscope's clock (Unix s) shows when the world begins.
        strict: Raise `sim.errors.UnknownCommand` at an undefined header.

    Attributes:
        upsets: Faults of its scans and frames.
    """

    upset_kinds = IMAGER_KINDS

    def __init__(
        self,
        world: World,
        view: View,
        *,
        serial: str = "SIM-SEM-0001",
        clock_offset_s: float = EPOCH_S,
        strict: bool = True,
    ) -> None:
        self._world, self._view = world, view
        self._clock_offset_s = clock_offset_s
        self._settings = dict(PUBLISHED_OPERANDO)
        self._acquisition: Acquisition | None = None
        self._number = self._frames = 0
        self._dose_before = 0.0
        self.upsets = Upsets()
        self._now_s = 0.0
        self._image: tuple[int, Frame] | None = None
        self._commands = self._declare(serial, strict=strict)

    def _declare(self, serial: str, *, strict: bool) -> CommandSet:
        identity = f"Operando,Simulated SEM,{serial},1.0"
        commands = CommandSet(identity=identity, strict=strict)
        commands.add("SYSTem:TIME?", lambda: repr(self._clock_offset_s + self._now_s))
        commands.add("ACQuire:CONFigure", self._configure, takes=dict)
        commands.add("ACQuire:CONFigure?", lambda: json_line(self._settings))
        commands.add("ACQuire:DURation?", lambda: repr(duration_s(self._settings)))
        commands.add("ACQuire:ARM", self._arm)
        commands.add("ACQuire:ABORt", self._abort)
        commands.add("ACQuire:BLANk", self._blank)
        commands.add("ACQuire:STATus?", lambda: json_line(self._status()))
        commands.add("ACQuire:IMAGe:HEADer?", lambda: json_line(self._header()))
        commands.add("ACQuire:IMAGe?", lambda: block(self._latest_image().tobytes()))
        return commands

    def answer(self, message: bytes) -> bytes | None:
        """Answer one line of the protocol, both without terminator."""
        with self._world.lock:
            self._settle(self._world.catch_up())
            return self._commands.answer(message)

    def fail(self, reason: str) -> None:
        """End the acquisition from the microscope's side: vacuum lost, beam tripped, a person."""
        with self._world.lock:
            self._settle(self._world.catch_up())
            self._end(reason, failed=True)

    def _settle(self, t_s: float) -> None:
        """Look at the acquisition from `t_s`: number the frame of one that is complete."""
        self._now_s = t_s
        acquisition = self._acquisition
        if acquisition is None or acquisition.ended_s is not None or acquisition.frame is not None:
            return
        until_s = min(t_s, acquisition.end_s)
        upset_s = self.upsets.first_within("abort", acquisition.start_s, until_s)
        if upset_s is not None:
            acquisition.end(upset_s, "aborted by a fault", failed=True)
        elif t_s >= acquisition.end_s:
            acquisition.frame = self._frames
            self._frames += 1

    def _state(self) -> str:
        state = self._own_state()
        free = state in {"idle", "blanked"}
        occupied = free and self.upsets.holds_at("occupied", self._now_s)
        return "scanning" if occupied else state

    def _own_state(self) -> str:
        acquisition = self._acquisition
        if acquisition is None:
            return "blanked"
        if acquisition.ended_s is None and self._now_s < acquisition.end_s:
            return "scanning"
        if acquisition.failed and not acquisition.acknowledged:
            return "error"
        blanks = acquisition.settings["blank_between_frames"] or acquisition.blanked_s is not None
        return "blanked" if blanks else "idle"

    def _refuse_busy(self, code: int) -> None:
        if self._own_state() == "scanning":
            raise CommandError(code, f"acquisition {self._number} is scanning, expected none")
        if self._state() == "scanning":
            raise CommandError(code, "somebody else is using the microscope")

    def _configure(self, changes: dict[str, Any]) -> None:
        self._refuse_busy(-221)
        settings = updated(self._settings, changes)
        try:
            self._view.check(settings)
        except SimulationError as error:
            raise CommandError(-222, str(error)) from error
        self._settings = settings

    def _arm(self) -> None:
        self._refuse_busy(-213)
        self._dose_before = self._dose_uc_per_cm2()
        self._number += 1
        self._acquisition = Acquisition(self._number, dict(self._settings), self._now_s)

    def _abort(self) -> None:
        """End what goes on; an error that the microscope reported is acknowledged."""
        self._end("aborted by the client", failed=False)
        if self._acquisition is not None:
            self._acquisition.acknowledged = True

    def _blank(self) -> None:
        """End what goes on and take the beam off the specimen until the next acquisition."""
        self._abort()
        if self._acquisition is not None and self._acquisition.blanked_s is None:
            self._acquisition.blanked_s = self._now_s

    def _end(self, reason: str, *, failed: bool) -> None:
        acquisition = self._acquisition
        if acquisition is not None and self._own_state() == "scanning":
            acquisition.end(self._now_s, reason, failed=failed)

    def _status(self) -> dict[str, Any]:
        acquisition, state = self._acquisition, self._state()
        start_s = end_s = None
        progress = 0.0
        if acquisition is not None:
            elapsed_s = min(self._now_s, acquisition.stop_s) - acquisition.start_s
            progress = elapsed_s / duration_s(acquisition.settings)
            start_s = self._clock_offset_s + acquisition.start_s
            if acquisition.frame is not None:
                end_s, progress = self._clock_offset_s + acquisition.end_s, 1.0
        return {
            "state": state,
            "progress": progress,
            "experiment": self._number,
            "t_start_s": start_s,
            "t_end_s": end_s,
            "error": acquisition.reason if acquisition and state == "error" else "",
            "outcome": self._outcome(),
            "accumulated_dose_uc_per_cm2": self._dose_uc_per_cm2(),
        }

    def _outcome(self) -> str:
        acquisition = self._acquisition
        if acquisition is None:
            return "none"
        if acquisition.frame is not None:
            return "complete"
        if acquisition.ended_s is None:
            return "pending"
        return "failed" if acquisition.failed else "aborted"

    def _dose_uc_per_cm2(self) -> float:
        """Dose since the microscope was switched on, summed over whatever it scanned, uC/cm2."""
        acquisition = self._acquisition
        running = 0.0 if acquisition is None else acquisition.dose_uc_per_cm2(self._now_s)
        return self._dose_before + running

    def _complete(self) -> tuple[Acquisition, int]:
        acquisition = self._acquisition
        if acquisition is None or acquisition.frame is None:
            what = self._outcome()
            raise CommandError(-230, f"no image: acquisition {self._number} is {what}")
        return acquisition, acquisition.frame

    def _latest_image(self) -> Frame:
        acquisition, index = self._complete()
        if self._image is None or self._image[0] != index:
            frame = self._seen(acquisition, index)
            self._image = index, np.ascontiguousarray(frame, dtype="<f4")
        return self._image[1]

    def _seen(self, acquisition: Acquisition, index: int) -> Frame:
        """The frame as the faults at its end leave it: black, or drifted."""
        settings, end_s = acquisition.settings, acquisition.end_s
        if self.upsets.holds_at("black", end_s):
            return np.zeros(shape(settings), dtype=np.float32)
        stage_um = zip(settings["stage_um"], self.upsets.drift_um(end_s), strict=True)
        drifted = {**settings, "stage_um": [place - drift for place, drift in stage_um]}
        try:
            return self._view.take(drifted, 0.5 * (acquisition.start_s + end_s), index)
        except SimulationError as error:
            raise CommandError(-230, str(error)) from error

    def _header(self) -> dict[str, Any]:
        acquisition, index = self._complete()
        image = self._latest_image()
        frame_dose = dose_uc_per_cm2(acquisition.settings)
        return {
            "experiment": acquisition.number,
            "frame": index,
            "shape": list(image.shape),
            "dtype": "<f4",
            "nbytes": image.nbytes,
            "crc32": zlib.crc32(image.tobytes()),
            "t_start_s": self._clock_offset_s + acquisition.start_s,
            "t_end_s": self._clock_offset_s + acquisition.end_s,
            "dose_uc_per_cm2": frame_dose,
            "accumulated_dose_uc_per_cm2": self._dose_before + frame_dose,
            "settings": acquisition.settings,
        }
