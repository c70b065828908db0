"""The event loop whose hours pass in microseconds.

`JumpingLoop` is an asyncio selector loop. Where an ordinary loop would sleep until its next
timer, this one adds the wait to its own time and goes on, but only while `may_jump` says so (the
engine runs, or somebody waits explicitly) and nobody holds time still. Otherwise it blocks for
real, in short slices, and virtual time stands still. `HandedTime` is the time of a world in
another process, which is told of each jump before anybody there is asked anything.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sim.errors import SimulationError

EPOCH_S = 1_735_689_600.0
"""Virtual experiments begin at 2025-01-01T00:00:00Z, so that documents repeat exactly."""

_SLICE_S = 0.05


class _JumpingSelector(selectors.DefaultSelector):
    """Adds the timeout to its own time instead of waiting."""

    def __init__(self, begin_s: float) -> None:
        super().__init__()
        self.now_s = begin_s
        self.may_jump: Callable[[], bool] = lambda: False
        self.lead: Callable[[float], bool] = lambda _to_s: True
        self.holds = 0
        self.lock = threading.Lock()

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        ready = super().select(0)
        if ready:
            return ready
        with self.lock:
            jump = timeout is not None and self.holds == 0 and self.may_jump()
            if jump and timeout is not None:
                to_s = self.now_s + timeout
                jump = self.lead(to_s)
                if jump:
                    self.now_s = to_s
        if jump:
            return []
        return super().select(_SLICE_S if timeout is None else min(timeout, _SLICE_S))


class JumpingLoop(asyncio.SelectorEventLoop):
    """Selector event loop in virtual time; see the module's text.

    Args:
        epoch_s: Unix time at which this loop's time is zero.
        begin_s: What this loop's time begins at, s: the present of a world that is older.

    Attributes:
        epoch_s: As given.
    """

    def __init__(self, *, epoch_s: float = EPOCH_S, begin_s: float = 0.0) -> None:
        self._jumping = _JumpingSelector(begin_s)
        self.epoch_s = epoch_s
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the epoch of the world."""
        return self._jumping.now_s

    def now(self) -> float:
        """Virtual seconds since the Unix epoch."""
        return self.epoch_s + self._jumping.now_s

    def set_may_jump(self, may_jump: Callable[[], bool]) -> None:
        """Install the question asked before each jump; it must not block."""
        self._jumping.may_jump = may_jump

    def set_lead(self, lead: Callable[[float], bool]) -> None:
        """Let others follow this loop's time.

        Args:
            lead: Told of each jump with the time it leads to, s, before anything happens then;
                whether the jump may be. It must not raise.
        """
        self._jumping.lead = lead

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep virtual time still while a worker computes; may be nested, from any thread."""
        with self._jumping.lock:
            self._jumping.holds += 1
        try:
            yield
        finally:
            with self._jumping.lock:
                self._jumping.holds -= 1
            if not self.is_closed():
                self.call_soon_threadsafe(lambda: None)


class HandedTime:
    """Time that somebody else hands over; it stands still meanwhile.

    Attributes:
        now_s: Seconds since the world began.
        held: Whether time is kept still although it is handed over.
    """

    def __init__(self) -> None:
        self.now_s, self.held = 0.0, False

    def __call__(self) -> float:
        """Seconds since the world began."""
        return self.now_s

    def advance(self, to_s: float) -> bool:
        """Go on to `to_s`, unless time is held; whether it has.

        Raises:
            SimulationError: That is no time, or lies in the past.
        """
        if not math.isfinite(to_s) or to_s < self.now_s:
            raise SimulationError(f"time: got {to_s} s, expected {self.now_s} s or later")
        if not self.held:
            self.now_s = to_s
        return not self.held
