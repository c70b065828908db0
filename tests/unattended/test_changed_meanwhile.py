"""A job begins with something else than it was asked for with: nothing runs, a person is asked."""

from __future__ import annotations

import copy

import pytest

from orchestrator.cli import main
from orchestrator.profile.loading import find_profile
from orchestrator.records import software
from orchestrator.schedule.job import State
from orchestrator.schedule.jobs import JobStore
from tests.command import EXAMPLES

SERIES = "sweep: {product: {j: [0.05, 0.1]}}\n"


@pytest.fixture
def folder(tmp_path):
    """An experiment of two runs, and a bench of its own."""
    bench = find_profile("sim-mri").read_text(encoding="utf-8")
    (tmp_path / "bench.yaml").write_text(bench, encoding="utf-8")
    text = (EXAMPLES / "quick_look.yaml").read_text(encoding="utf-8")
    text = text.replace("bench: sim-mri", "bench: bench.yaml")
    text = text.replace("current_mA_per_cm2: 0.1,", "current_mA_per_cm2: $j,")
    (tmp_path / "series.yaml").write_text(text + SERIES, encoding="utf-8")
    software.software_hash.cache_clear()
    yield tmp_path
    software.software_hash.cache_clear()


def another_profile(folder, monkeypatch):
    path = folder / "bench.yaml"
    text = path.read_text(encoding="utf-8")
    assert "max_current_ma: 10" in text
    path.write_text(text.replace("max_current_ma: 10", "max_current_ma: 9"), encoding="utf-8")


def another_version(folder, monkeypatch):
    monkeypatch.setattr(software, "versions", lambda: {"bluesky": "0.0.1"})


def another_file_of_ours(folder, monkeypatch):
    package = folder / "devices"
    package.mkdir()
    (package / "__init__.py").write_text("# changed", encoding="utf-8")
    spec = copy.copy(software.find_spec("orchestrator"))  # it is that of the module itself
    spec.origin = str(package / "__init__.py")
    monkeypatch.setattr(software, "find_spec", lambda _name: spec)


def a_later_run(folder, monkeypatch):
    path = folder / "series.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[0.05, 0.1]", "[0.05, 0.2]"), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (another_profile, "profile"),
        (another_version, "software"),
        (another_file_of_ours, "software"),
        (a_later_run, "experiment"),
    ],
)
def test_a_campaign_that_goes_on_with_something_else_asks(
    folder, monkeypatch, capsys, change, what
):
    """Row 41: profile, versions, our own files, a run of the campaign that is still to come."""
    data, file = folder / "data", folder / "series.yaml"
    monkeypatch.chdir(folder)
    assert main(["schedule", "add", str(file), "--data", str(data), "--key", "k"]) == 0
    store = JobStore(data / "jobs.sqlite")
    (job,) = store.jobs()
    store.claim(runner="one that died", boot_id="")
    store.finish(job.id, State.INTERRUPTED, "its runner ended within the campaign")
    assert main(["schedule", "ack", job.id, "again", "--data", str(data)]) == 0
    store.claim(runner="test", boot_id="")
    change(folder, monkeypatch)
    software.software_hash.cache_clear()
    run = ["run", str(file), "--data", str(data), "--job", job.id, "--no-progress"]
    assert main(run) == 0
    assert f"not as it was asked for: {what}" in capsys.readouterr().out
    assert store.get(job.id).state is State.CHANGED
    assert not list((data / "journals").glob("*"))
    store.acknowledge(job.id, "failed")
