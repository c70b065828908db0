"""What an experiment does when something goes wrong in the laboratory, through the full stack."""

from __future__ import annotations

import io

import numpy as np
import pytest

from orchestrator.bench import open_bench
from orchestrator.errors import ProfileError
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from orchestrator.report import write_report
from orchestrator.running import run_experiment
from tests.promises import Witness

FRAME_S = 0.3 * 52 * 16  # 249.6 s


def experiment(*, images: bool = True, cycles: int = 2) -> Experiment:
    """Two cycles of the in situ experiment, with frames of four minutes."""
    document = load_experiment(example_path("in_situ_mri")).to_document()
    document["protocol"]["method"][-1]["cycle_count"] = cycles
    document["images"][0]["settings"]["averages"] = 16
    if not images:
        document["images"] = []
    return Experiment.model_validate(document)


class Done:
    """A run that is over."""

    def __init__(self, data, one: Experiment, *faults: str) -> None:
        recipe = one.sample.simulate_as.model_dump(exclude_none=True)
        with open_bench("sim-mri", data=data, sample=recipe, faults=faults) as bench:
            seen = Witness(bench)
            self.result = run_experiment(one, bench, speak=io.StringIO())
            assert not bench.pstat._backend.output_on()
            self.truth = bench.laboratory.truth()
        seen.promises_kept()
        self.directory = DataDirectory(data)
        self.run = load_run(self.directory.journal(self.result.uid))
        self.echem = self.run.streams["echem"]
        self.since_s = self.echem["time"] - self.run.start["time"]


def test_a_short_ends_the_run_and_stands_in_its_records(tmp_path):
    """Row 13: hard, within a minute."""
    done = Done(tmp_path, experiment(), "short:cell:2500:inf:ohm=5")
    assert done.result.stop_reason == "hard_short"
    assert 2500 <= done.result.stopped_at_s <= 2500 + 60
    assert done.run.start["simulation"]["faults"] == ["short:cell:2500:inf:ohm=5"]
    assert done.truth["short_ohm"] == 5.0
    shorted = (done.since_s > 2501) & (np.abs(done.echem["pstat_current_ma"]) > 1e-3)
    ohm = 1e3 * done.echem["pstat_voltage_v"][shorted] / done.echem["pstat_current_ma"][shorted]
    assert ohm == pytest.approx(5.0, abs=0.3)
    # the ammeter integrates what passes the short; the lithium took only its share
    more_mah = done.result.throughput_mah - done.truth["throughput_mah"]
    shorted_s = done.result.stopped_at_s - 2500
    assert more_mah == pytest.approx(0.01257 * shorted_s / 3600, rel=0.02)
    page = write_report(done.run, done.directory.report(done.result.uid).parent)
    assert "short:cell:2500:inf:ohm=5" in page.read_text()


def test_frames_are_black_or_missing_and_the_cycling_goes_on(tmp_path):
    """Rows 19, 21: the frames of a run."""
    faults = ("black:mri:700:1100", "abort:mri:1800:1801")
    done = Done(tmp_path, experiment(cycles=1), *faults)
    assert done.result.stop_reason == "completed"
    frames = done.run.streams["mri"]
    ends_s = frames["mri_t_end_s"] - done.run.start["time"]
    black = (ends_s >= 700) & (ends_s < 1100)
    assert black.any()
    assert list(frames["mri_quality"]) == ["black" if one else "ok" for one in black]
    begins_s = ends_s - FRAME_S
    assert not ((begins_s < 1800) & (ends_s > 1800)).any()
    assert ((begins_s > 1801) & (ends_s < 4200)).any()
    events = done.run.streams["events"]
    assert list(events["event_kind"]) == ["frame_missing", "completed"]
    assert "aborted by a fault" in events["event_text"][0]
    assert done.since_s[-1] == pytest.approx(4200, abs=40)


def test_a_contact_that_is_lost_runs_into_the_limit(tmp_path):
    """Row 14: the step ends at a limit of the instrument."""
    done = Done(tmp_path, experiment(images=False), "open:cell:600:inf")
    assert done.result.stop_reason == "limit"
    assert 600 <= done.result.stopped_at_s <= 600 + 60
    assert done.truth["charge_mah"] == pytest.approx(0.01257 * 600 / 3600, rel=1e-3)


def test_a_meter_over_range_ends_the_step(tmp_path):
    """Row 15: an overload ends the step."""
    done = Done(tmp_path, experiment(images=False), "overload:pstat:600:inf")
    assert done.result.stop_reason == "limit"
    assert 600 <= done.result.stopped_at_s <= 600 + 60


def test_a_fault_of_a_wire_is_survived_in_virtual_time(tmp_path):
    """Rows 6, 8: the records are as without."""
    sound = Done(tmp_path / "sound", experiment(images=False))
    faults = ("silence:pstat:1019:1020.5", "garble:pstat:2009:2010.5:match=TRAC:DATA")
    done = Done(tmp_path / "faulty", experiment(images=False), *faults)
    assert done.result.stop_reason == sound.result.stop_reason == "completed"
    for key in ("pstat_voltage_v", "pstat_current_ma"):
        assert np.array_equal(done.echem[key], sound.echem[key])


def test_the_same_faults_give_the_same_run(tmp_path):
    faults = ("short:cell:1500:2500:ohm=300", "drift:mri:0:inf", "stuck_reading:pstat:500:900")
    first, second = (Done(tmp_path / n, experiment(cycles=1), *faults) for n in "ab")
    for key in ("pstat_voltage_v", "pstat_current_ma", "pstat_charge_mah"):
        assert np.array_equal(first.echem[key], second.echem[key])
    for one, other in zip(first.run.frames("mri"), second.run.frames("mri"), strict=True):
        assert np.array_equal(one, other)
    stuck = (first.since_s > 510) & (first.since_s < 900)
    assert len(set(first.echem["pstat_voltage_v"][stuck])) == 1


def test_faults_are_injected_between_runs_only(tmp_path):
    with open_bench("sim-mri", data=tmp_path) as bench:
        bench.wait(10.0)
        assert bench.elapsed_s == pytest.approx(10.0)
        with pytest.raises(ProfileError, match="expected from now on"):
            bench.inject("short:cell:5:inf")
        assert (
            bench.inject({"kind": "short", "device": "cell", "start_s": 20}) == "short:cell:20:inf"
        )
        assert bench.RE.md["simulation"]["faults"] == ["short:cell:20:inf"]
        refused = []

        def plan():
            try:
                bench.inject("short:cell:50:inf")
            except ProfileError as error:
                refused.append(str(error))
            yield from ()

        bench.RE(plan())
        assert "a run is under way" in refused[0]
