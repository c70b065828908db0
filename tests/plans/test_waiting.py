"""Waiting for a condition in a plan, conditions on sensors, and pauses that change nothing."""

from __future__ import annotations

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky import Msg

from devices.potentiostat import Potentiostat
from devices.roles import CellLimits
from devices.technique import Technique
from orchestrator import derive
from orchestrator.bench import open_bench
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from plans.conditions import condition
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images
from plans.waiting import wait_until
from tests.conftest import ArithmeticBackend

LIMITS = CellLimits(-5, 5, -10, 10)


# --- a plan of one's own ------------------------------------------------------------------------


def one_step(pstat, waiting):
    """Drive the cell for 300 s; return what `waiting` returned, and when."""
    technique = Technique(ConstantCurrent(current_mA=1.0, until_time_s=300), LIMITS, 10.0, 1.0)
    yield from bps.stage(pstat)
    yield from bps.open_run()
    yield Msg("prepare", pstat, technique, group="prepare")
    yield Msg("kickoff", pstat, group="kickoff")
    began_s = pstat.clock.time()
    met = yield from waiting
    waited_s = pstat.clock.time() - began_s
    yield from bps.stop(pstat)
    yield from bps.close_run()
    yield from bps.unstage(pstat)
    return met, waited_s


def test_a_plan_waits_until_a_condition_is_met(cell_bench):
    engine, pstat, _ = cell_bench
    charge = condition("throughput_mah_per_cm2", pstat, value=0.05)  # 180 s of 1 mA
    met, waited_s = engine.RE.run(one_step(pstat, wait_until(charge, 1000.0))).plan_result
    assert met.value == pytest.approx(0.05, abs=3e-3)
    assert 180.0 <= waited_s <= 180.0 + 30.0 + 10.0


def test_a_plan_waits_no_longer_than_it_says_and_looks_no_more(cell_bench):
    engine, pstat, _ = cell_bench
    high = condition("voltage_above_v", pstat, value=4.0)
    met, waited_s = engine.RE.run(one_step(pstat, wait_until(high, 100.0))).plan_result
    assert met is None
    assert waited_s == pytest.approx(100.0, abs=1e-3)
    assert high._detach is None
    assert "not met" in repr(high)


@pytest.mark.long
def test_a_wait_may_be_paused_at_any_message(cell_bench):
    engine, pstat, _ = cell_bench
    for index in range(1, 16):
        charge = condition("throughput_mah_per_cm2", pstat, value=0.05)
        seen = []

        def hook(_msg, index=index, seen=seen):
            seen.append(1)
            if len(seen) == index:
                engine.loop.create_task(engine.RE._request_pause_coro())

        engine.RE.msg_hook = hook
        plan = one_step(pstat, wait_until(charge, 1000.0))
        result = engine.RE.run(bpp.rewindable_wrapper(plan, rewindable=False))
        engine.RE.msg_hook = None
        if engine.RE.state == "paused":
            result = engine.RE.resume()
        assert result.exit_status == "success"
        assert result.plan_result[0] is not None, f"pause at message {index}"


# --- sensors ------------------------------------------------------------------------------------


@pytest.fixture
def climate(tmp_path):
    with open_bench("sim-chamber", data=tmp_path) as bench:
        bench.RE.attended = False
        yield bench


def test_a_plan_waits_for_a_temperature_that_it_reads_meanwhile(climate):
    chamber = climate.devices[climate.profile.of_kind("chamber")[0]]
    warm = condition("temperature_above_celsius", chamber, value=30.0, confirm=2)

    def plan():
        yield from bps.abs_set(chamber, 40.0, group="heat")
        return (yield from wait_until(warm, 3600.0, read=[chamber], every_s=20.0))

    met = climate.RE.run(plan()).plan_result
    assert 30.0 < met.value < 40.0
    assert "temperature" in met.text


def test_the_pressure_of_a_load_cell_is_a_condition(climate):
    press = climate.devices[climate.profile.of_kind("load_cell")[0]]
    low = condition("pressure_below_mpa", press, value=100.0)
    met = climate.RE.run(wait_until(low, 60.0, read=[press], every_s=10.0)).plan_result
    assert met.value == press.pressure_mpa.get()


# --- a pause at every message of a run with derived numbers and triggers -------------------------

FRAME = {"method": "image", "resolution_px": [320, 120], "hfw_um": 32, "current_na": 0.2}
METHOD = [
    OpenCircuitVoltage(until_time_s=30),
    ConstantCurrent(current_mA=0.045, until_time_s=120),
]


def watched(bench):
    """Frames each 50 s whose contact loss is looked at, a frame at a charge, a stop by time."""
    loss = derive(bench.sem)["contact_loss"]
    trigger = condition("throughput_mah_per_cm2", bench.pstat, value=0.0007)
    captures = [
        Capture(bench.sem, every_s=50.0, settings=FRAME),
        Capture(bench.sem, on=trigger, settings=FRAME),
    ]
    conditions = [
        condition("contact_loss_above", loss, value=0.99),
        condition("duration_s", bench.pstat, value=1e6),
    ]
    cycling = Cycling(bench.pstat, METHOD, 10.0, CellLimits(-2, 2, -0.2, 0.2), 1.0)
    return run_with_images(cycling, captures, conditions, md={})


@pytest.mark.long
def test_a_pause_at_any_message_repeats_no_frame_and_no_number(tmp_path):
    with open_bench("sim-sem", data=tmp_path) as bench:
        bench.RE.attended = False
        seen, total = [], 10**9
        index = 10**9
        while index > 0:

            def hook(_msg, index=index):
                seen.append(1)
                if len(seen) == index:
                    bench.time.loop.create_task(bench.RE._request_pause_coro())

            seen.clear()
            bench.RE.msg_hook = hook
            result = bench.RE.run(watched(bench))
            while str(bench.RE.state) == "paused":
                result = bench.resume()
            bench.RE.msg_hook = None
            where = f"pause at message {index}"
            assert result.exit_status == "success", where
            run = load_run(DataDirectory(bench.data).journal(bench.live.snapshot().run))
            frames = list(run.streams["sem"]["sem_frame"])
            assert frames == list(range(len(frames))), where
            assert list(run.streams["sem_contact_loss"]["sem_contact_loss_frame"]) == frames, where
            kinds = list(run.streams["events"]["event_kind"])
            assert kinds.count("triggered") == 1, where
            assert "trigger_missed" not in kinds
            total = min(total, len(seen))
            index = total if index == 10**9 else index - 7


# --- what survives a restart --------------------------------------------------------------------


def test_a_condition_and_what_waits_survive_a_restart(virtual_engine):
    backend = ArithmeticBackend(virtual_engine.clock)
    pstat = Potentiostat(name="p", clock=virtual_engine.clock, backend=backend, limits=LIMITS)

    def fresh():
        return condition("voltage_above_v", pstat, value=1.0, hysteresis=0.1, repeat=True)

    def feed(one, volts, began_s):
        t_s = began_s + 10.0 * np.arange(len(volts))
        columns = (t_s, np.ones(len(volts)), np.array(volts))
        pstat._log.tell(pstat._log.add(columns, (0, 1), began_s))

    first = fresh()
    status = first.trigger()
    feed(first, [0.5, 1.5, 0.5, 1.5], 0.0)
    assert status.done
    first.stop()
    second = fresh()
    second.restore(first.state())
    assert second.trigger().done  # what nobody had taken waits
    assert [met.t_s for met in second.take()] == [10.0, 30.0]
    waits = second.trigger()
    feed(second, [1.5, 0.5, 1.5], 100.0)  # still up: not met again before it went back
    assert waits.done
    assert [met.t_s for met in second.take()] == [120.0]
    assert second.met == first.met
    second.stop()
