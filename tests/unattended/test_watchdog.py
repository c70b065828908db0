"""Reliability rows 10, 17, 18, 28, 29, 31: engines that die, stop and hang, in real processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from orchestrator.bench import open_bench
from orchestrator.errors import BusyError, UnsafeBenchError
from orchestrator.records.recovery import recover
from orchestrator.watchdog.latch import Latch
from sim.instruments.keithley_2450 import Keithley2450
from sim.samples.linear_cell import LinearCell
from sim.wire.tcp import Served, serve
from sim.world import World
from tests.command import ROOT, environment, wait_until
from tests.promises import journal_kept
from tests.warm import Child

PROMPT_S = 2.0
"""Longest time from the death of the engine to a cell that is off."""


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))


@dataclass
class Laboratory:
    """A source-measure unit on a cell, served over TCP, and who works with it."""

    world: World
    smu: Keithley2450
    served: Served
    folder: Path

    @property
    def on(self) -> bool:
        """Whether the cell is energised; asked of the instrument itself, not over its wire."""
        with self.world.lock:
            return self.smu.answer(b":OUTP?") == b"1"

    def profile(self, **changes: object) -> Path:
        """A bench profile; nothing in it says that the instrument is simulated."""
        device = {
            "kind": "potentiostat",
            "driver": "keithley_2450",
            "resource": self.served.resource("smu"),
            "limits": {"max_voltage_v": 5, "max_current_ma": 10},
        }
        if self.served.dead_socket_port:
            device["dead_socket_port"] = self.served.dead_socket_port
        document = {
            "bench": "watched",
            "instrument_name": "served",
            "devices": {"pstat": device},
            "poll_period_s": 0.5,
            "heartbeat_timeout_s": 1.5,
        }
        path = self.folder / "watched.yaml"
        path.write_text(yaml.safe_dump(document | changes), encoding="utf-8")
        return path

    def journal(self) -> Path:
        """The journal of the one run."""
        (journal,) = (self.folder / "data" / "journals").glob("*.jsonl")
        return journal

    def lines(self) -> list[dict]:
        """What watchdogs wrote down."""
        text = (self.folder / "data" / "watchdog.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def off_within(self, timeout_s: float) -> float:
        """Wait until the cell is off; returns how long that took, s."""
        began_s = time.monotonic()
        wait_until(lambda: not self.on, what="off", timeout_s=timeout_s)
        return time.monotonic() - began_s


def laboratory_of(folder: Path, **options: bool) -> Iterator[Laboratory]:
    began_s = time.monotonic()
    world = World(LinearCell(), now=lambda: time.monotonic() - began_s)
    smu = Keithley2450(world)
    with serve({"smu": smu}, life_s=900.0, **options) as served:
        yield Laboratory(world, smu, served, folder)


@pytest.fixture
def laboratory(tmp_path):
    yield from laboratory_of(tmp_path)


class Engine:
    """A process with an engine."""

    def __init__(self, laboratory: Laboratory, how: str = "wait", **changes: object) -> None:
        self.process = Child(
            [sys.executable, "-m", "tests.watched_engine", laboratory.profile(**changes),
             laboratory.folder / "data", how],
            cwd=ROOT,
            env=environment(),
        )  # fmt: skip
        said = self.hear()
        assert said.startswith("watchdog "), said
        self.watchdog = int(said.split()[1])
        assert self.hear() == "on"
        assert laboratory.on

    def hear(self) -> str:
        return self.process.stdout.readline().strip()

    def end(self) -> str:
        """What it still says; it ends by itself."""
        return self.process.communicate(timeout=20)[0]


@pytest.fixture
def engines(laboratory):
    begun: list[Engine] = []

    def begin(how: str = "wait", at: Laboratory = laboratory, **changes: object) -> Engine:
        begun.append(Engine(at, how, **changes))
        return begun[-1]

    yield begin
    for engine in begun:
        if engine.process.poll() is None:
            engine.process.send_signal(signal.SIGCONT)
            engine.process.kill()
        if not gone(engine.watchdog):  # it goes on trying where the laboratory has gone
            os.kill(engine.watchdog, signal.SIGKILL)
        engine.process.communicate(timeout=10)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_a_killed_engine_is_followed_by_a_cell_that_is_off(laboratory, engines, latency):
    """Row 28: SIGKILL."""
    engine = engines()
    engine.process.kill()
    latency(28, "SIGKILL to cell off", laboratory.off_within(10.0), promised_s=PROMPT_S)
    wait_until(lambda: gone(engine.watchdog), what="the watchdog has left")
    acted = laboratory.lines()[-1]
    assert (acted["what"], acted["off"], acted["unsafe"]) == ("acted", ["pstat"], {})
    assert "process ended" in acted["reason"]
    assert journal_kept(laboratory.journal(), complete=False).documents
    recover(laboratory.folder / "data")
    stop = journal_kept(laboratory.journal()).documents[-1][1]
    assert stop["reason"].startswith("interrupted")


def test_a_stopped_engine_is_switched_off_and_finds_out_when_it_goes_on(
    laboratory, engines, latency
):
    """Row 29: SIGSTOP."""
    engine = engines()
    engine.process.send_signal(signal.SIGSTOP)
    took_s = laboratory.off_within(10.0)
    latency(29, "SIGSTOP to cell off, timeout 1.5 s", took_s, promised_s=1.5 + 1.0)
    assert took_s > 1.0
    engine.process.send_signal(signal.SIGCONT)
    said = engine.end()
    assert "watchdog has switched off" in said
    assert said.endswith("off True\n")
    assert not laboratory.on
    assert journal_kept(laboratory.journal()).documents[-1][1]["exit_status"] == "fail"


def test_a_loop_that_hangs_is_switched_off(laboratory, engines, latency):
    """Rows 10, 29: a driver that never comes back, in the engine's loop."""
    engines("hang")
    took_s = laboratory.off_within(10.0)
    latency(10, "driver that hangs to cell off, timeout 1.5 s", took_s, promised_s=1.5 + 1.0)
    assert "no heartbeat" in laboratory.lines()[-1]["reason"]


@pytest.mark.parametrize("dead_socket", [True, False])
def test_an_instrument_with_one_connection_is_freed_from_a_hung_engine(
    tmp_path, engines, dead_socket
):
    """Row 10: with the only connection in its hands.

    By the port for that where it has one, else by ending the engine, which hangs anyway.
    """
    for laboratory in laboratory_of(tmp_path, exclusive=True, dead_socket=dead_socket):
        engine = engines("hang", laboratory)
        assert laboratory.off_within(10.0) < 1.5 + PROMPT_S
        killed = any("killed" in line["what"] for line in laboratory.lines())
        assert killed is not dead_socket
        assert (engine.process.poll() is None) is dead_socket


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, signal.SIGSTOP, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)],
)
def test_an_engine_that_loses_its_watchdog_goes_safe(laboratory, engines, number, latency):
    """Row 31: it dies, or hangs."""
    engine = engines()
    os.kill(engine.watchdog, number)
    took_s, what = laboratory.off_within(10.0), f"watchdog's {number.name} to cell off"
    latency(31, f"{what}, timeout 1.5 s", took_s, promised_s=1.5 + 1.0)
    said = engine.end()
    assert "ended: watched: the watchdog" in said
    assert said.endswith("off True\n")
    assert journal_kept(laboratory.journal()).documents[-1][1]["exit_status"] == "fail"


@pytest.mark.soak
@pytest.mark.parametrize(
    ("number", "timeout_s", "allowed_s"),
    [(signal.SIGKILL, 10.0, PROMPT_S), (signal.SIGSTOP, 1.5, 2.5), (signal.SIGSTOP, 10.0, 11.0)],
)
def test_twenty_times_each(laboratory, engines, number, timeout_s, allowed_s):
    """Rows 28, 29: twenty times each.

    The figures to reach; printed with ``-s``.
    """
    took = []
    for _ in range(20):
        engine = engines(heartbeat_timeout_s=timeout_s)
        engine.process.send_signal(number)
        took.append(laboratory.off_within(allowed_s + 5.0))
        engine.process.kill()
        engine.process.communicate(timeout=10)
        wait_until(lambda at=engine: gone(at.watchdog), what="the watchdog has left")
    print(f"\n{number.name}, timeout {timeout_s:g} s: off after {sorted(took)[10]:.2f} s in the ")
    print(f"median of 20, {max(took):.2f} s at most (allowed {allowed_s:g} s)")
    assert max(took) <= allowed_s


def test_an_engine_that_ends_in_order_takes_its_watchdog_with_it(laboratory):
    with open_bench(laboratory.profile(), data=laboratory.folder / "data") as bench:
        pid = bench.watchdog.pid
        assert not gone(pid)
        bench.watchdog.ensure()
        assert bench.watchdog.pid == pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: bench.watchdog.pid is None, what="noticed")
        bench.RE([])  # the next run has another
        assert bench.watchdog.pid not in (None, pid)
        pid = bench.watchdog.pid
    assert gone(pid)
    assert laboratory.lines()[-1]["what"] == "farewell"


def test_nothing_is_energised_without_a_watchdog(laboratory, monkeypatch):
    """Row 31: one that cannot be started."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        pytest.raises(UnsafeBenchError, match="did not start"),
        open_bench(laboratory.profile(), data=laboratory.folder / "data"),
    ):
        pass


def test_two_controllers_of_one_instrument(laboratory):
    """Row 34: two controllers; told by whom."""
    profile = laboratory.profile()
    with (
        open_bench(profile, data=laboratory.folder / "data"),
        pytest.raises(BusyError, match=rf"controlled by process {os.getpid()} .*watched"),
        open_bench(profile, data=laboratory.folder / "other"),
    ):
        pass
    with open_bench(profile, data=laboratory.folder / "other"):
        pass


def test_a_bench_that_cannot_be_switched_off_is_latched(tmp_path, engines):
    """Row 18: its wire is cut while the engine dies; it is refused until somebody has looked."""
    lab = laboratory_of(tmp_path)
    laboratory = next(lab)
    engine = engines("wait", laboratory)
    lab.close()  # nothing listens any more
    engine.process.kill()
    wait_until(
        lambda: (
            Latch("watched").read() is not None
            and "UNSAFE" in [line["what"] for line in laboratory.lines()]
        ),
        what="latched",
        timeout_s=20,
    )
    os.kill(engine.watchdog, signal.SIGKILL)  # it would go on trying for ten minutes
    with pytest.raises(UnsafeBenchError, match=r"UNSAFE.*operando off watched --acknowledge"):
        Latch("watched").check()
