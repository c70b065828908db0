"""Interlocks of the profile, through the full stack on simulated benches in virtual time."""

from __future__ import annotations

import io

import pytest

from orchestrator.bench import open_bench
from orchestrator.errors import InterlockTripped
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.interlocks import Latches
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from orchestrator.running import run_experiment


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))


def profile_of(name: str, *interlocks: dict, **more) -> BenchProfile:
    document = load_profile(name).to_document()
    return BenchProfile.model_validate(document | {"interlocks": list(interlocks)} | more)


def short_experiment(example="in_situ_mri", profile=None, *, cycles: int = 1) -> Experiment:
    document = load_experiment(example_path(example)).to_document()
    document["protocol"]["method"][-1]["cycle_count"] = cycles
    document["images"] = []
    return Experiment.model_validate(document)


class Done:
    """A run that is over."""

    def __init__(self, data, profile, one: Experiment, *faults: str) -> None:
        recipe = one.sample.simulate_as.model_dump(exclude_none=True)
        with open_bench(profile, data=data, sample=recipe, faults=faults) as bench:
            bench.RE.attended = False
            self.result = run_experiment(one, bench, speak=io.StringIO())
            self.off = not bench.pstat._backend.output_on()
            self.truth = bench.laboratory.truth()
        self.directory = DataDirectory(data)
        self.run = load_run(self.directory.journal(self.result.uid))
        self.echem = self.run.streams["echem"]
        self.events = self.run.streams["events"]
        assert self.off


def test_a_voltage(tmp_path):
    profile = profile_of(
        "sim-mri", {"device": "pstat", "signal": "voltage_v", "max": 0.02, "confirm": 3}
    )
    done = Done(tmp_path, profile, short_experiment())
    assert done.result.stop_reason == "interlock"
    assert Latches("sim-mri").read()
    with pytest.raises(InterlockTripped, match="latched"):
        Done(tmp_path, profile, short_experiment())
