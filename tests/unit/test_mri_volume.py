"""Volumes: exact amounts, components by the sample's state, noise, and frames of their own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from sim.errors import SimulationError
from sim.images.mri import PUBLISHED_2D, PUBLISHED_3D
from sim.images.mri_volume import VolumeImager
from sim.samples.geometry import PelletGeometry
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzo_parameters import PRESETS

SMALL, LARGE = PRESETS["small_4p8"].geometry, PRESETS["insitu_8p9"].geometry
DAY_S = 86_400.0


def imager(geometry: PelletGeometry = SMALL, seed: int = 0, **changes) -> VolumeImager:
    return VolumeImager(geometry, replace(PUBLISHED_3D, **changes), seed)


def slice_sums(volume: np.ndarray, of: VolumeImager) -> np.ndarray:
    """Layers by counting: each slice goes to layers by how much of it lies in them."""
    fov_mm, slices = of.settings.fov_mm[2], of.settings.matrix[2]
    edges = (np.arange(slices + 1) / slices - 0.5) * fov_mm
    borders = (np.arange(5) / 4 - 0.5) * of.geometry.thickness_mm
    shares = np.minimum(edges[1:], borders[1:, None]) - np.maximum(edges[:-1], borders[:-1, None])
    shares = np.clip(shares, 0.0, None) / (fov_mm / slices)
    return shares @ volume.sum(axis=(1, 2), dtype=float) / of.k_volume


def components(volume: np.ndarray, of: VolumeImager) -> int:
    return int(ndimage.label(volume > 4.0 * of.noise_sd)[1])


def cycle(cell: LlzoCell, ma_per_cm2: float, days: float) -> None:
    """Reverse a current every half hour, with five minutes of rest between."""
    t_s, sign = 0.0, 1.0
    while t_s < days * DAY_S:
        cell.apply_current(t_s, sign * ma_per_cm2 * cell.area_cm2)
        cell.apply_current(t_s + 1800.0, 0.0)
        t_s, sign = t_s + 2100.0, -sign


@pytest.fixture(scope="module")
def states():
    """Layers and crystalline fraction of the paper's cell: pristine, 2 d, shorted at 7.6 d."""
    cell = LlzoCell.from_preset("small_4p8")
    cycle(cell, 0.1, 7.7)
    times_s = (0.0, 2 * DAY_S, 7.7 * DAY_S)
    return [(cell.layers_umol_per_cm2(t), cell.crystalline_fraction(t)) for t in times_s]


def test_shape_scale_and_noise_of_the_published_protocol():
    made = imager()
    assert made.shape == (32, 100, 100)
    assert made.voxel_mm == pytest.approx((0.1, 0.1, 0.1))
    assert made.factor == pytest.approx(0.232, abs=5e-4)
    assert made.k_volume == pytest.approx(292.0, abs=0.1)
    assert made.noise_sd == pytest.approx(0.6 / math.sqrt(128))
    assert made.frame([0] * 4, 0.0, 0).std() == pytest.approx(made.noise_sd, rel=0.01)
    assert imager(averages=512).noise_sd == pytest.approx(made.noise_sd / 2)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.0, 20.0), min_size=4, max_size=4),
    st.floats(0.0, 1.0),
    st.sampled_from([SMALL, LARGE]),
    st.sampled_from([(100, 100, 32), (64, 50, 40), (30, 30, 16)]),
)
def test_every_layer_holds_its_amount_exactly(layers, crystalline, geometry, matrix):
    made = imager(geometry, matrix=matrix)
    volume = made.noise_free(layers, crystalline)
    assert volume.min() >= 0.0
    assert volume.sum() == pytest.approx(made.k_volume * sum(layers), rel=1e-9, abs=1e-9)
    if matrix[2] >= 32:  # slices fine enough for some to lie in one layer alone
        assert slice_sums(volume, made) == pytest.approx(np.array(layers), rel=1e-9, abs=1e-9)


def test_layers_come_back_within_0_3_umol_per_cm2_with_and_without_a_mask(states):
    for seed in range(20):
        made = imager(seed=seed)
        for frame, (layers, crystalline) in enumerate(states):
            volume = made.frame(layers, crystalline, frame)
            seen = np.where(volume > 4.0 * made.noise_sd, volume, 0.0)
            assert slice_sums(volume, made) == pytest.approx(layers, abs=0.3)
            assert slice_sums(seen, made) == pytest.approx(layers, abs=0.3)


def test_shorted_has_many_more_components_than_cycled_and_cycled_than_pristine(states):
    for seed in range(20):
        made = imager(seed=seed)
        pristine, cycled, shorted = (components(made.frame(*s, 0), made) for s in states)
        assert shorted > 4 * cycled
        assert cycled > 3 * pristine
        assert pristine < 30, "what the noise alone gives: 320,000 voxels beyond 4 sigma"


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    jitter=st.sampled_from([0.0, 0.1]),
    ma_per_cm2=st.sampled_from([0.05, 0.1, 0.2]),
    days=st.tuples(st.floats(0.2, 3.0), st.floats(0.5, 4.0)),
)
@pytest.mark.long
def test_the_more_a_cell_was_cycled_the_more_components_it_has(seed, jitter, ma_per_cm2, days):
    """Wherever its metal has grown by half, at any current, for any pellet and places."""
    cell = LlzoCell.from_preset("small_4p8", seed=seed, jitter=jitter)
    cycle(cell, ma_per_cm2, sum(days))
    first, last = (
        (cell.layers_umol_per_cm2(t), cell.crystalline_fraction(t))
        for t in (days[0] * DAY_S, sum(days) * DAY_S)
    )
    assume(last[0].sum() > 1.5 * first[0].sum())
    made = imager(seed=seed)
    fewer, more = (components(made.noise_free(*state), made) for state in (first, last))
    assert more > fewer


def test_metal_that_is_there_stays_where_it_is():
    made = imager()
    before, after = (made.noise_free([a, 0.5 * a, 0.5 * a, a], 0.5) for a in (1.0, 4.0))
    lost = before - after > 1e-9
    assert lost.sum() == 0, "an incomplete last deposit is completed, none is moved"
    assert (before > 0).sum() < (after > 0).sum()


def test_mossy_metal_is_on_the_faces_and_crystalline_metal_scattered():
    made = imager()
    mossy, crystalline = (made.noise_free([5, 0, 0, 5], x) for x in (0.0, 1.0))
    along_z = np.flatnonzero(mossy.sum(axis=(1, 2)))
    assert along_z.tolist() == [11, 12, 19, 20]  # 0.2 mm inside each face of 1 mm
    assert components(crystalline, made) > 5 * components(mossy, made)
    y, x = np.nonzero(crystalline.sum(axis=0))
    assert np.hypot(x - 49.5, y - 49.5).max() * 0.1 < 2.0 + 0.1


def test_a_volume_knows_only_its_number():
    one, other = imager(seed=4), imager(seed=4)
    straight = [one.frame([1, 2, 3, 4], 0.5, k) for k in range(4)]
    other.frame([9, 9, 9, 9], 0.1, 0)
    for k in (3, 1):
        assert np.array_equal(other.frame([1, 2, 3, 4], 0.5, k), straight[k])
    assert not np.array_equal(straight[0], straight[1])
    assert not np.array_equal(
        imager(seed=5).noise_free([1, 2, 3, 4], 0.5), one.noise_free([1, 2, 3, 4], 0.5)
    )
    assert straight[0].dtype == np.float32


def test_an_amount_is_as_well_known_whatever_the_matrix():
    """Twice the columns and lines: four times the phase lines and voxels."""
    coarse, fine = imager(), imager(matrix=(200, 100, 32))
    assert fine.k_volume == pytest.approx(2 * coarse.k_volume)
    errors = [m.noise_sd * math.sqrt(math.prod(m.shape)) / m.k_volume for m in (coarse, fine)]
    assert errors[1] == pytest.approx(errors[0])


def test_what_cannot_be_imaged_is_refused():
    with pytest.raises(SimulationError, match="three axes"):
        VolumeImager(SMALL, PUBLISHED_2D, 0)
    with pytest.raises(SimulationError, match="enlarge the field of view"):
        imager(LARGE, fov_mm=(7.0, 10.0, 3.2))
    with pytest.raises(SimulationError, match="encode more points along z"):
        imager(matrix=(100, 100, 8))
