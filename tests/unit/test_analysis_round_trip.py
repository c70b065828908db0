"""From the simulated cell's own layers to images and back: layers, stages and their errors."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from orchestrator.analysis.flash import FlashSettings, signal_factor
from orchestrator.analysis.growth import GrowthRates, growth_rates
from orchestrator.analysis.image_model import ImagedCell
from orchestrator.analysis.layers import LayerSeries, layers_from_frames
from orchestrator.analysis.stages import stages_by_definition, stages_by_fit
from sim.images.mri import FlashImager
from sim.images.mri import FlashSettings as SimulatedSettings
from sim.samples.llzo_cell import LlzoCell

FRAME_S = 15_974.4
FRAMES = 41
SEEDS = range(20)
TRUE_BOUNDARIES_D = np.array([1.08, 2.50, 5.82])
SETTINGS = FlashSettings(0.3, 0.918e-3, 30.0, 1024, (81, 52), (17.0, 11.0))
START_S = np.arange(FRAMES) * FRAME_S
END_S = START_S + FRAME_S


@lru_cache
def cell_to_its_short() -> LlzoCell:
    """The paper's protocol: 0.1 mA/cm2, reversed every 30 min with 5 min of rest."""
    cell = LlzoCell.from_preset("small_4p8")
    current_ma, t_s = 0.1 * cell.area_cm2, 0.0
    while cell.short_time_s(t_s) is None:
        for value, duration_s in ((1, 1800.0), (0, 300.0), (-1, 1800.0), (0, 300.0)):
            cell.apply_current(t_s, value * current_ma)
            t_s += duration_s
    return cell


@lru_cache
def truth() -> np.ndarray:
    """Layers averaged over each exposure, umol/cm2, shape (41, 4)."""
    cell = cell_to_its_short()
    return np.array(
        [cell.mean_layers_umol_per_cm2(a, b) for a, b in zip(START_S, END_S, strict=True)]
    )


@lru_cache
def analysed() -> tuple[LayerSeries, ...]:
    """Every seed's frames, analysed without a frame of the pristine cell."""
    geometry = cell_to_its_short().geometry
    imaged = ImagedCell(
        geometry.electrode_diameter_mm,
        geometry.thickness_mm,
        SETTINGS.matrix,
        SETTINGS.fov_mm,
        signal_factor(SETTINGS),
    )
    found = []
    for seed in SEEDS:
        imager = FlashImager(geometry, SimulatedSettings(), seed)
        frames = np.array([imager.frame(layers, k) for k, layers in enumerate(truth())])
        found.append(layers_from_frames(frames, imaged))
    return tuple(found)


def rates_of(series: LayerSeries) -> GrowthRates:
    centre_s = 0.5 * (START_S + END_S)
    return growth_rates(centre_s, series.usable_amounts, series.frame_covariance)


def test_layers_without_a_reference_frame_are_within_the_round_trip_error() -> None:
    short_s = cell_to_its_short().short_time_s(8 * 86_400.0)
    assert short_s is not None
    final = cell_to_its_short().layers_umol_per_cm2(short_s)
    rmse = np.array(
        [
            np.sqrt(((series.amounts_umol_per_cm2 - truth()) ** 2).mean(axis=0)) / final
            for series in analysed()
        ]
    )
    print(f"RMSE / final amount: mean {rmse.mean(axis=0).round(3)}, worst {rmse.max(axis=0)}")
    assert (rmse.mean(axis=0) <= 0.08).all()
    assert rmse.max() <= 0.12
    totals = np.array([series.total()[0] for series in analysed()])
    assert np.abs(totals.mean(axis=0) - truth().sum(axis=1)).max() / final.sum() < 0.03


def test_predicted_errors_agree_with_the_errors_made() -> None:
    pulls = np.array(
        [
            (series.amounts_umol_per_cm2 - truth()) / series.errors_umol_per_cm2
            for series in analysed()
        ]
    )
    assert np.sqrt((pulls**2).mean()) == pytest.approx(1.0, abs=0.12)
    chi2 = np.mean([series.reduced_chi2.mean() for series in analysed()])
    assert chi2 == pytest.approx(1.0, abs=0.05)


def test_the_definition_gives_the_boundaries_on_frames_without_noise() -> None:
    exact = np.zeros((FRAMES, 4, 4)) + 1e-6 * np.eye(4)
    rates = growth_rates(0.5 * (START_S + END_S), truth(), exact)
    by_definition = [b.time_d for b in stages_by_definition(rates).boundaries]
    assert by_definition == pytest.approx(TRUE_BOUNDARIES_D, abs=0.01)
    fitted = stages_by_fit(
        START_S, END_S, truth(), 1e4 * exact, pristine_covariance=0.01 * np.eye(4)
    )
    assert [b.time_d for b in fitted.boundaries] == pytest.approx(TRUE_BOUNDARIES_D, abs=0.05)


def test_smooth_fits_find_the_boundaries_under_noise_and_know_their_error() -> None:
    found = [
        stages_by_fit(
            START_S,
            END_S,
            series.usable_amounts,
            series.frame_covariance,
            pristine_covariance=series.common_covariance,
        )
        for series in analysed()
    ]
    times = np.array([[b.time_d for b in stages.boundaries] for stages in found])
    errors = np.array([[b.error_d for b in stages.boundaries] for stages in found])
    off = times - TRUE_BOUNDARIES_D
    print(f"bias {off.mean(axis=0).round(3)} d, SD {off.std(axis=0).round(3)} d")
    assert all(stages.complete for stages in found)
    assert np.abs(off).max() <= 0.35
    assert (np.abs(off.mean(axis=0)) < 0.1).all()
    assert (off.std(axis=0) < 1.5 * errors.mean(axis=0)).all()
    assert (off.std(axis=0) > 0.4 * errors.mean(axis=0)).all()


def test_the_definition_on_noisy_rates_scatters_more() -> None:
    fitted, defined = (
        np.array([[b.time_d for b in stages.boundaries] for stages in method])
        for method in (
            [
                stages_by_fit(
                    START_S,
                    END_S,
                    series.usable_amounts,
                    series.frame_covariance,
                    pristine_covariance=series.common_covariance,
                )
                for series in analysed()
            ],
            [stages_by_definition(rates_of(series)) for series in analysed()],
        )
    )
    off_fitted, off_defined = (
        np.nanmedian(np.abs(times - TRUE_BOUNDARIES_D), axis=0) for times in (fitted, defined)
    )
    assert off_fitted.mean() < off_defined.mean()


def test_the_inner_layers_grow_fastest_in_stage_three_only() -> None:
    series = analysed()[0]
    rates = rates_of(series)
    inner, inner_error = rates.of(1, 2)
    days = rates.time_s / 86_400.0
    third = (days > 2.9) & (days < 5.4)
    assert 2.9 < days[inner.argmax()] < 5.4
    assert inner[third].mean() > 2 * inner[~third].mean()
    assert (inner_error > 0).all()
