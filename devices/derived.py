"""Numbers out of frames and spectra, as ophyd shows them: one stream for each number.

`Analysis` is what is done with each frame of a device, in the device's worker; it gives several
`DerivedNumber`s at once. Each is a `devices.roles.Derived`: conditions look at its readings, and
`collect_pages` makes rows of them. What the analysis itself is, the bench supplies.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device

from devices.clock import Clock
from devices.readings import Listener, Listeners
from devices.roles import Reading
from devices.signals import ReadbackSignal

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What an analysis says of one number.

    Attributes:
        value: In the number's unit; NaN if there is none.
        error: Standard error in the same unit.
        quality: As of `devices.roles.Reading`.
    """

    value: float
    error: float = math.nan
    quality: str = "ok"


Look = Callable[[Any], Mapping[str, Finding]]
"""Analyses what a device delivers; called in a worker, may raise."""


class DerivedNumber(Device):
    """One number out of each frame of a device; stageable, collectable.

    Args:
        prefix: Not used; ophyd passes it.
        name: Name of its stream, and of the number in documents.
        analysis: Gives it.
        clock: The experiment's clock.
        units: Its unit; empty of a pure number.
        **kwargs: As for `ophyd.Device`.
    """

    number = Cpt(ReadbackSignal, value=math.nan, precision=6)
    error = Cpt(ReadbackSignal, value=math.nan, precision=6)
    frame = Cpt(ReadbackSignal, value=-1, dtype="integer")
    quality = Cpt(ReadbackSignal, value="", dtype="string")
    latency_s = Cpt(ReadbackSignal, value=math.nan, units="s", precision=3)

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        analysis: Analysis,
        clock: Clock,
        units: str = "",
        **kwargs: Any,
    ) -> None:
        self.clock, self._analysis = clock, analysis
        super().__init__(prefix, name=name, **kwargs)
        self.number.name, self._units = name, units
        self.latest: Reading | None = None
        self._listeners = Listeners()
        self._waiting: list[Reading] = []
        self._staged_here = False

    latest: Reading | None

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        last = self.latest
        seen = "nothing yet" if last is None else f"{last.value:.4g} +- {last.error:.2g}"
        quality = f" ({last.quality})" if last is not None and last.quality != "ok" else ""
        return f"<{type(self).__name__} {self.name}: {seen}{quality} {self._units}".rstrip() + ">"

    @property
    def wanted(self) -> bool:
        """Whether anybody wants to know it."""
        return self._staged_here or bool(self._listeners)

    def subscribe_records(self, listener: Listener) -> Callable[[], None]:
        """Show every reading to `listener`; returns how to end that."""
        end = self._listeners.add(listener)
        self._analysis.check_wanted()

        def end_it() -> None:
            end()
            self._analysis.check_wanted()

        return end_it

    def stage(self) -> list[object]:
        """Begin a run: nothing is known, nothing waits to be recorded."""
        self.latest, self._staged_here = None, True
        self._waiting.clear()
        self._analysis.begin()
        staged: list[object] = super().stage()
        return staged

    def unstage(self) -> list[object]:
        """End a run."""
        self._staged_here = False
        self._analysis.check_wanted()
        unstaged: list[object] = super().unstage()
        return unstaged

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Data keys of the pages."""
        described: dict[str, dict[str, Any]] = {}
        for signal in self._columns:
            described.update(signal.describe())
        for signal in (self.number, self.error):
            if self._units:
                described[signal.name]["units"] = self._units
        for key in described.values():
            key["source"] = f"analysis:{self._analysis.source}"
        return described

    def collect_pages(self) -> Iterator[dict[str, Any]]:
        """Every reading since the last collection, as one page; nothing without one."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        times = [one.t_s for one in waiting]
        rows = [(r.value, r.error, r.frame, r.quality, r.latency_s) for r in waiting]
        columns = zip(self._columns, zip(*rows, strict=True), strict=True)
        data = {signal.name: list(values) for signal, values in columns}
        yield {"data": data, "timestamps": dict.fromkeys(data, times), "time": times}

    def take(self, reading: Reading) -> None:
        """Take a new reading and show it to who watches."""
        self.latest = reading
        self._waiting.append(reading)
        row = (reading.value, reading.error, reading.frame, reading.quality, reading.latency_s)
        for signal, value in zip(self._columns, row, strict=True):
            signal.update(value, timestamp=reading.t_s)
        self._listeners.tell(reading)

    @property
    def _columns(self) -> tuple[ReadbackSignal, ...]:
        return self.number, self.error, self.frame, self.quality, self.latency_s


class Analyses:
    """The analyses of one device that somebody wants now.

    Args:
        source: Name of the device.
        clock: The experiment's clock.
    """

    def __init__(self, source: str, clock: Clock) -> None:
        self.source, self.clock = source, clock
        self._active: list[Analysis] = []

    def __bool__(self) -> bool:
        return bool(self._active)

    def use(self, analysis: Analysis, *, wanted: bool) -> None:
        """Do an analysis from now on, or do it no more; idempotent."""
        if wanted and analysis not in self._active:
            self._active.append(analysis)
        elif not wanted and analysis in self._active:
            self._active.remove(analysis)

    def look(self, delivered: Any, quality: str = "ok") -> list[tuple[Analysis, Any]]:
        """Analyse what the device delivered; in a worker. Never raises.

        Args:
            delivered: A frame, or a spectrum.
            quality: What the device says of it; other than ``ok``, it is not looked at.
        """
        return [(one, one.look(delivered, quality)) for one in list(self._active)]

    def tell(self, found: list[tuple[Analysis, Any]], frame: int, t_s: float) -> None:
        """Show what was found; on the engine's loop.

        Args:
            found: What `look` gave.
            frame: Index of the frame or spectrum in its stream.
            t_s: Experiment time at which the numbers hold, Unix s.
        """
        for analysis, findings in found:
            analysis.tell(findings, frame, t_s)


class Analysis:
    """What is done with each frame of a device.

    Args:
        analyses: Those of the device.
        look: Does it, in a worker; gives a `Finding` for each of the numbers.
        units: Unit of each number, by its key.
        begin: Called when a run begins: what was seen before is forgotten.

    Attributes:
        numbers: The numbers by their keys; each is called after the device and its key.
    """

    def __init__(
        self,
        analyses: Analyses,
        look: Look,
        *,
        units: Mapping[str, str],
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._analyses, self._look, self._begin = analyses, look, begin
        self.numbers: dict[str, DerivedNumber] = {
            key: DerivedNumber(
                name=f"{self.source}_{key}", analysis=self, clock=analyses.clock, units=unit
            )
            for key, unit in units.items()
        }

    @property
    def source(self) -> str:
        """Name of the device whose frames are looked at."""
        return self._analyses.source

    def begin(self) -> None:
        """A run begins."""
        self._begin()
        self.check_wanted()

    def check_wanted(self) -> None:
        """Be done for as long as anybody wants one of the numbers."""
        self._analyses.use(self, wanted=any(one.wanted for one in self.numbers.values()))

    def look(self, delivered: Any, quality: str) -> Mapping[str, Finding]:
        """Findings for every number; a frame that cannot be analysed gives none."""
        if quality != "ok":
            return self._nothing(f"the frame is {quality}")
        try:
            return self._look(delivered)
        except Exception as error:  # noqa: BLE001 - no image may end a run
            log.warning("%s: a frame could not be analysed: %s", self.source, error)
            return self._nothing(f"not analysed: {error}")

    def tell(self, findings: Mapping[str, Finding], frame: int, t_s: float) -> None:
        """Show the findings of one frame."""
        now_s = self._analyses.clock.time()
        for key, number in self.numbers.items():
            found = findings.get(key) or Finding(math.nan, quality="the analysis gives none")
            number.take(
                Reading(
                    t_s=t_s,
                    value=found.value,
                    error=found.error,
                    quality=found.quality,
                    source=self.source,
                    frame=frame,
                    known_s=now_s,
                )
            )

    def _nothing(self, why: str) -> dict[str, Finding]:
        return {key: Finding(math.nan, quality=why) for key in self.numbers}
