"""Slow work (frames, analysis, fsync) off the engine's loop, with virtual time held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from devices.clock import LoopClock, Owner
from orchestrator.errors import DiskError


class LoopWorker:
    """One thread that works for the engine's loop; implements `devices.roles.Worker`.

    Args:
        clock: The experiment's clock.
        hold: Gives a context in which virtual time stands still; used from submission until the
            result has been dealt with, so that results arrive at the moment they were asked for.
    """

    def __init__(self, clock: LoopClock, hold: Callable[[], AbstractContextManager[None]]) -> None:
        self._clock, self._hold = clock, hold
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="operando-worker")

    def submit(
        self,
        work: Callable[[], Any],
        done: Callable[[Any, BaseException | None], None],
        *,
        owner: Owner,
    ) -> None:
        """Run `work` in the thread, then call ``done(result, error)`` on the loop.

        A disk that is full or refuses ends the run, whatever `done` makes of it: what cannot be
        recorded is not measured.
        """
        held = ExitStack()
        held.enter_context(self._hold())

        def finish(future: Future[Any]) -> None:
            with held:
                error = future.exception()
                try:
                    done(None if error else future.result(), error)
                except Exception as failure:  # noqa: BLE001 - asyncio would only log it
                    self._clock.fail(owner, failure)
                else:
                    if isinstance(error, DiskError):
                        self._clock.fail(owner, error)

        future = self._pool.submit(work)
        future.add_done_callback(lambda f: self._clock.loop.call_soon_threadsafe(finish, f))

    def close(self) -> None:
        """Wait for what runs and end the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class DiskThread:
    """Waits for the disk off the engine's loop: what guards the cell goes on meanwhile.

    Args:
        hold: Gives a context in which virtual time stands still.
    """

    def __init__(self, hold: Callable[[], AbstractContextManager[None]]) -> None:
        self._hold = hold
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="operando-disk")
        self._pool.submit(_nothing)  # no thread to be had is noticed now, not at the first record

    async def run(self, work: Callable[[], None]) -> None:
        """Do something that may take long, and raise what it raises."""
        with self._hold():
            await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Wait for what runs and end the thread."""
        self._pool.shutdown(wait=True)


def _nothing() -> None:
    """What the thread begins with."""
