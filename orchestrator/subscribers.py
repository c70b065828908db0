"""Who listens to an engine from outside its loop: subscribers, and whoever draws meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from bluesky.utils import DuringTask

log = logging.getLogger(__name__)

DocumentConsumer = Callable[[str, dict[str, Any]], None]

Durable = Callable[[], Coroutine[Any, Any, None] | None]
"""Asked after each document what is to be awaited until it is acknowledged, if anything is."""


class Ticker(DuringTask):
    """Lets the main thread do something at a steady pace while the engine works.

    Attributes:
        tick: Called about four times a second of real time; None does nothing.
        rest: Called when the engine has paused or ended; None does nothing.
        period_s: Real seconds between calls.
    """

    def __init__(self) -> None:
        self.tick: Callable[[], None] | None = None
        self.rest: Callable[[], None] | None = None
        self.period_s = 0.25

    def block(self, blocking_event: threading.Event) -> None:
        """Wait for the engine, calling `tick` meanwhile."""
        try:
            while not blocking_event.wait(self.period_s):
                if self.tick is not None:
                    self.tick()
        finally:
            if self.rest is not None:
                self.rest()


class Isolated:
    """A subscriber that can harm only itself: if it raises it is logged once and detached.

    Args:
        func: What is told of documents.
    """

    def __init__(self, func: DocumentConsumer) -> None:
        self._func: DocumentConsumer | None = func

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Tell it of a document."""
        if self._func is None:
            return
        try:
            self._func(name, doc)
        except Exception:
            log.exception("a subscriber raised and is detached: %r", self._func)
            self._func = None
