"""FLASH frames: signal, scale, blur, speckle, noise, and frames that know only themselves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import SimulationError
from sim.images.mri import (
    PUBLISHED_2D,
    PUBLISHED_3D,
    PUBLISHED_DURATION_H,
    FlashImager,
    FlashSettings,
    electrode_line_umol_per_cm2,
    ernst_angle_deg,
    expected_duration_s,
    signal_factor,
    skin_depth_mm,
)
from sim.samples.geometry import PelletGeometry
from sim.samples.llzo_parameters import PRESETS

SMALL, LARGE = PRESETS["small_4p8"].geometry, PRESETS["insitu_8p9"].geometry
FRESH = [0.0, 0.0, 0.0, 0.0]


def imager(geometry: PelletGeometry = LARGE, seed: int = 0, **changes) -> FlashImager:
    return FlashImager(geometry, replace(PUBLISHED_2D, **changes), seed)


def layer_image(of: FlashImager, layer: int) -> np.ndarray:
    """Image of 1 micromol/cm2 in one layer, without the electrodes."""
    amounts = np.eye(4)[layer]
    return of.noise_free(amounts) - of.noise_free(FRESH)


def test_signal_factors_of_the_published_protocols():
    assert signal_factor(PUBLISHED_2D) == pytest.approx(0.155, abs=5e-4)
    assert signal_factor(PUBLISHED_3D) == pytest.approx(0.232, abs=5e-4)


def test_30_degrees_cost_44_percent_of_the_ernst_signal():
    ernst_deg = ernst_angle_deg(0.3)
    assert ernst_deg == pytest.approx(82.2, abs=0.1)
    best = signal_factor(replace(PUBLISHED_2D, flip_angle_deg=ernst_deg))
    assert best == pytest.approx(0.277, abs=1e-3)
    assert 1 - signal_factor(PUBLISHED_2D) / best == pytest.approx(0.44, abs=0.005)


@given(st.floats(1.0, 179.0), st.floats(0.01, 3.0))
def test_no_angle_beats_the_ernst_angle(angle_deg, tr_s):
    at = replace(PUBLISHED_2D, tr_s=tr_s, flip_angle_deg=angle_deg)
    best = replace(at, flip_angle_deg=ernst_angle_deg(tr_s))
    assert signal_factor(at) <= signal_factor(best) * (1 + 1e-12)


def test_durations_computed_beside_those_published():
    assert expected_duration_s(PUBLISHED_2D) == pytest.approx(15_974.4)
    hours = {s: expected_duration_s(s) / 3600 for s in PUBLISHED_DURATION_H}
    assert hours[PUBLISHED_2D] == pytest.approx(4.437, abs=5e-4)
    assert hours[PUBLISHED_3D] == pytest.approx(28.44, abs=5e-3)
    assert PUBLISHED_DURATION_H[PUBLISHED_3D] == 26.4, "the paper's number is not repaired"
    more = replace(PUBLISHED_2D, averages=2, repetitions=3, dummy_scans=10)
    assert expected_duration_s(more) == pytest.approx(0.3 * (52 * 6 + 10))


def test_skin_of_the_electrodes():
    assert skin_depth_mm(349.7) == pytest.approx(0.0082, abs=5e-6)
    assert electrode_line_umol_per_cm2(349.7) == pytest.approx(31.6, abs=0.02)


@pytest.mark.parametrize(("geometry", "k_flash"), [(SMALL, 2.33), (LARGE, 4.65)])
def test_scale_of_a_frame(geometry, k_flash):
    made = imager(geometry)
    assert made.k_flash == pytest.approx(k_flash, abs=0.005)
    assert made.shape == (52, 81)
    for layer in range(4):
        assert layer_image(made, layer).sum() == pytest.approx(made.k_flash, rel=1e-12)
    assert made.noise_free(FRESH).sum() == pytest.approx(made.k_flash * 2 * 31.6065, rel=1e-4)


def test_columns_show_the_chord_of_the_disc():
    made = imager()
    columns = made.noise_free(FRESH).sum(axis=0)
    # pixel m shows fine voxel 4 m, whose centre lies at (4 m + 0.5)/324 of the field of view
    x_mm = ((4 * np.arange(81) + 0.5) / 324 - 0.5) * 17.0
    chord = np.sqrt(np.clip(1 - (x_mm / 4.0) ** 2, 0, None))
    inside = np.abs(x_mm) < 3.0
    expected = signal_factor(PUBLISHED_2D) * 2 * electrode_line_umol_per_cm2(349.7) * chord
    assert columns[inside] == pytest.approx(expected[inside], rel=0.02)
    assert np.abs(columns[np.abs(x_mm) > 5.0]).max() < 0.02 * columns.max()


def test_layers_lie_between_the_electrodes_in_order():
    made = imager()
    lines = np.arange(52)
    centres = [(layer_image(made, k).sum(axis=1) @ lines) / made.k_flash for k in range(4)]
    # truncation rings but keeps the first moment near the slab's middle
    z_mm = ((16 * np.array(centres) + 0.5) / 832 - 0.5) * 11.0
    assert np.all(np.diff(centres) > 0)
    peaks = [np.argmax(layer_image(made, k).sum(axis=1)) for k in range(4)]
    middles_mm = (np.arange(4) - 1.5) * 0.3
    peaks_mm = ((16 * np.array(peaks) + 0.5) / 832 - 0.5) * 11.0
    assert peaks_mm == pytest.approx(middles_mm, abs=0.11)
    assert z_mm == pytest.approx(middles_mm, abs=0.35)
    fresh = made.noise_free(FRESH).sum(axis=1)
    bright = np.sort(np.argsort(fresh)[-2:])
    bright_mm = ((16 * bright + 0.5) / 832 - 0.5) * 11.0
    assert bright_mm == pytest.approx([-0.604, 0.604], abs=0.11)


def test_a_frame_is_the_cropped_k_space_of_its_fine_object():
    """The electrodes again, by another route: dense sums instead of a fast transform."""
    made = imager(SMALL)
    fine = np.zeros((832, 324))
    z_edges = np.linspace(-5.5, 5.5, 833)
    x_mm = ((np.arange(324) + 0.5) / 324 - 0.5) * 17.0
    chord = np.sqrt(np.clip(1 - (x_mm / 2.0) ** 2, 0, None))
    for low in (-0.5 - skin_depth_mm(349.7), 0.5):
        high = low + skin_depth_mm(349.7)
        cover = np.clip(np.minimum(z_edges[1:], high) - np.maximum(z_edges[:-1], low), 0, None)
        fine += np.outer(cover / (high - low), chord / 4)
    lines, columns = np.arange(-26, 26), np.arange(-40, 41)
    to_z = np.exp(-2j * np.pi * np.outer(lines, np.arange(832)) / 832)
    to_x = np.exp(-2j * np.pi * np.outer(np.arange(324), columns) / 324)
    k_space = to_z @ fine @ to_x
    back_z = np.exp(2j * np.pi * np.outer(np.arange(52), lines) / 52) / 52
    back_x = np.exp(2j * np.pi * np.outer(columns, np.arange(81)) / 81) / 81
    image = (back_z @ k_space @ back_x).real
    image *= signal_factor(PUBLISHED_2D) * electrode_line_umol_per_cm2(349.7)
    assert made.noise_free(FRESH) == pytest.approx(image, abs=1e-9)


def test_speckle_belongs_to_the_sample():
    one, again, other = imager(seed=1), imager(seed=1, averages=4), imager(seed=2)
    assert np.array_equal(layer_image(one, 1), layer_image(again, 1))
    assert not np.allclose(layer_image(one, 1), layer_image(other, 1), rtol=1e-3)
    # relative scatter of columns: 23 fine lines and about 4 fine columns share a pixel
    columns = layer_image(one, 1).sum(axis=0)[27:54]
    smooth = imager().noise_free(FRESH).sum(axis=0)[27:54]
    scatter = np.std(columns / columns.sum() / (smooth / smooth.sum()))
    expected = math.sqrt(math.exp(0.09) - 1) / math.sqrt(23 * 4)
    assert 0.5 * expected < scatter < 2.0 * expected


def test_layers_do_not_share_their_speckle():
    made = imager()
    middle = slice(27, 54)
    chord = made.noise_free(FRESH).sum(axis=0)[middle]
    first, second = (layer_image(made, k).sum(axis=0)[middle] / chord for k in (1, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.6


amount_lists = st.lists(st.floats(0.0, 20.0), min_size=4, max_size=4)


@settings(max_examples=30, deadline=None)
@given(amount_lists, amount_lists)
def test_frames_are_linear_in_the_amounts(first, second):
    made = imager()
    both = made.noise_free(np.add(first, second)) - made.noise_free(FRESH)
    apart = made.noise_free(first) + made.noise_free(second) - 2 * made.noise_free(FRESH)
    assert both == pytest.approx(apart, abs=1e-10)
    assert both.sum() == pytest.approx(made.k_flash * (sum(first) + sum(second)), abs=1e-9)


def corner_noise(frame: np.ndarray) -> float:
    corners = [frame[:12, :15], frame[:12, -15:], frame[-12:, :15], frame[-12:, -15:]]
    return float(np.std(np.concatenate([c.ravel() for c in corners]), ddof=1))


def test_noise_falls_with_the_root_of_the_averages():
    found = {}
    for averages in (64, 256, 1024):
        made = imager(averages=averages)
        assert made.noise_sd == pytest.approx(3.5 / math.sqrt(averages))
        clean = made.noise_free(FRESH)
        found[averages] = np.mean([corner_noise(made.frame(FRESH, k) - clean) for k in range(20)])
        assert found[averages] == pytest.approx(made.noise_sd, rel=0.03)
    assert found[64] / found[256] == pytest.approx(2.0, rel=0.03)
    assert found[256] / found[1024] == pytest.approx(2.0, rel=0.03)


def test_a_frame_knows_only_its_number():
    one, other = imager(seed=5), imager(seed=5)
    straight = [one.frame([1, 2, 3, 4], k) for k in range(6)]
    other.frame([9, 9, 9, 9], 0)
    backward = {k: other.frame([1, 2, 3, 4], k) for k in (5, 3, 3, 1)}
    for k, frame in backward.items():
        assert np.array_equal(frame, straight[k])
    assert not np.array_equal(straight[0], straight[1])
    assert not np.array_equal(imager(seed=6).frame([1, 2, 3, 4], 0), straight[0])
    noise = [frame - one.noise_free([1, 2, 3, 4]) for frame in straight[:2]]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.06
    assert straight[0].dtype == np.float32


def test_amounts_come_back_from_the_totals():
    """A frame minus a fresh frame, summed over the sample, within the noise."""
    made, amounts = imager(), np.array([5.3, 3.7, 3.5, 4.6])
    found = [
        (made.frame(amounts, 2 * k) - made.frame(FRESH, 2 * k + 1)).sum(dtype=float) / made.k_flash
        for k in range(50)
    ]
    sd = made.noise_sd * math.sqrt(2 * 52 * 81) / made.k_flash
    assert np.mean(found) == pytest.approx(amounts.sum(), abs=4 * sd / math.sqrt(50))
    assert np.std(found, ddof=1) == pytest.approx(sd, rel=0.4)


def test_reading_more_points_tells_no_more_about_an_amount():
    """Twice the columns: the same phase lines and averages weigh a layer equally well."""
    coarse, fine = imager(), imager(matrix=(162, 52))
    assert fine.k_flash == pytest.approx(2 * coarse.k_flash, rel=1e-3)
    errors = [m.noise_sd * math.sqrt(m.shape[1]) / m.k_flash for m in (coarse, fine)]
    assert errors[1] == pytest.approx(errors[0], rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tr_s": 0.0}, "expected positive numbers"),
        ({"averages": 0}, "expected positive numbers"),
        ({"te_s": -1e-3}, "echo time"),
        ({"matrix": (81, 0)}, "expected positive numbers"),
        ({"matrix": (81, 52, 8)}, "equal length"),
        ({"matrix": (81,), "fov_mm": (17.0,)}, "equal length"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(SimulationError, match=message):
        replace(FlashSettings(), **changes)


def test_samples_that_would_fold_and_volumes_are_refused():
    with pytest.raises(SimulationError, match="enlarge the field of view"):
        imager(fov_mm=(7.0, 11.0))
    with pytest.raises(SimulationError, match="two axes"):
        FlashImager(LARGE, PUBLISHED_3D, 0)
