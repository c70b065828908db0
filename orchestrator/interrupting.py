"""Signals while an engine blocks the main thread: what each of them asks of it."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Protocol


class Interruptible(Protocol):
    """An engine, as far as signals concern it."""

    attended: bool
    signalled: int

    def interrupt(self, *, abort: bool, reason: str) -> None:
        """Ask for a pause or an abort; never blocks."""
        ...


class Signals:
    """Signals while the engine blocks: SIGINT pauses, twice aborts; SIGTERM and SIGHUP abort.

    The handler only schedules a coroutine on the engine's loop: pausing or aborting from within
    a handler would block it.

    Args:
        engine: The engine that blocks.
    """

    def __init__(self, engine: Interruptible) -> None:
        self.engine = engine
        self._former: dict[int, Any] = {}
        self._interrupts = 0

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # started by nohup: the run outlives its terminal
                self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)
        self._former.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        name = signal.Signals(number).name
        self.engine.signalled = number
        self._interrupts += 1
        pause = number == signal.SIGINT and self.engine.attended and self._interrupts == 1
        self.engine.interrupt(abort=not pause, reason=f"stopped by {name}")
