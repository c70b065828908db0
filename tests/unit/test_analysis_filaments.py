"""From known filaments to micrographs and back: number, diameter, length and their errors."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.analysis.filaments import THIN_PX, FilamentMeasurement, measure_filaments
from sim.images.sem import FilamentOutline, SemImager, SemSettings
from sim.samples.void_cell import VoidCell

PIXEL_UM = 0.10
SEEDS = range(20)
BELOW = SemSettings(matrix=(1600, 450), interface_um=15.0)
"""Frames with 30 um of electrolyte, as the published ones, and less metal."""


@lru_cache
def grown(seed: int) -> list[FilamentOutline]:
    """Filaments of lithium after 1.25 mAh/cm2 were stripped and 0.1 plated again."""
    cell = VoidCell.from_preset("li_lpscl", seed=seed)
    current_ma = 0.5 * cell.area_cm2
    cell.apply_current(0.0, current_ma)
    cell.apply_current(9000.0, -current_ma)
    face = cell.geometry(9000.0 + 720.0)
    columns = (face.filament_places_um, face.filament_diameters_um, face.filament_lengths_um)
    return [FilamentOutline(*(float(v) for v in row)) for row in zip(*columns, strict=True)]


@lru_cache
def seen(seed: int) -> tuple[FilamentMeasurement, float]:
    """Filaments of a frame of the cell, and how far the frame has drifted to the right, um."""
    imager = SemImager(seed, BELOW)
    frame = imager.frame([], 2, grown(seed))
    return measure_filaments(frame, PIXEL_UM), imager.drift_um(2)[0]


def alone(outline: FilamentOutline, outlines: list[FilamentOutline]) -> bool:
    return all(abs(outline.x_um - o.x_um) > 3.0 for o in outlines if o is not outline)


@lru_cache
def matched() -> np.ndarray:
    """Found minus true diameter, its error, and length, of filaments that stand alone."""
    rows = []
    for seed in SEEDS:
        found, drift_um = seen(seed)
        for outline in grown(seed):
            near = [f for f in found.filaments if abs(f.x_um - drift_um - outline.x_um) < 0.5]
            if alone(outline, grown(seed)) and 3 < outline.x_um < 157 and len(near) == 1:
                one = near[0]
                length_um = math.nan if one.cut else one.length_um - outline.length_um
                off = one.diameter_um - outline.diameter_um
                rows.append([off, one.diameter_error_um, length_um, one.length_error_um])
    return np.array(rows)


@pytest.mark.long
def test_diameters_are_known_to_half_a_pixel() -> None:
    off = matched()[:, 0]
    print(f"{len(off)} filaments: bias {off.mean():.3f} um, SD {off.std():.3f} um")
    assert len(off) > 80
    assert abs(off.mean()) < 0.025
    assert off.std() < 0.05


def test_errors_of_the_diameters_are_those_made() -> None:
    pulls = matched()[:, 0] / matched()[:, 1]
    assert 0.4 < np.sqrt(np.mean(pulls**2)) < 1.3


def test_lengths_within_the_frame_are_known() -> None:
    off, error = matched()[:, 2:].T
    within = np.isfinite(off)
    assert within.sum() > 5
    assert np.sqrt(np.mean((off[within] / error[within]) ** 2)) < 2.0


def test_numbers_agree_within_their_errors() -> None:
    """Those that are too short to be seen, or lie upon one another, are not found."""
    pulls = []
    for seed in SEEDS:
        found, _ = seen(seed)
        long = [o for o in grown(seed) if o.length_um > 2.6 and 0.5 < o.x_um < 159.5]
        pulls.append((found.number - len(long)) / found.number_error)
        assert found.number_per_100_um.value == pytest.approx(found.number / 1.6)
    assert np.abs(pulls).max() < 4
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_the_mean_is_that_of_the_paper() -> None:
    """1.1 +- 0.4 um at several sites."""
    means = [seen(seed)[0].mean_diameter_um for seed in SEEDS]
    assert np.mean([each.value for each in means]) == pytest.approx(1.1, abs=0.1)
    assert np.mean([seen(seed)[0].diameters_um.std() for seed in SEEDS]) == pytest.approx(
        0.4, abs=0.1
    )


@settings(max_examples=5, deadline=None)
@given(st.floats(0.4, 2.5), st.floats(3.0, 25.0), st.integers(1, 6))
def test_any_row_of_filaments_is_found(diameter_um: float, length_um: float, count: int) -> None:
    assume(length_um >= 2.0 * diameter_um)  # a filament is longer than it is wide
    outlines = [FilamentOutline(12.0 + 24.0 * k, diameter_um, length_um) for k in range(count)]
    found = measure_filaments(SemImager(4).frame([], 0, outlines), PIXEL_UM)
    assert (found.number, found.quality) == (count, "ok")
    for one, outline in zip(found.filaments, outlines, strict=True):
        assert one.x_um == pytest.approx(outline.x_um, abs=0.3)
        assert one.diameter_um == pytest.approx(diameter_um, abs=0.15)
        if one.quality == "ok":
            assert one.length_um == pytest.approx(length_um, abs=0.5)
        else:  # thin ones say that they may be longer than they seem
            assert one.quality.startswith("too thin") == (one.diameter_um < 0.1 * THIN_PX)
            assert one.length_um < length_um + 0.5
        assert not one.cut


def test_a_pristine_interface_has_no_filament() -> None:
    for seed in range(3):
        found = measure_filaments(SemImager(seed).frame([], 0), PIXEL_UM)
        assert (found.number, found.number_error, found.quality) == (0, 0, "ok")
        assert found.mean_diameter_um.quality == "no filament"
        assert math.isnan(found.mean_diameter_um.value)


def test_bright_strips_are_measured_by_their_own_depth() -> None:
    outlines = [FilamentOutline(40.0, 2.0, 20.0), FilamentOutline(90.0, 2.0, 20.0)]
    image = SemImager(4).noise_free([], outlines)
    pristine = SemImager(4).noise_free([])
    bright = image + 3.0 * (pristine - image)
    found = measure_filaments(bright, PIXEL_UM, polarity="bright")
    assert found.number == 2
    assert measure_filaments(bright, PIXEL_UM).number == 0
    for one in found.filaments:
        assert "own depth" in one.quality
        assert one.diameter_um == pytest.approx(2.0, abs=0.15)


def test_what_leaves_the_frame_is_said_to_be_cut() -> None:
    outlines = [FilamentOutline(40.0, 1.5, 200.0), FilamentOutline(0.2, 1.5, 10.0)]
    at_border, down = measure_filaments(SemImager(4).frame([], 0, outlines), PIXEL_UM).filaments
    assert at_border.cut
    assert down.cut
    assert down.length_um == pytest.approx(30.0, abs=0.6)


def test_few_counts_are_flagged_and_filaments_still_found() -> None:
    outlines = [FilamentOutline(24.0 * k, 1.1, 20.0) for k in range(1, 6)]
    frame = SemImager(4, SemSettings(dwell_us=0.1)).frame([], 0, outlines)
    found = measure_filaments(frame, PIXEL_UM)
    assert found.quality.startswith("few counts")
    assert found.number == 5


def test_an_image_without_an_interface_has_no_numbers() -> None:
    found = measure_filaments(np.zeros((600, 1600)), PIXEL_UM)
    assert math.isnan(found.number)
    assert not found.measured
    with pytest.raises(ValueError, match="micrograph: got shape"):
        measure_filaments(np.zeros(10), PIXEL_UM)
