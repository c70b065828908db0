"""The engine and the protocol stub on a potentiostat made of arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent, Loop, OpenCircuitVoltage, Tag

from devices.potentiostat import Potentiostat
from devices.roles import CellLimits, Identity, Page, PotentiostatCapabilities, ProgramState
from plans.conditions import condition
from plans.protocol import Cycling
from plans.runs import run_with_images

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

    def stop(self):
        if self.on:
            return self._page(end_now=True)
        empty = np.array([])
        return Page(0, empty, empty, empty, ProgramState.IDLE, self.reason, False)

    def output_on(self):
        return self.on


@pytest.fixture
def bench(virtual_engine):
    backend = ArithmeticBackend(virtual_engine.clock)
    pstat = Potentiostat(name="pstat", clock=virtual_engine.clock, backend=backend, limits=LIMITS)
    virtual_engine.RE.guard(pstat)
    return virtual_engine, pstat, backend


def protocol(cycles=3):
    return [
        Tag(tag="c"),
        ConstantCurrent(current_mA=1.0, until_time_s=1800),
        OpenCircuitVoltage(until_time_s=300),
        ConstantCurrent(current_mA=-0.5, until_time_s=1800),
        Loop(loop_to="c", cycle_count=cycles),
    ]


def test_a_protocol_runs_in_virtual_time_and_counts_its_charge(bench):
    engine, pstat, backend = bench
    result = engine.RE.run(run_with_images(Cycling(pstat, protocol(), 10, LIMITS, 10), md={}))
    assert result.exit_status == "success"
    echem = engine.documents.stream("echem")
    assert echem["pstat_charge_mah"][-1] == pytest.approx(0.75, abs=1e-9)
    assert backend.charge_mah == pytest.approx(0.75)
    assert not backend.on
    assert echem["time"][-1] - echem["time"][0] == pytest.approx(3 * 3900, abs=1e-3)
    assert engine.documents.of("stop")[0]["reason"] == "completed"
    assert len(echem["time"]) == 3 * (181 + 31 + 181)


def test_a_hard_short_ends_the_run_within_one_poll_and_leaves_the_cell_off(bench):
    engine, pstat, backend = bench
    backend.short_at_s = 5000.0
    plan = run_with_images(
        Cycling(pstat, protocol(30), 10, LIMITS, 10), (), [condition("hard_short", pstat)], md={}
    )
    engine.RE.run(plan)
    stop = engine.documents.of("stop")[0]
    assert stop["reason"] == "hard_short"
    assert not backend.on
    assert 5000 <= stop["time"] - backend.origin_s <= 5000 + 20 + 30


def count_messages(make, engine):
    seen = []
    engine.RE.msg_hook = seen.append
    engine.RE.run(make())
    engine.RE.msg_hook = None
    return len(seen)


def test_a_pause_at_any_message_repeats_no_charge(bench):
    engine, pstat, backend = bench
    method = [
        ConstantCurrent(current_mA=1.0, until_time_s=100),
        OpenCircuitVoltage(until_time_s=30),
        ConstantCurrent(current_mA=-0.5, until_time_s=100),
    ]

    def make():
        return run_with_images(Cycling(pstat, method, 10, LIMITS, 10), md={})

    total = count_messages(make, engine)
    assert total > 10
    for index in range(total):
        backend.charge_mah, backend.starts = 0.0, 0
        engine.documents.all.clear()
        seen = []

        def pause_at(_msg, index=index, seen=seen):
            seen.append(1)
            if len(seen) == index + 1:
                engine.loop.create_task(engine.RE._request_pause_coro())

        engine.RE.msg_hook = pause_at
        result = engine.RE.run(make())
        engine.RE.msg_hook = None
        if engine.RE.state == "paused":
            assert not backend.on, f"cell on while paused at message {index}"
            result = engine.RE.resume()
        assert result.exit_status == "success"
        assert backend.charge_mah == pytest.approx(50 / 3600), f"pause at message {index}"
        assert engine.documents.stream("echem")["pstat_charge_mah"][-1] == pytest.approx(50 / 3600)
