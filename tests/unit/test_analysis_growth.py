"""Growth rates and stage boundaries from amounts alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from orchestrator.analysis.growth import derivative_matrix, growth_rates
from orchestrator.analysis.stages import (
    Boundary,
    Stages,
    stages_by_definition,
    stages_by_fit,
)

FRAME_S = 15_974.4
DAY_S = 86_400.0


def covariance(count: int, variance: float = 0.04) -> np.ndarray:
    return np.tile(variance * np.eye(4), (count, 1, 1))


def times(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) * FRAME_S


@settings(max_examples=30, deadline=None)
@given(st.integers(7, 45), st.integers(0, 2**32 - 1))
def test_rates_are_the_savitzky_golay_filter_on_equal_steps(count: int, seed: int) -> None:
    amounts = np.random.default_rng(seed).normal(size=(count, 4)).cumsum(axis=0)
    found = growth_rates(times(count), amounts, covariance(count))
    expected = savgol_filter(amounts, 7, 2, deriv=1, delta=FRAME_S / DAY_S, axis=0, mode="interp")
    assert found.rates_umol_per_cm2_per_d == pytest.approx(expected, abs=1e-9)
    assert found.quality == "ok"


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(1, 28), max_size=15), st.floats(-3, 3), st.floats(-1, 1))
def test_rates_of_a_parabola_are_exact_with_any_frames_missing(
    missing: set[int], slope: float, bend: float
) -> None:
    days = times(30) / DAY_S
    amounts = np.tile((1.0 + slope * days + bend * days**2)[:, None], 4)
    amounts[sorted(missing)] = np.nan
    found = growth_rates(times(30), amounts, covariance(30))
    left = found.time_s / DAY_S
    assert len(left) == 30 - len(missing)
    expected = slope + 2 * bend * left
    assert found.rates_umol_per_cm2_per_d[:, 2] == pytest.approx(expected, abs=1e-8)


def test_an_error_that_all_frames_share_does_not_change_a_rate() -> None:
    amounts = np.random.default_rng(1).normal(size=(20, 4))
    plain = growth_rates(times(20), amounts, covariance(20))
    shifted = growth_rates(times(20), amounts + np.array([1.0, -2.0, 3.0, 0.5]), covariance(20))
    assert shifted.rates_umol_per_cm2_per_d == pytest.approx(plain.rates_umol_per_cm2_per_d)


def test_errors_of_rates_tell_their_scatter() -> None:
    rng, mixed = np.random.default_rng(2), covariance(25)
    mixed[:, 0, 1] = mixed[:, 1, 0] = -0.02
    draws = rng.multivariate_normal(np.zeros(4), mixed[0], size=(800, 25))
    rates = [growth_rates(times(25), draw, mixed) for draw in draws]
    sums = np.array([one.of(0, 1)[0] for one in rates])
    assert sums.std(axis=0) == pytest.approx(rates[0].of(0, 1)[1], rel=0.12)
    single = np.array([one.rates_umol_per_cm2_per_d[:, 3] for one in rates])
    assert single.std(axis=0) == pytest.approx(rates[0].errors_umol_per_cm2_per_d[:, 3], rel=0.12)


@pytest.mark.parametrize(("count", "window"), [(3, 3), (4, 3), (6, 5), (7, 7), (8, 7)])
def test_few_frames_narrow_the_window_and_say_so(count: int, window: int) -> None:
    found = growth_rates(times(count), np.ones((count, 4)), covariance(count))
    assert found.window == window
    assert (found.quality == "ok") == (window == 7)


def test_two_frames_have_no_rate() -> None:
    found = growth_rates(times(2), np.ones((2, 4)), covariance(2))
    assert len(found.time_s) == 0
    assert found.quality == "2 usable, a rate needs 3 frames"
    assert found.errors_umol_per_cm2_per_d.shape == (0, 4)


def test_the_matrix_of_derivatives_is_blind_to_constants() -> None:
    matrix = derivative_matrix(np.sort(np.random.default_rng(3).uniform(0, 10, 12)), 7)
    assert matrix @ np.ones(12) == pytest.approx(np.zeros(12), abs=1e-9)


def logistic_cell(centre_d: float, width_d: float, tau_d: float, count: int = 41) -> np.ndarray:
    days = times(count) / DAY_S
    inner = 3.6 / (1 + np.exp(-(days - centre_d) / width_d))
    outer = 1.3 * (1 - np.exp(-days / tau_d)) + 0.8 * inner
    return np.column_stack([outer, inner, inner, outer])


@settings(max_examples=15, deadline=None)
@given(st.floats(3.9, 4.6), st.floats(0.4, 0.6), st.floats(0.25, 0.4))
def test_fits_find_the_boundaries_of_any_such_cell(
    centre_d: float, width_d: float, tau_d: float
) -> None:
    amounts = logistic_cell(centre_d, width_d, tau_d)
    start_s = times(41) - FRAME_S / 2
    cov = covariance(41, 1e-4)
    fitted = stages_by_fit(
        start_s, start_s + FRAME_S, amounts, cov, pristine_covariance=1e-4 * np.eye(4)
    )
    defined = stages_by_definition(growth_rates(times(41), amounts, cov))
    for one, other in zip(fitted.boundaries, defined.boundaries, strict=True):
        assert one.time_d == pytest.approx(other.time_d, abs=0.08)
    assert fitted.complete
    half_width_d = 2 * np.arccosh(np.sqrt(3)) * width_d
    assert fitted.boundaries[2].time_d == pytest.approx(centre_d + half_width_d, abs=0.15)


def test_a_cell_that_does_not_grow_has_no_stages() -> None:
    noise = np.random.default_rng(4).normal(0, 0.2, size=(41, 4))
    start_s = times(41) - FRAME_S / 2
    stages = stages_by_fit(start_s, start_s + FRAME_S, noise, covariance(41))
    assert not stages.complete
    assert all(b.quality != "ok" for b in stages.boundaries)


def test_too_few_frames_say_how_many_are_needed() -> None:
    amounts = logistic_cell(4.0, 0.5, 0.4)[:6]
    start_s = times(6) - FRAME_S / 2
    fitted = stages_by_fit(start_s, start_s + FRAME_S, amounts, covariance(6))
    defined = stages_by_definition(growth_rates(times(6), amounts, covariance(6)))
    assert fitted.boundaries[0].quality == "6 usable, 7 frames needed"
    assert defined.boundaries[0].quality == "6 usable, 7 frames needed"
    assert not fitted.boundaries[0].found


def test_a_run_that_ends_in_stage_three_has_no_later_boundary() -> None:
    amounts = logistic_cell(4.0, 0.55, 0.4)[:21]
    start_s = times(21) - FRAME_S / 2
    fitted = stages_by_fit(start_s, start_s + FRAME_S, amounts, covariance(21, 1e-4))
    assert fitted.boundaries[0].found
    assert not fitted.boundaries[2].found
    assert not fitted.complete


def test_boundaries_count_from_the_first_and_in_order() -> None:
    early, late, flagged = Boundary(1.0, 0.1), Boundary(2.0, 0.1), Boundary(3.0, 0.1, "doubtful")
    assert Stages((early, late, flagged), "fit").leading == (early, late)
    assert Stages((late, early, flagged), "fit").leading == (late,)
    assert Stages((flagged, early, late), "fit").leading == ()
    assert not Stages((early, late, flagged), "fit").complete
