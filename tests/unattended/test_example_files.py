"""Example files that no other test runs: two days of reversals, and one pressure after another."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.bench import open_bench
from orchestrator.experiment import load_campaign
from orchestrator.experiment.templates import example_path
from orchestrator.laboratory import Surroundings
from orchestrator.planning import experiment_plan
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run


def run(experiment, data):
    """Run one experiment to its end; returns its stop document and records."""
    wanted = experiment.environment
    surroundings = Surroundings(wanted.temperature_celsius, wanted.stack_pressure_mpa)
    sample = experiment.sample.simulate_as.model_dump()
    with open_bench(experiment.bench, data=data, sample=sample, surroundings=surroundings) as bench:
        result = bench.RE(experiment_plan(experiment, bench, md={}))
        recorded = load_run(DataDirectory(data).journal(result.run_start_uids[0]))
        assert not bench.pstat.energised
    return recorded.stop, recorded.streams["echem"]


def points(name):
    return [one.experiment for one in load_campaign(example_path(name), environ={}).points]


@pytest.mark.long
def test_two_days_of_reversals_do_not_short_the_cell(tmp_path):
    (experiment,) = points("cycle")
    stop, echem = run(experiment, tmp_path)
    assert stop["reason"] == "completed"
    assert echem["time"][-1] - echem["time"][0] == pytest.approx(41 * 4200, abs=1)
    moved_mah = 2 * 41 * 0.1 * 0.1257 / 2
    assert echem["pstat_throughput_mah"][-1] == pytest.approx(moved_mah, rel=1e-3)
    driven = np.abs(echem["pstat_current_ma"]) > 0.01
    assert np.abs(echem["pstat_voltage_v"][driven]).mean() == pytest.approx(0.05, abs=0.01)


def test_lithium_keeps_its_contact_from_1p5_mpa_on(tmp_path):
    overpotential_mv = {}
    first, _, third, _ = points("pressure_series")  # 0.2 and 1 MPa alike, 1.5 and 7 MPa alike
    for experiment in (first, third):
        stop, echem = run(experiment, tmp_path)
        assert stop["reason"] == "completed"
        driven = echem["pstat_current_ma"] > 0.1
        polarised_v = echem["pstat_voltage_v"][driven] - echem["pstat_voltage_v"][0]
        mpa = experiment.environment.stack_pressure_mpa
        overpotential_mv[mpa] = 1e3 * np.median(polarised_v[-100:])
    # Zhao et al. 2025, Fig. 3l; the model: 17.2 mV flat where contact is kept
    assert overpotential_mv[1.5] == pytest.approx(17.2, abs=1)
    assert overpotential_mv[0.2] > 100
