"""From known voids to micrographs and back: numbers, errors, drift and quality."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.interface import DARK, FEW_COUNTS, find_interface
from orchestrator.analysis.registration import displacement, drift
from orchestrator.analysis.voids import (
    EdgeBias,
    VoidMeasurement,
    five_numbers,
    measure_voids,
)
from sim.images.sem import FilamentOutline, SemImager, SemSettings, VoidOutline
from sim.samples.void_cell import VoidCell

PIXEL_UM = 0.10
WINDOW_UM = 160.0
SEEDS = range(20)
STATES = ("Li 0.125", "Li 0.5", "Li-Mg 1.0")


@lru_cache
def truth(state: str, seed: int) -> list[VoidOutline]:
    """Voids of a simulated cell that was stripped at 0.5 mA/cm2 and 0.2 MPa."""
    metal, charge_mah_per_cm2 = state.split()
    preset = {"Li": "li_lpscl", "Li-Mg": "limg_lpscl"}[metal]
    cell = VoidCell.from_preset(preset, seed=seed)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    there = cell.geometry(3600.0 * float(charge_mah_per_cm2) / 0.5)
    edges = zip(there.left_um, there.right_um, there.height_um, strict=True)
    return [VoidOutline(float(a), float(b), float(h)) for a, b, h in edges]


@lru_cache
def images(seed: int) -> dict[str, np.ndarray]:
    """Frames of one sample: three states without drift, then a pristine or a later one with."""
    imager = SemImager(seed)
    frames = {state: imager.frame(truth(state, seed), 0) for state in STATES}
    if seed % 2:
        return {**frames, "later": imager.frame(truth("Li-Mg 1.0", seed), 12)}
    return {**frames, "pristine": imager.frame([], 1)}


def image(state: str, seed: int) -> np.ndarray:
    return images(seed)[state]


@lru_cache
def measured(state: str, seed: int) -> VoidMeasurement:
    return measure_voids(image(state, seed), PIXEL_UM)


def width_of(voids: list[VoidOutline]) -> np.ndarray:
    return np.array([void.right_um - void.left_um for void in voids])


@lru_cache
def deviations(state: str, bias: EdgeBias | None = None) -> np.ndarray:
    """Relative number, width, height, area and absolute contact loss, shape (seeds, 5)."""
    found = []
    for seed in SEEDS[:: 2 if bias else 1]:
        true, widths = truth(state, seed), width_of(truth(state, seed))
        heights = np.array([void.height_um for void in true])
        raw = bias and measure_voids(image(state, seed), PIXEL_UM, bias=bias)
        seen = raw or measured(state, seed)
        found.append(
            [
                seen.number / len(true) - 1,
                np.mean([void.width_um for void in seen.voids]) / widths.mean() - 1,
                seen.heights_um.mean() / heights.mean() - 1,
                seen.area_um2 / (0.25 * np.pi * widths @ heights) - 1,
                seen.contact_loss - widths.sum() / WINDOW_UM,
            ]
        )
    return np.array(found)


RAW_LIMITS = {
    # number, width, contact loss: mean over the seeds of the uncorrected bounding boxes
    "Li 0.125": ((-0.015, 0.015), (-0.11, -0.06), (-0.040, -0.025)),
    "Li 0.5": ((-0.02, 0.02), (-0.04, 0.01), (-0.023, -0.011)),
    # one void of 140 has just been born and is too flat to be seen
    "Li-Mg 1.0": ((-0.01, 0.0), (-0.02, 0.01), (-0.008, 0.002)),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.long
def test_raw_boxes_are_narrower_by_a_known_amount(state: str) -> None:
    number, width, _, _, loss = deviations(state, EdgeBias.none()).mean(axis=0)
    for value, (low, high) in zip((number, width, loss), RAW_LIMITS[state], strict=True):
        assert low <= value <= high


@pytest.mark.parametrize("state", STATES)
@pytest.mark.long
def test_corrected_numbers_agree_with_the_truth(state: str) -> None:
    number, width, height, area, loss = deviations(state).mean(axis=0)
    assert abs(number) <= 0.015
    assert abs(width) <= 0.03
    assert abs(height) <= 0.05
    assert abs(area) <= 0.03
    assert abs(loss) <= 0.007


@pytest.mark.parametrize("state", STATES)
def test_errors_say_how_far_off_the_numbers_are(state: str) -> None:
    widths, heights, losses = [], [], []
    for seed in SEEDS:
        seen, true = measured(state, seed), truth(state, seed)
        gap = seen.contact_loss - width_of(true).sum() / WINDOW_UM
        losses.append(gap / seen.contact_loss_error)
        for void in seen.voids:
            inside = [t for t in true if t.left_um < void.right_um and t.right_um > void.left_um]
            if len(inside) == 1 and not void.cut:
                true_um = inside[0].right_um - inside[0].left_um
                widths.append((void.width_um - true_um) / void.width_error_um)
                heights.append((void.height_um - inside[0].height_um) / void.height_error_um)
    for pulls in (widths, heights):
        assert 0.2 < np.sqrt(np.mean(np.square(pulls))) < 1.3
    assert np.sqrt(np.mean(np.square(losses))) < 1.2
    assert np.abs(losses).max() < 3


def test_first_voids_of_lithium_are_those_of_the_paper() -> None:
    seen = [measured("Li 0.125", seed) for seed in SEEDS]
    assert np.mean([each.number_per_100_um for each in seen]) == pytest.approx(17, abs=1)
    widths = np.concatenate([each.widths_um for each in seen])
    assert widths.mean() == pytest.approx(2.2, abs=0.2)


def test_a_gap_over_the_whole_frame_is_one_void() -> None:
    gap = [VoidOutline(0.0, WINDOW_UM, 3.1)]
    seen = measure_voids(SemImager(3).frame(gap, 0), PIXEL_UM)
    assert (seen.number, seen.quality) == (1, "ok")
    assert seen.contact_loss == pytest.approx(1.0, abs=0.01)
    assert seen.voids[0].height_um == pytest.approx(3.1, abs=3 * seen.voids[0].height_error_um)
    assert len(seen.widths_um) == 0 or seen.widths_um[0] == pytest.approx(WINDOW_UM, abs=1.0)


def test_a_pristine_interface_has_no_voids() -> None:
    for seed in SEEDS[:6:2]:
        seen = measure_voids(image("pristine", seed), PIXEL_UM)
        assert (seen.number, seen.contact_loss, seen.area_um2) == (0, 0, 0)
        assert seen.quality == "ok"


def test_a_void_at_the_border_is_said_to_be_cut() -> None:
    outlines = [VoidOutline(0.0, 4.0, 2.0), VoidOutline(50.0, 60.0, 2.0)]
    image = SemImager(3).noise_free(outlines, drift_um=(-1.5, 0.0))
    left, middle = measure_voids(image, PIXEL_UM).voids
    assert (left.cut, middle.cut) == (True, False)
    seen = measure_voids(image, PIXEL_UM)
    assert len(seen.widths_um) == 1
    assert seen.without_drift(-1.5, 0.0).voids[1].left_um == pytest.approx(50.0, abs=0.2)


def test_filaments_do_not_move_the_interface() -> None:
    imager = SemImager(5)
    grown = [FilamentOutline(x, 1.6, 40.0) for x in (20.0, 21.7, 90.0)]
    line = find_interface(imager.frame([], 0, grown), PIXEL_UM).line * PIXEL_UM
    assert np.abs(line - imager.interface_um()).max() < 0.2


@settings(max_examples=4, deadline=None)
@given(
    starts=st.lists(st.floats(1.0, 16.0), min_size=1, max_size=6),
    width_um=st.floats(1.5, 8.0),
    height_um=st.floats(1.0, 6.0),
)
def test_invariants(starts: list[float], width_um: float, height_um: float) -> None:
    outlines = [
        VoidOutline(25.0 * k + x, 25.0 * k + x + width_um, height_um) for k, x in enumerate(starts)
    ]
    seen = measure_voids(SemImager(2).frame(outlines, 0), PIXEL_UM)
    assert seen.number == len(outlines)
    assert 0 <= seen.contact_loss <= 1
    lefts = [void.left_um for void in seen.voids]
    assert lefts == sorted(lefts)
    for void, outline in zip(seen.voids, outlines, strict=True):
        assert void.left_um == pytest.approx(outline.left_um, abs=0.4)
        assert void.right_um == pytest.approx(outline.right_um, abs=0.4)


def test_five_numbers_of_a_frame() -> None:
    assert five_numbers([3.0, 1.0, 2.0, 5.0, 4.0]).tolist() == [1, 2, 3, 4, 5]
    assert np.isnan(five_numbers([])).all()


@pytest.mark.parametrize(
    ("dwell_us", "flagged", "lost"), [(1.0, False, 0.02), (0.3, False, 0.04), (0.1, True, 0.15)]
)
def test_short_dwell_is_flagged_and_still_finds_voids(
    dwell_us: float, flagged: bool, lost: float
) -> None:
    for seed in range(2):
        outlines = truth("Li 0.125", seed)
        frame = SemImager(seed, SemSettings(dwell_us=dwell_us)).frame(outlines, 0)
        seen = measure_voids(frame, PIXEL_UM)
        assert (seen.quality == FEW_COUNTS) is flagged
        assert seen.number >= (1 - lost) * len(outlines)


def test_an_image_without_a_scene_gives_a_reason_and_no_numbers() -> None:
    dark = measure_voids(np.zeros((600, 1600)), PIXEL_UM)
    assert (dark.quality, dark.voids, dark.measured) == (DARK, (), False)
    assert np.isnan([dark.number, dark.contact_loss, dark.area_um2, dark.area_error_um2]).all()
    broken = image("Li 0.5", 0).copy()
    broken[5, 5] = np.nan
    assert "not finite" in measure_voids(broken, PIXEL_UM).quality
    assert np.isnan(displacement(image("Li 0.5", 0), broken, PIXEL_UM).x_um)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="micrograph: got shape"):
        measure_voids(np.zeros(10), PIXEL_UM)
    with pytest.raises(ValueError, match="a pixel of 0"):
        measure_voids(np.zeros((100, 100)), 0.0)
    with pytest.raises(ValueError, match="registration: shape"):
        displacement(np.ones((100, 100)), np.ones((100, 90)), PIXEL_UM)


@lru_cache
def registered() -> np.ndarray:
    """Found minus true displacement and standard errors, with voids that change meanwhile."""
    found = []
    for seed in SEEDS:
        state, index = (("pristine", 1), ("later", 12))[seed % 2]
        seen = displacement(image("Li 0.125", seed), image(state, seed), PIXEL_UM)
        x_um, y_um = SemImager(seed).drift_um(index)
        assert seen.quality == "ok"
        found.append([seen.x_um - x_um, seen.y_um - y_um, seen.x_error_um, seen.y_error_um])
    return np.array(found)


@pytest.mark.long
def test_drift_is_found_to_a_third_of_a_pixel() -> None:
    along_um, across_um = np.sqrt((registered()[:, :2] ** 2).mean(axis=0))
    assert along_um <= 0.03
    assert across_um <= 0.02


def test_errors_of_the_drift_are_those_observed() -> None:
    observed = np.sqrt((registered()[:, :2] ** 2).mean(axis=0))
    stated = np.sqrt((registered()[:, 2:] ** 2).mean(axis=0))
    assert np.all(observed / stated > 0.6)
    assert np.all(observed / stated < 1.6)


def test_large_and_fractional_displacements() -> None:
    imager = SemImager(4)
    frames = [imager.noise_free([], drift_um=at) for at in ((0, 0), (-7.23, 3.14), (0.04, -0.05))]
    found = drift(frames, PIXEL_UM)
    assert [found[0].x_um, found[0].y_um] == pytest.approx([0, 0], abs=1e-9)
    assert [found[1].x_um, found[1].y_um] == pytest.approx([-7.23, 3.14], abs=0.01)
    assert [found[2].x_um, found[2].y_um] == pytest.approx([0.04, -0.05], abs=0.005)


def test_another_place_is_not_registered() -> None:
    one, other = SemImager(1).frame([], 0), SemImager(2).frame([], 0)
    seen = displacement(one, other, PIXEL_UM)
    assert seen.quality != "ok"


def test_too_little_electrolyte_is_said() -> None:
    frame = SemImager(1).frame([], 0)[:330]
    assert "too little" in displacement(frame, frame, PIXEL_UM).quality


@pytest.mark.parametrize("pixel_um", [0.05, 0.2])
def test_another_magnification_needs_no_other_calibration(pixel_um: float) -> None:
    """The same blur in pixels: what smoothing hides grows with the size of a pixel."""
    lines = 600 if pixel_um < 0.1 else 300
    settings_ = SemSettings((2 * lines, lines), pixel_um, 1.0, 0.5 * lines * pixel_um)
    field_um, found = 2 * lines * pixel_um, []
    for seed in range(3):
        stream = np.random.default_rng(seed)
        starts = np.arange(4.0, field_um - 12.0, 12.0)
        outlines = [
            VoidOutline(x, x + stream.uniform(3.0, 8.0), stream.uniform(1.5, 4.0)) for x in starts
        ]
        seen = measure_voids(SemImager(seed, settings_).frame(outlines, 0), pixel_um)
        assert seen.number == len(outlines)
        assert seen.contact_loss == pytest.approx(width_of(outlines).sum() / field_um, abs=0.012)
        off = [v.width_um for v in seen.voids] - width_of(outlines)
        found.append(np.mean(off / [v.width_error_um for v in seen.voids]))
        heights = seen.heights_um - [o.height_um for o in outlines]
        assert abs(np.mean(heights)) < 0.5 * pixel_um
    assert np.abs(found).max() < 1.0
