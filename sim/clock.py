"""The event loop whose hours pass in microseconds.

`JumpingLoop` is an asyncio selector loop. Where an ordinary loop would sleep until its next
timer, this one adds the wait to its own time and goes on, but only while `may_jump` says so (the
engine runs, or somebody waits explicitly) and nobody holds time still. Otherwise it blocks for
real, in short slices, and virtual time stands still.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EPOCH_S = 1_735_689_600.0
"""Virtual experiments begin at 2025-01-01T00:00:00Z, so that documents repeat exactly."""

_SLICE_S = 0.05


class _JumpingSelector(selectors.DefaultSelector):
    """Adds the timeout to its own time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.may_jump: Callable[[], bool] = lambda: False
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
                self.now_s += timeout
        if jump:
            return []
        return super().select(_SLICE_S if timeout is None else min(timeout, _SLICE_S))


class JumpingLoop(asyncio.SelectorEventLoop):
    """Selector event loop in virtual time; see the module's text.

    Attributes:
        epoch_s: Unix time at which this loop's time is zero.
    """

    def __init__(self, *, epoch_s: float = EPOCH_S) -> None:
        self._jumping = _JumpingSelector()
        self.epoch_s = epoch_s
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now_s

    def now(self) -> float:
        """Virtual seconds since the Unix epoch."""
        return self.epoch_s + self._jumping.now_s

    def set_may_jump(self, may_jump: Callable[[], bool]) -> None:
        """Install the question asked before each jump; it must not block."""
        self._jumping.may_jump = may_jump

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
