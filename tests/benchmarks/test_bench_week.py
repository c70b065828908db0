"""A week of experiment: cost by record interval and by length, measured in one run.

``make bench`` prints the table. Times are of `run_experiment` on an open bench: plan, engine,
drivers, wire, simulated cell, journal and frames; the report is timed beside it.
"""

from __future__ import annotations

import gc
import io
import resource
import time

import pytest

from orchestrator.bench import open_bench
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from orchestrator.report import write_report
from orchestrator.running import run_experiment

DAY_S = 86_400.0


def experiment(record_s: float, days: float | None = None) -> Experiment:
    """The in situ week with another record interval; `days` runs that long without a short."""
    loaded = load_experiment(example_path("in_situ_mri"))
    document = loaded.to_document()
    document["protocol"]["record"]["time_s"] = record_s
    if days is not None:
        document["stop_when"] = [{"duration_s": days * DAY_S}]
        for step in document["protocol"]["method"]:
            if "current_mA_per_cm2" in step:
                step["current_mA_per_cm2"] *= 0.1  # no short within two weeks
    return Experiment.model_validate(document)


def cost(one: Experiment, data) -> tuple[float, float, float]:
    """CPU of the run, CPU of its report, growth of the peak memory: s, s, MB."""
    gc.collect()
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with open_bench("sim-mri", data=data, sample=one.sample.simulate_as.model_dump()) as bench:
        began = time.process_time()
        result = run_experiment(one, bench, speak=io.StringIO())
        run_s = time.process_time() - began
    directory = DataDirectory(data)
    began = time.process_time()
    write_report(load_run(directory.journal(result.uid)), directory.report(result.uid).parent)
    report_s = time.process_time() - began
    after_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return run_s, report_s, after_mb - before_mb


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    """The 10 s case, which also pays what is paid once (imports, image basis)."""
    return cost(experiment(10.0), tmp_path_factory.mktemp("ten"))


def test_a_record_each_second_costs_little_more_than_one_each_ten(week, tmp_path):
    fine = cost(experiment(1.0), tmp_path)
    print(f"\n10 s records: run {week[0]:.1f} s, report {week[1]:.1f} s, +{week[2]:.0f} MB")
    print(f" 1 s records: run {fine[0]:.1f} s, report {fine[1]:.1f} s, +{fine[2]:.0f} MB")
    print(f"ratio of runs {fine[0] / week[0]:.2f} for 10 times the records")
    assert fine[0] / week[0] < 4.0
    assert fine[2] < 150.0


def test_fourteen_days_cost_twice_seven(week, tmp_path):
    seven = cost(experiment(10.0, days=7), tmp_path / "7")
    fourteen = cost(experiment(10.0, days=14), tmp_path / "14")
    ratio = fourteen[0] / seven[0]
    print(f"\n7 d: run {seven[0]:.1f} s; 14 d: run {fourteen[0]:.1f} s; ratio {ratio:.2f}")
    assert ratio < 2.2
