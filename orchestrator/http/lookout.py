"""Looks at everything while somebody wants to know of changes, and at nothing otherwise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

from devices.clock import Handle, LoopClock
from orchestrator.http.changes import Changes
from orchestrator.http.state import State
from orchestrator.http.tails import Tails

log = logging.getLogger(__name__)

PERIOD_S = 1.0
"""Time between two looks, s of real time."""

MOST_STREAMS = 16

Look = Callable[[], Awaitable[None]]


class Lookout:
    """Looks, in a worker thread, when the clock says so.

    Args:
        state: Looks things up.
        tails: What has happened since.
        changes: Told what was seen.

    Attributes:
        name: For callbacks of the clock.
    """

    name = "lookout"

    def __init__(self, state: State, tails: Tails, changes: Changes) -> None:
        self._state, self._tails, self.changes = state, tails, changes
        self._clock: LoopClock | None = None
        self._worker: Executor | None = None
        self._timer: Handle | None = None
        self._looking = asyncio.Lock()
        self._again: asyncio.Task[None] | None = None
        self._ended = False

    def callback_failed(self, error: BaseException) -> None:
        """Nothing is lost by a look that failed."""
        log.warning("a look failed: %s", error)

    def begin(self, clock: LoopClock, worker: Executor) -> None:
        """Serve from now on; looks are taken in the worker."""
        self._clock, self._worker = clock, worker

    def end(self) -> None:
        """Look no more; streams end."""
        self._ended = True
        self.changes.end()
        if self._timer is not None:
            self._timer.cancel()

    async def joined(self) -> None:
        """Somebody wants to know: look now, and go on looking."""
        self.changes.streams += 1
        await self.look()
        if self._timer is None:
            self._later()

    def left(self) -> None:
        """Somebody has gone."""
        self.changes.streams -= 1

    async def look(self) -> None:
        """Look once; what was seen is published."""
        async with self._looking:
            if self._ended:
                return
            loop = asyncio.get_running_loop()
            try:
                everything, happened = await loop.run_in_executor(self._worker, self._seen)
            except Exception as error:  # noqa: BLE001 - a page that is not told now is told later
                log.warning("a look failed: %s", error)
                return
            self.changes.seen(everything, happened)

    def _seen(self) -> tuple[dict[str, dict[str, Any]], list[tuple[str, dict[str, Any]]]]:
        everything = self._state.everything()
        return everything, self._tails.news(list(everything["live"]))

    def _later(self) -> None:
        if self._clock is not None:
            self._timer = self._clock.call_later(PERIOD_S, self._due, owner=self)

    def _due(self) -> None:
        self._timer = None
        if self.changes.streams > 0 and not self._ended:
            self._again = asyncio.get_running_loop().create_task(self._once_more())

    async def _once_more(self) -> None:
        await self.look()
        if self.changes.streams > 0 and not self._ended and self._timer is None:
            self._later()
