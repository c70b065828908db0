"""Fixtures for every suite: an engine in virtual time, and a check that nothing leaks."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import coverage
import numpy as np
import pytest

from devices.clock import LoopClock
from devices.potentiostat import Potentiostat
from devices.roles import (
    Attached,
    CellLimits,
    Fit,
    Identity,
    Page,
    PotentiostatCapabilities,
    ProgramState,
)
from orchestrator.engine import Engine
from sim.clock import JumpingLoop
from tests import latencies
from tests.warm import OF_COVERAGE


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


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a session replace the committed figures; see `tests.latencies`."""
    what = "run the tests that measure latencies, so many times, and write them down"
    parser.addoption("--latencies", type=int, metavar="TIMES", help=what)


def pytest_configure(config: pytest.Config) -> None:
    """Gather what tests measure where it is asked for."""
    times = config.getoption("--latencies", default=None)
    if times:
        config.pluginmanager.register(latencies.Collector(times))


@pytest.fixture
def latency(record_property) -> Callable[..., None]:
    """Says how long something took, s: ``latency(row, "from this to that", took_s, promised_s=2)``.

    It asserts the promise, too.
    """

    def took(row: int, what: str, seconds: float, *, promised_s: float) -> None:
        # plain numbers: the processes that share the tests send them to one another
        record_property(latencies.KEY, (row, what, float(seconds), float(promised_s)))
        assert seconds <= promised_s, f"row {row}, {what}: {seconds} s, promised {promised_s} s"

    return took


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Do not trace tests marked ``long``, their fixtures included.

    Tracing doubles the time of a week of experiment, which executes nothing that shorter tests of
    the same code do not; pytest-cov's own handling leaves fixtures traced. Processes that such a
    test begins are not traced either.
    """
    traced = coverage.Coverage.current() if item.get_closest_marker("long") else None
    if traced is None:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        for name in OF_COVERAGE:
            patch.delenv(name, raising=False)
        traced.stop()
        try:
            return (yield)
        finally:
            traced.start()


def pytest_collection_finish() -> None:
    """Modules and items stay as long as the process does: the collector need not look at them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Locks and marks of benches that the tests open are nobody else's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPERANDO_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("OPERANDO_CONFIG", str(tmp_path_factory.mktemp("config")))
        yield


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


LIMITS = CellLimits(-5, 5, -10, 10)


class ArithmeticBackend:
    """Ohm's law behind the potentiostat's protocol; counts the charge that really flowed."""

    def __init__(self, clock, ohm=1000.0, short_at_s=np.inf):
        self.clock, self.ohm, self.short_at_s = clock, ohm, short_at_s
        self.origin_s = clock.time()
        self.program = None
        self.on = False
        self.began_s = 0.0
        self.row = 0
        self.charge_mah = 0.0
        self.starts = 0
        self.reason = ""

    def identity(self):
        return Identity("Test", "arithmetic", "SIM-1", "1")

    def capabilities(self):
        return PotentiostatCapabilities(("current", "rest"), LIMITS, 0.1, 10**6, False)

    def load(self, program):
        self.program, self.row, self.reason = program, 0, ""

    def start(self):
        self.began_s, self.on = self.clock.time(), True
        self.starts += 1

    def _page(self, end_now=False):
        p = self.program
        elapsed = self.clock.time() - self.began_s
        finished = elapsed >= p.duration_s - 1e-6
        last = p.duration_s if finished else elapsed
        times = np.arange(self.row, int(last / p.period_s + 1e-9) + 1) * p.period_s
        if (finished or end_now) and (not len(times) or times[-1] < last - 1e-9):
            times = np.append(times, last)
        i = p.setpoint if p.mode == "current" else 0.0
        ohm = np.where(self.began_s + times - self.origin_s < self.short_at_s, self.ohm, 1.0)
        if self.on and (finished or end_now):
            self.charge_mah += i * last / 3600
            self.on = False
            self.reason = "time" if finished else "stopped"
        index, self.row = self.row, self.row + len(times)
        state = ProgramState.RUNNING if self.on else ProgramState.FINISHED
        return Page(
            index, times, np.full(len(times), i), i * 1e-3 * ohm, state, self.reason, self.on
        )

    def poll(self):
        return self._page()

    def rewind(self, index):
        self.row = index

    def mark(self):
        return {"index": self.row, "started": self.starts > 0}

    def attach(self, programs, mark):
        if not programs or programs[0] != self.program:
            return Attached(Fit.FOREIGN if self.on else Fit.GONE)
        self.row = mark["index"]
        return Attached(Fit.OURS)

    def stop(self):
        if self.on:
            return self._page(end_now=True)
        empty = np.array([])
        return Page(0, empty, empty, empty, ProgramState.IDLE, self.reason, False)

    def output_on(self):
        return self.on


@pytest.fixture
def cell_bench(
    virtual_engine: VirtualEngine,
) -> tuple[VirtualEngine, Potentiostat, ArithmeticBackend]:
    """Engine, potentiostat and the arithmetic behind it."""
    backend = ArithmeticBackend(virtual_engine.clock)
    pstat = Potentiostat(name="pstat", clock=virtual_engine.clock, backend=backend, limits=LIMITS)
    virtual_engine.RE.guard(pstat)
    return virtual_engine, pstat, backend


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
