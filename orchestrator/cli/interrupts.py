"""SIGTERM and SIGHUP outside a run: they end a verb through every ``finally``, as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_in_order(raise_: Callable[[], NoReturn] | None = None) -> Iterator[None]:
    """Let a bench be closed, and so switched off, by a signal that would kill the process.

    Only the first such signal counts: a second one must not cut the switching off short. A
    hang-up that was ignored before (``nohup``) stays ignored. While the engine blocks it has
    handlers of its own.

    Args:
        raise_: Leaves the running code; None raises KeyboardInterrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            return
        if raise_ is not None:
            raise_()
        raise KeyboardInterrupt

    former: dict[int, Any] = {}
    for ending in _ENDING:
        if signal.getsignal(ending) is not signal.SIG_IGN:
            former[ending] = signal.signal(ending, handle)
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)
