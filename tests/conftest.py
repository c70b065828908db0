"""Fixtures for every suite: an engine in virtual time, and a check that nothing leaks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from devices.clock import LoopClock
from orchestrator.engine import Engine
from sim.clock import JumpingLoop


@dataclass
class Documents:
    """Documents in the order in which they were recorded."""

    all: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        self.all.append((name, dict(doc)))

    def of(self, name: str) -> list[dict[str, Any]]:
        return [doc for kind, doc in self.all if kind == name]

    def stream(self, stream: str) -> dict[str, list[Any]]:
        """Columns of a stream, pages and events alike."""
        uids = {d["uid"] for d in self.of("descriptor") if d.get("name") == stream}
        columns: dict[str, list[Any]] = {"time": []}
        for kind, doc in self.all:
            if kind == "event" and doc["descriptor"] in uids:
                columns["time"].append(doc["time"])
                for key, value in doc["data"].items():
                    columns.setdefault(key, []).append(value)
            elif kind == "event_page" and doc["descriptor"] in uids:
                columns["time"].extend(doc["time"])
                for key, values in doc["data"].items():
                    columns.setdefault(key, []).extend(values)
        return columns


@dataclass
class VirtualEngine:
    """An engine in virtual time with everything a test looks at."""

    loop: JumpingLoop
    clock: LoopClock
    documents: Documents
    RE: Engine


def close_loop(loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
    """Stop the engine's loop and its thread."""

    def end() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.call_soon(loop.stop)

    loop.call_soon_threadsafe(end)
    engine._th.join(timeout=5)
    assert not engine._th.is_alive(), "the engine's thread did not end"
    loop.close()


@pytest.fixture
def virtual_engine() -> Iterator[VirtualEngine]:
    """An engine on a jumping loop that keeps its documents in memory."""
    loop = JumpingLoop()
    clock = LoopClock(loop, loop.now, simulated=True)
    documents = Documents()
    engine = Engine(loop=loop, clock=clock, record=documents)
    loop.set_may_jump(lambda: engine.moves_time)
    clock.on_failure = engine.fail
    engine.attended = False
    yield VirtualEngine(loop, clock, documents, engine)
    if engine.state != "idle":
        engine.halt()
    close_loop(loop, engine)


@pytest.fixture(autouse=True)
def _no_leaked_threads() -> Iterator[None]:
    """A test leaves no thread behind that it began (daemons of libraries excepted by name)."""
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and t.is_alive()]
    for thread in left:
        thread.join(timeout=1.0)
    stuck = [t.name for t in left if t.is_alive() and not t.name.startswith(_LIBRARY_THREADS)]
    assert not stuck, f"threads left behind: {stuck}"


_LIBRARY_THREADS = ("asyncio_", "ThreadPoolExecutor", "pymeasure", "IPythonHistory", "AnyIO")
