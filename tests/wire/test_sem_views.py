"""What the simulated microscope shows of each sample, by its settings."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.registration import displacement
from orchestrator.analysis.transport import ebic_diameter_um
from orchestrator.analysis.voids import measure_voids
from sim.errors import SimulationError
from sim.images.ebic import amplified, smeared
from sim.instruments.sem_settings import PUBLISHED_OPERANDO, updated
from sim.instruments.sem_views import EdgeView, FaceView, plated_face, view_of
from sim.samples.aged import aged
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.probed_pellet import ProbedPellet
from sim.samples.void_cell import VoidCell
from sim.world import World

RATE_MA_PER_CM2 = 0.5


def stripping(preset: str = "li_lpscl_operando", seed: int = 11) -> World:
    cell = VoidCell.from_preset(preset, seed=seed, stack_pressure_mpa=0.2)
    cell.apply_current(0.0, RATE_MA_PER_CM2 * cell.area_cm2)
    return World(cell, now=lambda: 0.0, seed=seed)


def at_s(mah_per_cm2: float) -> float:
    return 3600.0 * mah_per_cm2 / RATE_MA_PER_CM2


def settings(**changes):
    return updated(PUBLISHED_OPERANDO, changes)


def peeled(probe: str | None = "connected") -> World:
    pellet = aged(LlztoPellet.from_preset("limg", seed=0), current_ma_per_cm2=0.5)
    return World(ProbedPellet(pellet, probe) if probe else pellet, now=lambda: 0.0)


def test_each_sample_has_its_view():
    assert isinstance(view_of(stripping()), EdgeView)
    assert isinstance(view_of(peeled()), FaceView)
    assert view_of(World(LlzoCell.from_preset("small_4p8"), now=lambda: 0.0)) is None


def test_a_frame_of_the_edge_gives_back_its_voids():
    world = stripping()
    view = EdgeView(world)
    for index, passed in enumerate((0.125, 0.5, 1.0)):
        face = world.sample.geometry(at_s(passed))
        seen = measure_voids(view.take(settings(), at_s(passed), index), 0.1)
        assert seen.number == len(face.left_um)
        assert abs(seen.contact_loss - face.contact_loss) < max(4 * seen.contact_loss_error, 0.015)


def test_a_smaller_field_shows_the_middle_of_the_same_edge():
    world = stripping()
    still = {"dwell_time_s": 1e-4}
    closer = {**still, "hfw_um": 80.0, "resolution_px": [800, 300]}
    wide = EdgeView(world).take(settings(**still), at_s(0.5), 0)
    near = EdgeView(world).take(settings(**closer), at_s(0.5), 0)
    lost = [(frame < 40).sum(axis=0) > 4 for frame in (wide[150:450, 400:1200], near)]
    assert 0.3 < lost[0].mean() < 0.9
    assert (lost[0] == lost[1]).mean() > 0.97, "roughness and texture are the grid's, voids are not"
    with pytest.raises(SimulationError, match=r"a field of 300 um, expected at most the 160 um"):
        EdgeView(world).check(settings(hfw_um=300.0))
    with pytest.raises(SimulationError, match="expected at most 16777216"):
        EdgeView(world).check(settings(hfw_um=10.0, resolution_px=[4096, 4096]))


def test_the_stage_moves_the_object_the_other_way():
    view = EdgeView(stripping())
    still = view.take(settings(), at_s(0.25), 0)
    moved = view.take(settings(stage_um=[3.0, -2.0]), at_s(0.25), 0)
    shift = displacement(still, moved, 0.1)
    assert (shift.x_um, shift.y_um) == (pytest.approx(-3.0, abs=0.1), pytest.approx(2.0, abs=0.1))
    with pytest.raises(SimulationError, match="SEM: drift"):
        view.check(settings(stage_um=[50.0, 0.0]))


def test_more_current_or_integrations_count_more_electrons():
    view, noise = EdgeView(stripping()), []
    quiet = view.take(settings(dwell_time_s=1e-3), 0.0, 0)
    for changes in ({}, {"current_na": 0.4}, {"frame_integration": 2, "line_integration": 2}):
        frame = view.take(settings(**changes), 0.0, 0)
        noise.append(float((frame - quiet)[400:].std()))
    assert noise[0] / noise[1] == pytest.approx(2.0, rel=0.05)
    assert noise[0] / noise[2] == pytest.approx(2.0, rel=0.05)


def test_a_reduced_area_is_that_part_of_the_frame():
    view = EdgeView(stripping())
    whole = view.take(settings(), at_s(0.5), 3)
    part = view.take(settings(reduced_area=[0.25, 0.4, 0.5, 0.2]), at_s(0.5), 3)
    assert np.array_equal(part, whole[240:360, 400:1200])


def test_autocontrast_changes_the_scale_and_so_the_voids():
    view = EdgeView(stripping())
    stretched = view.take(settings(autocontrast=True), at_s(0.5), 0)
    assert (stretched.min(), stretched.max()) == (0.0, 255.0)
    plain = view.take(settings(), at_s(0.5), 0)
    assert np.corrcoef(plain.ravel(), stretched.ravel())[0, 1] > 0.99


def test_a_cell_without_a_probe_induces_no_current():
    both = EdgeView(stripping()).take(settings(channels=["SE", "EBIC"]), at_s(0.5), 0)
    assert both.shape == (2, 600, 1600)
    assert abs(both[1].mean()) < 1e-4
    assert both[1].std() == pytest.approx(0.03 * 0.1, rel=0.02)


EBIC = {
    "channels": ["SE", "EBIC"],
    "resolution_px": [600, 600],
    "hfw_um": 600.0,
    "current_na": 1.0,
    "dwell_time_s": 1e-5,
}


def lone_spallation(world):
    """A large spallation in the frame with nothing near it."""
    found = plated_face(world.sample.spallations(0.0))
    for one in sorted(found, key=lambda each: -each.diameter_um):
        apart = [
            np.hypot(each.x_um - one.x_um, each.y_um - one.y_um) - 0.5 * each.diameter_um
            for each in found
            if each is not one
        ]
        half = 0.5 * one.diameter_um + 10.0
        if max(abs(one.x_um), abs(one.y_um)) + half < 290 and min(apart) > half:
            return one
    raise AssertionError("no lone spallation in the frame")


def around(frame, one):
    half = int(0.5 * one.diameter_um + 10)
    line, column = int(one.y_um + 300), int(one.x_um + 300)
    return np.asarray(frame[line - half : line + half, column - half : column + half], float)


def test_a_connected_spallation_is_dark_in_both_channels():
    world = peeled()
    one = lone_spallation(world)
    electrons, induced = FaceView(world).take(settings(**EBIC), 0.0, 0)
    measured = ebic_diameter_um(around(induced, one), pixel_um=1.0)
    assert measured.quality == "ok"
    assert measured.value == pytest.approx(one.diameter_um, rel=0.02)
    assert around(induced, one)[20:-20, 20:-20].mean() == pytest.approx(-0.55, abs=0.02)
    assert around(electrons, one)[20:-20, 20:-20].mean() < 90
    assert np.median(electrons) == pytest.approx(150, abs=3)


@pytest.mark.parametrize("probe", [None, "isolated"])
def test_without_a_probe_on_a_connected_spallation_nothing_is_induced(probe):
    induced = FaceView(peeled(probe)).take(settings(**EBIC), 0.0, 0)[1]
    assert abs(induced.mean()) < 1e-3


def test_a_dwell_below_three_time_constants_smears_edges_along_the_scan():
    world = peeled()
    one = lone_spallation(world)
    view = FaceView(world)
    sharp = view.take(settings(**EBIC, ebic_time_constant_s=1e-6), 0.0, 0)[1]
    smeared_map = view.take(settings(**EBIC, ebic_time_constant_s=1e-4), 0.0, 0)[1]
    row, column = int(one.y_um + 300), int(one.x_um + 300)
    profile = [m[row - 5 : row + 6].mean(axis=0) for m in (sharp, smeared_map)]
    behind = slice(column + int(0.5 * one.diameter_um) + 4, column + int(0.5 * one.diameter_um) + 9)
    assert profile[0][behind].mean() == pytest.approx(0.0, abs=0.03)
    assert profile[1][behind].mean() < -0.15
    assert ebic_diameter_um(around(sharp, one), pixel_um=1.0).value == pytest.approx(
        one.diameter_um, rel=0.02
    )


def test_the_preamplifier_follows_with_its_time_constant_and_line_after_line():
    step = np.zeros((3, 200))
    step[1, 50:] = -1.0
    seen = smeared(step, dwell_s=1.0, time_constant_s=4.0, flyback_s=2.0)
    pixels = np.arange(1, 151)
    assert seen[1, 50:] == pytest.approx(np.expm1(-pixels / 4.0))
    assert seen[0] == pytest.approx(0.0)
    after = seen[1, -1] * np.exp(-(2.0 + np.arange(1, 201)) / 4.0)
    assert seen[2] == pytest.approx(after)
    fast = smeared(step, dwell_s=3.0, time_constant_s=1.0)
    assert fast[1, 50] == pytest.approx(-0.95, abs=0.01)


def test_too_much_gain_saturates():
    assert amplified(np.array([-0.55, 0.2]), 1e11) == pytest.approx([-0.1, 0.1])
    assert amplified(np.array([-0.55]), 1e9) == pytest.approx([-0.55])


LINE = {"method": "eds_line", "line_points": 121, "line_length_um": 60.0, "dwell_time_s": 1.0}


def test_a_line_scan_counts_the_magnesium_that_is_there():
    cell = VoidCell.from_preset("limg_lpscl", stack_pressure_mpa=14.0)
    cell.apply_current(0.0, RATE_MA_PER_CM2 * cell.area_cm2)
    view = EdgeView(World(cell, now=lambda: 0.0))
    depth_um = np.linspace(0.0, 60.0, 121)
    for index, passed in enumerate((0.0, 4.0)):
        counts = view.take(settings(**LINE, current_na=1.0), at_s(passed), index)
        assert counts.shape == (1, 121)
        expected = 1e5 * cell.magnesium(depth_um, at_s(passed))
        assert np.std((counts[0] - expected) / np.sqrt(expected)) == pytest.approx(1.0, abs=0.25)
        assert counts[0, 41:].mean() == pytest.approx(expected[41:].mean(), rel=0.01)


def test_pure_lithium_gives_no_counts_but_noise():
    counts = EdgeView(stripping()).take(settings(**LINE, current_na=1.0), 0.0, 0)
    assert abs(counts.mean()) < 4 * np.sqrt(200 / 121)
    assert counts.std() == pytest.approx(np.sqrt(200), rel=0.25)


def test_a_pellet_has_no_line():
    with pytest.raises(SimulationError, match="an EDS line across a pellet's face"):
        FaceView(peeled()).check(settings(**LINE))
