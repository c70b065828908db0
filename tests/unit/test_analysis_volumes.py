"""Volumes and difference images of known content: components, layers, histograms."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.components import components, volume_layers, volume_noise
from orchestrator.analysis.flash import FlashSettings, signal_factor
from orchestrator.analysis.histogram import difference_histogram, noise_of
from orchestrator.analysis.image_model import ImagedCell, component_profiles
from sim.images.mri import PUBLISHED_3D
from sim.images.mri_volume import VolumeImager
from sim.samples.llzo_cell import LlzoCell

VOXEL_MM = (0.1, 0.1, 0.1)
SHAPE = (32, 100, 100)
NOISE = 0.6 / math.sqrt(128)
FACTOR = signal_factor(FlashSettings(0.25, 1e-3, 90.0, 128, (100, 32), (10.0, 3.2)))
CELL = ImagedCell(4.0, 1.0, (100, 32), (10.0, 3.2), FACTOR)
SEEDS = range(20)
LAYERS = np.array([5.27, 3.71, 3.52, 4.59])
"""Amounts at the short of the simulated cell, umol/cm2."""


@lru_cache
def volume(seed: int, spots: int) -> tuple[np.ndarray, int]:
    """Isolated single voxels within the electrodes that hold the amounts of the layers."""
    stream = np.random.default_rng(seed)
    inside = np.zeros(SHAPE)
    placed = 0
    # depths that lie within one layer: 11 and 12, 14 and 15, 16 and 17, 19 and 20 of 32
    for amount, depths in zip(LAYERS, ((11, 12), (14, 15), (16, 17), (19, 20)), strict=True):
        layer = np.zeros(SHAPE)
        for _ in range(spots):
            angle, radius = stream.uniform(0, 2 * np.pi), 18.0 * math.sqrt(stream.uniform())
            at = (stream.choice(depths), *(int(50 + radius * f(angle)) for f in (np.sin, np.cos)))
            layer[at] = 1.0
        placed += int(layer.sum())
        area_px = 0.25 * math.pi * (CELL.electrode_diameter_mm / 0.1) ** 2
        inside += layer * (amount * FACTOR * area_px / layer.sum())
    return inside + NOISE * stream.standard_normal(SHAPE), placed


def test_layer_sums_are_the_amounts() -> None:
    off, pulls = [], []
    for seed in SEEDS:
        found = volume_layers(volume(seed, 60)[0], CELL)
        assert found.quality == "ok"
        off.append(found.amounts_umol_per_cm2 - LAYERS)
        pulls.append(off[-1] / found.errors_umol_per_cm2)
        assert found.total.value == pytest.approx(LAYERS.sum(), abs=4 * found.total.error)
    assert np.abs(off).max() < 0.3  # the design's figure
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.25)


def test_layers_of_a_blurred_volume_with_electrodes_are_unmixed() -> None:
    amounts = np.array([*LAYERS, 31.6, 31.6])
    chord = np.zeros(SHAPE[1:])
    lines, columns = np.indices(SHAPE[1:]) - 49.5
    disc = np.hypot(lines, columns) <= 20.0
    chord[disc] = FACTOR * 0.25 * math.pi * 40.0**2 / disc.sum()
    image = (component_profiles(CELL) @ amounts)[:, None, None] * chord
    pulls = []
    for seed in SEEDS:
        noisy = image + NOISE * np.random.default_rng(seed).standard_normal(SHAPE)
        found = volume_layers(noisy, CELL, method="unmix")
        assert found.quality == "ok"
        assert found.electrodes_umol_per_cm2 == pytest.approx([31.6, 31.6], rel=0.02)
        pulls.append((found.amounts_umol_per_cm2 - LAYERS) / found.errors_umol_per_cm2)
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.25)
    assert "outside the electrolyte" in volume_layers(image, CELL, noise=NOISE).quality
    moved = volume_layers(np.roll(image, 1, axis=0), CELL, method="unmix", noise=NOISE)
    assert "place is wrong" in moved.quality


def test_number_of_components_is_that_of_what_was_placed() -> None:
    for seed in SEEDS:
        image, placed = volume(seed, 60)
        found = components(image, VOXEL_MM, thickness_mm=1.0)
        assert found.quality == "ok"
        assert found.noise == pytest.approx(NOISE, rel=0.03)
        # neighbours merge; a random voxel of noise stands alone
        assert abs(found.number.value - placed) < 4 * found.number.error + 0.05 * placed
        assert found.crossing == 0
        assert list(found.sizes) == sorted(found.sizes, reverse=True)


def test_a_bar_through_the_electrolyte_crosses_it() -> None:
    image = NOISE * np.random.default_rng(0).standard_normal(SHAPE)
    image[11:21, 40:43, 60] += 5.0
    image[11:14, 20, 20] += 5.0
    found = components(image, VOXEL_MM, thickness_mm=1.0)
    bar, grain = found.components[:2]
    assert (bar.voxels, grain.voxels, found.crossing) == (30, 3, 1)
    assert bar.volume_mm3 == pytest.approx(0.03)
    assert bar.extent_mm == pytest.approx(1.0)
    assert bar.centre_mm == pytest.approx((1.6, 4.15, 6.05), abs=0.01)
    assert abs(bar.signal - 150.0) < 4 * bar.signal_error
    assert found.largest_share > 0.5


def test_noise_alone_says_so() -> None:
    image = np.random.default_rng(1).standard_normal(SHAPE)
    found = components(image, VOXEL_MM, thickness_mm=1.0)
    assert "noise alone" in found.quality
    assert found.number.value == pytest.approx(found.expected_false, abs=12)
    assert volume_noise(image) == pytest.approx(1.0, abs=0.02)


def test_broken_voxels_are_left_out_and_said() -> None:
    image = volume(0, 60)[0].copy()
    image[3, 50, 50] = np.nan
    assert "not finite" in components(image, VOXEL_MM, thickness_mm=1.0).quality
    assert "not finite" in volume_layers(image, CELL).quality


def test_wrong_volumes_are_refused() -> None:
    with pytest.raises(ValueError, match="volume: got shape"):
        components(np.zeros((5, 5)), VOXEL_MM, thickness_mm=1.0)
    with pytest.raises(ValueError, match="positive numbers"):
        components(np.zeros(SHAPE), (0.1, 0.1, 0.0), thickness_mm=1.0, noise=1.0)
    with pytest.raises(ValueError, match="expected 32 depths"):
        volume_layers(np.zeros((16, 100, 100)), CELL)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_a_histogram_counts_every_pixel_once(seed: int, scale: float) -> None:
    image = scale * np.random.default_rng(seed).standard_normal((120, 160))
    image[10:14, 10:20] += 8.0 * scale
    found = difference_histogram(image)
    assert found.counts.sum() == found.pixels == image.size
    assert found.noise == pytest.approx(scale, rel=0.06)
    assert found.above == pytest.approx(40, abs=2)
    assert found.below <= 2
    assert found.quality == "ok"
    assert found.sum_above.value == pytest.approx(320 * scale, rel=0.1)
    share = found.share_above
    assert abs(share.value - 40 / image.size) < 3 * share.error


def test_histogram_of_noise_has_what_noise_gives() -> None:
    above = [
        difference_histogram(np.random.default_rng(s).standard_normal((500, 500)), noise=1.0).above
        for s in SEEDS
    ]
    expected = difference_histogram(np.zeros(250_000), noise=1.0).expected_above
    assert np.mean(above) == pytest.approx(expected, abs=3 * math.sqrt(expected / len(above)))


def test_histogram_says_what_is_wrong() -> None:
    stream = np.random.default_rng(0)
    image = stream.standard_normal((100, 100))
    image[:5, :50] -= 10.0
    assert "reference does not fit" in difference_histogram(image).quality
    image = stream.standard_normal((100, 100))
    image[0, 0] = np.nan
    found = difference_histogram(image)
    assert ("not finite" in found.quality, found.pixels) == (True, 9999)
    with pytest.raises(ValueError, match="difference histogram"):
        difference_histogram(np.zeros((4, 4)))
    assert math.isnan(noise_of([]))


# --- round trip of the simulated cell ------------------------------------------------------------


@lru_cache
def pellet(state: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A volume of the garnet cell pristine, after two days, or at its short; its true layers."""
    cell = cell_to_its_short()
    t_s = {"pristine": 0.0, "cycled": 2 * 86_400.0, "shorted": 7.6 * 86_400.0}[state]
    layers = cell.layers_umol_per_cm2(t_s)
    imager = VolumeImager(cell.geometry, PUBLISHED_3D, seed)
    return imager.frame(layers, cell.crystalline_fraction(t_s), 0), np.asarray(layers)


@lru_cache
def cell_to_its_short() -> LlzoCell:
    cell, t_s = LlzoCell.from_preset("small_4p8"), 0.0
    while cell.short_time_s(t_s) is None:
        for sign, duration_s in ((1, 1800.0), (0, 300.0), (-1, 1800.0), (0, 300.0)):
            cell.apply_current(t_s, sign * 0.1 * cell.area_cm2)
            t_s += duration_s
    return cell


@pytest.mark.parametrize("state", ["pristine", "cycled", "shorted"])
def test_layers_of_the_simulated_cell_come_back(state: str) -> None:
    pulls = []
    for seed in SEEDS:
        image, layers = pellet(state, seed)
        found = volume_layers(image, CELL)
        assert np.abs(found.amounts_umol_per_cm2 - layers).max() < 0.3  # the design's figure
        pulls.append((found.amounts_umol_per_cm2 - layers) / found.errors_umol_per_cm2)
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.25)


def test_a_shorted_cell_has_far_more_components_than_a_cycled_one() -> None:
    """Published order: shorted >> cycled > pristine."""
    for seed in SEEDS:
        pristine, cycled, shorted = (
            components(pellet(state, seed)[0], VOXEL_MM, thickness_mm=1.0)
            for state in ("pristine", "cycled", "shorted")
        )
        assert "noise alone" in pristine.quality
        assert shorted.number.value > 4 * cycled.number.value
        assert cycled.number.value - pristine.number.value > 4 * cycled.number.error
