"""Steps of the surroundings, and blocks before and after, on a laboratory made of arithmetic."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent, Loop, OpenCircuitVoltage, Tag
from bluesky.utils import RunEngineInterrupted

from devices.errors import LimitError, NotReachedError, PreflightError
from devices.roles import CellLimits
from devices.surroundings import Approach, PressureSettling
from plans.conditions import condition
from plans.cycling import Cycling, StepPolicy
from plans.environment import Environment
from plans.runs import run_with_images
from plans.steps import FrameStep, PressureStep, TemperatureStep, VoltageCheck
from tests.quick_surroundings import TAKES_S, make_camera, make_oven, make_press

LIMITS = CellLimits(-5, 5, -10, 10)
APPROACH = Approach(ramp_celsius_per_min=5.0, band_celsius=0.5, soak_s=60.0, deadline_s=1000.0)
SETTLING = PressureSettling(tolerance_percent=5.0, soak_s=60.0, deadline_s=600.0)
WARM, COLD = TemperatureStep(60.0, APPROACH), TemperatureStep(10.0, APPROACH)
PRESS = PressureStep(2.0, SETTLING)
PULSE = ConstantCurrent(current_mA=1.0, until_time_s=100)
PULSE_MAH = 100 / 3600
SETTLED_S = TAKES_S + 60.0


class Bench:
    """Everything that a plan needs, and the documents it gave."""

    def __init__(self, cell_bench):
        self.engine, self.pstat, self.backend = cell_bench
        self.clock = self.engine.clock
        self.oven, self.air = make_oven(self.clock)
        self.press, self.meter = make_press(self.clock)
        self.cam, self.camera = make_camera(self.clock)
        self.engine.RE.guard(self.oven)

    def plan(self, method, *, stop_when=(), **parts):
        cycling = Cycling(self.pstat, method, 10, LIMITS, 10, **parts)
        around = Environment(chamber=self.oven, load_cell=self.press, every_s=300)
        conditions = [condition(name, self.pstat) for name in stop_when]
        return run_with_images(cycling, (), conditions, around, md={})

    def run(self, method, **parts):
        self.engine.documents.all.clear()
        self.engine.RE(self.plan(method, **parts))
        return self.reason

    @property
    def reason(self):
        return self.engine.documents.of("stop")[0]["reason"]

    def events(self, *kinds):
        events = self.engine.documents.stream("events")
        pairs = zip(events.get("event_kind", []), events.get("event_text", []), strict=True)
        return [text for kind, text in pairs if not kinds or kind in kinds]

    def later(self, after_s, act):
        class Someone:
            name = "test"

            def callback_failed(self, error):
                raise error

        self.clock.call_later(after_s, act, owner=Someone())


@pytest.fixture
def bench(cell_bench):
    return Bench(cell_bench)


def test_the_cell_rests_and_is_recorded_until_the_temperature_has_settled(bench):
    assert bench.run([WARM, PULSE]) == "completed"
    echem = bench.engine.documents.stream("echem")
    resting = np.array(echem["pstat_step_index"]) == 0
    times = np.array(echem["time"])
    assert np.all(np.array(echem["pstat_current_ma"])[resting] == 0)
    assert times[resting][-1] - times[0] == pytest.approx(SETTLED_S, abs=10)  # one poll late
    assert len(times[resting]) >= SETTLED_S / 10
    assert bench.backend.charge_mah == pytest.approx(PULSE_MAH)
    around = bench.engine.documents.stream("environment")
    assert around["oven_temperature_celsius"][-1] == pytest.approx(60.0)
    assert "settled" in around["oven_state"]
    said = bench.events("environment")
    assert said[0] == ("oven: goes to 60 C at 5 C/min; reached within 0.5 C for 60 s, in 1000 s")
    assert said[1] == "oven: settled at 60 C"


def test_loops_go_over_steps_of_the_surroundings(bench):
    bench.run([Tag(tag="t"), WARM, PULSE, COLD, Loop(loop_to="t", cycle_count=2)])
    assert bench.air.forced == [60.0, 10.0, 60.0, 10.0]
    assert bench.backend.charge_mah == pytest.approx(2 * PULSE_MAH)


def test_a_step_has_its_own_ramp_band_soak_and_deadline(bench):
    slow = TemperatureStep(40.0, Approach(2.0, 1.0, 500.0, 2000.0))
    bench.run([slow])
    times = bench.engine.documents.stream("echem")["time"]
    assert times[-1] - times[0] == pytest.approx(TAKES_S + 500, abs=10)


def test_faster_than_the_bench_allows_is_refused_before_anything_moves(bench):
    fast = TemperatureStep(40.0, Approach(50.0, 1.0, 5.0, 2000.0))
    with pytest.raises(LimitError, match=r"oven: ramp: got 50 C/min, expected at most 5"):
        bench.run([fast], policies={0: StepPolicy(retries=5, then="skip")})
    assert bench.air.forced == []


def test_a_temperature_that_is_not_reached_ends_the_run_with_the_cell_off(bench):
    bench.air.stuck = True
    with pytest.raises(NotReachedError, match=r"oven: got 42.5 C after 1000 s, expected 60.0 C"):
        bench.run([WARM, PULSE])
    assert not bench.backend.on
    assert not bench.air.on  # its safe action
    assert bench.backend.charge_mah == 0


@pytest.mark.parametrize("then", ["skip", "rest"])
def test_a_policy_decides_about_a_temperature_that_is_not_reached(bench, then):
    bench.air.stuck = True
    policy = StepPolicy(retries=1, wait_s=100, then=then, rest_s=500)
    assert bench.run([WARM, PULSE], policies={0: policy}) == "completed"
    assert bench.air.forced == [60.0, 60.0]
    failed = bench.events("step_failed")
    assert "tried again, 1 of 1, in 100 s" in failed[0]
    assert "left out" in failed[1]
    assert bench.backend.charge_mah == pytest.approx(PULSE_MAH)
    echem = bench.engine.documents.stream("echem")
    first = echem["pstat_step_index"].index(1)
    waited_s = echem["time"][first] - echem["time"][0]
    expected_s = 1000 + 100 + 1000 + (500 if then == "rest" else 0)
    assert waited_s == pytest.approx(expected_s, abs=30)


def test_a_pressure_is_waited_for_and_the_drift_is_measured_from_it(bench):
    bench.meter.mpa = 1.0
    bench.later(200, lambda: setattr(bench.meter, "mpa", 2.0))  # somebody turns the press
    assert bench.run([PRESS, PULSE]) == "completed"
    times = np.array(bench.engine.documents.stream("echem")["time"])
    steps = np.array(bench.engine.documents.stream("echem")["pstat_step_index"])
    waited_s = times[steps == 0][-1] - times[0]
    assert 200 + 60 <= waited_s <= 200 + 60 + 25
    assert bench.press.drift_alarm.get() == 0
    said = bench.events("environment")
    assert said[0].startswith("press: turn the press to 2 MPa; reached within 5 % for 60 s")
    assert said[1] == "press: settled at 2 MPa"


def test_a_pressure_that_never_comes_ends_the_run_at_its_deadline(bench):
    bench.meter.mpa = 1.0
    with pytest.raises(NotReachedError, match=r"press: stack pressure: got 1 MPa after 600 s"):
        bench.run([PRESS, PULSE])
    assert bench.backend.charge_mah == 0


def test_a_pressure_that_leaves_its_tolerance_soaks_anew(bench):
    bench.later(30, lambda: setattr(bench.meter, "mpa", 1.5))
    bench.later(90, lambda: setattr(bench.meter, "mpa", 2.0))
    bench.run([PRESS])
    times = bench.engine.documents.stream("echem")["time"]
    assert 150 <= times[-1] - times[0] <= 180


def test_without_a_chamber_or_a_load_cell_the_plan_is_refused(bench):
    for step, missing in ((WARM, "chamber"), (PRESS, "load cell")):
        with pytest.raises(ValueError, match=f"needs a {missing}"):
            bench.engine.RE(run_with_images(Cycling(bench.pstat, [step], 10, LIMITS, 10), md={}))


def test_a_limit_during_a_step_of_the_surroundings_ends_the_protocol(bench):
    def exceed():
        bench.backend._page(end_now=True)
        bench.backend.reason = "limit"

    bench.later(50, exceed)
    assert bench.run([WARM, PULSE]) == "limit"
    assert bench.backend.charge_mah == 0


@pytest.mark.parametrize(
    ("on_pause", "waited_s"),
    [("continue", SETTLED_S), ("restart", 100 + SETTLED_S), ("drop", 100)],
)
def test_a_pause_while_it_settles(bench, on_pause, waited_s):
    bench.later(100, lambda: bench.engine.RE.interrupt(abort=False, reason="test"))
    plan = bench.plan([WARM, PULSE], policies={0: StepPolicy(on_pause=on_pause)})
    bench.engine.RE.run(plan)
    assert str(bench.engine.RE.state) == "paused"
    assert bench.air.on
    assert not bench.backend.on
    bench.engine.RE.resume()
    times = np.array(bench.engine.documents.stream("echem")["time"])
    steps = np.array(bench.engine.documents.stream("echem")["pstat_step_index"])
    assert times[steps == 0][-1] - times[0] == pytest.approx(waited_s, abs=15)
    assert bench.backend.charge_mah == pytest.approx(PULSE_MAH)


# --- blocks ---


def test_blocks_come_before_the_first_current_and_after_the_last(bench):
    parts = {
        "before": [VoltageCheck(-0.1, 0.1, 60), FrameStep(bench.cam, 2)],
        "after": [OpenCircuitVoltage(until_time_s=30), FrameStep(bench.cam)],
    }
    assert bench.run([PULSE], **parts) == "completed"
    frames = bench.engine.documents.stream("cam")
    assert list(frames["cam_frame"]) == [0, 1, 2]
    echem = bench.engine.documents.stream("echem")
    steps, cycles = echem["pstat_step_index"], echem["pstat_cycle"]
    assert list(dict.fromkeys(zip(steps, cycles, strict=True))) == [(-2, 0), (0, 1), (1, 0)]
    first_current = echem["time"][steps.index(0)]
    last_current = max(t for t, step in zip(echem["time"], steps, strict=True) if step == 0)
    assert frames["cam_t_end_s"][1] <= first_current
    assert frames["cam_t_start_s"][2] >= last_current
    assert bench.events("before", "after") == [
        "before 1/2: voltage within -0.1 to 0.1 V",
        "before 2/2: 2 frames of cam",
        "after 1/2: rest at open circuit",
        "after 2/2: 1 frame of cam",
    ]


def test_a_voltage_outside_its_window_ends_the_run_before_anything_is_energised(bench):
    with pytest.raises(PreflightError, match=r"open-circuit voltage: got 0 V, expected 1 to 2 V"):
        bench.run([PULSE], before=[VoltageCheck(1.0, 2.0, 60)], after=[FrameStep(bench.cam)])
    assert bench.backend.charge_mah == 0
    assert bench.camera.taken == 0


def test_the_block_after_also_runs_after_a_condition(bench):
    bench.backend.short_at_s = bench.clock.time() - bench.backend.origin_s + 50
    after = [OpenCircuitVoltage(until_time_s=30), FrameStep(bench.cam)]
    assert bench.run([PULSE, PULSE], stop_when=["hard_short"], after=after) == "hard_short"
    assert bench.camera.taken == 1
    assert bench.engine.documents.stream("echem")["pstat_step_index"][-1] == 2
    assert not bench.backend.on


def test_after_a_limit_a_cell_that_stays_outside_is_left_alone_and_frames_are_taken(bench):
    starts = []

    def start():
        starts.append(bench.clock.time())
        real()
        if len(starts) != 1:
            bench.backend._page(end_now=True)
            bench.backend.reason = "limit"

    real = bench.backend.start
    bench.backend.start = start
    after = [
        OpenCircuitVoltage(until_time_s=30),
        OpenCircuitVoltage(until_time_s=30),
        FrameStep(bench.cam),
    ]
    assert bench.run([PULSE, PULSE], after=after) == "limit"
    assert len(starts) == 3  # both pulses, and the first rest that found it outside
    assert bench.camera.taken == 1


def test_the_block_after_does_not_run_after_a_failure(bench):
    bench.air.stuck = True
    with pytest.raises(NotReachedError):
        bench.run([WARM], after=[FrameStep(bench.cam)])
    assert bench.camera.taken == 0


def test_a_step_after_that_fails_is_left_out(bench):
    bench.air.stuck = True
    assert bench.run([PULSE], after=[WARM, FrameStep(bench.cam)]) == "completed"
    assert "left out" in bench.events("step_failed")[0]
    assert bench.camera.taken == 1


def test_what_passes_charge_is_refused_in_a_block(bench):
    with pytest.raises(TypeError, match=r"before 1: ConstantCurrent cannot be run there"):
        bench.run([PULSE], before=[PULSE])


# --- a pause at every message ---


def everything(bench):
    bench.meter.mpa = 2.0
    return bench.plan(
        [WARM, PULSE, PRESS, ConstantCurrent(current_mA=-0.5, until_time_s=100)],
        before=[VoltageCheck(-0.1, 0.1, 20), FrameStep(bench.cam)],
        after=[OpenCircuitVoltage(until_time_s=20), FrameStep(bench.cam)],
        policies={
            0: StepPolicy(then="skip"),
            1: StepPolicy(retries=2),
            2: StepPolicy(retries=1, then="rest", rest_s=50),
        },
        stop_when=["hard_short"],
    )


@pytest.mark.long
def test_a_pause_at_any_message_repeats_nothing(bench):
    """Row 38: with a chamber."""
    engine, seen = bench.engine, []
    engine.RE.msg_hook = seen.append
    engine.RE(everything(bench))
    total, forced = len(seen), list(bench.air.forced)
    assert total > 60
    paused, half = 0, (total + 1) // 2  # twice in each run: every message, half the runs
    for index in range(half):
        bench.backend.charge_mah, bench.camera.taken = 0.0, 0
        bench.air.forced.clear()
        engine.documents.all.clear()
        seen.clear()

        def hook(msg, index=index):
            seen.append(msg)
            if len(seen) in (index + 1, index + 1 + half):
                engine.loop.create_task(engine.RE._request_pause_coro())

        engine.RE.msg_hook = hook
        engine.RE.run(everything(bench))
        while str(engine.RE.state) == "paused":
            paused += 1
            assert not bench.backend.on, f"cell on, paused at {index} or {index + half}"
            with contextlib.suppress(RunEngineInterrupted):
                engine.RE.resume()
        engine.RE.msg_hook = None
        where = f"pauses at messages {index} and {index + half}"
        assert bench.backend.charge_mah == pytest.approx(0.5 * PULSE_MAH), where
        assert bench.air.forced == forced, where
        assert bench.camera.taken == 2, where
        assert bench.reason == "completed", where
        echem = engine.documents.stream("echem")
        assert np.all(np.diff(echem["time"]) >= 0), where
        assert echem["pstat_charge_mah"][-1] == pytest.approx(0.5 * PULSE_MAH), where
        assert bench.events("step_failed") == [], where
    assert paused > 0.8 * total
