"""What a step's policy does when it fails: tried again, left out, rested, or the run ends."""

from __future__ import annotations

import contextlib

import pytest
from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky.utils import RunEngineInterrupted

from devices.errors import InstrumentFault, LinkError
from devices.roles import CellLimits
from plans.conditions import condition
from plans.cycling import Cycling, StepPolicy
from plans.runs import run_with_images
from tests.cut_link import Cut

LIMITS = CellLimits(-5, 5, -10, 10)
METHOD = [
    ConstantCurrent(current_mA=1.0, until_time_s=1000),
    OpenCircuitVoltage(until_time_s=100),
    ConstantCurrent(current_mA=-0.5, until_time_s=1000),
]
FIRST_MAH, LAST_MAH = 1000 / 3600, -500 / 3600


def plan(pstat, *, stop_when=(), limits=LIMITS, method=METHOD, **policy):
    policies = {0: StepPolicy(**policy)}
    cycling = Cycling(pstat, method, 10, limits, 10, policies=policies)
    return run_with_images(cycling, (), [condition(name, pstat) for name in stop_when], md={})


def failures(engine):
    events = engine.documents.stream("events")
    kinds = events.get("event_kind", [])
    texts = events.get("event_text", [])
    return [t for k, t in zip(kinds, texts, strict=True) if k == "step_failed"]


def reason(engine):
    return engine.documents.of("stop")[0]["reason"]


def test_a_retry_runs_what_is_left_and_no_charge_twice(cell_bench):
    """Row 5: goes on by policy."""
    engine, pstat, backend = cell_bench
    Cut(backend, engine.clock, 200, 300)
    engine.RE(plan(pstat, retries=3, wait_s=60))
    assert reason(engine) == "completed"
    assert backend.charge_mah == pytest.approx(FIRST_MAH + LAST_MAH)
    assert pstat.charge_mah.get() == pytest.approx(FIRST_MAH + LAST_MAH)
    texts = failures(engine)
    assert [text.split("; ")[1] for text in texts] == [
        "tried again, 1 of 3, in 60 s",
        "tried again, 2 of 3, in 60 s",
    ]
    assert texts[0].startswith("step 1 in cycle 1: pstat: no reply (look at the cable)")
    echem = engine.documents.stream("echem")
    assert sorted(echem["time"]) == echem["time"]
    assert len(echem["time"]) - (101 + 11 + 101) in (1, 2)  # one more end, one more beginning
    assert backend.starts == 4  # the first step in two parts


def test_a_step_that_the_instrument_finished_meanwhile_is_not_begun_again(cell_bench):
    engine, pstat, backend = cell_bench
    Cut(backend, engine.clock, 500, 1200)
    real = pstat.clock.time

    def page_when_reached():
        if backend.on and real() - backend.began_s >= 1000:
            backend._page()  # the instrument ends by its own clock

    backend_stop = backend.stop
    backend.stop = lambda: (page_when_reached(), backend_stop())[1]
    engine.RE(plan(pstat, retries=20, wait_s=60))
    assert reason(engine) == "completed"
    assert backend.charge_mah == pytest.approx(FIRST_MAH + LAST_MAH)
    assert backend.starts == 3


def test_when_every_retry_fails_the_run_fails_and_says_so(cell_bench):
    engine, pstat, backend = cell_bench
    cut = Cut(backend, engine.clock, 200, 1e9)
    with pytest.raises(LinkError, match="no reply"):
        engine.RE(plan(pstat, retries=2, wait_s=60))
    assert failures(engine)[-1].endswith("; the run ends")
    assert list(engine.RE.unsafe) == ["pstat"]  # nobody could switch it off, and that is said
    cut.span_s = (0, 0)
    pstat.stop()


@pytest.mark.parametrize(
    ("policy", "rest_s"), [({"then": "skip"}, 0), ({"then": "rest", "rest_s": 600}, 600)]
)
def test_the_rest_of_a_step_is_left_out_and_the_next_one_runs(cell_bench, policy, rest_s):
    engine, pstat, backend = cell_bench
    Cut(backend, engine.clock, 202, 225)
    engine.RE(plan(pstat, **policy))
    assert reason(engine) == "completed"
    echem = engine.documents.stream("echem")
    steps = echem["pstat_step_index"]
    first_s = [t for t, step in zip(echem["time"], steps, strict=True) if step == 0]
    second_s = min(t for t, step in zip(echem["time"], steps, strict=True) if step == 1)
    assert 10 <= first_s[-1] - first_s[0] < 1000
    assert second_s - first_s[-1] == pytest.approx(rest_s, abs=30)
    passed_mah = (first_s[-1] - first_s[0]) / 3600
    assert backend.charge_mah == pytest.approx(passed_mah + LAST_MAH, abs=1e-6)
    assert len(failures(engine)) == 1
    assert "left out" in failures(engine)[0]


def test_a_cell_that_cannot_be_switched_off_is_never_left_to_the_next_step(cell_bench):
    """Row 18: whatever the policy."""
    engine, pstat, backend = cell_bench
    cut = Cut(backend, engine.clock, 200, 1e9)
    with pytest.raises(LinkError):
        engine.RE(plan(pstat, then="skip"))
    assert backend.starts == 1
    cut.span_s = (0, 0)
    pstat.stop()


def test_a_limit_ends_the_protocol_whatever_the_policy(cell_bench):
    engine, pstat, backend = cell_bench
    real = backend.poll

    def poll():
        page = real()
        if backend.on and engine.clock.time() - backend.origin_s > 300:
            backend.on, backend.reason = False, "limit"
            page = real()
        return page

    backend.poll = poll
    engine.RE(plan(pstat, retries=5, then="skip"))
    assert reason(engine) == "limit"
    assert failures(engine) == []
    assert backend.starts == 1


def test_a_limit_that_was_exceeded_while_the_link_was_down_ends_the_protocol(cell_bench):
    engine, pstat, backend = cell_bench
    Cut(backend, engine.clock, 200, 300)
    stop = backend.stop

    def stopped():
        if backend.on and engine.clock.time() - backend.origin_s >= 300:
            backend._page(end_now=True)
            backend.reason = "limit"
        return stop()

    backend.stop = stopped
    engine.RE(plan(pstat, retries=5, wait_s=60, then="skip"))
    assert reason(engine) == "limit"
    assert backend.starts == 1


def test_a_short_that_is_seen_in_what_is_read_afterwards_ends_the_protocol(cell_bench):
    """Row 13: seen when the link is back."""
    engine, pstat, backend = cell_bench
    backend.short_at_s = 230.0
    Cut(backend, engine.clock, 200, 300)
    engine.RE(plan(pstat, retries=5, wait_s=60, stop_when=["hard_short"]))
    assert reason(engine) == "hard_short"
    assert backend.starts == 1
    assert not backend.on


def test_without_a_policy_a_failure_ends_the_run_as_before(cell_bench):
    """Rows 4, 5: without a policy the run fails."""
    engine, pstat, backend = cell_bench
    fault = InstrumentFault("pstat", "broke", remedy="repair it")
    Cut(backend, engine.clock, 200, 250, fault)
    with pytest.raises(InstrumentFault, match="broke"):
        engine.RE(plan(pstat))
    assert failures(engine) == []


def test_each_step_has_its_own_pause_policy(cell_bench):
    engine, pstat, backend = cell_bench
    policies = {0: StepPolicy(on_pause="restart"), 2: StepPolicy(on_pause="drop")}
    cycling = Cycling(pstat, METHOD, 10, LIMITS, 10, policies=policies)

    class Someone:
        name = "test"

        def callback_failed(self, error):
            raise error

    def pause():
        engine.RE.interrupt(abort=False, reason="test")

    for after_s in (500, 1900):  # in the first step; in the third
        engine.clock.call_later(after_s, pause, owner=Someone())
    engine.RE.run(run_with_images(cycling, md={}))
    while str(engine.RE.state) == "paused":
        assert not backend.on
        with contextlib.suppress(RunEngineInterrupted):
            engine.RE.resume()
    again_mah, dropped_mah = 500 / 3600, 0.5 * (1900 - 500 - 1000 - 100) / 3600
    assert backend.charge_mah == pytest.approx(again_mah + FIRST_MAH - dropped_mah, abs=1e-4)
