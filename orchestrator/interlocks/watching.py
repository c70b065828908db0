"""The interlocks of an open bench: checked before anything begins, watched until it is over.

They work in callbacks of the engine's loop, so that they act while a plan sleeps or is paused. A
trip acts in this order: nothing may energise the cell any more; the cell is switched off,
verified; the safe state of the profile follows; the trip is latched; the plan, the audit log and
whoever is to be told hear of it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.clock import Handle, LoopClock, wall_time
from devices.link import Link
from devices.roles import Worker
from orchestrator.engine import Engine
from orchestrator.errors import InterlockTripped
from orchestrator.interlocks.feeds import Feed, feeds_of
from orchestrator.interlocks.latches import Latches
from orchestrator.interlocks.monitor import Monitor
from orchestrator.interlocks.rules import Sample
from orchestrator.interlocks.safe_state import cell_off, make_safe
from orchestrator.profile.interlocks import FreeDiskInterlock, InterlockEntry
from orchestrator.profile.models import BenchProfile
from orchestrator.records.audit import AuditLog
from orchestrator.records.live import LiveState
from orchestrator.telling import Severity, Tell, Telling
from plans.trip import Trip

log = logging.getLogger(__name__)

_ARM_S = 60.0
_ARM_LOOKS = 3
"""Readings of one source at most before a run, where one after another is bad [A]."""


@dataclass
class BenchParts:
    """What interlocks work with.

    Attributes:
        profile: The bench.
        engine: Runs the plans.
        devices: Devices by name.
        links: Links by ``device`` or ``device.part``.
        data: The data directory.
        worker: Writes the audit log, off the loop.
        run: Uid of the open run; empty where there is none.
        go_on: Lets a paused plan go on, to its end; returns whether somebody took the word.
        audit: The audit log; None in a rehearsal.
        tell: Tells who is to be told.
        simulated: Whether everything is simulated.
    """

    profile: BenchProfile
    engine: Engine
    devices: Mapping[str, Any]
    links: Mapping[str, Link]
    data: Path
    worker: Worker
    run: Callable[[], str]
    go_on: Callable[[], bool]
    audit: AuditLog | None
    tell: Tell
    simulated: bool


class Interlocks:
    """The interlocks of one open bench.

    Args:
        parts: What they work with.
        clock: The experiment's clock.
        latches: Keeps trips.

    Attributes:
        monitors: One for each interlock of the profile, in its order.
        tripped: The first trip since `arm`; while there is one nothing is energised.
        name: For callbacks of the clock.
    """

    name = "interlocks"

    def __init__(self, parts: BenchParts, clock: LoopClock, latches: Latches) -> None:
        self._with, self._clock, self.latches = parts, clock, latches
        self.monitors = [
            Monitor(entry)
            for entry in parts.profile.interlocks
            # the disk of a rehearsal is not that of the run
            if latches.kept or not isinstance(entry, FreeDiskInterlock)
        ]
        self.tripped: Trip | None = None
        self._arming = False
        self._timers: dict[int, Handle] = {}
        self._seen = LiveState(latches.seen_path)
        self._feeds: list[Feed] = feeds_of(
            self.monitors,
            parts.devices,
            parts.links,
            clock,
            parts.data,
            take=self._take,
        )
        for feed in self._feeds:
            feed.listen()
        if self.monitors:
            parts.engine.subscribe(self._run_ended, "stop")

    # --- before a run -----------------------------------------------------------------------------

    def arm(self) -> None:
        """Check everything before a plan begins or goes on; then it is watched.

        A run that a trip has ended while it was paused may go on to its end: nothing is energised.

        Raises:
            InterlockTripped: An interlock is latched, or what must hold does not: nothing was
                energised, and nothing is latched for that.
        """
        if not self.monitors:
            return
        engine = self._with.engine
        if self.tripped is not None and str(engine.state) == "paused":
            if engine.control.served:
                return
            raise self._refused([self.tripped], "end the run: bench.abort()")
        self.latches.check()
        armed = asyncio.run_coroutine_threadsafe(self._armed(), self._clock.loop)
        armed.result(_ARM_S)

    def permit(self) -> None:
        """Asked before anything drives the cell.

        Raises:
            InterlockTripped: Something has tripped, or is latched: the cell stays off.
        """
        if not self.monitors:
            return
        control = self._with.engine.control
        if self.tripped is not None:
            if control.taking_evidence:
                return
            remedy = f"see to it, then `operando interlocks {self._bench} --acknowledge"
            raise self._refused([self.tripped], f"{remedy} {self.tripped.name}`")
        if not self._timers:  # by hand, without a plan
            self.latches.check()
            self._watch()

    async def _armed(self) -> None:
        """Look at everything now, on the loop."""
        self.tripped = None
        bad, engine = self._check(), self._with.engine
        if not bad:
            self._watch()
        elif str(engine.state) == "paused" and engine.control.served:
            for trip in bad:  # it goes on to its end
                self._act(trip, latch=self._entry(trip.name).latch)
        else:
            raise self._refused(bad, "put it right; nothing was energised")

    def check(self) -> list[Trip]:
        """What does not hold now, as far as it can be seen with the cell off; nothing trips."""

        async def checked() -> list[Trip]:
            return self._check()

        return asyncio.run_coroutine_threadsafe(checked(), self._clock.loop).result(_ARM_S)

    def _check(self) -> list[Trip]:
        """Look at everything that can be looked at with the cell off, on the loop; what is bad.

        A reading that is bad is taken again, up to twice, where its interlock wants more than one
        to confirm it. Nothing trips by it.
        """
        for monitor in self.monitors:
            monitor.reset()
        self._arming = True
        try:
            for feed in self._feeds:
                looks = min(_ARM_LOOKS, max(one.entry.confirm for one in feed.monitors))
                for _ in range(looks):
                    feed.look(fresh=True)
                    if not any(monitor.wrong for monitor in feed.monitors):
                        break
            wrong = [one for one in self.monitors if one.wrong]
        finally:
            self._arming = False
        self._show(at_once=True)
        found = [Trip(one.name, one.wrong) for one in wrong]
        for monitor in self.monitors:
            monitor.reset(forget=False)
        return found

    def _entry(self, name: str) -> InterlockEntry:
        return next(one.entry for one in self.monitors if one.name == name)

    def _refused(self, trips: list[Trip], remedy: str) -> InterlockTripped:
        told = "; ".join(f"{trip.name}: {trip.text}" for trip in trips)
        return InterlockTripped(self._bench, f"interlock {told}", remedy=remedy)

    # --- while something goes on ------------------------------------------------------------------

    @property
    def _bench(self) -> str:
        return self._with.profile.bench

    @property
    def _needed(self) -> bool:
        """Whether something is under way that must be watched."""
        engine = self._with.engine
        return str(engine.state) != "idle" or bool(engine.energised)

    def _watch(self) -> None:
        """Look again and again, each source in its own time, while something is under way."""
        self.stop()
        for index, feed in enumerate(self._feeds):
            if math.isfinite(feed.every_s):
                self._timers[index] = self._later(index, feed)

    def _later(self, index: int, feed: Feed) -> Handle:
        return self._clock.call_later(feed.every_s, lambda: self._look(index, feed), owner=self)

    def _look(self, index: int, feed: Feed) -> None:
        del self._timers[index]
        if not self._needed:
            return
        self._timers[index] = self._later(index, feed)  # first: a look may raise
        feed.look()
        self._show(at_once=False)

    def stop(self) -> None:
        """Look no more by the clock; what comes by itself is still listened to."""
        if any(monitor.last is not None for monitor in self.monitors):
            self._show(at_once=True)
        timers, self._timers = self._timers, {}
        for timer in timers.values():
            timer.cancel()

    def callback_failed(self, error: BaseException) -> None:
        """A look raised, for no instrument's sake: the engine goes safe (called by the clock)."""
        log.critical("interlocks: a look failed: %s", error)

    def _take(self, monitor: Monitor, sample: Sample) -> None:
        """Judge a reading, and act where it trips."""
        trip = monitor.take(sample)
        if self._arming or trip is None:
            return
        if self._needed or self.tripped is not None:
            self._act(trip, latch=monitor.entry.latch)
        else:
            monitor.reset()  # a reading at the prompt, with everything off and nothing under way

    # --- a trip -----------------------------------------------------------------------------------

    def _act(self, trip: Trip, *, latch: bool) -> None:
        first, self.tripped = self.tripped is None, self.tripped or trip
        off = cell_off(self._with.profile, self._with.engine)
        self._end_run(trip)  # before what is made safe fails its own promises to the plan
        failed = make_safe(self._with.profile, self._with.devices) if first else {}
        log.critical("%s: %s; the cell is %s", self._bench, trip.sentence, _said(off=off))
        run = self._with.run()
        if latch:
            try:
                self.latches.mark(trip, run=run, data=str(self._with.data))
            except OSError as error:
                log.critical("%s: the trip cannot be latched: %s", self._bench, error)
        self._show(at_once=True)
        self._tell(trip, off=off, failed=failed, run=run)

    def _run_ended(self, _name: str, _doc: Mapping[str, Any]) -> None:
        """Evidence may have used what was made safe: make it so again."""
        if self.tripped is not None:
            make_safe(self._with.profile, self._with.devices)

    def _end_run(self, trip: Trip) -> None:
        """The plan ends by itself where it listens; otherwise the engine ends it."""
        engine = self._with.engine
        served, paused = engine.control.served, str(engine.state) == "paused"
        if not served or paused:
            engine.record_interruption(trip.sentence)
        if served:
            engine.control.trip(trip)
            if paused:
                self._with.go_on()
        else:
            engine.give_up(self._refused([trip], "look at the cell, then acknowledge it"))

    def _tell(self, trip: Trip, *, off: bool, failed: Mapping[str, str], run: str) -> None:
        known, audit = self._with, self._with.audit
        cell = _said(off=off)
        also = "".join(f"; {name} not made safe: {why}" for name, why in failed.items())
        known.tell(
            Telling(
                "interlock",
                Severity.FAILURE if off else Severity.UNSAFE,
                f"{trip.sentence}; the run ends{also}",
                bench=self._bench,
                run=run,
                cell=cell,
                remedy=f"see to it, then `operando interlocks {self._bench} --acknowledge "
                f"{trip.name}`",
                data=str(known.data),
                simulated=known.simulated,
            )
        )
        if audit is None:
            return
        what: dict[str, Any] = {"interlock": trip.name, "text": trip.text, "cell": cell, "run": run}
        what |= {"failed": dict(failed)} if failed else {}

        def written(_line: Any, error: BaseException | None) -> None:
            if error is not None:
                log.error("the trip is not in the audit log: %s", error)

        known.worker.submit(
            lambda: audit.append("interlock", "operando", bench=self._bench, **what),
            written,
            owner=self,
        )

    # --- for those who look -----------------------------------------------------------------------

    def _show(self, *, at_once: bool) -> None:
        """Let other processes see what was seen last."""
        if not self.latches.kept or not (at_once or self._seen.due):
            return
        self._seen.update(**self.seen())
        if at_once:
            self._seen.flush()

    def seen(self) -> dict[str, dict[str, Any]]:
        """The last reading of each interlock, by name: value, quality, age, what is wrong."""
        now_s, shown_s = self._clock.time(), wall_time()
        return {
            one.name: {
                "value": one.last.value if math.isfinite(one.last.value) else None,
                "quality": one.last.quality,
                "t_s": one.last.t_s,
                "age_s": max(now_s - one.last.t_s, 0.0),
                "shown_s": shown_s,
                "wrong": one.wrong,
                "tripped": one.tripped is not None,
            }
            for one in self.monitors
            if one.last is not None
        }


def _said(*, off: bool) -> str:
    return "off, verified" if off else "NOT known to be off"
