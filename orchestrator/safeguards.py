"""What keeps an open bench safe: interlocks, watchdog, the mark UNSAFE, the longest pause."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from devices.clock import Handle, LoopClock
from orchestrator.errors import UnsafeBenchError
from orchestrator.interlocks import Interlocks, Latches
from orchestrator.interlocks.safe_state import cell_off
from orchestrator.interlocks.watching import BenchParts
from orchestrator.profile.models import BenchProfile
from orchestrator.records.recorder import Recorder
from orchestrator.registered import Registration
from orchestrator.safe_off import energisers
from orchestrator.telling import Severity, Telling, tell
from orchestrator.watchdog import Watch
from orchestrator.watchdog.latch import Latch
from orchestrator.worker import LoopWorker

log = logging.getLogger(__name__)

WATCHDOG_LOG = "watchdog.jsonl"
"""File of the data directory that watchdogs append their lines to."""

_AGAIN_S = 5.0
"""Time between tries to switch off what could not be switched off, s [A]."""

_TRIES = 720
"""Such tries before only a person can help: an hour."""


class Safeguards:
    """Asked before a plan begins or goes on; at work until the bench is closed.

    Args:
        known: The bench.
        clock: The experiment's clock.
        reached: The bench with the addresses at which its instruments are reached from elsewhere.

    Attributes:
        interlocks: What must hold.
        watchdog: Switches off when the engine dies or hangs; None where nothing is real.
        name: For callbacks of the clock.
    """

    name = "safeguards"

    def __init__(self, known: BenchParts, clock: LoopClock, reached: BenchProfile) -> None:
        self._known, self._clock = known, clock
        self._rehearses, bench = known.audit is None, known.profile.bench
        self.interlocks = Interlocks(known, clock, Latches(bench, kept=not self._rehearses))
        self._latch = Latch(bench)
        # a served laboratory counts as hardware in real time; in virtual time it stands still
        # without an engine, and nobody could come too late
        self._real = not clock.simulated and bool(energisers(reached))
        self.watchdog: Watch | None = None
        self._pause: Handle | None = None
        self._again: Handle | None = None
        self._registration = Registration(reached, known.data)
        if self._real:
            self._latch.check()
            self._registration.begin()
            try:
                self.watchdog = Watch(reached, clock, known.data / WATCHDOG_LOG, self._lost)
                self._guarded()
            except BaseException:
                self._registration.end(everything_off=True)  # nothing was energised
                raise
        engine = known.engine
        engine.before_run, engine.on_rest, engine.on_unsafe = self.ready, self._rests, self._unsafe

    def ready(self) -> None:
        """See that a plan may begin or go on.

        Raises:
            UnsafeBenchError: The bench could not be switched off before, or nothing watches.
            InterlockTripped: What must hold does not.
        """
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._guarded()
        self.interlocks.arm()

    def close(self, *, everything_off: bool) -> None:
        """End the watch; idempotent."""
        self.interlocks.stop()
        if self.watchdog is not None:
            self.watchdog.close(everything_off=everything_off)
        self._registration.end(everything_off=everything_off)

    def callback_failed(self, error: BaseException) -> None:
        """A callback raised: the engine goes safe (called by the clock)."""
        log.critical("safeguards: a callback failed: %s", error)

    # --- inside -----------------------------------------------------------------------------------

    def _guarded(self) -> None:
        """No hardware is energised unless a process of its own watches the engine."""
        if self.watchdog is not None:
            self._latch.check()
            self.watchdog.ensure()

    def _lost(self, why: str) -> None:
        remedy = "look at the cell; the next run starts another watchdog"
        watch = self.watchdog
        assert watch is not None  # noqa: S101 - who else could say it
        error = UnsafeBenchError(self._known.profile.bench, why, remedy=remedy)
        self._known.engine.fail(watch, error)

    def _rests(self) -> None:
        """A plan is paused, and everything rests; what a person energises then must not stay on."""
        self._pause = self._clock.call_later(
            self._known.profile.max_pause_s, self._paused_too_long, owner=self
        )

    def _paused_too_long(self) -> None:
        engine, profile = self._known.engine, self._known.profile
        self._pause = None
        if str(engine.state) != "paused":
            return
        self._rests()  # look again: it may be energised again
        on = engine.energised
        if not on:
            return
        cell_off(profile, engine)
        text = (
            f"{', '.join(on)} energised after {profile.max_pause_s:g} s of a pause: switched off, "
            "the pause goes on"
        )
        log.warning("%s: %s", profile.bench, text)
        engine.record_interruption(f"max_pause: {text}")
        self._say("pause", Severity.DECISION, text)

    def _unsafe(self, failed: Mapping[str, str]) -> None:
        """Something could not be switched off: mark the bench, tell, and try again and again."""
        told = "; ".join(f"{name}: {why}" for name, why in failed.items())
        if self._again is None:
            self._say("unsafe", Severity.UNSAFE, f"not known to be off: {told}")
            if self._real:
                self._latch.set(failed, "it could not be switched off")
            self._once_more(_TRIES)

    def _once_more(self, tries: int) -> None:
        def try_it() -> None:
            engine = self._known.engine
            engine.switch_off(only=set(engine.unsafe))
            if not engine.unsafe:
                self._again = None
                log.warning("%s: off now, verified", self._known.profile.bench)
                self._say("unsafe", Severity.DECISION, "is off now, verified, after all")
            elif tries > 1:
                self._once_more(tries - 1)

        self._again = self._clock.call_later(_AGAIN_S, try_it, owner=self)

    def _say(self, kind: str, severity: Severity, text: str) -> None:
        if self._rehearses:
            return
        known = self._known
        known.tell(
            Telling(
                kind,
                severity,
                text,
                bench=known.profile.bench,
                run=known.run(),
                remedy="disconnect the cell by hand" if severity is Severity.UNSAFE else "",
                data=str(known.data),
                simulated=known.simulated,
            )
        )


def parts_of(bench: Any, worker: LoopWorker, recorder: Recorder) -> BenchParts:
    """What the safeguards of a bench work with.

    Args:
        bench: The bench (`orchestrator.bench.Bench`), its devices made.
        worker: Works off its loop.
        recorder: Its records; of a rehearsal nobody is told, and nothing is marked.
    """

    def open_run() -> str:
        state = bench.live.snapshot()
        return str(state.run) if state.state in ("running", "paused") else ""

    return BenchParts(
        profile=bench.profile,
        engine=bench.RE,
        devices=bench.devices,
        links=bench.links,
        data=bench.data,
        worker=worker,
        run=open_run,
        go_on=lambda: bench.desk.decide is not None and bench.desk.decide("resume"),
        audit=None if recorder.rehearses else bench.desk.audit,
        tell=(lambda _telling: None) if recorder.rehearses else tell,
        simulated=all(bench.simulated.values()),
    )
