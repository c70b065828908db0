"""Small pieces of plans: waiting for whichever comes first, noting what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import bluesky.plan_stubs as bps
from bluesky import Msg
from bluesky.utils import MsgGenerator
from ophyd.status import Status

from devices.event import EventNote


def is_done(status: Status | None) -> bool:
    """Whether a status is done; None, as simulators answer, counts as done."""
    return status is None or bool(status.done)


def wait_any(statuses: Iterable[Status | None], timeout_s: float) -> MsgGenerator[None]:
    """Wait until one of several statuses is done, at most `timeout_s`.

    Unlike `bluesky.plan_stubs.wait` it may be cut short by a pause and simply be called again:
    it takes nothing out of the engine. Ask each status afterwards.

    Args:
        statuses: What to wait for; None (from a simulator) counts as done.
        timeout_s: Longest wait in experiment time, s.
    """
    waiting = list(statuses)
    if timeout_s <= 0 or any(is_done(status) for status in waiting):
        yield Msg("null")
        return
    yield Msg("wait_for", None, [_first_of([s for s in waiting if s is not None], timeout_s)])


def _first_of(statuses: list[Status], timeout_s: float) -> Callable[[], Coroutine[Any, Any, None]]:
    async def first() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def wake(_status: Status) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

        for status in statuses:
            status.add_callback(wake)
        try:
            await asyncio.wait_for(done.wait(), timeout_s)
        except TimeoutError:
            return

    return first


def nothing() -> MsgGenerator[None]:
    """A piece of a plan in which nothing happens."""
    yield from ()


def note(
    event: EventNote, kind: str, text: str, value: float = float("nan"), *, origin: str = ""
) -> MsgGenerator[None]:
    """Record that something happened, in the stream ``events``.

    What the run that this one goes on from has recorded already is not recorded again.
    """
    if event.known[kind, text]:
        event.known[kind, text] -= 1
        return
    event.note(kind, text, value, origin=origin)
    yield from bps.create(name="events")
    yield from bps.read(event)
    yield from bps.save()
