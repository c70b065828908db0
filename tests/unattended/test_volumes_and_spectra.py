"""Volumes and pairs of spectra through every layer: the examples, cut short, and their reports."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from scipy import ndimage

from orchestrator.bench import open_bench
from orchestrator.experiment import load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from orchestrator.report import write_report
from orchestrator.running import run_experiment
from sim.images.mri import PUBLISHED_3D
from sim.images.mri_volume import VolumeImager
from sim.images.nmr import rotor_content

PIECES = r"<tr><td>\d</td><td>[\d.]+</td><td>(\d+) ± (\d+)</td>"
"""A row of the report's table of volumes, up to the number of pieces."""


class Stack:
    """One run of an example with some of its text changed, and the sample that it really had."""

    def __init__(self, folder, example, **changes):
        text = example_path(example).read_text(encoding="utf-8")
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = folder / f"{example}.yaml"
        path.write_text(text, encoding="utf-8")
        experiment = load_experiment(path)
        recipe = experiment.sample.simulate_as.model_dump()
        with open_bench("sim-mri", data=folder, sample=recipe) as bench:
            self.result = run_experiment(experiment, bench, speak=io.StringIO())
            self.described = bench.mri.describe()["mri_image"]
            self.repr = repr(bench.mri)
            self.cell = bench.laboratory.world.sample
        self.run = load_run(DataDirectory(folder).journal(self.result.uid))
        begin_s = self.run.start["time"]
        frames = self.run.streams["mri"]
        self.span_s = [
            (t0 - begin_s, t1 - begin_s)
            for t0, t1 in zip(frames["mri_t_start_s"], frames["mri_t_end_s"], strict=True)
        ]
        self.page = write_report(self.run, folder / "report").read_text(encoding="utf-8")
        self.pictures = {path.name for path in (folder / "report").glob("*.png")}

    @property
    def configuration(self):
        found = self.run.descriptors["mri"]["configuration"]["mri"]["data"]
        return {key.removeprefix("mri_"): value for key, value in found.items()}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    changes = {"time_s: 30}": "time_s: 300}", "[hard_short]": "[{duration_s: 150000}]"}
    return Stack(tmp_path_factory.mktemp("volumes"), "mri_3d", **changes)


@pytest.fixture(scope="module")
def spectra(tmp_path_factory):
    changes = {"time_s: 60}": "time_s: 300}", "cm2: 28.04}": "cm2: 3.9}", "2.33}": "1.75}"}
    return Stack(tmp_path_factory.mktemp("spectra"), "tracer_exchange", **changes)


def test_volumes_are_recorded_whole_before_and_after(volumes):
    assert volumes.result.stop_reason == "duration_s"
    frames = volumes.run.frames("mri")
    assert (len(frames), frames[0].shape) == (2, (32, 100, 100))
    lengths = [t1 - t0 for t0, t1 in volumes.span_s]
    assert lengths == pytest.approx([0.25 * 100 * 32 * 128] * 2, abs=1e-3)
    assert volumes.span_s[0][0] == pytest.approx(0.0, abs=2.0)
    assert set(volumes.run.streams["mri"]["mri_quality"]) == {"ok"}


def test_volumes_show_what_the_cell_held(volumes):
    imager = VolumeImager(volumes.cell.geometry, PUBLISHED_3D, 0)
    frames, counts = volumes.run.frames("mri"), []
    for index, span_s in enumerate(volumes.span_s):
        layers = volumes.cell.mean_layers_umol_per_cm2(*span_s)
        seen = np.where(frames[index] > 4 * imager.noise_sd, frames[index], 0.0)
        assert seen.sum(dtype=float) / imager.k_volume == pytest.approx(layers.sum(), abs=0.3)
        counts.append(ndimage.label(seen)[1])
    assert counts[1] > 2 * counts[0]


def test_the_data_key_and_the_configuration_are_those_of_the_method(volumes, spectra):
    assert volumes.described["shape"] == [1, 32, 100, 100]
    assert volumes.described["dims"] == ["frame", "z", "y", "x"]
    assert spectra.described["shape"] == [1, 2, 4096]
    assert spectra.described["dims"] == ["frame", "nucleus", "shift_ppm"]
    for stack in (volumes, spectra):
        key = stack.run.descriptors["mri"]["data_keys"]["mri_image"]
        assert {name: key[name] for name in stack.described} == stack.described
        assert (key["units"], key["external"]) == ("a.u.", "STREAM:")
    in_3d, of_two = volumes.configuration, spectra.configuration
    assert (in_3d["matrix"], in_3d["frequency_mhz"]) == ([100, 100, 32], 194.4)
    assert in_3d["expected_duration_s"] == pytest.approx(102_400.0)
    assert {"scans", "points", "mas_khz"} & set(in_3d) == set()
    assert (of_two["scans"], of_two["mas_khz"]) == ([1024, 256], [14.0, 13.0])
    assert of_two["nuclei"] == ["6Li", "7Li"]
    assert of_two["expected_duration_s"] == pytest.approx(1024 * 10 + 256 * 2)
    assert {"tr_s", "matrix", "averages", "line"} & set(of_two) == set()
    units = spectra.run.descriptors["mri"]["configuration"]["mri"]["data_keys"]
    assert units["mri_mas_khz"]["units"] == "kHz"
    assert units["mri_recycle_delay_s"]["units"] == "s"
    assert "gradient_echo_3d 100x100x32 x 128, 102400 s" in volumes.repr
    assert "single_pulse 4096x2 x [1024, 256], 10752 s" in spectra.repr


def test_spectra_are_taken_each_time_so_much_charge_has_passed(spectra):
    frames = spectra.run.streams["mri"]
    assert len(frames["mri_frame"]) == 2
    passed = [spectra.cell.charge_mah(t0)[1] / spectra.cell.area_cm2 for t0, _ in spectra.span_s]
    assert passed[0] == pytest.approx(1.75, abs=0.02)


def test_fractions_of_6li_come_back_through_the_whole_stack(spectra):
    """Early in the exchange: dendrites between electrode (91 %) and electrolyte (8 %)."""
    from orchestrator.report.imaging import find_imaging

    imaging = find_imaging(spectra.run, spectra.run.start["time"], {})
    for k, (t0_s, t1_s) in enumerate(spectra.span_s):
        during = rotor_content(spectra.cell, t0_s, t1_s)
        x6 = {
            "metal": during.metal_c[0] / sum(during.metal_c),
            "electrolyte": during.electrolyte_c[0] / sum(during.electrolyte_c),
        }
        metal, electrolyte = imaging.spectra.metal[k], imaging.spectra.electrolyte[k]
        assert metal.fraction.quality == "ok"
        assert metal.fraction.x6 == pytest.approx(x6["metal"], abs=4 * metal.fraction.error)
        assert metal.fraction.error < 0.03
        assert electrolyte.fraction.x6 == pytest.approx(x6["electrolyte"], abs=2e-3)
        assert 0.3 < x6["metal"] < 0.45


def test_reports_show_a_view_of_volumes_and_the_spectra_with_their_fractions(volumes, spectra):
    assert volumes.pictures == {"overview.png", "charge.png", "frames.png"}
    assert "28.44 h" in volumes.page
    pieces = [int(row[0]) for row in re.findall(PIECES, volumes.page)]
    assert len(pieces) == 2
    assert pieces[1] > 2 * pieces[0]
    assert "Sum</th></tr>" in volumes.page
    assert "26.4 h" in volumes.page
    assert spectra.pictures == {"overview.png", "charge.png", "spectra.png"}
    assert "x6 = 28.45 S6 / (28.45 S6 + S7)" in spectra.page
    assert "as if the electrodes had been peeled off" in spectra.page
    assert spectra.page.count("±") >= 2 * 2
    for page in (volumes.page, spectra.page):
        assert "SIMULATED - not measured data" in page
