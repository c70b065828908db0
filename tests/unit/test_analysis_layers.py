"""Layers from images: exact without noise, unbiased with it, honest about errors and flaws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.flash import FlashSettings, ernst_angle_deg, signal_factor
from orchestrator.analysis.image_model import (
    ImagedCell,
    component_profiles,
    lateral_profile,
    layer_profiles,
)
from orchestrator.analysis.layers import (
    corner_noise,
    layers_from_difference,
    layers_from_frames,
    with_measured_thickness,
)
from sim.images.mri import FlashImager
from sim.images.mri import FlashSettings as SimulatedSettings
from sim.samples.geometry import PelletGeometry

SETTINGS = FlashSettings(0.3, 0.918e-3, 30.0, 1024, (81, 52), (17.0, 11.0))
SMALL = ImagedCell(4.0, 1.0, (81, 52), (17.0, 11.0), signal_factor(SETTINGS))
LARGE = replace(SMALL, electrode_diameter_mm=8.0, thickness_mm=1.2)
FULL = np.array([5.0, 3.7, 3.5, 4.5])


def imager(cell: ImagedCell, *, seed: int = 0) -> FlashImager:
    geometry = PelletGeometry(cell.electrode_diameter_mm, 8.9, cell.thickness_mm / 10)
    return FlashImager(geometry, SimulatedSettings(), seed)


def growing(count: int) -> np.ndarray:
    return np.linspace(0.0, 1.0, count)[:, None] * FULL


def frames_of(cell: ImagedCell, amounts: np.ndarray, *, seed: int = 0) -> np.ndarray:
    source = imager(cell, seed=seed)
    return np.array([source.frame(layers, index) for index, layers in enumerate(amounts)])


def model_image(cell: ImagedCell, amounts: np.ndarray) -> np.ndarray:
    """What the analysis believes an image is, without noise."""
    along_z = component_profiles(cell) @ np.append(amounts, [31.6, 31.6])
    return np.outer(along_z, lateral_profile(cell)) * cell.signal_factor


def test_the_published_protocol_has_its_published_and_computed_numbers() -> None:
    assert SETTINGS.duration_s == pytest.approx(15_974.4)
    assert signal_factor(SETTINGS) == pytest.approx(0.155, abs=5e-4)
    best = replace(SETTINGS, flip_angle_deg=ernst_angle_deg(0.3))
    assert best.flip_angle_deg == pytest.approx(82, abs=0.5)
    assert signal_factor(best) == pytest.approx(0.277, abs=5e-4)


@pytest.mark.parametrize(("cell", "k_flash"), [(SMALL, 2.33), (LARGE, 4.65)])
def test_a_frames_sum_per_amount_is_that_of_the_simulated_imager(
    cell: ImagedCell, k_flash: float
) -> None:
    ours = cell.signal_factor * lateral_profile(cell).sum()
    assert ours == pytest.approx(k_flash, rel=0.005)
    assert ours == pytest.approx(imager(cell).k_flash, rel=1e-9)


def test_every_profile_keeps_the_amount() -> None:
    assert component_profiles(SMALL).sum(axis=0) == pytest.approx(np.ones(6))
    moved = component_profiles(SMALL.moved(dz_mm=0.137))
    assert moved.sum(axis=0) == pytest.approx(np.ones(6))


def test_the_unmixing_is_well_conditioned_with_and_without_electrodes() -> None:
    assert np.linalg.cond(layer_profiles(LARGE)) == pytest.approx(1.09, abs=0.05)
    assert np.linalg.cond(component_profiles(LARGE)) == pytest.approx(1.83, abs=0.1)


@settings(max_examples=25, deadline=None)
@given(
    amounts=st.lists(st.floats(0.0, 20.0), min_size=4, max_size=4),
    dx_mm=st.floats(-0.25, 0.25),
    dz_mm=st.floats(-0.3, 0.3),
)
def test_model_images_give_back_their_amounts_wherever_the_cell_lies(
    amounts: list[float], dx_mm: float, dz_mm: float
) -> None:
    image = model_image(SMALL.moved(dx_mm=dx_mm, dz_mm=dz_mm), np.array(amounts))
    image += 1e-9 * np.random.default_rng(0).standard_normal(image.shape)
    found = layers_from_frames(image[None], SMALL)
    assert found.cell.centre_mm[1] == pytest.approx(dz_mm, abs=1e-4)
    # the matched filter's gain forgives a small error of x, of second order
    assert found.amounts_umol_per_cm2[0] == pytest.approx(amounts, abs=0.02, rel=3e-3)
    assert found.electrodes_umol_per_cm2 == pytest.approx([31.6, 31.6], rel=3e-3)


def test_face_a_is_where_layer_1_is() -> None:
    image = imager(SMALL).noise_free(np.array([8.0, 0.0, 0.0, 2.0]))
    image += 1e-6 * np.random.default_rng(0).standard_normal(image.shape)
    found = layers_from_frames(image[None], SMALL, register=False).amounts_umol_per_cm2[0]
    assert found == pytest.approx([8.0, 0.0, 0.0, 2.0], abs=0.35)  # speckle


@pytest.mark.parametrize("cell", [SMALL, LARGE], ids=["4 mm", "8 mm"])
def test_errors_tell_the_scatter(cell: ImagedCell) -> None:
    source, pulls = imager(cell), []
    for series in range(12):
        frames = [source.frame(FULL, 100 * series + index) for index in range(10)]
        found = layers_from_frames(np.array(frames), cell)
        own = np.sqrt(np.diagonal(found.frame_covariance, axis1=1, axis2=2))
        scatter = found.amounts_umol_per_cm2 - found.amounts_umol_per_cm2.mean(axis=0)
        pulls.append(scatter / own * np.sqrt(10 / 9))
    assert np.std(pulls) == pytest.approx(1.0, abs=0.1)


def test_the_noise_is_that_of_the_imager_and_falls_with_averages() -> None:
    cell, geometry = SMALL, PelletGeometry(4.0, 4.8, 0.1)
    few = FlashImager(geometry, SimulatedSettings(averages=256), 0)
    many = FlashImager(geometry, SimulatedSettings(averages=1024), 0)
    noise_few, noise_many = (
        corner_noise(np.array([one.frame(FULL, k) for k in range(10)]), cell).mean()
        for one in (few, many)
    )
    assert noise_many == pytest.approx(many.noise_sd, rel=0.03)
    assert noise_few / noise_many == pytest.approx(2.0, rel=0.04)


def test_a_pristine_frame_gives_the_layers_by_difference() -> None:
    truth = growing(21)
    frames = frames_of(SMALL, truth)
    found = layers_from_difference(frames[1:], frames[0], SMALL)
    error = found.amounts_umol_per_cm2 - truth[1:]
    assert found.method == "difference"
    assert np.sqrt((error**2).mean(axis=0)) / FULL == pytest.approx(np.zeros(4), abs=0.15)
    total, total_error = found.total()
    assert np.abs(total - truth[1:].sum(axis=1)).max() < 4 * total_error.max()


def test_a_single_frame_is_enough_but_knows_less() -> None:
    frames = frames_of(SMALL, growing(20))
    one, all_of_them = (layers_from_frames(frames[-count:], SMALL) for count in (1, 20))
    trusted = layers_from_frames(frames[-1:], SMALL, register=False)
    assert (one.errors_umol_per_cm2 > 1.3 * all_of_them.errors_umol_per_cm2[-1]).all()
    assert (trusted.errors_umol_per_cm2 < one.errors_umol_per_cm2).all()
    assert (np.abs(one.amounts_umol_per_cm2[0] - FULL) < 4 * one.errors_umol_per_cm2[0]).all()


@pytest.mark.parametrize("thickness_mm", [0.95, 1.0, 1.07, 1.2])
def test_the_thickness_is_in_the_image(thickness_mm: float) -> None:
    truth = replace(SMALL, thickness_mm=thickness_mm)
    frames = frames_of(truth, growing(10))
    found = with_measured_thickness(frames, SMALL)
    assert found.thickness_mm == pytest.approx(thickness_mm, abs=0.013)  # one fine voxel


def test_a_wrong_thickness_is_flagged() -> None:
    found = layers_from_frames(frames_of(SMALL, growing(8)), replace(SMALL, thickness_mm=1.4))
    assert not found.usable.any()
    assert "poor fit" in found.quality[0]


def test_bad_frames_keep_their_reason_and_harm_no_others() -> None:
    truth = growing(12)
    frames = frames_of(SMALL, truth)
    without = layers_from_frames(np.delete(frames, [3, 5, 7], axis=0), SMALL)
    frames[3] += 100.0
    frames[5, 10, 10] = np.nan
    frames[7] = 0.0
    flags = ["ok"] * 12
    flags[3] = "receiver overload"
    found = layers_from_frames(frames, SMALL, flags=flags)
    assert found.quality[3] == "receiver overload"
    assert found.quality[5] == found.quality[7] == "image has no finite values or no noise"
    assert np.flatnonzero(~found.usable).tolist() == [3, 5, 7]
    assert np.isnan(found.usable_amounts[[3, 5, 7]]).all()
    kept = np.delete(found.amounts_umol_per_cm2, [3, 5, 7], axis=0)
    assert kept == pytest.approx(without.amounts_umol_per_cm2, abs=1e-9)


@pytest.mark.parametrize("shape", [(52, 81), (0, 52, 81), (3, 81, 52)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"layers: got frames of shape .* expected \(n, 52, 81\)"):
        layers_from_frames(np.zeros(shape), SMALL)


def test_nothing_usable_is_refused_with_the_reason() -> None:
    frames = frames_of(SMALL, growing(2))
    with pytest.raises(ValueError, match=r"none usable \(shutter closed\)"):
        layers_from_frames(frames, SMALL, flags=["shutter closed", "shutter closed"])


def test_a_cell_outside_the_field_of_view_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a cell inside the field of view"):
        replace(SMALL, electrode_diameter_mm=18.0)
