"""Numbers out of images and spectra of runs that were killed are those of one that was not."""

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

METHOD = """
protocol:
  record: {time_s: 10}
  safety: {max_voltage_V: 5, min_voltage_V: -5, max_current_mA: 1, min_current_mA: -1,
           max_capacity_mAh: 1}
  method:
    - {step: constant_current, current_mA: 0.0126, until_time_s: 500}
"""
IMAGES = (
    """
experiment: images cut off
bench: sim-mri
sample:
  {name: Li-Li, area_cm2: 0.1257, simulate_as: {model: llzo_cell, preset: small_4p8, seed: 3}}
"""
    + METHOD
    + """
images:
  - device: mri
    when: {every_s: 65}
    settings: {method: flash2d, tr_s: 0.05, te_s: 0.000918, flip_angle_deg: 30, averages: 20,
               matrix: [81, 52], fov_mm: [17, 11]}
stop_when:
  - {lithium_above_umol_per_cm2: 500}
  - {lithium_above_umol_per_cm2: {value: 500, layer: 1}}
"""
)
SPECTRA = (
    """
experiment: spectra cut off
bench: sim-eis
sample: {name: pellet, area_cm2: 0.785, simulate_as: {model: llzto_pellet, preset: lithiophobic}}
"""
    + METHOD
    + """
spectra:
  - when: {every_s: 90}
    settings: {amplitude_mA: 0.005, start_frequency_Hz: 7.0e+6, end_frequency_Hz: 1,
               points_per_decade: 8}
stop_when: [{bulk_resistance_drop: 0.99}, {interface_above_ohm_cm2: 1.0e+9}]
"""
)
CASES = {
    "mri": (IMAGES, ("mri_lithium_umol_per_cm2", "mri_lithium_layer_1_umol_per_cm2")),
    "pstat_eis": (SPECTRA, ("pstat_eis_bulk_ohm_cm2", "pstat_eis_interface_ohm_cm2")),
}


def document(stream: str, number: int):
    """Die right after the document of that number that a stream has in this run."""
    streams, seen = {}, [0]

    def kill(_number, name, doc):
        if name == "descriptor":
            streams[doc["uid"]] = doc["name"]
        here = name in ("event", "event_page") and streams[doc["descriptor"]] == stream
        seen[0] += here
        return here and seen[0] == number

    return kill


def chain(tmp_path, name: str, text: str, kills) -> tuple:
    """Run it, dying as told; the whole of it, and of how many runs it is."""
    experiment, file, data = (tmp_path / f"{name}.{end}" for end in ("yaml", "json", "data"))
    experiment.write_text(text)
    chosen = load_experiment(experiment)
    recipe = chosen.sample.simulate_as.model_dump(mode="json", exclude_none=True)

    def work(kill, goes_on):
        with open_bench(chosen.bench, data=data, laboratory=file) as bench:
            bench.RE.attended = False
            if kill is not None:
                die_at(bench, kill)
            if goes_on:
                resume_run(find_interrupted(data, "-1"), bench, ask=None, speak=io.StringIO())
            else:
                run_experiment(chosen, bench, speak=io.StringIO())

    with served(file, chosen.bench, recipe):
        for at, kill in enumerate((*kills, None)):
            assert in_child(lambda kill=kill, at=at: work(kill, at > 0)) == (9 if kill else 0)
    return load_chain(find_run(data, "-1"))


@pytest.mark.parametrize("source", CASES)
def test_numbers_of_a_chain_are_those_of_the_uninterrupted_run(tmp_path, source):
    """Rows 28, 42: killed after a frame, between frames, and after a page of numbers."""
    text, streams = CASES[source]
    frames = "eis" if source == "pstat_eis" else source
    kills = [document(frames, 3), 100.0, document(streams[0], 1)]
    whole = chain(tmp_path, "whole", text, ())
    cut = chain(tmp_path, "cut", text, kills)
    assert len(cut.parts) == 4
    for stream in streams:
        one, other = whole.streams[stream], cut.streams[stream]
        count = len(one["time"])
        assert count >= 4
        assert list(other[f"{stream}_frame"]) == list(range(count))
        assert list(other["time"]) == pytest.approx(list(one["time"]))
        for key in (stream, f"{stream}_error"):
            assert np.asarray(other[key]) == pytest.approx(np.asarray(one[key]), nan_ok=True)
        assert list(other[f"{stream}_quality"]) == list(one[f"{stream}_quality"])
