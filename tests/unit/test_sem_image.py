"""The micrograph shows the geometry it is given: areas, blur, drift, counts and time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import SimulationError
from sim.images.scanning import DRIFT_UM, ELECTROLYTE_GREY
from sim.images.sem import (
    METAL_GREY,
    PUBLISHED_OPERANDO,
    ROUGHNESS_UM,
    VOID_GREY,
    FilamentOutline,
    SemImager,
    SemSettings,
    VoidOutline,
)

SMALL = SemSettings(matrix=(400, 300), interface_um=15.0)
VOID = VoidOutline(12.0, 20.0, 3.0)


def removed_area_um2(outlines: list[VoidOutline]) -> float:
    """Area of void from the grey values that it takes away."""
    imager = SemImager(1, SMALL)
    without = imager.noise_free([]).astype(np.float64)
    share = (without - imager.noise_free(outlines)) / (without - VOID_GREY)  # of each pixel
    return float(share.sum()) * SMALL.pixel_um**2


def test_the_published_frame() -> None:
    imager = SemImager(1)
    assert imager.shape == (600, 1600)
    assert PUBLISHED_OPERANDO.field_um == pytest.approx((160.0, 60.0))
    assert PUBLISHED_OPERANDO.frame_time_s == pytest.approx(0.96)
    frame = imager.frame([], 0)
    assert (frame.shape, frame.dtype) == ((600, 1600), np.float32)
    assert frame[:250].mean() == pytest.approx(METAL_GREY, abs=1)
    assert frame[350:].mean() == pytest.approx(ELECTROLYTE_GREY, abs=1)
    quiet = imager.noise_free([])
    assert quiet[:250].std() == pytest.approx(3, abs=0.6)
    assert quiet[350:].std() == pytest.approx(6, abs=1.0)


def test_a_void_is_dark_and_half_an_ellipse() -> None:
    image = SemImager(1, SMALL).noise_free([VOID])
    assert image[140, 160] == pytest.approx(VOID_GREY, abs=1)
    assert image[112, 160] > 50, "above its top there is metal"
    assert image[165, 160] > 120, "below the interface there is electrolyte"
    assert image[130, 122] > 50, "next to its end, at two thirds of its height, there is metal"


@settings(max_examples=20, deadline=None)
@given(left_um=st.floats(0.0, 20.0), width_um=st.floats(0.4, 19.0), height_um=st.floats(0.3, 10.0))
def test_the_area_of_a_void_is_kept(left_um: float, width_um: float, height_um: float) -> None:
    expected = 0.25 * np.pi * width_um * height_um
    outline = VoidOutline(left_um, left_um + width_um, height_um)
    # its edge is known to half a pixel: along the electrolyte, and up and down
    bound = 0.5 * SMALL.pixel_um * (width_um + height_um) + 0.01 * expected
    assert removed_area_um2([outline]) == pytest.approx(expected, rel=0, abs=bound)


def test_a_filament_is_a_strip_of_metal_below_the_interface() -> None:
    imager = SemImager(1, SMALL)
    quiet, grown = imager.noise_free([]), imager.noise_free([], [FilamentOutline(20.0, 1.1, 5.0)])
    area = float((quiet - grown).sum(dtype=np.float64)) / (ELECTROLYTE_GREY - METAL_GREY)
    assert area * SMALL.pixel_um**2 == pytest.approx(1.1 * 5.0, rel=0.05)
    assert np.array_equal(quiet[:140], grown[:140])
    assert grown[175, 200] == pytest.approx(METAL_GREY, abs=12)
    assert np.array_equal(quiet[210:], grown[210:])
    out_of_sight = imager.noise_free([], [FilamentOutline(20.0, 1.1, 500.0)])
    assert out_of_sight[-1, 200] == pytest.approx(METAL_GREY, abs=12)


def test_what_has_no_extent_is_not_drawn() -> None:
    imager = SemImager(1, SMALL)
    nothing = imager.noise_free(
        [VoidOutline(5.0, 5.0, 1.0), VoidOutline(5.0, 6.0, 0.0), VoidOutline(90.0, 95.0, 2.0)],
        [FilamentOutline(5.0, 0.0, 3.0), FilamentOutline(-4.0, 1.0, 3.0)],
    )
    assert np.array_equal(nothing, imager.noise_free([]))


def test_the_interface_is_rough_as_stated() -> None:
    heights = np.concatenate([SemImager(seed, SMALL).interface_um() for seed in range(12)])
    assert heights.mean() == pytest.approx(15.0, abs=0.03)
    assert heights.std() == pytest.approx(ROUGHNESS_UM, rel=0.15)


@pytest.mark.parametrize("drift_px", [(13, 0), (0, -9), (21, 34)])
def test_drift_by_whole_pixels_moves_the_image(drift_px: tuple[int, int]) -> None:
    imager = SemImager(2, SMALL)
    still = imager.noise_free([VOID])
    x_px, y_px = drift_px
    moved = imager.noise_free([VOID], drift_um=(x_px * 0.1, y_px * 0.1))
    inner = np.s_[60:-60, 60:-60]
    assert np.allclose(np.roll(still, (y_px, x_px), axis=(0, 1))[inner], moved[inner], atol=1e-3)


def test_fractions_of_a_pixel_move_the_centre_of_mass() -> None:
    imager, columns = SemImager(2, SMALL), np.arange(400) + 0.5

    def centre(drift_um: float) -> float:
        place = (drift_um, 0.0)
        taken = imager.noise_free([], drift_um=place) - imager.noise_free([VOID], drift_um=place)
        weights = taken.sum(axis=0, dtype=np.float64)
        return float(weights @ columns / weights.sum())

    for drift_um in (0.013, 0.047, 0.05, 0.081):
        assert 0.1 * (centre(drift_um) - centre(0.0)) == pytest.approx(drift_um, abs=2e-4)


def test_drift_is_a_random_walk_from_zero() -> None:
    imagers = [SemImager(seed) for seed in range(20)]
    walks = np.array([[imager.drift_um(k) for k in range(40)] for imager in imagers])
    assert np.all(walks[:, 0] == 0)
    steps = np.diff(walks, axis=1)
    assert steps.std() == pytest.approx(DRIFT_UM, rel=0.06)
    assert abs(steps.mean()) < 0.03


def test_a_frame_does_not_depend_on_what_was_made_before() -> None:
    used, fresh = SemImager(7, SMALL), SemImager(7, SMALL)
    for index in (0, 3, 1):
        used.frame([VOID], index)
    assert np.array_equal(used.frame([VOID], 5), fresh.frame([VOID], 5))
    assert not np.array_equal(used.frame([VOID], 5), used.frame([VOID], 6))
    assert not np.array_equal(SemImager(8, SMALL).frame([VOID], 5), used.frame([VOID], 5))


@pytest.mark.parametrize("dwell_us", [0.1, 1.0, 10.0])
def test_noise_is_that_of_counting(dwell_us: float) -> None:
    imager = SemImager(3, SemSettings(matrix=(400, 300), interface_um=15.0, dwell_us=dwell_us))
    noise = (imager.frame([], 0) - imager.noise_free([])).astype(np.float64)
    counts = 40.0 * dwell_us
    assert noise[180:].mean() == pytest.approx(0.0, abs=ELECTROLYTE_GREY * 0.02 / np.sqrt(counts))
    assert noise[180:].std() == pytest.approx(ELECTROLYTE_GREY / np.sqrt(counts), rel=0.03)
    whole = imager.frame([], 0) * counts / ELECTROLYTE_GREY
    assert np.allclose(whole, np.rint(whole), atol=1e-2), "grey values are whole counts"


def test_wrong_settings_and_lost_places_are_refused() -> None:
    for wrong in ({"matrix": (0, 600)}, {"pixel_um": 0.0}, {"dwell_us": -1.0}):
        with pytest.raises(SimulationError, match="SEM settings: got"):
            SemSettings(**wrong)
    with pytest.raises(SimulationError, match="interface within the"):
        SemSettings(interface_um=60.0)
    with pytest.raises(SimulationError, match=r"SEM: drift, got 20\.5"):
        SemImager(1, SMALL).noise_free([], drift_um=(20.5, 0.0))


def test_a_frame_takes_little_time() -> None:
    imager = SemImager(1)
    voids = [VoidOutline(6.0 * k, 6.0 * k + 4.0, 2.0) for k in range(26)]
    imager.frame(voids, 0)
    taken_s = []
    for index in range(1, 6):
        begin_s = time.process_time()
        imager.frame(voids, index)
        taken_s.append(time.process_time() - begin_s)
    assert min(taken_s) < 0.15
