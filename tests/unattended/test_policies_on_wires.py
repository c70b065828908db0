"""A link that fails during a step with a policy: the simulated cell's own charge is as without."""

from __future__ import annotations

import io

import numpy as np
import pytest

from orchestrator.bench import open_bench
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.profile.loading import load_profile
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from orchestrator.running import run_experiment
from tests.promises import Witness

POLICY = {"retry": 10, "wait_s": 60}
UP_S, REST_S, DOWN_S = 600, 60, 300
CURRENT_MA = 0.01257
NET_MAH = CURRENT_MA * (UP_S - DOWN_S) / 3600
MOVED_MAH = CURRENT_MA * (UP_S + DOWN_S) / 3600


def experiment(bench):
    document = load_experiment(example_path("in_situ_mri")).to_document()
    document |= {"images": [], "bench": bench, "roles": {}, "stop_when": []}
    document["protocol"]["method"] = [
        {
            "step": "constant_current",
            "current_mA": CURRENT_MA,
            "until_time_s": UP_S,
            "on_failure": POLICY,
        },
        {"step": "open_circuit_voltage", "until_time_s": REST_S, "on_failure": POLICY},
        {
            "step": "constant_current",
            "current_mA": -CURRENT_MA,
            "until_time_s": DOWN_S,
            "on_failure": POLICY,
        },
    ]
    return Experiment.model_validate(document).bound_to(load_profile(bench))


STARTS = {"sim-mri": ":INIT", "sim-eis": "TECH:STAR"}


@pytest.mark.parametrize("bench_name", STARTS)
@pytest.mark.parametrize(
    "fault",
    [
        "silence:pstat:200:350",  # within the step; it goes on in the instrument
        "silence:pstat:200:640",  # the step ends by itself meanwhile
        "garble:pstat:100:300:seed=3",
        "reset:pstat:200:330",
        "refuse:pstat:200:330",
        "truncate:pstat:560:700",  # from the end of one step on
        "close:pstat:0:1:match={start}",  # the start acts, and its confirmation is lost
        "silence:pstat:0:1:match={start}",  # the start never arrives
        "close:pstat:590:700:match={start}",
    ],
)
def test_no_charge_is_lost_or_passed_twice(tmp_path, bench_name, fault):
    """Rows 5, 6, 7, 8: every fault of a wire within a step that has a policy."""
    one = experiment(bench_name)
    fault = fault.format(start=STARTS[bench_name])
    recipe = one.sample.simulate_as.model_dump(exclude_none=True)
    with open_bench(bench_name, data=tmp_path, sample=recipe, faults=[fault]) as bench:
        seen = Witness(bench)
        result = run_experiment(one, bench, speak=io.StringIO())
        world = bench.laboratory.world
        net_mah, moved_mah = world.sample.charge_mah(world.now())
        assert not bench.pstat._backend.output_on()
    seen.promises_kept()
    assert result.stop_reason == "completed"
    run = load_run(DataDirectory(tmp_path).journal(result.uid))
    kinds = list(run.streams["events"]["event_kind"])
    one_record_mah = 10.0 * CURRENT_MA / 3600
    assert net_mah == pytest.approx(NET_MAH, abs=0.2 * one_record_mah), kinds
    assert moved_mah == pytest.approx(MOVED_MAH, abs=0.2 * one_record_mah), kinds
    assert result.charge_mah == pytest.approx(net_mah, abs=0.2 * one_record_mah)
    assert result.throughput_mah == pytest.approx(moved_mah, abs=0.2 * one_record_mah)
    assert np.all(np.diff(run.streams["echem"]["time"]) >= 0)
    assert "step_failed" in kinds or fault.startswith("garble")
