"""What people ask of a running protocol: each request done once, recorded before, answered."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from aurora_unicycler import ConstantCurrent, ImpedanceSpectroscopy, Loop, OpenCircuitVoltage, Tag
from bluesky.utils import RunEngineInterrupted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.impedance import SpectrumSeries
from devices.roles import CellLimits
from devices.technique import sweep_of
from orchestrator.bench import open_bench
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from plans.conditions import condition
from plans.control import AFTER, Request, Standing
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images

LIMITS = CellLimits(-5, 5, -1, 1)
CURRENT_MA = 0.01257
METHOD = [
    Tag(tag="cycle"),
    ConstantCurrent(current_mA=CURRENT_MA, until_time_s=120),
    OpenCircuitVoltage(until_time_s=30),
    ConstantCurrent(current_mA=-CURRENT_MA, until_time_s=60),
    Loop(loop_to="cycle", cycle_count=3),
]
SMALL = {"tr_s": 0.05, "averages": 40, "matrix": [81, 52], "fov_mm": [17, 11]}  # 104 s a frame
WHO = "somebody at a test"
SPECTRUM = ImpedanceSpectroscopy(
    amplitude_mA=0.001, start_frequency_Hz=1e5, end_frequency_Hz=10, points_per_decade=3
)


class Someone:
    """Whose callbacks on the clock may not fail."""

    name = "test"

    def callback_failed(self, error):
        raise error


@pytest.fixture
def bench(tmp_path):
    with open_bench("sim-mri", data=tmp_path) as opened:
        opened.RE.attended = False
        yield opened


def plan(bench, method=METHOD, **capture):
    cycling = Cycling(bench.pstat, method, 10.0, LIMITS, 10.0)
    captures = [Capture(bench.mri, settings=SMALL, **(capture or {"back_to_back": True}))]
    return run_with_images(cycling, captures, [condition("hard_short", bench.pstat)], md={})


def request(verb, **arguments):
    return Request(verb, WHO, arguments)


def ask_at(bench, after_s, *requests):
    """Have requests arrive so long after now; the tickets are in the list once they have."""
    tickets = []
    for one in requests:
        bench.clock.call_later(
            after_s, lambda one=one: tickets.append(bench.RE.control.ask(one)), owner=Someone()
        )
    return tickets


def last_run(bench):
    return load_run(DataDirectory(bench.data).journal(bench.live.snapshot().run))


def cell_mah(bench):
    world = bench.laboratory.world
    return world.sample.charge_mah(world.now())


def flowed_since(bench, before):
    return [b - a for a, b in zip(before, cell_mah(bench), strict=True)]


def events(run):
    """(kind, text, value) of everything that somebody asked for."""
    e = run.streams.get("events")
    if e is None:
        return []
    columns = (e["event_kind"], e["event_text"], e["event_value"], e["event_origin"])
    return [(k, t, v) for k, t, v, who in zip(*columns, strict=True) if who.startswith(WHO)]


def steps(run):
    """(step index, seconds) of what ran, one after another."""
    echem = run.streams["echem"]
    index, t_s = echem["pstat_step_index"], echem["time"]
    edges = [0, *(k for k in range(1, len(index)) if index[k] != index[k - 1]), len(index)]
    return [(int(index[a]), t_s[b - 1] - t_s[a]) for a, b in pairwise(edges)]


def durations(run):
    return [s for _, s in steps(run)]


def run(bench, *args, **kwargs):
    """Run to the end; returns the records and the charge that really flowed, mAh."""
    before = cell_mah(bench)
    result = bench.RE.run(plan(bench, *args, **kwargs))
    assert result.exit_status == "success"
    assert not bench.pstat._backend.output_on()
    return last_run(bench), flowed_since(bench, before)


def check_charge(recorded, flowed):
    echem = recorded.streams["echem"]
    within = 2e-3 * flowed[1] + 1e-9
    assert echem["pstat_charge_mah"][-1] == pytest.approx(flowed[0], abs=within)
    assert echem["pstat_throughput_mah"][-1] == pytest.approx(flowed[1], abs=within)


def about(*seconds):
    return [pytest.approx(s, abs=0.05) for s in seconds]


def test_a_skipped_step_ends_and_what_was_left_of_it_is_noted(bench):
    tickets = ask_at(bench, 40.0, request("skip_step"))
    recorded, flowed = run(bench)
    ((kind, text, left_mah),) = events(recorded)
    assert kind == "skip_step"
    assert "step 2 in cycle 1 ends with 80.0 s" in text
    assert left_mah == pytest.approx(80 * CURRENT_MA / 3600, rel=1e-3)
    assert flowed[0] + left_mah == pytest.approx(3 * 60 * CURRENT_MA / 3600, rel=1e-3)
    check_charge(recorded, flowed)
    assert durations(recorded)[:3] == about(40, 30, 60)
    assert recorded.stop["reason"] == "completed"
    assert [one.standing for one in tickets] == [Standing.DONE]


@pytest.mark.parametrize(
    ("after", "runs_s", "frames"),
    [
        ("now", 160.0, 1),  # the frame that is being taken then is dropped
        ("frame", 2 * 104.0, 2),
        ("step", 120 + 30 + 60, 2),  # the frame that then runs is finished with the cell off
        ("cycle", 120 + 30 + 60, 2),
    ],
)
def test_a_stop_takes_effect_when_it_is_wanted(bench, after, runs_s, frames):
    ask_at(bench, 160.0, request("stop", after=after))
    recorded, flowed = run(bench)
    check_charge(recorded, flowed)
    assert recorded.stop["reason"] == "stopped"
    assert [kind for kind, *_ in events(recorded)] == ["stop"]
    t_s = recorded.streams["echem"]["time"]
    assert t_s[-1] - t_s[0] == pytest.approx(runs_s, abs=5.0)
    assert len(recorded.streams["mri"]["time"]) == frames
    dropped = list(recorded.streams["events"]["event_kind"]).count("frame_dropped")
    assert dropped == (after == "now")


def test_a_stop_after_the_step_ends_a_long_method_within_a_cycle(bench):
    ask_at(bench, 50.0, request("stop", after="step"))
    recorded, flowed = run(bench)
    assert steps(recorded) == [(1, pytest.approx(120, abs=0.05))]
    assert flowed[0] == pytest.approx(120 * CURRENT_MA / 3600, rel=1e-3)
    check_charge(recorded, flowed)


def test_an_image_is_taken_when_it_is_wanted(bench):
    ask_at(bench, 20.0, request("image_now"))
    ask_at(bench, 30.0, request("image_now", device="mri"))
    ask_at(bench, 31.0, request("image_now", device="sem"))
    recorded, flowed = run(bench, at=("end",))
    check_charge(recorded, flowed)
    began = recorded.streams["mri"]["mri_t_start_s"] - recorded.start["time"]
    # the second waits for the first, the third belongs to the protocol
    assert list(began) == [
        pytest.approx(20, abs=1),
        pytest.approx(20 + 104, abs=4),
        pytest.approx(3 * 210, abs=5),
    ]
    kinds = [kind for kind, *_ in events(recorded)]
    assert kinds == ["image_now", "image_now", "refused"]


def test_a_spectrum_is_taken_when_it_is_wanted(tmp_path):
    with open_bench("sim-eis", data=tmp_path) as bench:
        series = SpectrumSeries(bench.pstat, sweep_of(SPECTRUM), limits=LIMITS)
        capture = Capture(series, every_s=1e6)
        taken = ask_at(bench, 40.0, request("image_now"))
        refused = ask_at(bench, 41.0, request("image_now", device="nobody"))
        cycling = Cycling(bench.pstat, METHOD[1:4], 10.0, LIMITS, 10.0)
        before = cell_mah(bench)
        bench.RE.run(run_with_images(cycling, [capture], md={}))
        recorded, flowed = last_run(bench), flowed_since(bench, before)
    spectra = recorded.streams["eis"]
    assert len(set(spectra["pstat_eis_spectrum"])) == 2
    assert spectra["time"].max() - recorded.start["time"] == pytest.approx(40, abs=15)
    assert flowed[0] == pytest.approx(60 * CURRENT_MA / 3600, rel=2e-2)
    assert [one.standing for one in taken + refused] == [Standing.DONE, Standing.REFUSED]


# --- changes ------------------------------------------------------------------------------------


def test_the_running_step_is_made_longer_and_shorter_without_a_charge_twice(bench):
    ask_at(bench, 40.0, request("set", path="step.until_time_s", value="150"))
    ask_at(bench, 200.0, request("set", path="step.until_time_s", value=21.5))
    recorded, flowed = run(bench)
    assert durations(recorded) == about(150, 30, 21.5, *(120, 30, 60) * 2)
    check_charge(recorded, flowed)
    expected_s = 150 - 21.5 + 2 * (120 - 60)
    assert flowed[0] == pytest.approx(expected_s * CURRENT_MA / 3600, rel=1e-3)


def test_an_end_that_has_passed_ends_the_step(bench):
    tickets = ask_at(bench, 40.0, request("set", path="step.until_time_s", value=25))
    recorded, flowed = run(bench)
    assert durations(recorded)[:2] == about(40, 30)
    check_charge(recorded, flowed)
    assert tickets[0].standing is Standing.DONE


def test_a_later_step_and_the_records_are_changed(bench):
    ask_at(
        bench,
        40.0,
        request("set", path="protocol.method[3].until_time_s", value=90),
        request("set", path="record.time_s", value=5),
        request("set", path="safety.max_capacity_mAh", value=0.5),
        request("set", path="method[1].until_voltage_V", value=1.0),
    )
    recorded, flowed = run(bench)
    assert durations(recorded) == about(*(120, 30, 90) * 3)
    t_s = recorded.streams["echem"]["time"]
    later = [b - a for a, b in pairwise(t_s) if a - t_s[0] > 45]
    assert max(later) == pytest.approx(5, abs=0.05)
    check_charge(recorded, flowed)


def test_a_series_of_images_follows_its_new_period(bench):
    ask_at(bench, 10.0, request("set", path="images[mri].every_s", value=120))
    recorded, _ = run(bench, every_s=300)
    began = recorded.streams["mri"]["mri_t_start_s"]
    assert [b - a for a, b in pairwise(began)] == [pytest.approx(120, abs=1)] * 5


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("step.current_mA", 1, "cannot be changed"),
        ("step.until_time_s", "soon", "expected a number"),
        ("step.until_time_s", "nan", "expected a number"),
        ("step.until_time_s", -1, "more than 0"),
        ("step.until_current_mA", 0.1, "constant_current has no until_current_mA"),
        ("step.until_voltage_V", 7, "limits -5 to 5 V"),
        ("method[99].until_time_s", 5, "4 steps"),
        ("method[0].until_time_s", 5, "has no until_time_s"),
        ("record.time_s", 1e-6, "s or more"),
        ("safety.max_voltage_V", 6, "only be tightened"),
        ("safety.max_voltage_V", -3, "the cell is at"),
        ("safety.min_current_mA", -0.001, "constant_current"),
        ("safety.max_capacity_mAh", 11, "only be tightened"),
        ("safety.max_capacity_mAh", 0, "have passed"),
        ("images.every_s", 100, "each so many seconds"),
        ("spectra.every_s", 100, "0 series of spectra"),
        ("__class__.__mro__", 1, "cannot be changed"),
    ],
)
def test_what_may_not_be_changed_is_refused_with_the_reason(bench, path, value, reason):
    tickets = ask_at(bench, 40.0, request("set", path=path, value=value))
    recorded, flowed = run(bench, METHOD[:4])
    assert tickets[0].standing is Standing.REFUSED
    assert reason in tickets[0].text
    ((kind, text, _),) = events(recorded)
    assert kind == "refused"
    assert reason in text
    assert durations(recorded) == about(120, 30, 60)
    check_charge(recorded, flowed)


# --- pauses, repetition, ends -------------------------------------------------------------------


def test_a_pause_rests_and_what_comes_meanwhile_is_done_when_the_plan_goes_on(bench):
    tickets = ask_at(bench, 40.0, request("pause"))
    before = cell_mah(bench)
    bench.RE.run(plan(bench))
    assert bench.RE.state == "paused"
    assert not bench.pstat._backend.output_on()
    assert tickets[0].standing is Standing.DONE
    asked = [
        bench.RE.control.ask(request("note", text="the cell was warm")),
        bench.RE.control.ask(request("skip_step")),
    ]
    assert [one.standing for one in asked] == [Standing.WAITING] * 2
    bench.resume()
    recorded = last_run(bench)
    assert [kind for kind, *_ in events(recorded)] == ["pause", "note", "skip_step"]
    assert [one.standing for one in asked] == [Standing.DONE] * 2
    check_charge(recorded, flowed_since(bench, before))
    assert durations(recorded)[:2] == about(40, 30)


@pytest.mark.parametrize("end", ["stop", "abort"])
def test_what_waits_in_a_paused_run_is_recorded_when_it_ends(bench, end):
    ask_at(bench, 40.0, request("pause"))
    bench.RE.run(plan(bench))
    noted = bench.RE.control.ask(request("note", text="last words"))
    late = bench.RE.control.ask(request("image_now"))
    getattr(bench.RE, end)()
    assert noted.standing is Standing.DONE
    assert late.standing is Standing.REFUSED
    kinds = [(k, t) for k, t, _ in events(last_run(bench))]
    assert kinds[1:] == [("note", "last words"), ("refused", "image-now: the run has ended")]


def test_a_request_with_the_same_id_is_done_once(bench):
    skip = Request("skip_step", WHO, id="once")
    tickets = [*ask_at(bench, 40.0, skip, skip), *ask_at(bench, 60.0, skip)]
    recorded, flowed = run(bench)
    assert len({id(one) for one in tickets}) <= 1
    assert len(events(recorded)) == 1
    check_charge(recorded, flowed)


def test_without_a_run_everything_is_refused(bench):
    ticket = bench.RE.control.ask(request("image_now"))
    assert ticket.standing is Standing.REFUSED
    assert "no run" in ticket.text
    run(bench, METHOD[:2])
    assert bench.RE.control.ask(request("note", text="late")).standing is Standing.REFUSED


@pytest.mark.long
def test_a_pause_at_any_message_loses_no_request_and_repeats_none(bench):
    """Three requests wait already when the engine pauses at one message after the other."""
    method = METHOD[1:3]

    def attempt(index):
        seen, asked = [], []

        def hook(_msg):
            seen.append(1)
            if len(seen) == index + 1 and bench.RE.control.served:
                for one in (request("note", text="n"), request("image_now"), request("skip_step")):
                    asked.append(bench.RE.control.ask(one))
                bench.time.loop.create_task(bench.RE._request_pause_coro())

        bench.RE.msg_hook = hook
        before = cell_mah(bench)
        result = bench.RE.run(plan(bench, method, at=("start",)))
        while str(bench.RE.state) == "paused":
            result = bench.resume()
        bench.RE.msg_hook = None
        assert result.exit_status == "success"
        return len(seen), asked, last_run(bench), flowed_since(bench, before)

    total, *_ = attempt(10**9)
    requested = 0
    for index in range(total):
        _, asked, recorded, flowed = attempt(index)
        if not asked:
            continue
        requested += 1
        where = f"at message {index}"
        assert all(one.settled for one in asked), where
        kinds = [kind for kind, *_ in events(recorded)]
        expected = [
            one.request.verb if one.standing is Standing.DONE else "refused" for one in asked
        ]
        assert kinds == expected, where
        assert len(set(recorded.streams["events"]["event_origin"]) - {""}) == 3, where
        check_charge(recorded, flowed)
    assert requested > 0.5 * total


wishes = st.one_of(
    st.just(("pause", {})),
    st.just(("skip_step", {})),
    st.just(("image_now", {})),
    st.tuples(st.just("stop"), st.fixed_dictionaries({"after": st.sampled_from(AFTER[1:])})),
    st.tuples(
        st.just("set"),
        st.fixed_dictionaries({"path": st.just("step.until_time_s"), "value": st.floats(1, 200)}),
    ),
    st.tuples(
        st.just("set"),
        st.fixed_dictionaries({"path": st.just("record.time_s"), "value": st.floats(2, 30)}),
    ),
)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wanted=st.lists(st.tuples(st.floats(0.5, 500), wishes), min_size=1, max_size=6))
def test_the_recorded_charge_is_the_cells_whatever_is_asked(bench, wanted):
    tickets = [
        ask_at(bench, after_s, request(verb, **arguments)) for after_s, (verb, arguments) in wanted
    ]
    before = cell_mah(bench)
    bench.RE.run(plan(bench))
    while str(bench.RE.state) == "paused":
        assert not bench.pstat._backend.output_on()
        with suppress(RunEngineInterrupted):
            bench.resume()
    assert bench.RE.state == "idle"
    bench.wait(600)  # requests that came too late
    recorded = last_run(bench)
    check_charge(recorded, flowed_since(bench, before))
    made = [one for some in tickets for one in some]
    assert len(made) == len(wanted)
    assert all(one.settled for one in made)
    served = [one for one in made if "no run" not in one.text]
    events = recorded.streams.get("events", {"event_origin": [], "event_kind": []})
    noted = [
        pair for pair in zip(events["event_origin"], events["event_kind"], strict=True) if pair[0]
    ]
    assert len(noted) == len(set(noted))
    assert len({origin for origin, _ in noted}) == len(served)
