"""What a rehearsed run shows of itself: records, steps, exposures, spectra, events.

Times are seconds since the run began, unless a name says Unix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.cell_records import COLUMNS, Records, joined
from devices.frame_device import FrameDevice
from devices.potentiostat import Potentiostat
from orchestrator.bench import Bench

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StepRun:
    """One pass through one step.

    Attributes:
        index: In the method, from 0.
        cycle: From 1.
        began_s: When the cell was connected.
        ended_s: When the step was over.
        reason: Why: ``time``, ``voltage``, ``current``, ``limit``, ``stopped`` or ``fault``.
    """

    index: int
    cycle: int
    began_s: float
    ended_s: float
    reason: str


@dataclass(frozen=True)
class Exposure:
    """One frame, from the first to the last moment that it shows."""

    device: str
    began_s: float
    ended_s: float
    quality: str


@dataclass(frozen=True)
class Happening:
    """An event of the run's own stream ``events``."""

    time_s: float
    kind: str
    text: str


@dataclass(frozen=True)
class Spectrum:
    """One impedance spectrum.

    Attributes:
        began_s: Time of its first point.
        ended_s: Time of its last point.
        series: Number of its series in the file; -1 for a step of the protocol.
        largest_v: Largest peak amplitude of the voltage, V.
        largest_ma: Largest peak amplitude of the current, mA.
    """

    began_s: float
    ended_s: float
    series: int
    largest_v: float
    largest_ma: float


@dataclass(frozen=True)
class Course:
    """Everything that a rehearsed run did.

    Attributes:
        duration_s: Of the whole run.
        records: Columns of every record, each of shape (n,): ``time_s`` and those of `Records`.
        steps: Every pass through every step.
        off: Spans in which no program ran on the cell.
        held: Spans in which the protocol stood still for an exposure, the cell at rest or open.
        exposures: Every frame.
        spectra: Every spectrum.
        events: Every event.
        stop: The stop document.
        plan_name: Of the start document.
    """

    duration_s: float
    records: Mapping[str, Floats]
    steps: Sequence[StepRun]
    off: Sequence[tuple[float, float]]
    held: Sequence[tuple[float, float]]
    exposures: Sequence[Exposure]
    spectra: Sequence[Spectrum]
    events: Sequence[Happening]
    stop: Mapping[str, Any]
    plan_name: str = ""


@dataclass
class Watch:
    """Keeps what the devices and the documents of one run show.

    Attributes:
        runs: Runs that have begun; the course is that of all of them, one after the other.
    """

    runs: int = 0
    _began_s: float = 0.0
    _ended_s: float = 0.0
    _batches: list[Records] = field(default_factory=list)
    _steps: list[StepRun] = field(default_factory=list)
    _off: list[tuple[float, float]] = field(default_factory=list)
    _off_s: float | None = None
    _open: tuple[int, int, float] | None = None
    _exposures: list[Exposure] = field(default_factory=list)
    _spectra: list[Spectrum] = field(default_factory=list)
    _events: list[Happening] = field(default_factory=list)
    _streams: dict[str, str] = field(default_factory=dict)
    _stop: dict[str, Any] = field(default_factory=dict)
    _images: set[str] = field(default_factory=set)
    _plan_name: str = ""
    _prepared: bool = False

    def follow(self, bench: Bench) -> None:
        """Follow the first potentiostat of a bench; its documents come to `document`."""
        cells = [one for one in bench.devices.values() if isinstance(one, Potentiostat)]
        self._images = {n for n, d in bench.devices.items() if isinstance(d, FrameDevice)}
        if not cells:
            return
        cell = cells[0]
        cell.subscribe_records(self._batches.append)

        def cell_on(**said: Any) -> None:
            self._connected(cell, on=bool(said["value"]), time_s=cell.clock.time())

        def ended(**said: Any) -> None:
            self._end(str(said["value"]), cell.clock.time())

        cell.cell_on.subscribe(cell_on, run=False)
        cell.end_reason.subscribe(ended, run=False)

    def document(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take note of a document."""
        take = {
            "start": self._start,
            "descriptor": self._descriptor,
            "event": self._event,
            "event_page": self._page,
            "stop": self._stopped,
        }.get(name)
        if take is not None:
            take(doc)

    def course(self) -> Course:
        """What was seen, in seconds since the run began."""
        zero, end = self._began_s, self._ended_s
        if self._batches:
            stamps, columns = joined(self._batches)
        else:
            stamps, columns = [], {name: np.empty(0) for name in COLUMNS}
        times = np.asarray(stamps, dtype=float) - zero
        shift = [
            StepRun(s.index, s.cycle, s.began_s - zero, s.ended_s - zero, s.reason)
            for s in self._steps
        ]
        off = [*self._off, *([(self._off_s, end)] if self._off_s is not None else [])]
        return Course(
            duration_s=end - zero,
            records={"time_s": times, **{k: np.asarray(v, float) for k, v in columns.items()}},
            steps=shift,
            off=[(max(a - zero, 0.0), b - zero) for a, b in off if b > a],
            held=_held(self._events, end - zero),
            exposures=self._exposures,
            spectra=self._spectra,
            events=self._events,
            stop=self._stop,
            plan_name=self._plan_name,
        )

    # --- devices ---

    def _connected(self, cell: Potentiostat, *, on: bool, time_s: float) -> None:
        if on:
            if self._off_s is not None:
                self._off.append((self._off_s, time_s))
                self._off_s = None
            if self._prepared and self._open is None:
                self._open = (int(cell.step_index.get()), int(cell.cycle.get()), time_s)
        elif self._off_s is None:
            self._off_s = time_s

    def _end(self, reason: str, time_s: float) -> None:
        self._prepared = not reason  # a device that prepares a step forgets how the last ended
        if reason and self._open is not None:
            index, cycle, began_s = self._open
            self._open = None
            self._steps.append(StepRun(index, cycle, began_s, time_s, reason))

    # --- documents ---

    def _start(self, doc: Mapping[str, Any]) -> None:
        self.runs += 1
        if self.runs == 1:
            self._began_s = self._off_s = float(doc["time"])
            self._plan_name = str(doc.get("plan_name", ""))

    def _descriptor(self, doc: Mapping[str, Any]) -> None:
        self._streams[doc["uid"]] = doc["name"]

    def _event(self, doc: Mapping[str, Any]) -> None:
        stream, data = self._streams.get(doc["descriptor"], ""), doc["data"]
        if stream == "events":
            when_s = float(doc["time"]) - self._began_s
            self._events.append(Happening(when_s, str(data["event_kind"]), str(data["event_text"])))
        elif stream in self._images and f"{stream}_t_start_s" in data:
            began_s, ended_s = (float(data[f"{stream}_{key}"]) for key in ("t_start_s", "t_end_s"))
            quality = str(data[f"{stream}_quality"])
            zero = self._began_s
            self._exposures.append(Exposure(stream, began_s - zero, ended_s - zero, quality))

    def _page(self, doc: Mapping[str, Any]) -> None:
        """Rows of spectra come whole, one spectrum after the other."""
        data = doc["data"]
        key = next((k for k in data if k.endswith("_spectrum")), None)
        if key is None:
            return
        stem = key.removesuffix("_spectrum")
        numbers = np.asarray(data[key])
        times = np.asarray(doc["time"], dtype=float) - self._began_s
        for number in dict.fromkeys(numbers.tolist()):
            rows = np.nonzero(numbers == number)[0]
            self._spectra.append(
                Spectrum(
                    float(times[rows[0]]),
                    float(times[rows[-1]]),
                    int(data[f"{stem}_series"][rows[0]]),
                    float(np.max(np.asarray(data[f"{stem}_amplitude_v"], float)[rows])),
                    float(np.max(np.asarray(data[f"{stem}_amplitude_ma"], float)[rows])),
                )
            )

    def _stopped(self, doc: Mapping[str, Any]) -> None:
        self._stop, self._ended_s = dict(doc), float(doc["time"])


def _held(events: Sequence[Happening], end_s: float) -> list[tuple[float, float]]:
    """From each event that says that the cell is held to the one that says that it goes on."""
    found, since_s = [], None
    for one in events:
        if one.kind in ("cell_rest", "cell_open") and since_s is None:
            since_s = one.time_s
        elif one.kind == "cell_goes_on" and since_s is not None:
            found.append((since_s, one.time_s))
            since_s = None
    return [*found, *([(since_s, end_s)] if since_s is not None else [])]
