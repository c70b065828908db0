"""The microscope's examples through the installed command, and their frames back to the truth.

Each file is run once, and what the analysis measures in the recorded frames is compared with a
second sample that was driven as the file says.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis.registration import drift
from orchestrator.analysis.transport import ebic_diameter_um, ohmic_resistance_ohm
from orchestrator.analysis.voids import measure_voids
from orchestrator.records.runs import find_run, load_run
from sim.images.scanning import Series
from sim.samples.aged import aged
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.void_cell import VoidCell
from tests.command import EXAMPLES, only_object, operando

PIXEL_UM, AREA_CM2, RATE = 0.1, 0.09, 0.5
FRAME_S = 600 * (1600 * 1e-6 + 2e-5)


class Ran:
    """One example, run to its end; `changes` replaces text of the file."""

    def __init__(self, folder, name: str, changes: dict[str, str] | None = None) -> None:
        text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
        for old, new in (changes or {}).items():
            assert old in text, old
            text = text.replace(old, new)
        (folder / "experiment.yaml").write_text(text, encoding="utf-8")
        done = operando(
            "run", "experiment.yaml", "--json", "--data", "data", cwd=folder, timeout_s=240
        )
        assert done.returncode == 0, done.stderr
        self.result = only_object(done.stdout)
        self.run = load_run(find_run(folder / "data", "-1"))
        self.events = self.run.streams["sem"]
        self.frames = self.run.frames("sem")

    def began_s(self, index: int) -> float:
        """When a frame began, s since the run did."""
        return float(self.events["sem_t_start_s"][index]) - float(self.run.start["time"])


@pytest.fixture(scope="module")
def stripped(tmp_path_factory):
    return Ran(tmp_path_factory.mktemp("stripped"), "operando_sem")


@pytest.fixture(scope="module")
def ebic(tmp_path_factory):
    return Ran(tmp_path_factory.mktemp("ebic"), "ebic_map")


def lithium() -> VoidCell:
    return VoidCell.from_preset("li_lpscl_operando", seed=11, stack_pressure_mpa=0.2)


def voids_agree(frame, truth, *, merged: int = 0) -> None:
    """Number and contact loss of a frame are the truth's within their errors."""
    seen = measure_voids(frame, PIXEL_UM)
    assert seen.quality == "ok"
    assert abs(seen.number - len(truth.left_um)) <= seen.number_error + merged
    allowed = max(4 * seen.contact_loss_error, 0.015)
    assert abs(seen.contact_loss - truth.contact_loss) < allowed


def test_a_frame_each_eighth_of_a_mah_until_the_overpotential_rises(stripped):
    result = stripped.result
    assert (result["exit_status"], result["stop_reason"]) == ("success", "completed")
    charge = np.asarray(stripped.events["sem_charge_end_mah"]) / AREA_CM2
    multiples = np.arange(1, len(charge) - 1) * 0.125
    assert charge[0] == pytest.approx(0.0, abs=1e-4)
    assert charge[1:-1] == pytest.approx(multiples, abs=5e-4)
    assert multiples[-1] >= 1.25
    assert np.diff(stripped.events["sem_t_start_s"])[1:-1] == pytest.approx(900.0, abs=1.0)
    overpotential = stripped.run.streams["echem"]["pstat_voltage_v"] + 0.623
    passed = np.asarray(stripped.run.streams["echem"]["pstat_charge_mah"]) / AREA_CM2
    assert np.median(overpotential[(passed > 0.05) & (passed < 0.5)]) < 0.06
    assert overpotential[passed > 1.2].max() > 0.3
    assert set(stripped.events["sem_quality"]) == {"ok"}


def test_the_recorded_frames_give_back_the_voids_of_the_sample(stripped):
    cell = lithium()
    cell.apply_current(60.0, RATE * AREA_CM2)
    losses = []
    for index in range(1, 11):
        truth = cell.geometry(stripped.began_s(index) + 0.5 * FRAME_S)
        voids_agree(stripped.frames[index], truth)
        losses.append(truth.contact_loss)
    assert losses == sorted(losses)
    assert losses[0] == pytest.approx(0.37, abs=0.05)
    assert losses[-1] > 0.985, "a single gap at 1.25 mAh/cm2"


def test_the_report_shows_the_micrographs_and_their_voids(stripped):
    page = Path(stripped.result["report"])
    text = page.read_text(encoding="utf-8")
    assert "<h2>Micrographs</h2>" in text
    assert "four layers" not in text
    assert (page.parent / "micrographs.png").is_file()
    assert (page.parent / "voids.png").is_file()
    assert "The overpotential passed five times its first value" in text
    row = r"<tr><td>(\d+)</td><td>[\d.]+</td><td>\d[\d.± ]*</td><td>([\d.]+)"
    rows = re.findall(row, text.split("<h2>Charge</h2>")[0])
    assert [int(frame) for frame, _ in rows] == list(range(len(stripped.frames)))
    assert float(rows[1][1]) == pytest.approx(16.9, abs=1.5)


def test_the_report_shows_both_channels_and_the_lines(ebic):
    text = Path(ebic.result["report"]).read_text(encoding="utf-8")
    assert "<h2>Micrographs</h2>" in text
    assert "<h2>Spallations</h2>" in text
    assert "EBIC" in text
    assert "Voids and contact" not in text, "a pellet's face has no edge with voids"


def test_the_drift_of_the_series_is_found(stripped):
    picked = [0, 4, 8, 11]
    found = drift([stripped.frames[index] for index in picked], PIXEL_UM)
    walk = Series(11)
    for index, one in zip(picked[1:], found[1:], strict=True):
        x_um, y_um = walk.drift_um(index)
        assert (one.x_um, one.y_um) == (
            pytest.approx(x_um, abs=0.15),
            pytest.approx(y_um, abs=0.15),
        )


def test_the_dose_of_every_frame_is_recorded(stripped):
    frame = 0.1e-9 * 1e-6 / 1e-5**2 * 1e6
    count = np.arange(1, len(stripped.frames) + 1)
    assert stripped.events["sem_dose_uc_per_cm2"] == pytest.approx(frame)
    assert stripped.events["sem_accumulated_dose_uc_per_cm2"] == pytest.approx(count * frame)


def test_the_alloys_contact_lasts_to_three_and_a_half(tmp_path):
    ran = Ran(tmp_path, "operando_sem_limg", {"every_mah_per_cm2: 0.125": "every_mah_per_cm2: 0.5"})
    cell = VoidCell.from_preset("limg_lpscl_operando", seed=15, stack_pressure_mpa=0.2)
    cell.apply_current(60.0, RATE * AREA_CM2)
    charge = np.asarray(ran.events["sem_charge_end_mah"]) / AREA_CM2
    assert charge[:7] == pytest.approx(np.arange(7) * 0.5, abs=0.005)  # a record apart
    for index, frame in enumerate(ran.frames[:]):
        truth = cell.geometry(ran.began_s(index) + 0.5 * FRAME_S)
        voids_agree(frame, truth, merged=1)
    assert truth.contact_loss < 0.9
    assert charge[-1] == pytest.approx(3.5, abs=0.01)


def test_plating_after_stripping_shorts_the_cell_through_filaments(tmp_path):
    ran = Ran(tmp_path, "strip_and_plate", {"every_mah_per_cm2: 0.25": "every_mah_per_cm2: 0.75"})
    assert ran.result["stop_reason"] == "hard_short"
    plated = ran.result["throughput_mah"] / AREA_CM2 - 1.25
    assert plated == pytest.approx(1.0, abs=0.1)
    cell = lithium()
    cell.apply_current(0.0, RATE * AREA_CM2)
    cell.apply_current(9000.0, -RATE * AREA_CM2)
    truth = cell.geometry(float(ran.result["stopped_at_s"]))
    dark = ran.frames[len(ran.frames) - 1][330:].mean(axis=0) < 110
    starts = np.flatnonzero(np.diff(dark.astype(int)) == 1)
    drift_um = Series(11).drift_um(len(ran.frames) - 1)[0]
    inside = truth.filament_places_um + drift_um
    near = [np.abs(starts * PIXEL_UM - place).min() < 2.0 for place in inside if 1 < place < 159]
    assert all(near)
    assert len(near) >= 8


def test_current_against_voltage_of_the_probe_is_the_dendrites(ebic):
    echem = ebic.run.streams["echem"]
    found = ohmic_resistance_ohm(
        np.asarray(echem["pstat_voltage_v"]), np.asarray(echem["pstat_current_ma"])
    )
    assert found.value == pytest.approx(440.0, rel=0.01)
    assert abs(ebic.result["charge_mah"]) < 1e-5


def test_connected_spallations_are_dark_and_as_large_as_they_are(ebic):
    (frame,) = ebic.frames[:]
    assert frame.shape == (2, 1200, 1200)
    pellet = aged(LlztoPellet.from_preset("limg", seed=0), current_ma_per_cm2=0.5)
    spallations = [one for one in pellet.spallations(0.0) if one.face == "B"]
    measured = 0
    for one in spallations:
        half = int(0.5 * one.diameter_um + 10)
        line, column = int(one.y_um + 600), int(one.x_um + 600)
        edge = min(line, column, 1200 - line, 1200 - column)
        gaps = [
            np.hypot(each.x_um - one.x_um, each.y_um - one.y_um) - 0.5 * each.diameter_um
            for each in spallations
            if each is not one
        ]
        if edge <= half or min(gaps) < 1.5 * half or one.diameter_um < 30:
            continue
        around = frame[1, line - half : line + half, column - half : column + half]
        diameter = ebic_diameter_um(around.astype(float), pixel_um=1.0)
        assert diameter.value == pytest.approx(one.diameter_um, rel=0.03)
        measured += 1
    assert measured >= 5


def test_the_line_finds_magnesium_left_at_the_interface(tmp_path):
    ran = Ran(tmp_path, "eds_profile")
    depth_um = np.linspace(0.0, 60.0, 120)
    before, after = (frame[0] for frame in ran.frames[:])
    assert before.mean() == pytest.approx(3000, rel=0.01)
    assert after[:3].mean() > 1.5 * after[depth_um > 20].mean()
    assert after[depth_um > 20].mean() / 1e5 == pytest.approx(0.036, abs=0.0005)


def test_the_plated_film_has_half_of_the_bulks_magnesium(tmp_path):
    ran = Ran(tmp_path, "eds_film")
    depth_um = np.linspace(0.0, 60.0, 120)
    film = ran.frames[1][0][depth_um < 2.6 * 4.839].mean() / ran.frames[0][0].mean()
    assert film == pytest.approx(0.50, abs=0.02)
