"""The protocol stub on a potentiostat made of arithmetic."""

from __future__ import annotations

import pytest
from aurora_unicycler import ConstantCurrent, Loop, OpenCircuitVoltage, Tag

from devices.roles import CellLimits
from plans.conditions import condition
from plans.protocol import Cycling
from plans.runs import run_with_images

LIMITS = CellLimits(-5, 5, -10, 10)


def protocol(cycles=3):
    return [
        Tag(tag="c"),
        ConstantCurrent(current_mA=1.0, until_time_s=1800),
        OpenCircuitVoltage(until_time_s=300),
        ConstantCurrent(current_mA=-0.5, until_time_s=1800),
        Loop(loop_to="c", cycle_count=cycles),
    ]


def test_a_protocol_runs_in_virtual_time_and_counts_its_charge(cell_bench):
    engine, pstat, backend = cell_bench
    result = engine.RE.run(run_with_images(Cycling(pstat, protocol(), 10, LIMITS, 10), md={}))
    assert result.exit_status == "success"
    echem = engine.documents.stream("echem")
    assert echem["pstat_charge_mah"][-1] == pytest.approx(0.75, abs=1e-9)
    assert backend.charge_mah == pytest.approx(0.75)
    assert not backend.on
    assert echem["time"][-1] - echem["time"][0] == pytest.approx(3 * 3900, abs=1e-3)
    assert engine.documents.of("stop")[0]["reason"] == "completed"
    assert len(echem["time"]) == 3 * (181 + 31 + 181)


def test_a_hard_short_ends_the_run_within_one_poll_and_leaves_the_cell_off(cell_bench):
    """Row 13: hard, within one poll."""
    engine, pstat, backend = cell_bench
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


@pytest.mark.long
def test_a_pause_at_any_message_repeats_no_charge(cell_bench):
    """Row 38: a protocol."""
    engine, pstat, backend = cell_bench
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
