"""Runs with spectra that were killed within one go on, and the spectrum is taken to its end."""

from __future__ import annotations

import io

import numpy as np
import pytest

from orchestrator.bench import open_bench
from orchestrator.experiment.loading import load_experiment
from orchestrator.records.chains import load_chain
from orchestrator.records.runs import find_run
from orchestrator.resuming.interrupted import find_interrupted
from orchestrator.resuming.resume import resume_run
from orchestrator.running import run_experiment
from tests.cut_off_run import die_at, in_child
from tests.served_laboratory import served

FILE = """
experiment: cut off within a spectrum
bench: sim-eis
sample: {name: pellet, area_cm2: 0.785, simulate_as: {model: llzto_pellet, preset: lithiophobic}}
protocol:
  record: {time_s: 10}
  safety: {max_voltage_V: 5, min_voltage_V: -5, max_current_mA: 1, min_current_mA: -1,
           max_capacity_mAh: 1}
  method:
    - {step: constant_current, current_mA: 0.01, until_time_s: 600}
spectra:
  - when: {every_s: 200}
    settings: {amplitude_mA: 0.001, start_frequency_Hz: 1.0e+4, end_frequency_Hz: 0.1,
               points_per_decade: 4}
"""
POINTS = 21


@pytest.mark.parametrize("outage_s", [1.0, 30.0, 3000.0])
def test_a_spectrum_that_was_being_taken_is_whole_and_there_once(tmp_path, outage_s):
    """Rows 28, 42: killed within a spectrum that runs within a step."""
    experiment, file, data = (tmp_path / name for name in ("e.yaml", "lab.json", "data"))
    experiment.write_text(FILE)
    sample = {"model": "llzto_pellet", "preset": "lithiophobic"}
    with served(file, "sim-eis", sample) as there:

        def work():
            with open_bench("sim-eis", data=data, laboratory=file) as bench:
                bench.RE.attended = False
                die_at(bench, 205.0)
                run_experiment(load_experiment(experiment), bench, speak=io.StringIO())

        assert in_child(work) == 9
        there.advance(there.now() + outage_s)
        with open_bench("sim-eis", data=data, laboratory=file) as bench:
            bench.RE.attended = False
            resume_run(find_interrupted(data, "-1"), bench, ask=None, speak=io.StringIO())
        cell = there.cell()
    run = load_chain(find_run(data, "-1"))
    assert run.stop["reason"] == "completed"
    assert cell["charge_mah"] == pytest.approx(6.0 / 3600.0, rel=1e-6)
    numbers, counts = np.unique(run.streams["eis"]["pstat_eis_spectrum"], return_counts=True)
    assert numbers.tolist() == list(range(len(numbers)))
    assert set(counts) == {POINTS}
    times = run.streams["eis"]["time"].reshape(-1, POINTS)[:, 0] - run.start["time"]
    assert times[1] == pytest.approx(200.0, abs=1.0)
    assert "frame_missing" not in list(run.streams["events"]["event_kind"])
