"""The named plan and the experiment file give the same messages, and a week gives its results."""

from __future__ import annotations

import numpy as np
import pytest

from devices.roles import CellLimits
from orchestrator.bench import open_bench
from orchestrator.experiment import load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.planning import experiment_plan
from plans.in_situ_mri import in_situ_mri


def shape(plan):
    """Messages without what only a run can know."""
    messages = []
    for msg in plan:
        args = [] if msg.command == "wait_for" else [named(arg) for arg in msg.args]
        kwargs = {k: v for k, v in msg.kwargs.items() if k not in ("md", "plan_name")}
        messages.append((msg.command, named(msg.obj), args, kwargs))
    return messages


def named(value):
    return getattr(value, "name", value)


@pytest.fixture
def bench(tmp_path):
    with open_bench("sim-mri", data=tmp_path) as opened:
        yield opened


def test_in_situ_mri_is_its_example_file(bench):
    experiment = load_experiment(example_path("in_situ_mri"))
    by_file = shape(experiment_plan(experiment, bench, md={}))
    by_plan = shape(
        in_situ_mri(
            bench.pstat,
            bench.mri,
            area_cm2=0.1257,
            limits=CellLimits(-5, 5, -1, 1),
            max_capacity_mah=10,
        )
    )
    assert len(by_file) > 10_000
    assert len(by_file) == len(by_plan)
    different = [pair for pair in zip(by_file, by_plan, strict=True) if pair[0] != pair[1]]
    allowed = [pair for pair in different if pair[0][0] == "open_run"]  # the metadata
    assert different == allowed


def test_listing_a_plan_touches_no_instrument(bench):
    experiment = load_experiment(example_path("in_situ_mri"))
    writes = {who: link.counters.writes for who, link in bench.links.items()}
    queries = {who: link.counters.queries for who, link in bench.links.items()}
    list(experiment_plan(experiment, bench, md={}))
    assert {who: link.counters.writes for who, link in bench.links.items()} == writes
    assert {who: link.counters.queries for who, link in bench.links.items()} == queries
    assert np.isnan(bench.pstat.voltage_v.get())
