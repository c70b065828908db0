"""A console without a programming interface: requests and results are files in a folder.

A macro or script of the vendor's software watches ``requests`` and writes ``results``; the exact
files are in `docs/reference/bridge-protocol.md`. Each file is written under another name and then
renamed, by both sides, so that a file that is there is whole. File names are experiment numbers;
nothing that comes over the network becomes part of a path.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from devices.bridge.console import ConsolePlugin
from devices.bridge.protocol import MAX_BLOCK_BYTES, Refusal
from devices.bridge.settings import DEFAULTS, expected_duration_s, updated
from devices.clock import wall_time
from devices.errors import DeviceError

MAX_JSON_BYTES = 1_000_000
_FIRST = DEFAULTS["flash2d"]
_MOST_AXES, _LONGEST_AXIS = 4, 2**22
_RUNNING = ("armed", "waiting_trigger", "acquiring", "reconstructing")


class WatchedFolderConsole(ConsolePlugin):
    """Starts an acquisition by writing a request file; done when its result appears.

    Args:
        folder: Where ``requests``, ``progress`` and ``results`` are; made where missing.
        identity: Reply to ``*IDN?``.
        grace_s: The result is due this long after the expected duration, s. A scan that waits
            for a trigger that never comes ends with this error, too.
        now: The vendor PC's clock, Unix s.

    Raises:
        DeviceError: The folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        identity: str = "Operando,Watched folder,0,1.0",
        grace_s: float = 900.0,
        now: Callable[[], float] = wall_time,
    ) -> None:
        self.identity = identity
        self._folder, self._grace_s, self._now = folder, grace_s, now
        self._settings = dict(_FIRST)
        self._requested = dict(_FIRST)
        self._experiment = 0
        self._due_s = 0.0
        self._end: dict[str, Any] | None = None
        try:
            for name in ("requests", "progress", "results"):
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeviceError(
                "watched folder",
                f"{folder}: {error.strerror}",
                remedy="give a folder that this user may write",
            ) from error
        self._attach()

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change some settings, all or none."""
        self._refuse_busy(-221)
        self._settings = updated(self._settings, changes)

    def settings(self) -> Mapping[str, Any]:
        """The settings that the next request will carry."""
        return self._settings

    def duration_s(self) -> float:
        """How long an acquisition with these settings takes, s."""
        return expected_duration_s(self._settings)

    def arm(self) -> None:
        """Write the request for the next experiment."""
        self._refuse_busy(-213)
        self._experiment += 1
        created_s = self._now()
        self._end = None
        self._requested = dict(self._settings)
        self._due_s = created_s + self.duration_s() + self._grace_s
        request = {
            "experiment": self._experiment,
            "created_s": created_s,
            "settings": self._requested,
        }
        _write(self._path("requests", "json"), json.dumps(request, indent=1, allow_nan=False))

    def abort(self) -> None:
        """Ask the vendor's side to end the acquisition, acknowledge an error."""
        if self.active():
            self._abort("aborted by the client", outcome="aborted")
        elif self._end is not None and self._end["outcome"] == "failed":
            self._end = {**self._end, "state": "idle", "error": ""}

    def make_safe(self, reason: str) -> None:
        """End the acquisition and report the reason as the console's error."""
        if self.active():
            self._abort(reason, outcome="failed")

    def active(self) -> bool:
        """Whether a request has neither a result nor an end."""
        return self._experiment > 0 and self.status()["state"] in _RUNNING

    def status(self) -> Mapping[str, Any]:
        """Where the experiment stands, from the files that are there."""
        if self._experiment == 0:
            return _status("idle", 0, outcome="none")
        if self._end is None:
            self._end = self._look_for_end()
        return self._end or self._progress()

    def header(self) -> Mapping[str, Any]:
        """Header of the last image."""
        self._require_image()
        result = self._read("results")
        return {
            "experiment": self._experiment,
            "frame": self._experiment - 1,
            "shape": result["shape"],
            "dtype": result["dtype"],
            "t_start_s": result["t_start_s"],
            "t_end_s": result["t_end_s"],
            "settings": self._requested,
        }

    def pixels(self) -> bytes:
        """The last image, float32 little endian."""
        self._require_image()
        return self._path("results", "raw").read_bytes()

    def _attach(self) -> None:
        """Go on where an agent before this one stood: the latest request counts."""
        names = [path.stem for path in self._folder.glob("requests/*.json")]
        numbers = [int(name) for name in names if name.isascii() and name.isdigit()]
        if not numbers:
            return
        self._experiment = max(numbers)
        try:
            request = self._read("requests")
            asked = request.get("settings")
            self._settings = updated(_FIRST, asked if isinstance(asked, dict) else {})
        except Refusal as refusal:
            self._end = self._failed(refusal.entry())
            return
        self._requested = dict(self._settings)
        created_s = request.get("created_s")
        begun_s = float(created_s) if isinstance(created_s, int | float) else self._now()
        self._due_s = begun_s + self.duration_s() + self._grace_s
        if self._path("requests", "abort").exists():
            self._end = _status("idle", self._experiment, outcome="aborted")

    def _look_for_end(self) -> dict[str, Any] | None:
        if self._path("results", "json").exists():
            try:
                return self._result()
            except Refusal as refusal:
                return self._failed(refusal.detail)
        if self._now() > self._due_s:
            self._abort(f"no result {self._grace_s:g} s after its time", outcome="failed")
        return self._end

    def _result(self) -> dict[str, Any]:
        result = self._read("results")
        if result.get("error"):
            return self._failed(str(result["error"])[:200])
        size = _image_bytes(result)
        raw = self._path("results", "raw")
        found = raw.stat().st_size if raw.exists() else 0
        if found != size:
            return self._failed(f"truncated image: got {found} bytes, expected {size}")
        times = [result.get("t_start_s"), result.get("t_end_s")]
        if not all(isinstance(time, int | float) for time in times):
            return self._failed("result without t_start_s and t_end_s")
        done = _status("idle", self._experiment, outcome="complete", progress=1.0)
        return {**done, "t_start_s": times[0], "t_end_s": times[1]}

    def _progress(self) -> dict[str, Any]:
        """What the vendor's side says meanwhile; it need not say anything."""
        report: dict[str, Any] = {}
        if self._path("progress", "json").exists():
            try:
                report = self._read("progress")
            except Refusal as refusal:
                report = {"state": "armed", "note": refusal.detail}
        state = report.get("state")
        progress, start_s = report.get("progress"), report.get("t_start_s")
        status = _status(state if state in _RUNNING else "armed", self._experiment)
        if isinstance(progress, int | float) and 0 <= progress <= 1:
            status["progress"] = progress
        if isinstance(start_s, int | float):
            status["t_start_s"] = start_s
        return status

    def _abort(self, reason: str, *, outcome: str) -> None:
        _write(self._path("requests", "abort"), reason)
        if outcome == "failed":
            self._end = self._failed(reason)
        else:
            self._end = _status("idle", self._experiment, outcome=outcome)

    def _failed(self, reason: str) -> dict[str, Any]:
        error = f"experiment {self._experiment}: {reason}"
        return _status("error", self._experiment, outcome="failed", error=error)

    def _refuse_busy(self, code: int) -> None:
        if self.active():
            raise Refusal(code, f"experiment {self._experiment} goes on, expected idle")

    def _require_image(self) -> None:
        outcome = self.status()["outcome"]
        if outcome != "complete":
            raise Refusal(-230, f"no image: experiment {self._experiment} is {outcome}")

    def _path(self, kind: str, suffix: str) -> Path:
        return self._folder / kind / f"{self._experiment:06d}.{suffix}"

    def _read(self, kind: str) -> dict[str, Any]:
        path = self._path(kind, "json")
        try:
            if path.stat().st_size > MAX_JSON_BYTES:
                raise Refusal(-223, f"{path.name}: more than {MAX_JSON_BYTES} bytes")
            value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
        except (OSError, ValueError, RecursionError) as error:
            raise Refusal(-230, f"{kind} {path.name}: {error}"[:200]) from None
        if not isinstance(value, dict):
            raise Refusal(-230, f"{kind} {path.name}: expected an object")
        return value


def _status(
    state: str, experiment: int, *, outcome: str = "pending", error: str = "", progress: float = 0.0
) -> dict[str, Any]:
    return {
        "state": state,
        "progress": progress,
        "experiment": experiment,
        "t_start_s": None,
        "t_end_s": None,
        "error": error,
        "outcome": outcome,
    }


def _image_bytes(result: Mapping[str, Any]) -> int:
    """Size that the result's shape and type promise; refused before anything is read."""
    shape: Any = result.get("shape")
    listed = isinstance(shape, list) and 2 <= len(shape) <= _MOST_AXES
    if result.get("dtype") != "<f4" or not listed:
        raise Refusal(-230, "result without shape [..., lines, columns] and dtype '<f4'")
    if not all(type(side) is int and 1 <= side <= _LONGEST_AXIS for side in shape):
        expected = f"{len(shape)} numbers from 1 to {_LONGEST_AXIS}"
        raise Refusal(-230, f"shape: got {shape!r:.60}, expected {expected}")
    size: int = 4 * math.prod(shape)
    if size > MAX_BLOCK_BYTES:
        raise Refusal(-223, f"image: got {size} bytes, at most {MAX_BLOCK_BYTES}")
    return size


def _write(path: Path, text: str) -> None:
    """Write a file that is either whole or not there."""
    unfinished = path.with_suffix(f"{path.suffix}.part")
    with unfinished.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
