"""Numbers out of frames and spectra, as ophyd shows them: one stream for each number.

`Analysis` is what is done with each frame of a device, in the device's worker; it gives several
`DerivedNumber`s at once. Each is a `devices.roles.Derived`: conditions look at its readings, and
`collect_pages` makes rows of them. What the analysis itself is, the bench supplies.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device

from devices.clock import Clock
from devices.derived_past import Delivered, reading_of, reading_state
from devices.readings import Listener, Listeners
from devices.roles import Reading
from devices.signals import ReadbackSignal

log = logging.getLogger(__name__)

_NONE = "the analysis gives none"


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
        self._missed: list[Reading] = []
        self._recorded_s = -math.inf
        self._staged_here = False

    latest: Reading | None

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        last = self.latest
        seen = "nothing yet" if last is None else f"{last.value:.4g} +- {last.error:.2g}"
        quality = f" ({last.quality})" if last is not None and last.quality != "ok" else ""
        return f"<{type(self).__name__} {self.name}: {seen}{quality} {self._units}".rstrip() + ">"

    @property
    def source(self) -> str:
        """Name of the device whose frames it is got out of."""
        return self._analysis.source

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
        self._recorded_s = -math.inf
        self._waiting.clear()
        self._missed.clear()
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

    def state(self) -> dict[str, Any]:
        """What it showed last, and what is no page yet, JSON-able."""
        latest = None if self.latest is None else reading_state(self.latest)
        return {"latest": latest, "waiting": [reading_state(one) for one in self._waiting]}

    def restore(
        self, state: Mapping[str, Any], past: Sequence[Delivered], recorded_s: float
    ) -> None:
        """Go on where the same number of an interrupted run stood; once it is staged.

        Args:
            state: What `state` has given.
            past: What its device had delivered, as the records have it. A reading of anything
                else is left out: its frame comes again, or never.
            recorded_s: Time of its last row in the records, Unix s: none is recorded twice.
        """
        frames = {one.t_s: one.frame for one in self._analysis.delivered(past)}
        self._recorded_s = recorded_s
        self.latest = None if state["latest"] is None else reading_of(state["latest"])
        waiting = [reading_of(one) for one in state["waiting"]]
        self._waiting = [
            replace(one, frame=frames[one.t_s])
            for one in waiting
            if one.t_s in frames and one.t_s > recorded_s
        ]

    def recall(self, past: Sequence[Delivered]) -> None:
        """Once all are restored: what was seen is seen again, what was not is looked at now."""
        self._analysis.recall(past)

    def show_missed(self) -> None:
        """Show what was looked at in `recall` to who watches by now."""
        missed, self._missed = self._missed, []
        for reading in missed:
            self._listeners.tell(reading)

    def miss(self, reading: Reading) -> None:
        """Take a reading that nobody could be shown when it was due."""
        self.take(reading)
        self._missed.append(reading)

    def take(self, reading: Reading) -> None:
        """Take a new reading and show it to who watches."""
        self.latest = reading
        if reading.t_s > self._recorded_s:
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

    Attributes:
        late: What was delivered while a run that goes on had not begun, and is in no records yet.
    """

    def __init__(self, source: str, clock: Clock) -> None:
        self.source, self.clock = source, clock
        self.late: list[Delivered] = []
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
        remember: Called with each frame that an interrupted run has seen, in order, where later
            ones are looked at in the light of it; may raise.

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
        remember: Callable[[Any], object] = lambda _delivered: None,
    ) -> None:
        self._analyses, self._look, self._begin = analyses, look, begin
        self._remember, self._recalled = remember, False
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
        self._recalled = False
        self.check_wanted()

    def delivered(self, past: Sequence[Delivered]) -> list[Delivered]:
        """What is in the records, and what its device has fetched for them meanwhile."""
        return [*past, *self._analyses.late]

    def recall(self, past: Sequence[Delivered]) -> None:
        """See again what an interrupted run has seen; idempotent until a run begins.

        What it had not yet looked at when it was cut off is looked at now.

        Args:
            past: Everything that the device has delivered, in order.
        """
        if self._recalled:
            return
        self._recalled = True
        shown = [one.latest.t_s for one in self.numbers.values() if one.latest is not None]
        known_s = max(shown, default=-math.inf)
        for one in self.delivered(past):
            if one.t_s > known_s:
                found = self._look_back(one)
                for key, reading in self._readings(found, one.frame, one.t_s).items():
                    self.numbers[key].miss(reading)
            elif one.quality == "ok":
                self._see_again(one)

    def _look_back(self, one: Delivered) -> Mapping[str, Finding]:
        try:
            delivered = one.read()
        except Exception as error:  # noqa: BLE001 - as of `look`
            return self._nothing(f"not analysed: {error}")
        return self.look(delivered, one.quality)

    def _see_again(self, one: Delivered) -> None:
        try:
            self._remember(one.read())
        except Exception as error:  # noqa: BLE001 - as of `look`
            log.warning("%s: frame %d is not seen again: %s", self.source, one.frame, error)

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
        for key, reading in self._readings(findings, frame, t_s).items():
            self.numbers[key].take(reading)

    def _readings(
        self, findings: Mapping[str, Finding], frame: int, t_s: float
    ) -> dict[str, Reading]:
        now_s, nothing = self._analyses.clock.time(), Finding(math.nan, quality=_NONE)
        told = {key: findings.get(key) or nothing for key in self.numbers}
        return {
            key: Reading(
                t_s=t_s,
                value=found.value,
                error=found.error,
                quality=found.quality,
                source=self.source,
                frame=frame,
                known_s=now_s,
            )
            for key, found in told.items()
        }

    def _nothing(self, why: str) -> dict[str, Finding]:
        return {key: Finding(math.nan, quality=why) for key in self.numbers}
