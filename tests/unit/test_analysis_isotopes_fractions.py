"""Spectra of 6Li and 7Li to fractions with errors, and the published tracer exchange."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.isotopes import (
    SENSITIVITY_6LI,
    Fraction6Li,
    LineSignal,
    TracerCell,
    fraction_6li,
    line_signal,
    mean_fraction,
    tracer_exchange,
    tracer_step,
)
from sim.samples import isotopes as truth

PUBLISHED = TracerCell(electrodes=100.0, electrolyte=300.47, per_cycle=0.1088)
SHIFT_PPM = np.linspace(320.0, 200.0, 1201)
METAL = {"line_ppm": (254.5, 274.5), "baseline_ppm": (225.0, 305.0)}


def spectrum(area: float, *, noise: float, seed: int, width_ppm: float = 1.5) -> np.ndarray:
    """A Gaussian line of lithium metal at 264.5 ppm on a sloping baseline."""
    line = np.exp(-(((SHIFT_PPM - 264.5) / width_ppm) ** 2) / 2)
    line *= area / (width_ppm * math.sqrt(2 * math.pi))
    grass = np.random.default_rng(seed).normal(0.0, noise, len(SHIFT_PPM))
    return line + 0.3 + 0.002 * SHIFT_PPM + grass


def pair(x6: float, noise: float) -> tuple[LineSignal, LineSignal]:
    """Signals of one unit of 7Li and the 6Li that goes with it; `noise` is that of 6Li."""
    return LineSignal(truth.signal_ratio_6_to_7(x6), noise), LineSignal(1.0, noise)


@pytest.mark.parametrize("area", [0.0, 0.05, 1.0, 40.0])
def test_line_is_integrated_above_its_baseline(area):
    signals = [
        line_signal(SHIFT_PPM, spectrum(area, noise=0.02, seed=seed), **METAL) for seed in range(80)
    ]
    values = np.array([signal.value for signal in signals])
    errors = np.array([signal.error for signal in signals])
    assert abs(values.mean() - area) < 4 * values.std() / math.sqrt(len(values))
    assert values.std() == pytest.approx(errors.mean(), rel=0.25)


def test_a_short_baseline_adds_its_own_error():
    short = {"line_ppm": METAL["line_ppm"], "baseline_ppm": (252.0, 277.0)}
    signals = [
        line_signal(SHIFT_PPM, spectrum(1.0, noise=0.02, seed=seed), **short) for seed in range(200)
    ]
    errors = [signal.error for signal in signals]
    wide = line_signal(SHIFT_PPM, spectrum(1.0, noise=0.02, seed=0), **METAL)
    assert np.std([signal.value for signal in signals]) == pytest.approx(np.mean(errors), rel=0.15)
    assert np.mean(errors) > 1.7 * wide.error


def test_line_does_not_depend_on_the_direction_of_the_axis():
    intensity = spectrum(1.0, noise=0.02, seed=1)
    one = line_signal(SHIFT_PPM, intensity, **METAL)
    other = line_signal(SHIFT_PPM[::-1], intensity[::-1], **METAL)
    assert other.value == pytest.approx(one.value, rel=1e-9)
    assert other.error == pytest.approx(one.error, rel=1e-9)


def test_line_without_noise_is_certain():
    flat = line_signal(SHIFT_PPM, np.zeros_like(SHIFT_PPM), **METAL)
    assert flat == LineSignal(0.0, 0.0)
    assert flat.significance == math.inf


@pytest.mark.parametrize(
    ("line", "around"), [((0.0, 3.0), (0.0, 50.0)), ((254.5, 274.5), (254.5, 274.6))]
)
def test_line_needs_points_and_baseline(line, around):
    with pytest.raises(ValueError, match=r"line: got .* expected points in the line"):
        line_signal(SHIFT_PPM, spectrum(1.0, noise=0.0, seed=0), line_ppm=line, baseline_ppm=around)


@pytest.mark.parametrize("x6", [0.07, 0.12, 0.2])
def test_error_of_the_fraction_at_the_published_noise(x6):
    found = fraction_6li(*pair(x6, 5e-4))
    assert found.x6 == pytest.approx(x6)
    assert 0.009 <= found.error <= 0.013
    rng = np.random.default_rng(7)
    signal_6li, signal_7li = pair(x6, 5e-4)
    drawn = [
        fraction_6li(
            LineSignal(signal_6li.value + rng.normal(0, 5e-4), 5e-4),
            LineSignal(signal_7li.value + rng.normal(0, 5e-4), 5e-4),
        ).x6
        for _ in range(2000)
    ]
    assert np.std(drawn) == pytest.approx(found.error, rel=0.07)


def test_noise_of_the_7li_line_counts_too():
    x6, relative = 0.4, 0.02
    signal_6li = LineSignal(truth.signal_ratio_6_to_7(x6), 0.0)
    found = fraction_6li(signal_6li, LineSignal(1.0, relative))
    assert found.error == pytest.approx(x6 * (1 - x6) * relative)


def test_seven_per_cent_stands_out_five_times():
    signal_6li, _ = pair(0.07, 5e-4)
    assert signal_6li.significance == pytest.approx(5.3, abs=0.1)


def test_a_line_that_is_not_seen_leaves_an_upper_limit():
    found = fraction_6li(*pair(0.071, 2e-3))
    assert found.quality == "no 6Li line seen"
    assert found.upper_limit == pytest.approx(found.x6 + 3 * found.error)
    assert found.upper_limit > 0.071
    enriched = fraction_6li(LineSignal(1.0, 1e-3), LineSignal(1e-3, 1e-3))
    assert enriched.quality == "no 7Li line seen"
    assert enriched.upper_limit <= 1.0
    nothing = fraction_6li(LineSignal(1e-4, 1e-3), LineSignal(1e-3, 1e-3))
    assert math.isnan(nothing.x6)
    assert nothing.quality == "no lithium seen"


@given(x6=st.floats(0.001, 0.999), scale=st.floats(1e-3, 1e6))
def test_fraction_is_the_inverse_of_the_signals_at_any_gain(x6, scale):
    signal_6li = LineSignal(scale * truth.signal_ratio_6_to_7(x6), scale * 1e-9)
    found = fraction_6li(signal_6li, LineSignal(scale, scale * 1e-9))
    assert found.x6 == pytest.approx(x6, abs=1e-12)
    assert found.x6 == pytest.approx(truth.x6_from_signals(signal_6li.value, scale), abs=1e-12)


def test_error_of_the_calibration_counts_most_at_one_half():
    exact = {"sensitivity_error": 0.05 * SENSITIVITY_6LI}
    errors = [fraction_6li(*pair(x6, 0.0), **exact).error for x6 in (0.05, 0.5, 0.95)]
    assert errors[1] == pytest.approx(0.05 * 0.25)
    assert errors[1] > max(errors[0], errors[2])
    with pytest.raises(ValueError, match="natural LiCl"):
        fraction_6li(*pair(0.1, 0.0), sensitivity=0.0)


def test_from_spectra_to_the_fraction_of_three_cells():
    """The 61 C cell: dendrite at 0.135, below the electrolyte."""
    cells = []
    for seed in range(3):
        weak = spectrum(10 * truth.signal_ratio_6_to_7(0.135), noise=1e-3, seed=seed)
        strong = spectrum(10.0, noise=1e-3, seed=100 + seed)
        cells.append(
            fraction_6li(
                line_signal(SHIFT_PPM, weak, **METAL), line_signal(SHIFT_PPM, strong, **METAL)
            )
        )
    mean = mean_fraction(cells)
    assert mean.quality == "ok"
    assert mean.error < cells[0].error
    assert abs(mean.x6 - 0.135) < 4 * mean.error
    assert mean.error < 0.02


def test_mean_takes_the_larger_error_and_leaves_out_what_is_missing():
    scattered = [Fraction6Li(0.1, 0.001), Fraction6Li(0.2, 0.001), Fraction6Li(0.3, 0.001)]
    assert mean_fraction(scattered).error == pytest.approx(0.1 / math.sqrt(3))
    alike = [Fraction6Li(0.2, 0.03)] * 3
    assert mean_fraction(alike).error == pytest.approx(0.03 / math.sqrt(3))
    one = mean_fraction([Fraction6Li(0.2, 0.03), Fraction6Li(math.nan, math.nan)])
    assert (one.x6, one.error, one.quality) == (0.2, 0.03, "one cell only")
    assert math.isnan(mean_fraction([]).x6)


def test_equations_1_and_2_give_the_published_parity():
    """After 844 simultaneous updates of the authors' script: 0.4837 and 0.2250."""
    electrodes, electrolyte = 0.95, 0.069825
    for _ in range(844):
        electrodes, electrolyte = tracer_step(electrodes, electrolyte, PUBLISHED)
    assert electrodes == pytest.approx(0.48374, abs=1e-4)
    assert electrolyte == pytest.approx(0.22500, abs=1e-4)


@given(
    x1=st.floats(0.0, 1.0),
    x2=st.floats(0.0, 1.0),
    m1=st.floats(1.0, 1e3),
    m2=st.floats(1.0, 1e3),
    share=st.floats(1e-4, 0.1),
)
def test_step_conserves_6li_and_agrees_with_the_simulation(x1, x2, m1, m2, share):
    cell = TracerCell(m1, m2, share * m1)
    after = tracer_step(x1, x2, cell)
    assert m1 * after[0] + m2 * after[1] == pytest.approx(m1 * x1 + m2 * x2, abs=1e-9)
    simulated = truth.tracer_step(
        x1, x2, electrodes_c=m1, electrolyte_c=m2, per_cycle_c=cell.per_cycle
    )
    assert after == pytest.approx(simulated, abs=1e-12)


def test_closed_form_is_the_iteration():
    electrodes, electrolyte = tracer_exchange(0.95, 0.069825, PUBLISHED, [0, 1, 844, 1_000_000])
    step = tracer_step(0.95, 0.069825, PUBLISHED)
    assert (electrodes[0], electrolyte[0]) == pytest.approx((0.95, 0.069825))
    assert (electrodes[1], electrolyte[1]) == pytest.approx(step)
    assert (electrodes[2], electrolyte[2]) == pytest.approx((0.48374, 0.22500), abs=1e-4)
    assert electrodes[3] == pytest.approx(electrolyte[3])


@pytest.mark.parametrize("amounts", [(0.0, 1.0, 0.1), (1.0, -1.0, 0.1), (1.0, 1.0, math.nan)])
def test_cells_without_lithium_are_refused(amounts):
    with pytest.raises(ValueError, match=r"tracer cell: got .* expected positive"):
        TracerCell(*amounts)
