"""Spectra back to resistances: fits, the classifier of shorts, the Kramers-Kronig test."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.impedance import classify, fit_two_arc, two_arc_ohm
from orchestrator.analysis.kramers_kronig import kramers_kronig
from sim.samples.impedance import CellResistances, impedance_ohm, with_noise
from sim.samples.llzo_cell import LlzoCell

SWEEP_HZ = np.geomspace(7e6, 0.5, 73)
AREA_CM2 = math.pi * 0.01
PELLET = {"area_cm2": AREA_CM2, "electrolyte_ohm_cm2": 120.0}
PLATED = CellResistances(108.0, 500.0, AREA_CM2)


def noise(relative: float, seed: int) -> np.ndarray:
    real, imaginary = np.random.default_rng(seed).standard_normal((2, len(SWEEP_HZ)))
    return 1.0 + relative * (real + 1j * imaginary) / math.sqrt(2.0)


def drifting(per_s: float, cell: CellResistances = PLATED) -> np.ndarray:
    """A sweep of one period per point from high frequency; the interface changes meanwhile."""
    spectrum = []
    for hertz, t_s in zip(SWEEP_HZ, np.cumsum(1.0 / SWEEP_HZ), strict=True):
        now = CellResistances(
            cell.bulk_ohm_cm2, cell.interface_ohm_cm2 * (1 + per_s * t_s), cell.area_cm2
        )
        spectrum.append(impedance_ohm(np.array([hertz]), now)[0])
    return np.array(spectrum)


@pytest.mark.parametrize(
    ("relative", "limit_bulk", "limit_interface"),
    [
        (0.001, 0.0003, 0.0003),
        (0.003, 0.0009, 0.0008),
        (0.01, 0.003, 0.003),
        (0.03, 0.0095, 0.0095),
    ],
)
def test_error_of_both_resistances_against_noise(relative, limit_bulk, limit_interface):
    truth = impedance_ohm(SWEEP_HZ, PLATED)
    fits = [fit_two_arc(SWEEP_HZ, truth * noise(relative, k), **PELLET) for k in range(24)]
    bulk = np.array([fit.bulk.ohm_cm2 for fit in fits]) / 108.0 - 1
    interface = np.array([fit.interface.ohm_cm2 for fit in fits]) / 500.0 - 1
    assert 0.2 * limit_bulk < np.sqrt(np.mean(bulk**2)) < limit_bulk
    assert 0.2 * limit_interface < np.sqrt(np.mean(interface**2)) < limit_interface
    assert {fit.quality for fit in fits} == {"ok"}


def test_errors_from_the_covariance_are_those_observed():
    truth = impedance_ohm(SWEEP_HZ, PLATED)
    fits = [fit_two_arc(SWEEP_HZ, truth * noise(0.003, k), **PELLET) for k in range(50)]
    for arcs, expected in (
        ([fit.bulk for fit in fits], 108.0),
        ([fit.interface for fit in fits], 500.0),
    ):
        pulls = [(arc.ohm_cm2 - expected) / arc.error_ohm_cm2 for arc in arcs]
        assert np.std(pulls) == pytest.approx(1.0, abs=0.3)
        assert abs(np.mean(pulls)) < 0.4
    assert np.mean([fit.residual for fit in fits]) == pytest.approx(0.003, rel=0.1)


@settings(deadline=None, max_examples=20)
@given(
    bulk=st.floats(40.0, 500.0),
    interface=st.floats(60.0, 5000.0),
    area_cm2=st.floats(0.01, 2.0),
    order=st.sampled_from([1, -1]),
)
def test_any_cell_without_noise_is_recovered_without_a_guess(bulk, interface, area_cm2, order):
    spectrum = impedance_ohm(SWEEP_HZ, CellResistances(bulk, interface, area_cm2))
    fit = fit_two_arc(
        SWEEP_HZ[::order], spectrum[::order], area_cm2=area_cm2, electrolyte_ohm_cm2=bulk
    )
    assert fit.quality == "ok"
    assert fit.bulk.ohm_cm2 == pytest.approx(bulk, rel=1e-3)
    assert fit.interface.ohm_cm2 == pytest.approx(interface, rel=1e-3)
    assert fit.bulk.exponent == pytest.approx(0.95, abs=2e-3)
    assert fit.interface.exponent == pytest.approx(0.85, abs=2e-3)
    assert fit.bulk.peak_hz == pytest.approx(2e6 * 120 / bulk, rel=1e-2)
    assert fit.interface.peak_hz == pytest.approx(200 * 2000 / interface, rel=1e-2)
    drawn = two_arc_ohm(SWEEP_HZ, fit, area_cm2=area_cm2)
    assert np.abs(drawn / spectrum - 1).max() < 1e-3


def test_inductance_of_the_leads_is_found():
    large = CellResistances(100.0, 400.0, 5.0)
    fit = fit_two_arc(
        SWEEP_HZ,
        impedance_ohm(SWEEP_HZ, large) * noise(0.003, 5),
        area_cm2=5.0,
        electrolyte_ohm_cm2=120.0,
    )
    assert fit.inductance_h == pytest.approx(0.2e-6, rel=0.02)


def test_spectra_of_the_llzo_cell_follow_its_growing_resistance():
    cell = LlzoCell.from_preset("small_4p8")
    cell.apply_current(0.0, 0.1 * cell.area_cm2)
    for index, t_s in enumerate((0.0, 3 * 86_400.0)):
        truth = cell.resistances(t_s)
        spectrum = with_noise(impedance_ohm(SWEEP_HZ, truth), seed=3, spectrum_index=index)
        fit = fit_two_arc(SWEEP_HZ, spectrum, area_cm2=cell.area_cm2, electrolyte_ohm_cm2=100.0)
        bulk_off = fit.bulk.ohm_cm2 - truth.bulk_ohm_cm2
        interface_off = fit.interface.ohm_cm2 - truth.interface_ohm_cm2
        assert abs(bulk_off) < 4 * fit.bulk.error_ohm_cm2
        assert abs(interface_off) < 4 * fit.interface.error_ohm_cm2


def test_an_interface_that_hides_behind_the_bulk_is_flagged():
    hidden = impedance_ohm(SWEEP_HZ, CellResistances(120.0, 0.05, AREA_CM2))
    fit = fit_two_arc(SWEEP_HZ, hidden * noise(0.003, 2), **PELLET)
    assert fit.quality != "ok"
    total = fit.bulk.ohm_cm2 + fit.interface.ohm_cm2
    assert total == pytest.approx(120.0, rel=0.01)


def test_what_two_arcs_do_not_describe_is_flagged():
    warburg = 3e4 / np.sqrt(2j * math.pi * SWEEP_HZ)
    fit = fit_two_arc(SWEEP_HZ, impedance_ohm(SWEEP_HZ, PLATED) + 20 * warburg, **PELLET)
    assert fit.quality != "ok"


@pytest.mark.parametrize("relative", [0.0, 0.003, 0.03])
@pytest.mark.parametrize(
    ("bulk", "interface", "area_cm2", "short_ohm"),
    [(66.0, 500.0, AREA_CM2, 499.0), (66.0, 5.0, AREA_CM2, 499.0), (80.0, 900.0, 0.1257, 20.0)],
)
def test_shorts_and_cells_are_told_apart(bulk, interface, area_cm2, short_ohm, relative):
    thickness_ohm_cm2 = {"area_cm2": area_cm2, "electrolyte_ohm_cm2": 110.0}
    whole = impedance_ohm(SWEEP_HZ, CellResistances(bulk, interface, area_cm2))
    shorted = impedance_ohm(SWEEP_HZ, CellResistances(bulk, interface, area_cm2, short_ohm))
    assert classify(SWEEP_HZ, whole * noise(relative, 1), **thickness_ohm_cm2) == "cell"
    assert classify(SWEEP_HZ, shorted * noise(relative, 1), **thickness_ohm_cm2) == "short"


def test_a_short_is_not_fitted():
    shorted = CellResistances(66.0, 500.0, AREA_CM2, 499.0)
    fit = fit_two_arc(SWEEP_HZ, impedance_ohm(SWEEP_HZ, shorted), **PELLET)
    assert (fit.state, fit.quality) == ("short", "shorted")
    assert fit.low_frequency_ohm_cm2 == pytest.approx(15.3, rel=0.02)
    assert math.isnan(fit.bulk.ohm_cm2)
    assert math.isnan(fit.interface.error_ohm_cm2)


def test_high_frequencies_alone_do_not_decide():
    high = SWEEP_HZ[SWEEP_HZ > 1e5]
    fit = fit_two_arc(high, impedance_ohm(high, PLATED), **PELLET)
    assert fit.state == "undecided"
    assert "1000 Hz" in fit.quality


def test_points_that_are_not_numbers_are_left_out():
    spectrum = impedance_ohm(SWEEP_HZ, PLATED)
    spectrum[[3, 40, 72]] = complex(math.nan, math.nan)
    assert fit_two_arc(SWEEP_HZ, spectrum, **PELLET).bulk.ohm_cm2 == pytest.approx(108.0)
    spectrum[9:] = math.nan
    fit = fit_two_arc(SWEEP_HZ, spectrum, **PELLET)
    assert fit.quality == "8 usable, 10 points needed"


@pytest.mark.parametrize(
    ("frequencies", "impedances", "area_cm2", "electrolyte"),
    [(3, 4, 1.0, 1.0), (3, 3, 0.0, 1.0), (3, 3, 1.0, math.nan)],
)
def test_wrong_arguments_are_refused(frequencies, impedances, area_cm2, electrolyte):
    with pytest.raises(ValueError, match=r"impedance: got .* expected"):
        classify(
            np.ones(frequencies),
            np.ones(impedances, dtype=complex),
            area_cm2=area_cm2,
            electrolyte_ohm_cm2=electrolyte,
        )


@pytest.mark.parametrize("relative", [0.0, 0.001, 0.003, 0.01, 0.03])
@pytest.mark.parametrize("interface", [6.0, 500.0, 2000.0])
def test_kramers_kronig_passes_steady_cells_whatever_the_noise(interface, relative):
    spectrum = impedance_ohm(SWEEP_HZ, CellResistances(110.0, interface, AREA_CM2))
    tests = [kramers_kronig(SWEEP_HZ, spectrum * noise(relative, k)) for k in range(4)]
    assert [test.quality for test in tests] == ["ok"] * 4
    assert np.mean([test.rms for test in tests]) < max(1.3 * relative, 0.003)


def test_kramers_kronig_passes_a_short_and_a_blocking_cell():
    shorted = impedance_ohm(SWEEP_HZ, CellResistances(66.0, 500.0, AREA_CM2, 499.0))
    assert kramers_kronig(SWEEP_HZ, shorted * noise(0.003, 0)).passed
    bulk = impedance_ohm(SWEEP_HZ, CellResistances(120.0, 1.0, AREA_CM2))
    blocking = (bulk + 1.0 / (2j * math.pi * SWEEP_HZ * 2e-6)) * noise(0.003, 1)
    assert kramers_kronig(SWEEP_HZ, blocking, blocking=True).passed
    assert not kramers_kronig(SWEEP_HZ, blocking).passed


@pytest.mark.parametrize("per_s", [0.03, 0.1, -0.03])
@pytest.mark.parametrize("relative", [0.0, 0.003, 0.01])
def test_kramers_kronig_fails_cells_that_drift(per_s, relative):
    tests = [kramers_kronig(SWEEP_HZ, drifting(per_s) * noise(relative, k)) for k in range(3)]
    assert not any(test.passed for test in tests)
    assert all("changed during the sweep" in test.quality for test in tests)


def test_kramers_kronig_fails_an_imaginary_part_of_its_own():
    steady = impedance_ohm(SWEEP_HZ, PLATED)
    shifted = steady.real + 1j * np.roll(steady.imag, 4)
    assert not kramers_kronig(SWEEP_HZ, shifted).passed


def test_kramers_kronig_does_not_depend_on_scale_or_order():
    spectrum = drifting(0.02) * noise(0.003, 1)
    one = kramers_kronig(SWEEP_HZ, spectrum)
    other = kramers_kronig(SWEEP_HZ[::-1], 1e3 * spectrum[::-1])
    assert other.elements == one.elements
    np.testing.assert_allclose(other.imaginary, one.imaginary, atol=1e-9)


def test_kramers_kronig_refuses_what_it_cannot_test():
    with pytest.raises(ValueError, match=r"Kramers-Kronig test: got .* at least 10"):
        kramers_kronig(SWEEP_HZ[:9], impedance_ohm(SWEEP_HZ[:9], PLATED))
    with pytest.raises(ValueError, match="two equal rows"):
        kramers_kronig(SWEEP_HZ, impedance_ohm(SWEEP_HZ[:20], PLATED))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flat = kramers_kronig(SWEEP_HZ, np.full(73, 50.0 + 0j))
    assert flat.rms < 1e-6


def test_kramers_kronig_agrees_with_impedance_py():
    """Residuals of its version 1.7.1, repaired for NumPy 2, on the same spectrum; see ADR 9."""
    spectrum = with_noise(impedance_ohm(SWEEP_HZ, PLATED), seed=0, spectrum_index=0)
    found = kramers_kronig(SWEEP_HZ, spectrum)
    assert (found.elements, found.passed) == (25, True)
    assert found.rms == pytest.approx(0.00273425485721, rel=1e-9)
    drifted = kramers_kronig(SWEEP_HZ, drifting(0.03))
    assert drifted.elements == 15
    assert not drifted.passed
