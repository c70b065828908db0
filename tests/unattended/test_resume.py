"""Runs that were killed go on inside their step, on a laboratory that outlives them."""

from __future__ import annotations

import fcntl

import numpy as np
import pytest

from orchestrator.cli import main
from orchestrator.errors import BusyError, ResumeError
from orchestrator.records.chains import chain_of, load_chain
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import find_run, load_run
from orchestrator.resuming.interrupted import find_interrupted
from tests.cut_off_run import begin, go_on, in_child
from tests.served_laboratory import served

SAMPLE = {"model": "llzo_cell", "preset": "small_4p8", "seed": 3, "jitter": 0.0}
FILE = """
experiment: cut off
bench: sim-mri
sample:
  {name: Li-Li, area_cm2: 0.1257, simulate_as: {model: llzo_cell, preset: small_4p8, seed: 3}}
protocol:
  record: {time_s: 10}
  safety: {max_voltage_V: 5, min_voltage_V: -5, max_current_mA: 1, min_current_mA: -1,
           max_capacity_mAh: 1}
  method:
    - {step: tag, tag: c}
    - {step: constant_current, current_mA: 0.0126, until_time_s: 300}
    - {step: open_circuit_voltage, until_time_s: 60}
    - {step: constant_current, current_mA: -0.0126, until_time_s: 240}
    - {step: loop, loop_to: c, cycle_count: 2}
images:
  - device: mri
    when: {back_to_back: true}
    settings: {method: flash2d, tr_s: 0.05, te_s: 0.000918, flip_angle_deg: 30, averages: 40,
               matrix: [81, 52], fov_mm: [17, 11]}
stop_when: [hard_short]
"""
CHARGE_MAH, MOVED_MAH = 2 * 0.0126 * 60 / 3600, 2 * 0.0126 * 540 / 3600
RECORD_MAH = 0.0126 * 10 / 3600


@pytest.fixture
def places(tmp_path):
    """Address file, data directory, experiment file, and who asks the laboratory."""
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(FILE)
    with served(tmp_path / "lab.json", sample=SAMPLE) as there:
        yield tmp_path / "lab.json", tmp_path / "data", experiment, there


def killed(places, after: int, text: str = FILE) -> None:
    file, data, experiment, _ = places
    experiment.write_text(text)
    assert begin(file, data, experiment, lambda number, _name, _doc: number == after) == 9


def chain(data):
    return load_chain(find_run(data, "-1"))


def kinds(run) -> list[str]:
    return list(run.streams["events"]["event_kind"])


def check(places, *, cut: bool = False) -> None:
    """The chain is the uninterrupted run: its charge, its records, nothing twice.

    Args:
        places: Of the run.
        cut: A step was cut in two: it has a record more where it stopped, and one where it began.
    """
    _, data, _, there = places
    run, cell = chain(data), there.cell()
    echem = run.streams["echem"]
    assert run.stop["reason"] == "completed"
    assert cell["current_ma"] == 0.0
    within = RECORD_MAH if cut else 2e-7  # what flowed after the last record, until it was off
    assert cell["charge_mah"] == pytest.approx(CHARGE_MAH, abs=within)
    assert echem["pstat_charge_mah"][-1] == pytest.approx(CHARGE_MAH, abs=2e-7)
    assert echem["pstat_throughput_mah"][-1] == pytest.approx(MOVED_MAH, abs=2e-7)
    assert cell["throughput_mah"] == pytest.approx(MOVED_MAH, abs=within)
    rows = np.stack([echem["time"], echem["pstat_step_index"], echem["pstat_cycle"]])
    assert len(np.unique(rows, axis=1).T) == len(echem["time"])
    assert list(echem["seq_num"]) == list(range(1, len(echem["time"]) + 1))
    assert np.all(np.diff(echem["time"]) >= 0.0)
    uninterrupted = 2 * (31 + 7 + 25)
    assert len(echem["time"]) - uninterrupted in ((1, 2) if cut else (0,))
    assert kinds(run).count("completed") == 1


@pytest.mark.parametrize(
    ("after", "outage_s"), [(4, 0.0), (9, 30.0), (13, 500.0), (22, 0.0), (30, 5000.0)]
)
def test_a_killed_run_goes_on_inside_its_step(places, after, outage_s):
    """Row 28: recovery closes the run, the step goes on with what is left of it."""
    file, data, _, there = places
    killed(places, after)
    (first,) = DataDirectory(data).runs()
    assert not find_interrupted(data, "-1").recovery.missing
    stopped = load_run(DataDirectory(data).journal(first)).stop
    assert (stopped["exit_status"], stopped["reason"][:11]) == ("abort", "interrupted")
    there.advance(there.now() + outage_s)
    result = go_on(file, data)
    assert result.stop_reason == "completed"
    assert chain_of(DataDirectory(data), first) == (first, result.uid)
    start = load_run(DataDirectory(data).journal(result.uid)).start
    assert (start["resumes"], start["resumes_first"]) == (first, first)
    assert start["resumption"]["number"] == 1
    assert kinds(chain(data))[0] == "resumed"
    check(places)
    assert not list(DataDirectory(data).checkpoints.glob("*.json"))


def test_a_step_that_was_switched_off_goes_on_with_its_remaining_charge(places):
    """Rows 28, 38: the watchdog has switched off; no charge is passed twice, none is left out."""
    file, data, _, there = places
    killed(places, 6)
    there.advance(there.now() + 2.0)
    there.switch_off()
    there.advance(there.now() + 3600.0)
    go_on(file, data)
    start = load_run(find_run(data, "-1")).start
    assert start["resumption"]["found"] == "off"
    check(places, cut=True)


def test_a_run_that_goes_on_may_be_killed_too(places):
    """Row 28: twice in a row, the second time before it has done anything."""
    file, data, _, _ = places
    killed(places, 9)
    for after in (0, 1, 7):
        killing = lambda number, _name, _doc, after=after: number == after  # noqa: E731
        assert in_child(lambda killing=killing: go_on(file, data, kill=killing)) == 9
    go_on(file, data)
    run = chain(data)
    assert len(run.parts) == 5
    assert [part.start["resumption"]["number"] for part in run.parts[1:]] == [1, 2, 3, 4]
    check(places)


def test_what_cannot_go_on_is_refused_with_the_reason(places):
    """Row 41: and so is a run that ended, goes on already, or is being written."""
    file, data, _, _ = places
    killed(places, 9)
    go_on(file, data)
    first, second = DataDirectory(data).runs()
    with pytest.raises(ResumeError, match=f"goes on in run {second} already"):
        find_interrupted(data, first)
    with pytest.raises(ResumeError, match=r"was not cut off: it ended in order \(success"):
        find_interrupted(data, second)
    journal = DataDirectory(data).journal(second)
    with journal.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="is being written"):
            find_interrupted(data, second)
    assert main(["resume", second, "--data", str(data)]) == 2
