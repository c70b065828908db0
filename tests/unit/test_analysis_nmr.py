"""Planning of spectra and volumes, and 6Li fractions back from simulated spectra."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.arithmetic import arithmetic_checks
from orchestrator.analysis.flash import acquisition_s, ernst_angle_deg, signal_lost
from orchestrator.analysis.nmr import (
    ELECTROLYTE_PPM,
    METAL_PPM,
    OVERLAP,
    PairOfSpectra,
    Spinning,
    clear_range_ppm,
    line_of_both,
    shift_axis_ppm,
    spectra_s,
)
from sim.images.nmr import (
    PUBLISHED_NMR,
    REFERENCE_7LI_C,
    RotorContent,
    SinglePulseSettings,
    SpectrumImager,
    rotor_content,
)
from sim.samples.llzo_cell import LlzoCell

DELTA_PPM = METAL_PPM - ELECTROLYTE_PPM
SEEDS = range(20)

# --- planning -------------------------------------------------------------------------------------


def test_why_7li_spins_at_13_khz_and_6li_may_spin_at_14():
    seven_13, seven_14 = Spinning(322.57, 13.0), Spinning(322.57, 14.0)
    six_14 = Spinning(122.14, 14.0)
    assert pytest.approx(263.3) == METAL_PPM - ELECTROLYTE_PPM
    assert seven_13.orders_to(DELTA_PPM) == pytest.approx(6.53, abs=5e-3)
    assert seven_14.orders_to(DELTA_PPM) == pytest.approx(6.07, abs=5e-3)
    assert seven_13.nearest_sideband_ppm(DELTA_PPM) == pytest.approx(18.8, abs=0.05)
    assert seven_14.nearest_sideband_ppm(DELTA_PPM) == pytest.approx(2.9, abs=0.05)
    assert [s.overlaps(DELTA_PPM, half_width_ppm=7.0) for s in (seven_13, seven_14, six_14)] == [
        False,
        True,
        False,
    ]


@given(st.floats(1.0, 60.0), st.floats(50.0, 1000.0), st.floats(-400.0, 400.0))
def test_the_clear_range_holds_the_line_and_no_sideband(mas_khz, frequency_mhz, delta_ppm):
    spinning = Spinning(frequency_mhz, mas_khz)
    low, high = clear_range_ppm(delta_ppm, 0.0, spinning, margin_ppm=0.0, at_most_ppm=1e6)
    assert low < delta_ppm < high
    orders = np.arange(math.floor(low / spinning.spacing_ppm) - 1, 3 + high / spinning.spacing_ppm)
    sidebands = orders * spinning.spacing_ppm
    inside = (sidebands > low + 1e-6) & (sidebands < high - 1e-6)
    assert np.abs(sidebands[inside] - delta_ppm).max(initial=0.0) < 1e-6
    nearest = spinning.nearest_sideband_ppm(delta_ppm)
    assert nearest <= 0.5 * spinning.spacing_ppm * (1 + 1e-9)


def test_a_sample_that_does_not_spin_is_refused():
    with pytest.raises(ValueError, match="expected positive"):
        Spinning(322.57, 0.0)


def test_30_degrees_give_up_44_percent_and_90_degrees_in_3d_almost_nothing():
    assert ernst_angle_deg(0.3) == pytest.approx(82.2, abs=0.1)
    assert signal_lost(0.3, 30.0) == pytest.approx(0.44, abs=5e-3)
    assert signal_lost(0.25, 90.0) < 0.03
    assert signal_lost(0.3, ernst_angle_deg(0.3)) == pytest.approx(0.0)


def test_durations_computed_beside_those_published():
    checks = {check.id: check for check in arithmetic_checks()}
    flat, volume = checks["flash2d_time"], checks["mri3d_time"]
    assert (flat.computed, flat.published) == (pytest.approx(4.437, abs=5e-4), 4.5)
    assert (volume.computed, volume.published) == (pytest.approx(28.44, abs=5e-3), 26.4)
    assert (flat.agrees, volume.agrees) == (True, False)
    assert acquisition_s(0.3, (81, 52), 1024) == pytest.approx(3600 * flat.computed)
    assert acquisition_s(0.25, (100, 100, 32), 128) == pytest.approx(3600 * volume.computed)
    assert acquisition_s(0.25, (100, 100, 32), 2, repetitions=3, dummy_scans=8) == pytest.approx(
        0.25 * (3200 * 6 + 8)
    )
    assert spectra_s((1024, 256), (10.0, 2.0)) == pytest.approx(PUBLISHED_NMR.duration_s)


# --- truth -> spectra -> fraction -----------------------------------------------------------------


def measured(settings: SinglePulseSettings, during, *, seed: int, frame: int = 0) -> PairOfSpectra:
    spectra = SpectrumImager(settings, seed).frame(during, frame)
    shift_ppm = shift_axis_ppm(settings.points, settings.centre_ppm, settings.spectral_width_ppm)
    pairs = zip(settings.frequencies_mhz, settings.mas_khz, strict=True)
    six, seven = (Spinning(mhz, khz) for mhz, khz in pairs)
    return PairOfSpectra(shift_ppm, spectra.astype(float), (six, seven))


def metal(pair: PairOfSpectra):
    return line_of_both(pair, 264.3, half_width_ppm=7.0)


def electrolyte(pair: PairOfSpectra):
    return line_of_both(pair, ELECTROLYTE_PPM, half_width_ppm=3.0)


@pytest.fixture(scope="module")
def contents() -> dict[int, tuple[RotorContent, RotorContent]]:
    """What the rotor holds after 5, 24, 30, 61 and 122 C of the tracer cell's reversal.

    After 30 C also the middle layers alone (key -30).
    """
    cell, marks, found = LlzoCell.from_preset("tracer_8p9"), [5, 24, 30, 61, 122], {}
    t_s, current_ma = 0.0, 0.06044
    while marks:
        cell.apply_current(t_s, current_ma)
        t_s, current_ma = t_s + 1800.0, -current_ma
        if 3.6 * cell.charge_mah(t_s)[1] >= marks[0]:
            mark = marks.pop(0)
            found[mark] = (rotor_content(cell, t_s, t_s + 1.0),) * 2
            if mark == 30:
                found[-30] = (rotor_content(cell, t_s, t_s + 1.0, middle_layers=True),) * 2
        cell.apply_current(t_s, 0.0)
        t_s += 300.0
    return found


def fraction(content: RotorContent) -> float:
    return content.metal_c[0] / sum(content.metal_c)


@pytest.mark.parametrize("charge_c", [5, 24, 30, 61, 122])
def test_fractions_come_back_at_a_6li_noise_of_5e_4_of_the_7li_signal(contents, charge_c):
    """physics.md C6: the error is 0.009 to 0.013 for the fractions of the later charges."""
    truth = contents[charge_c][0]
    times = (REFERENCE_7LI_C / truth.metal_c[1]) ** 2
    scans = (max(1, round(1024 * times)), max(1, round(256 * times)))
    settings = replace(PUBLISHED_NMR, scans=scans)
    lines = [metal(measured(settings, (truth, truth), seed=seed)) for seed in SEEDS]
    found = np.array([line.fraction.x6 for line in lines])
    errors = np.array([line.fraction.error for line in lines])
    noise = np.mean([line.six.error / line.seven.value for line in lines])
    assert noise == pytest.approx(5e-4, rel=0.1)
    assert np.mean(errors) == pytest.approx(28.45 * (1 - fraction(truth)) ** 2 * noise, rel=0.02)
    deviations = found - fraction(truth)
    assert np.sqrt(np.mean(deviations**2)) == pytest.approx(np.mean(errors), rel=0.4)
    assert abs(deviations.mean()) < 3 * np.mean(errors) / math.sqrt(len(SEEDS))
    assert np.mean(errors) < 0.013
    if fraction(truth) < 0.2:
        assert np.mean(errors) > 0.009


def test_electrolyte_fractions_come_back_to_a_thousandth(contents):
    for during in contents.values():
        x6, error = during[0].electrolyte_c[0] / sum(during[0].electrolyte_c), 0.001
        for seed in (0, 1, 2):
            found = electrolyte(measured(PUBLISHED_NMR, during, seed=seed)).fraction
            assert found.x6 == pytest.approx(x6, abs=error)
            assert found.quality == "ok"


def test_the_order_of_dendrite_and_electrolyte_turns_between_30_and_61_c(contents):
    """Fig. 2d: the dendrites' 6Li is first above the electrolyte's, in the end below."""
    differences = []
    for charge_c in (5, 24, 30, 61, 122):
        pairs = [measured(PUBLISHED_NMR, contents[charge_c], seed=seed) for seed in SEEDS]
        dendrites = np.mean([metal(pair).fraction.x6 for pair in pairs])
        differences.append(dendrites - electrolyte(pairs[0]).fraction.x6)
    assert (np.array(differences) > 0).tolist() == [True, True, True, False, False]
    assert np.all(np.diff(differences[:4]) < 0)


def test_middle_layers_after_30_c_show_7li_only_while_the_electrolyte_shows_both(contents):
    """Fig. 2: 6Li at 7 % is below three sigma at a quarter of the reference scans."""
    settings = replace(PUBLISHED_NMR, scans=(256, 64))
    during = contents[-30]
    assert fraction(during[0]) == pytest.approx(0.071, abs=2e-3)
    lines = [metal(measured(settings, during, seed=seed)) for seed in SEEDS]
    unseen = [line.fraction.quality == "no 6Li line seen" for line in lines]
    assert sum(unseen) >= 0.8 * len(SEEDS)
    assert all(line.seven.significance > 100 for line in lines)
    assert all(line.fraction.upper_limit > fraction(during[0]) for line in lines)
    both = electrolyte(measured(settings, during, seed=0))
    assert both.six.significance > 100
    assert both.seven.significance > 100


def test_a_sideband_on_the_line_is_told_and_spoils_the_fraction(contents):
    settings = replace(PUBLISHED_NMR, mas_khz=(14.0, 14.0))
    spoilt = metal(measured(settings, contents[30], seed=0))
    assert spoilt.fraction.quality == OVERLAP
    assert spoilt.seven.value > 3 * contents[30][1].metal_c[1]
    assert metal(measured(PUBLISHED_NMR, contents[30], seed=0)).fraction.quality == "ok"


def test_spectra_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected \(2, points\): 6Li, then 7Li"):
        PairOfSpectra(np.zeros(8), np.zeros((3, 8)), (Spinning(1, 1), Spinning(1, 1)))
