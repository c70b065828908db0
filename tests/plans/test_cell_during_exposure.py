"""What the cell does during an exposure: it goes on, rests, or is open; no step loses anything."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky.utils import RunEngineInterrupted

from devices.impedance import SpectrumSeries
from devices.roles import Sweep
from orchestrator.bench import open_bench
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from plans.conditions import condition
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images
from tests.plans.test_pause_everywhere import CURRENT_MA, LIMITS, SMALL
from tests.plans.test_spectra_interrupted import Someone

METHOD = [
    ConstantCurrent(current_mA=CURRENT_MA, until_time_s=300),
    OpenCircuitVoltage(until_time_s=20),
    ConstantCurrent(current_mA=-CURRENT_MA, until_time_s=150),
]
CHARGE_MAH = [CURRENT_MA * 150 / 3600, CURRENT_MA * 450 / 3600]
FRAME_S = 104.0


@pytest.fixture
def bench(tmp_path):
    with open_bench("sim-mri", data=tmp_path) as opened:
        opened.RE.attended = False
        yield opened


def plan(bench, *captures, conditions=(), method=METHOD):
    return run_with_images(
        Cycling(bench.pstat, method, 10.0, LIMITS, 10.0), captures, conditions, md={}
    )


def frames(bench, cell, **when):
    return Capture(bench.mri, settings=SMALL, cell=cell, **when)


def last_run(bench):
    return load_run(DataDirectory(bench.data).journal(bench.live.snapshot().run))


def true_charge(bench):
    world = bench.laboratory.world
    return np.array(world.sample.charge_mah(world.now()))


def events(run):
    columns = run.streams["events"]
    return list(zip(columns["event_kind"], columns["time"], strict=True))


def starts(run):
    return np.asarray(run.streams["mri"]["mri_t_start_s"]), np.asarray(
        run.streams["mri"]["mri_t_end_s"]
    )


@pytest.mark.parametrize("cell", ["rest", "open"])
def test_the_step_stands_still_during_a_frame_and_loses_nothing(bench, cell):
    before, began_s = true_charge(bench), bench.clock.time()
    bench.RE.run(plan(bench, frames(bench, cell, every_s=200.0)))
    run = last_run(bench)
    assert run.stop["reason"] == "completed"
    assert true_charge(bench) - before == pytest.approx(CHARGE_MAH, abs=1e-9)
    held_s = run.streams["events"]["event_value"]
    held_s = held_s[run.streams["events"]["event_kind"] == "cell_goes_on"]
    assert len(held_s) == 6
    assert held_s == pytest.approx(FRAME_S, abs=2.5)  # until the frame is on the disk
    assert bench.clock.time() - began_s == pytest.approx(470 + held_s.sum(), abs=0.01)
    echem, tolerance = run.streams["echem"], CURRENT_MA * 1e-3 * 10 / 3600
    current, time = echem["pstat_current_ma"], echem["time"]
    for start_s, end_s in zip(*starts(run), strict=True):
        during = (time > start_s + 1e-3) & (time < end_s - 1e-3)
        assert during.sum() == (0 if cell == "open" else pytest.approx(FRAME_S / 10, abs=1))
        assert np.abs(current[during]).max(initial=0.0) < 1e-3 * CURRENT_MA
    assert run.streams["mri"]["mri_exposure_charge_mah"] == pytest.approx(0.0, abs=tolerance)
    assert echem["pstat_charge_mah"][-1] == pytest.approx(CHARGE_MAH[0], rel=2e-3)


def test_events_say_when_the_cell_was_held(bench):
    bench.RE.run(plan(bench, frames(bench, "open", every_s=200.0)))
    run = last_run(bench)
    begun = [t for kind, t in events(run) if kind == "cell_open"]
    ended = [t for kind, t in events(run) if kind == "cell_goes_on"]
    start_s, end_s = starts(run)
    assert begun == pytest.approx(start_s, abs=0.01)
    assert ended == pytest.approx(end_s, abs=2.0)
    assert len(begun) == len(ended) == len(start_s) == 6


@pytest.mark.parametrize("cell", ["rest", "open"])
def test_a_frame_between_steps_holds_the_next_step_back(bench, cell):
    before = true_charge(bench)
    bench.RE.run(plan(bench, frames(bench, cell, at=("start", "step_end", "end"))))
    run = last_run(bench)
    assert true_charge(bench) - before == pytest.approx(CHARGE_MAH, abs=1e-9)
    assert len(run.streams["mri"]["time"]) == 5
    echem = run.streams["echem"]
    flows = np.abs(echem["pstat_current_ma"]) > 0.5 * CURRENT_MA
    for start_s, end_s in zip(*starts(run), strict=True):
        inside = (echem["time"] > start_s) & (echem["time"] < end_s)
        assert not flows[inside].any()
    first = np.flatnonzero(echem["time"] < starts(run)[1][0])
    assert len(first) == (0 if cell == "open" else pytest.approx(11, abs=1))


@pytest.mark.long
@pytest.mark.parametrize(("cell", "each"), [("rest", 2), ("open", 3)])
def test_a_pause_at_any_message_repeats_nothing_while_the_cell_is_held(bench, cell, each):
    """Row 38: while frames hold the cell."""
    method = [
        ConstantCurrent(current_mA=CURRENT_MA, until_time_s=100),
        ConstantCurrent(current_mA=-CURRENT_MA, until_time_s=50),
    ]
    charge = [CURRENT_MA * 50 / 3600, CURRENT_MA * 150 / 3600]
    total = 10**6
    paused_somewhere = index = 0
    while index < total:
        seen, before = [], true_charge(bench)

        def hook(_msg, seen=seen, index=index):
            seen.append(1)
            if len(seen) == index + 1:
                bench.time.loop.create_task(bench.RE._request_pause_coro())

        bench.RE.msg_hook = hook
        result = bench.RE.run(plan(bench, frames(bench, cell, every_s=200.0), method=method))
        while str(bench.RE.state) == "paused":
            paused_somewhere += 1
            assert not bench.pstat._backend.output_on(), f"cell on while paused at {index}"
            result = bench.resume()
        bench.RE.msg_hook = None
        assert result.exit_status == "success"
        where = f"pause at message {index}"
        assert true_charge(bench) - before == pytest.approx(charge, abs=1e-9), where
        run = last_run(bench)
        assert list(run.streams["mri"]["mri_frame"]) == [0, 1], where
        kinds = [kind for kind, _ in events(run)]
        assert kinds.count(f"cell_{cell}") == kinds.count("cell_goes_on") == 2, where
        total = len(seen)
        index += each
    assert paused_somewhere > 0.8 * total / each


def test_the_stricter_of_two_exposures_counts(bench):
    bench.pstat.stage()
    held = [bench.pstat.held_cell(who, LIMITS, 1.0) for who in ("a", "b")]
    first = held[0].set("rest")
    bench.wait(5.0)
    assert first.done
    assert bench.pstat.energised
    second = held[1].set("open")
    bench.wait(5.0)
    assert second.done
    assert not bench.pstat._backend.output_on()
    assert held[0].set("keep").done  # the other one still holds it open
    assert held[1].set("keep") is not None
    bench.wait(1.0)
    assert bench.pstat._runner.hold.in_force == "keep"
    assert not bench.pstat._backend.output_on()
    with pytest.raises(ValueError, match="expected keep, rest, open"):
        held[0].set("off")
    bench.pstat.unstage()


def test_a_rest_of_many_hours_is_begun_again_and_again(bench):
    bench.pstat.stage()
    held = bench.pstat.held_cell("night", LIMITS, 60.0)
    held.set("rest")
    bench.wait(3.5 * 3600)
    assert bench.pstat._backend.output_on()
    held.set("keep")
    bench.wait(1.0)
    assert not bench.pstat._backend.output_on()
    (page,) = bench.pstat.collect_pages()
    assert len(page["time"]) == pytest.approx(3.5 * 60, abs=8)
    assert np.max(np.diff(page["time"])) < 61.0
    bench.pstat.unstage()


def test_a_condition_met_while_the_cell_is_held_ends_the_protocol(bench):
    ends = condition("duration_s", bench.pstat, value=250.0)
    bench.RE.run(plan(bench, frames(bench, "rest", every_s=200.0), conditions=[ends]))
    run = last_run(bench)
    assert run.stop["reason"] == "duration_s"
    assert not bench.pstat._backend.output_on()
    assert len(run.streams["mri"]["time"]) == 1
    assert "frame_dropped" in [kind for kind, _ in events(run)]


def test_a_frame_that_fails_lets_the_cell_go_on(bench):
    console = bench.laboratory.instruments["console"]
    before = true_charge(bench)
    bench.clock.call_later(250.0, lambda: console.fail("the gradient tripped"), owner=Someone())
    bench.RE.run(plan(bench, frames(bench, "open", every_s=200.0)))
    run = last_run(bench)
    assert run.stop["reason"] == "completed"
    assert true_charge(bench) - before == pytest.approx(CHARGE_MAH, abs=1e-9)
    kinds = [kind for kind, _ in events(run)]
    assert kinds.count("frame_missing") == 1
    assert kinds.count("cell_open") == kinds.count("cell_goes_on")


@pytest.mark.parametrize("policy", ["continue", "restart", "drop"])
@pytest.mark.parametrize("cell", ["keep", "open"])
def test_what_a_pause_does_to_a_frame(bench, policy, cell):
    before = true_charge(bench)

    def pause():
        bench.time.loop.create_task(bench.RE._request_pause_coro())

    bench.clock.call_later(50.0, pause, owner=Someone())
    capture = Capture(bench.mri, settings=SMALL, cell=cell, every_s=200.0, on_pause=policy)
    bench.RE.run(plan(bench, capture))
    assert str(bench.RE.state) == "paused"
    bench.wait(30.0)
    paused_s = bench.clock.time()
    assert bench.resume().exit_status == "success"
    run = last_run(bench)
    assert true_charge(bench) - before == pytest.approx(CHARGE_MAH, abs=1e-9)
    first_start_s = starts(run)[0][0]
    kinds = [kind for kind, _ in events(run)]
    assert ("frame_dropped" in kinds) == (policy == "drop")
    assert "frame_missing" not in kinds
    assert "imaging_ended" not in kinds
    if policy == "continue":
        assert first_start_s < paused_s - 70.0
    elif policy == "restart":
        assert first_start_s == pytest.approx(paused_s, abs=0.1)
    else:
        assert first_start_s > paused_s + 50.0
    assert bench.mri.on_pause == policy  # as it was for the last frame


def test_dropping_frames_again_and_again_is_no_failure(bench):
    def pause():
        bench.time.loop.create_task(bench.RE._request_pause_coro())

    for at_s in (30.0, 60.0, 90.0, 120.0):
        bench.clock.call_later(at_s, pause, owner=Someone())
    capture = Capture(bench.mri, settings=SMALL, back_to_back=True, on_pause="drop")
    bench.RE.run(plan(bench, capture))
    while str(bench.RE.state) == "paused":
        with suppress(RunEngineInterrupted):
            bench.resume()
    kinds = [kind for kind, _ in events(last_run(bench))]
    assert kinds.count("frame_dropped") == 4
    assert "imaging_ended" not in kinds
    assert len(last_run(bench).streams["mri"]["time"]) >= 3


@pytest.mark.parametrize("fails", [1, 2])
def test_a_link_that_fails_while_the_cell_is_taken_out_of_a_step_costs_no_frame(bench, fails):
    from devices.errors import LinkError

    backend, left = bench.pstat._backend, {"stop": fails}
    real, began_s = backend.stop, bench.clock.time()

    def stop():
        if bench.clock.time() - began_s > 290.0 and left["stop"]:
            left["stop"] -= 1
            raise LinkError("pstat", "no reply", remedy="wait")
        return real()

    backend.stop = stop
    before = true_charge(bench)
    bench.RE.run(plan(bench, frames(bench, "open", every_s=200.0)))
    assert left["stop"] == 0
    assert last_run(bench).stop["reason"] == "completed"
    charge = true_charge(bench) - before
    # while the link fails the instrument goes on with the step, and that is recorded and counted
    assert charge == pytest.approx(CHARGE_MAH, abs=CURRENT_MA * (fails + 0.1) / 3600)
    assert len(last_run(bench).streams["mri"]["time"]) == 6


def test_spectra_of_the_resting_cell_within_a_step(tmp_path):
    sweep = Sweep("current", 1e-3, 1e4, 1.0, points_per_decade=5)
    with open_bench("sim-eis", data=tmp_path) as bench:
        bench.RE.attended = False
        before = true_charge(bench)
        series = SpectrumSeries(bench.pstat, sweep, limits=LIMITS, at_rest=True)
        began_s = bench.clock.time()
        bench.RE.run(plan(bench, Capture(series, every_s=100.0)))
        run = last_run(bench)
        assert run.stop["reason"] == "completed"
        assert true_charge(bench) - before == pytest.approx(CHARGE_MAH, abs=2e-8)
        eis = run.streams["eis"]
        taken = len(set(eis["pstat_eis_spectrum"]))
        assert taken >= 4
        assert np.abs(eis["pstat_eis_dc_current_ma"]).max() < 1e-2 * CURRENT_MA
        # the sweeps' time is none of the steps'
        assert bench.clock.time() - began_s == pytest.approx(
            470 + taken * sweep.duration_s, abs=3.0
        )
