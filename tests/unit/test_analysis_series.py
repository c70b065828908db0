"""Series of micrographs, voltages and spectra: boxes, drops, onsets, sudden falls."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.impedance import fit_two_arc
from orchestrator.analysis.overpotential import overpotential_onset
from orchestrator.analysis.resistance_series import resistance_course
from orchestrator.analysis.void_series import drops, trend, void_series
from orchestrator.analysis.voids import MeasuredVoid, VoidMeasurement, measure_voids
from sim.images.sem import SemImager, VoidOutline
from sim.samples.impedance import impedance_ohm, with_noise
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.void_cell import VoidCell

SEEDS = range(20)
FRAMES = np.arange(1, 25) * 0.125
SWEEP_HZ = np.geomspace(7e6, 0.5, 73)


def stripped(preset: str, seed: int) -> VoidCell:
    cell = VoidCell.from_preset(preset, seed=seed)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    return cell


def as_measured(cell: VoidCell, charge_mah_per_cm2: float) -> VoidMeasurement:
    """What an image without any error would show."""
    there = cell.geometry(7200.0 * charge_mah_per_cm2)
    rows = zip(there.left_um, there.right_um, there.height_um, there.area_um2, strict=True)
    voids = tuple(
        MeasuredVoid(*(float(v) for v in row), 0.05, 0.05, 0.1, cut=False, hidden_um=0.0)
        for row in rows
    )
    return VoidMeasurement(voids, 160.0, 0.0, there.contact_loss, 0.003, 30.0, "ok")


@lru_cache
def series(preset: str, seed: int):
    cell = stripped(preset, seed)
    return void_series([as_measured(cell, q) for q in FRAMES], FRAMES)


def test_events_of_the_alloy_are_as_many_as_published() -> None:
    """Three drops of the largest width and three of the largest height up to 3 mAh/cm2."""
    widths = [len(series("limg_lpscl", seed).width_drops) for seed in SEEDS]
    heights = [len(series("limg_lpscl", seed).height_drops) for seed in SEEDS]
    assert np.mean(widths) == pytest.approx(3.0, abs=1.0)
    assert np.mean(heights) == pytest.approx(3.0, abs=1.0)


def test_trends_tell_coalescence_from_splitting() -> None:
    for seed in SEEDS[:10]:
        lithium = void_series(
            [as_measured(stripped("li_lpscl", seed), q) for q in FRAMES[:9]], FRAMES[:9]
        )
        assert lithium.number_trend.value < -3 * lithium.number_trend.error
        assert lithium.width_trend.value > 0
        assert lithium.height_trend.value > 0
    rising = [series("limg_lpscl", seed).number_trend for seed in SEEDS]
    assert sum(each.value > 3 * each.error for each in rising) >= 15


def test_boxes_are_the_five_numbers_of_each_frame() -> None:
    seen = series("limg_lpscl", 3)
    assert seen.widths_um.shape == seen.heights_um.shape == (24, 5)
    assert (np.diff(seen.widths_um, axis=1) >= 0).all()
    assert seen.widths_um[-1, 4] == pytest.approx(
        stripped("limg_lpscl", 3).geometry(7200.0 * 3.0).width_um.max()
    )
    assert seen.quality == ("ok",) * 24


def test_a_series_of_images_shows_the_events_of_the_cell() -> None:
    cell, imager = stripped("limg_lpscl", 2), SemImager(2)
    frames = []
    for index, charge in enumerate(FRAMES[:10]):
        there = cell.geometry(7200.0 * charge)
        edges = zip(there.left_um, there.right_um, there.height_um, strict=True)
        outlines = [VoidOutline(float(a), float(b), float(h)) for a, b, h in edges]
        frames.append(measure_voids(imager.frame(outlines, index), 0.1))
    seen = void_series(frames, FRAMES[:10])
    true = void_series([as_measured(cell, q) for q in FRAMES[:10]], FRAMES[:10])
    for found, expected in (
        (seen.width_drops, true.width_drops),
        (seen.height_drops, true.height_drops),
    ):
        sure = {d.charge_mah_per_cm2 for d in expected if d.relative.value > 0.15}
        assert sure <= {d.charge_mah_per_cm2 for d in found}
    # drift may bring the largest void to the border, which leaves it out
    off = np.abs(seen.widths_um[:, 4] - true.widths_um[:, 4])
    assert np.median(off) < 0.1
    assert (off < 0.5).sum() >= 8


def test_drops_are_counted_by_the_definition() -> None:
    charge = np.array([0.125, 0.25, 0.375, 0.5, 1.0])
    largest = np.array([10.0, 8.8, 8.8, 8.0, 5.0])
    found = drops(charge, largest, np.full(5, 0.05), limit=0.12)
    assert [each.charge_mah_per_cm2 for each in found] == [0.25, 1.0]
    assert found[0].relative.quality == "within its error of the limit"
    assert "0.5 mAh/cm2 apart" in found[1].relative.quality
    assert found[1].relative.value == pytest.approx(0.375)
    assert not drops(charge, np.full(5, np.nan), np.full(5, np.nan), limit=0.12)


def test_a_void_that_grows_to_the_border_is_no_drop() -> None:
    def frame(*voids: tuple[float, float, bool]) -> VoidMeasurement:
        found = tuple(
            MeasuredVoid(a, b, 2.0, 1.0, 0.05, 0.05, 0.1, cut=cut, hidden_um=0.0)
            for a, b, cut in voids
        )
        return VoidMeasurement(found, 160.0, 0.0, 0.5, 0.01, 30.0, "ok")

    grown = [frame((10, 30, False), (50, 60, False)), frame((0, 35, True), (50, 60, False))]
    assert void_series(grown, [0.125, 0.25]).width_drops == ()
    gone = [*grown, frame((0, 15, True), (50, 60, False))]
    (drop,) = void_series(gone, [0.125, 0.25, 0.375]).width_drops
    assert "a border cuts" in drop.relative.quality
    assert void_series([frame()], [0.125]).width_drops == ()


@given(st.floats(-10, 10), st.floats(-5, 5), st.integers(3, 20))
def test_trend_of_a_line_is_its_slope(slope: float, offset: float, count: int) -> None:
    x = np.linspace(0.0, 3.0, count)
    assert trend(x, offset + slope * x).value == pytest.approx(slope, abs=1e-9)


def test_trends_and_series_need_frames() -> None:
    assert "needs 3" in trend(np.arange(5.0), np.array([1, 2, np.nan, np.nan, np.nan])).quality
    with pytest.raises(ValueError, match="void series"):
        void_series([], [0.1])


# --- overpotential -------------------------------------------------------------------------------


def stripping_curve(preset: str, seed: int, last: float) -> tuple[np.ndarray, np.ndarray]:
    """Charge and overpotential at 0.5 mA/cm2, a record every 0.005 mAh/cm2, 0.1 mV of noise."""
    cell = stripped(preset, seed)
    charge = np.arange(0.005, last, 0.005)
    volts = cell.terminals(7200.0 * charge).voltage_v + 0.623
    return charge, volts + 1e-4 * np.random.default_rng(seed).standard_normal(len(charge))


def test_onset_of_lithium_is_where_contact_is_nearly_lost() -> None:
    onsets, losses = [], []
    for seed in SEEDS:
        charge, volts = stripping_curve("li_lpscl", seed, 1.75)
        found = overpotential_onset(charge, volts)
        assert found.quality == "ok"
        assert found.onset_mah_per_cm2.error < 0.1
        onsets.append(found.onset_mah_per_cm2.value)
        losses.append(stripped("li_lpscl", seed).geometry(7200.0 * onsets[-1]).contact_loss)
    assert np.median(onsets) == pytest.approx(0.93, abs=0.15)
    assert np.median(losses) == pytest.approx(0.9, abs=0.03)


def test_lithium_under_pressure_has_no_onset() -> None:
    cell = VoidCell.from_preset("li_lpscl", seed=1, stack_pressure_mpa=7.0)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    charge = np.arange(0.005, 4.0, 0.005)
    found = overpotential_onset(charge, cell.terminals(7200.0 * charge).voltage_v + 0.623)
    assert found.quality == "no onset"
    assert math.isnan(found.onset_mah_per_cm2.value)
    assert found.baseline_v.value == pytest.approx(0.01715, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.3, 0.9), st.floats(1e-3, 1.0))
def test_onset_of_a_kink_is_the_kink(at: float, scale: float) -> None:
    charge = np.linspace(0.0, 1.0, 401)
    volts = -scale * np.where(charge < at, 1.0, 8.0)
    found = overpotential_onset(charge, volts).onset_mah_per_cm2
    assert abs(found.value - at) < 3 * found.error + 1e-9
    volts = np.where(np.isclose(charge, charge[40]), 50.0 * scale, volts)  # one wild record
    assert abs(overpotential_onset(charge, volts).onset_mah_per_cm2.value - at) < 0.006


def test_onset_refuses_and_explains() -> None:
    assert "records in the first" in overpotential_onset([1.0, 2.0], [0.1, 0.1]).quality
    charge = np.linspace(0.0, 1.0, 50)
    with pytest.raises(ValueError, match="charges that fall"):
        overpotential_onset(charge[::-1], charge)
    with pytest.raises(ValueError, match="a ratio of 1"):
        overpotential_onset(charge, charge, ratio=1.0)


# --- resistances ---------------------------------------------------------------------------------


@lru_cache
def plating(seed: int) -> dict[str, np.ndarray]:
    """Spectra every 0.05 mAh/cm2 of a lithiophobic pellet at 0.5 mA/cm2 to its short."""
    cell = LlztoPellet.from_preset("lithiophobic", seed=seed)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    short_s = cell.short_time_s(1e5)
    assert short_s is not None
    charge = np.arange(0.1, 1.3, 0.05)
    rows = []
    for index, q in enumerate(charge):
        truth = cell.resistances(7200.0 * q)
        spectrum = with_noise(impedance_ohm(SWEEP_HZ, truth), seed=seed, spectrum_index=index)
        fit = fit_two_arc(SWEEP_HZ, spectrum, area_cm2=cell.area_cm2, electrolyte_ohm_cm2=120.0)
        rows.append((fit.bulk.ohm_cm2, fit.bulk.error_ohm_cm2, fit.state))
    return {
        "charge": charge,
        "bulk": np.array([r[0] for r in rows]),
        "errors": np.array([r[1] for r in rows]),
        "states": np.array([r[2] for r in rows]),
        "short": np.array(short_s / 7200.0),
    }


@pytest.mark.parametrize("seed", range(5))
def test_bulk_falls_gradually_and_the_short_is_sudden(seed: int) -> None:
    run = plating(seed)
    found = resistance_course(run["charge"], run["bulk"], run["errors"], run["states"].tolist())
    assert (found.course, found.quality) == ("falls", "ok")
    assert found.sudden is not None
    assert found.sudden.short
    assert found.sudden.after < run["short"] <= found.sudden.by
    assert found.sudden.at.error == pytest.approx(0.05 / math.sqrt(12))
    assert found.largest_step < 0.1
    assert found.change.value < -0.2


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    slope=st.sampled_from([-0.02, 0.0, 0.02]),
    drop=st.sampled_from([0.0, 0.3]),
    scale=st.floats(1e-2, 1e5),
)
def test_gradual_and_sudden_are_told_apart(
    seed: int, slope: float, drop: float, scale: float
) -> None:
    x = np.arange(20.0)
    clean = scale * (1.0 + slope * x) * np.where(x >= 15, 1.0 - drop, 1.0)
    errors = 0.002 * scale * np.ones(20)
    noisy = clean + errors * np.random.default_rng(seed).standard_normal(20)
    found = resistance_course(x, noisy, errors)
    assert found.course == {-0.02: "falls", 0.0: "steady", 0.02: "rises"}[slope] or slope == 0.0
    assert (found.sudden is not None) is (drop > 0)
    if found.sudden is not None:
        assert (found.sudden.after, found.sudden.by, found.sudden.short) == (14.0, 15.0, False)
        lost = found.sudden.relative
        truth = 1 - clean[15] / clean[14]
        assert abs(lost.value - truth) < 5 * lost.error


def test_steady_is_said_to_be_steady() -> None:
    courses = []
    for seed in range(40):
        noise = np.random.default_rng(seed).standard_normal(12)
        courses.append(resistance_course(np.arange(12.0), 500 + noise, np.ones(12)).course)
    assert courses.count("steady") >= 38


def test_short_series_and_wrong_rows() -> None:
    found = resistance_course([0.0, 1.0], [5.0, 5.0], [0.1, 0.1])
    assert (found.course, found.sudden) == ("unknown", None)
    shorted = resistance_course([0.0], [np.nan], [np.nan], ["short"])
    assert shorted.sudden is not None
    assert math.isnan(shorted.sudden.after)
    with pytest.raises(ValueError, match="resistance series"):
        resistance_course([1.0, 0.0], [5.0, 5.0], [0.1, 0.1])
