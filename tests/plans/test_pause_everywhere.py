"""Cycling with images beside it, paused at every single message: nothing is repeated or lost."""

from __future__ import annotations

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent, Loop, OpenCircuitVoltage, Tag

from devices.roles import CellLimits
from orchestrator.bench import open_bench
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from plans.conditions import condition
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images

pytestmark = pytest.mark.long

LIMITS = CellLimits(-5, 5, -1, 1)
CURRENT_MA = 0.01257
METHOD = [
    Tag(tag="cycle"),
    ConstantCurrent(current_mA=CURRENT_MA, until_time_s=120),
    OpenCircuitVoltage(until_time_s=30),
    ConstantCurrent(current_mA=-CURRENT_MA, until_time_s=60),
    Loop(loop_to="cycle", cycle_count=2),
]
CHARGE_MAH = 2 * 60 * CURRENT_MA / 3600
THROUGHPUT_MAH = 2 * 180 * CURRENT_MA / 3600
SMALL = {"tr_s": 0.05, "averages": 40, "matrix": [81, 52], "fov_mm": [17, 11]}  # 104 s a frame


@pytest.fixture
def bench(tmp_path):
    with open_bench("sim-mri", data=tmp_path) as opened:
        opened.RE.attended = False
        yield opened


def plan(bench, **capture):
    cycling = Cycling(bench.pstat, METHOD, 10.0, LIMITS, 10.0)
    captures = [Capture(bench.mri, settings=SMALL, **(capture or {"back_to_back": True}))]
    return run_with_images(cycling, captures, [condition("hard_short", bench.pstat)], md={})


def last_run(bench):
    uid = bench.live.snapshot().run
    return load_run(DataDirectory(bench.data).journal(uid))


def run_pausing(bench, index):
    """Run the plan with a pause at one message; returns whether it was paused at all."""
    seen, paused = [], []

    def hook(_msg):
        seen.append(1)
        if len(seen) == index + 1:
            bench.time.loop.create_task(bench.RE._request_pause_coro())

    bench.RE.msg_hook = hook
    result = bench.RE.run(plan(bench))
    while str(bench.RE.state) == "paused":
        paused.append(True)
        assert not bench.pstat._backend.output_on(), f"cell on while paused at message {index}"
        result = bench.resume()
    bench.RE.msg_hook = None
    assert result.exit_status == "success"
    return len(seen), bool(paused)


def test_a_pause_at_any_message_repeats_no_charge_and_no_frame(bench):
    """Row 38: with frames."""
    total, _ = run_pausing(bench, 10**9)
    reference = last_run(bench)
    expected_frames = len(reference.streams["mri"]["mri_frame"])
    assert expected_frames == 4
    paused_somewhere = 0
    for index in range(total):
        before = bench.laboratory.world.sample.charge_mah(bench.laboratory.world.now())
        _, paused = run_pausing(bench, index)
        after = bench.laboratory.world.sample.charge_mah(bench.laboratory.world.now())
        paused_somewhere += paused
        run = last_run(bench)
        where = f"pause at message {index}"
        assert after[0] - before[0] == pytest.approx(CHARGE_MAH, abs=1e-9), where
        assert after[1] - before[1] == pytest.approx(THROUGHPUT_MAH, abs=1e-9), where
        assert list(run.streams["mri"]["mri_frame"]) == list(range(expected_frames)), where
        echem = run.streams["echem"]
        assert echem["pstat_charge_mah"][-1] == pytest.approx(CHARGE_MAH, rel=2e-3), where
        assert np.all(np.diff(echem["time"]) >= 0), where
    assert paused_somewhere > 0.8 * total


@pytest.mark.parametrize(
    ("capture", "frames"),
    [
        ({"every_s": 150}, 3),
        ({"every_s": 50}, 4),  # a frame takes 104 s: every other one would be late
        ({"every_mah": THROUGHPUT_MAH / 3.5}, 3),
        ({"at": ("start", "end")}, 2),
        ({"at": ("cycle_end",)}, 2),
    ],
)
def test_when_frames_are_taken(bench, capture, frames):
    bench.RE.run(plan(bench, **capture))
    run = last_run(bench)
    assert len(run.streams["mri"]["mri_frame"]) == frames
    assert run.stop["reason"] == "completed"


def test_frames_that_are_overtaken_are_left_out_and_said(bench):
    """Row 20: a frame takes 106 s and is due each 40 s; none of them shifts the others."""
    bench.RE.run(plan(bench, every_s=40))
    run = last_run(bench)
    began_s = run.streams["mri"]["mri_t_start_s"] - run.start["time"]
    events = run.streams["events"]
    skipped = np.array(events["event_kind"]) == "frame_skipped"
    assert len(began_s) == 4
    assert began_s - began_s[0] == pytest.approx(np.arange(4) * 106.0, abs=1.0)
    # due at 0, 40, ..., 400: four of eleven were taken
    left_out = np.array(events["event_value"])[skipped]
    assert list(left_out) == [1.0, 2.0, 1.0]
    assert not bench.pstat._backend.output_on()


def test_a_failed_frame_is_an_event_and_cycling_goes_on(bench):
    """Rows 20, 21: an event, and the charge of a run without."""
    console = bench.laboratory.instruments["console"]
    failed = []

    class Someone:
        name = "test"

        def callback_failed(self, error):
            raise error

    def fail():
        console.fail("the gradient amplifier tripped")
        failed.append(True)

    bench.clock.call_later(50, fail, owner=Someone())
    bench.RE.run(plan(bench))
    run = last_run(bench)
    assert failed
    events = run.streams["events"]
    missing = [
        t
        for k, t in zip(events["event_kind"], events["event_text"], strict=True)
        if k == "frame_missing"
    ]
    assert len(missing) == 1
    assert "gradient amplifier" in missing[0]
    assert run.stop["reason"] == "completed"
    assert run.streams["echem"]["pstat_throughput_mah"][-1] == pytest.approx(
        THROUGHPUT_MAH, rel=2e-3
    )


def test_imaging_is_given_up_after_three_failures_in_a_row(bench):
    """Row 21: bounded."""
    console = bench.laboratory.instruments["console"]
    bench.mri.configure(SMALL)
    real = bench.mri._imager.arm

    def arm():
        real()
        console.fail("no lock")

    bench.mri._imager.arm = arm
    bench.RE.run(plan(bench))
    kinds = list(last_run(bench).streams["events"]["event_kind"])
    assert kinds.count("frame_missing") == 3
    assert kinds.count("imaging_ended") == 1
    assert last_run(bench).stop["reason"] == "completed"
