"""Every named plan, paused at any message and ended in every way.

Nothing is repeated, and the cell is off.
"""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from bluesky.run_engine import _RunEnginePanic

import plans
from devices.roles import ProgramState
from orchestrator import derive
from orchestrator.bench import open_bench
from orchestrator.experiment import load_campaign
from orchestrator.experiment.templates import example_path
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from tests.plans.named_plans import AS_IN_THE_EXAMPLE, short

NAMES = sorted(plans.PLANS)
SAMPLED = 3
"""Messages of each plan that are paused at, of about a hundred; `make soak` takes all."""


def recipe(name):
    """Bench and simulated sample of a plan's example."""
    experiment = load_campaign(example_path(name), environ={}).points[0].experiment
    sample = experiment.sample.simulate_as.model_dump()
    return experiment.bench, {key: one for key, one in sample.items() if one is not None}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def bench(name, tmp_path):
    """A bench like that of the plan's example."""
    profile, sample = recipe(name)
    with open_bench(profile, data=tmp_path, sample=sample) as opened:
        opened.RE.attended = False
        yield opened


def called(name, bench, **changed):
    """A short run of a plan on a bench."""
    plan = plans.PLANS[name]
    places = {"potentiostat": "pstat", "mri": "mri", "sem": "sem"}
    devices = [getattr(bench, places[k]) for k in inspect.signature(plan).parameters if k in places]
    return plan(*devices, **{**short(name), **changed})


def true_charge(bench):
    world = bench.laboratory.world
    return np.array(world.sample.charge_mah(world.catch_up()))


class Outcome:
    """What the runs of a plan came to, one after another, and the charge of the cell."""

    def __init__(self, bench, uids, before):
        journals = DataDirectory(bench.data)
        self.charge = true_charge(bench) - before
        self.recorded, self.frames, self.steps, self.spectra = np.zeros(2), [], [], []
        for uid in uids:
            streams = load_run(journals.journal(uid)).streams
            echem = streams["echem"]
            assert np.all(np.diff(echem["time"]) >= 0)
            self.recorded += [echem[f"pstat_{key}_mah"][-1] for key in ("charge", "throughput")]
            self.steps += sorted(
                set(zip(echem["pstat_cycle"], echem["pstat_step_index"], strict=True))
            )
            for kind in {"mri", "sem"} & set(streams):
                self.frames += list(streams[kind][f"{kind}_frame"])
            if "eis" in streams:
                self.spectra += list(streams["eis"]["pstat_eis_series"])


def run(name, bench, pause_at=None, wrap=lambda plan: plan):
    """Run a plan, with a pause at one message; returns what came of it, and how many there were."""
    before, seen, uids, paused = true_charge(bench), [], [], False

    def hook(msg):
        seen.append(msg.command)
        if len(seen) - 1 == pause_at:
            bench.time.loop.create_task(bench.RE._request_pause_coro())

    token = bench.RE.subscribe(lambda _name, doc: uids.append(doc["uid"]), "start")
    bench.RE.msg_hook = hook
    try:
        result = bench.RE.run(wrap(called(name, bench)))
        while str(bench.RE.state) == "paused":
            paused = True
            assert not bench.pstat._backend.output_on(), f"cell on, paused at message {pause_at}"
            assert not bench.pstat.energised
            result = bench.resume()
    finally:
        bench.RE.msg_hook = None
        bench.RE.unsubscribe(token)
    assert result.exit_status == "success"
    return Outcome(bench, uids, before), len(seen), paused


DRIVEN_BY_VOLTAGE = {"electronic_conductivity", "iv_curve"}
"""Plans whose charge is what the cell passes at a voltage, and that depends on its history."""


def twice(plan):
    """A plan that sends every message twice that begins something."""
    answer = None
    while True:
        try:
            msg = plan.send(answer)
        except StopIteration as end:
            return end.value
        answer = yield msg
        if msg.command in {"prepare", "kickoff", "trigger", "stop"}:
            answer = yield msg


def check_pauses(name, bench, indices):
    reference, total, _ = run(name, bench)
    paused = 0
    outcome, _, _ = run(name, bench, wrap=twice)
    check_same(name, outcome, reference, "everything begun twice")
    chosen = indices(total)
    for index in chosen:
        outcome, _, was_paused = run(name, bench, pause_at=index)
        paused += was_paused
        check_same(name, outcome, reference, f"pause at message {index} of {total}")
    assert paused >= 0.8 * len(chosen)


def check_same(name, outcome, reference, where):
    assert outcome.frames == reference.frames, where
    assert outcome.spectra == reference.spectra, where
    assert outcome.steps == reference.steps, where
    if name not in DRIVEN_BY_VOLTAGE:
        assert outcome.charge == pytest.approx(reference.charge, abs=1e-8), where
        allowed_mah = 5e-3 * reference.recorded[1]
        assert outcome.recorded == pytest.approx(reference.recorded, abs=allowed_mah), where


@pytest.mark.long
def test_neither_a_pause_nor_a_second_message_repeats_charge_or_a_frame(name, bench):
    rng = np.random.default_rng([2025, NAMES.index(name)])
    check_pauses(name, bench, lambda total: sorted(rng.choice(total, SAMPLED, replace=False)))


@pytest.mark.long
@pytest.mark.soak
def test_a_pause_at_any_message_repeats_no_charge_and_no_frame(name, bench):
    """Row 38: every named plan."""
    check_pauses(name, bench, range)


def test_a_series_of_pressures_pauses_for_whoever_changes_them(tmp_path):
    profile, sample = recipe("pressure_series")
    with open_bench(profile, data=tmp_path, sample=sample) as bench:
        before, paused = true_charge(bench), 0
        result = bench.RE.run(called("pressure_series", bench, pause_between=True))
        while str(bench.RE.state) == "paused":
            paused += 1
            assert not bench.pstat._backend.output_on()
            result = bench.resume()
        passed_mah = (true_charge(bench) - before)[1]
    assert paused == 1
    assert result.plan_result == ["completed", "completed"]
    assert passed_mah == pytest.approx(2 * 1.267 * 0.5 * 30 / 3600, rel=1e-6)


def test_a_plan_ends_at_what_its_images_show(tmp_path):
    profile, sample = recipe("operando_sem")
    with open_bench(profile, data=tmp_path, sample=sample) as bench:
        loss = derive(bench.sem)["contact_loss"]
        lost = plans.condition("contact_loss_above", loss, value=0.6)
        plan = plans.operando_sem(
            bench.pstat, bench.sem, **AS_IN_THE_EXAMPLE["operando_sem"], stop_when=[lost]
        )
        assert bench.RE(plan).plan_result == "contact_loss_above"
        assert lost.met.value > 0.6
        # the model's contact loss is 0.51 at 0.25 mAh/cm2 and 0.70 at 0.5
        passed = bench.pstat.charge_mah.get() / AS_IN_THE_EXAMPLE["operando_sem"]["area_cm2"]
        assert 0.24 < passed < 0.51


def at(bench, delay_s, act):
    """Do something after so much experiment time, on the engine's loop."""

    class Someone:
        name = "test"

        def callback_failed(self, error):
            raise error

    bench.clock.call_later(delay_s, act, owner=Someone())


def limit(bench):
    """The instrument says at its next poll that a limit was exceeded."""
    backend = bench.pstat._backend

    def poll():
        del backend.poll
        return replace(backend.stop(), state=ProgramState.FINISHED, reason="limit", output_on=False)

    backend.poll = poll


def device_fails(bench):
    """The next poll raises what no driver should."""
    backend = bench.pstat._backend

    def poll():
        del backend.poll
        raise ZeroDivisionError("a bug in the driver")

    backend.poll = poll


def ask(method, *args):
    def act(bench):
        bench.time.loop.create_task(getattr(bench.RE, method)(*args))

    return act


def panic(bench):
    """The engine itself fails at its next message."""

    def hook(_msg):
        bench.RE.msg_hook = None
        raise _RunEnginePanic("a bug in the engine")

    bench.RE.msg_hook = hook


ENDS = {
    "completed": (None, "success", "completed"),
    "condition": (None, "success", "duration_s"),
    "limit": (limit, "success", "limit"),
    "abort": (ask("_abort_coro", "test"), "abort", "test"),
    "stop": (ask("_stop_coro"), "success", "stopped"),
    "halt": (ask("_halt_coro"), "abort", None),
    "device": (device_fails, "fail", "a bug in the driver"),
    "panic": (panic, "fail", "a bug in the engine"),
}
"""What happens 12 s into a run; exit status and reason of its stop document."""


def test_every_way_of_ending_leaves_the_cell_off(name, bench):
    stops = []
    bench.RE.subscribe(lambda _name, doc: stops.append(doc), "stop")
    for way, (act, status, reason) in ENDS.items():
        stops.clear()
        if act is not None:
            at(bench, 12.0, partial(act, bench))
        changed = {"stop_when": [{"duration_s": 12}]} if way == "condition" else {}
        fails = way == "device"  # bluesky itself swallows its panic
        with pytest.raises(ZeroDivisionError, match=reason) if fails else nullcontext():
            bench.RE.run(called(name, bench, **changed))
        assert str(bench.RE.state) == "idle", way
        assert not bench.pstat._backend.output_on(), way
        assert not bench.pstat.energised, way
        assert not bench.RE.unsafe, way
        assert stops[0]["exit_status"] == status, way
        assert reason in (None, stops[0]["reason"]), way
        bench.wait(1.0)  # a halt does not wait for a frame that is being fetched
