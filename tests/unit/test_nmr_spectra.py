"""Pairs of spectra: lines, sidebands, saturation, noise, and frames of their own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import SimulationError
from sim.images.nmr import (
    PUBLISHED_NMR,
    REFERENCE_7LI_C,
    SENSITIVITY_6LI,
    RotorContent,
    SpectrumImager,
    rotor_content,
)
from sim.samples.llzo_cell import LlzoCell

METAL_ONLY = RotorContent((0.3, 0.7), (0.0, 0.0), 1.0)
PELLET = RotorContent((0.03, 0.26), (40.0, 260.0), 0.9)


def imager(seed: int = 0, **changes) -> SpectrumImager:
    return SpectrumImager(replace(PUBLISHED_NMR, **changes), seed)


def spectra(content: RotorContent, **changes) -> np.ndarray:
    return imager(**changes).noise_free((content, content))


def area(spectrum: np.ndarray, low_ppm: float, high_ppm: float, settings=PUBLISHED_NMR) -> float:
    shift_ppm = settings.shift_ppm()
    inside = (shift_ppm > low_ppm) & (shift_ppm < high_ppm)
    return float(spectrum[inside].sum() * settings.step_ppm)


def test_the_published_protocol():
    assert PUBLISHED_NMR.frequencies_mhz == (122.14, 322.57)
    assert PUBLISHED_NMR.mas_khz == (14.0, 13.0)
    assert PUBLISHED_NMR.durations_s == (10_240.0, 512.0)
    shift_ppm = PUBLISHED_NMR.shift_ppm()
    assert (shift_ppm[2048], len(shift_ppm)) == (130.0, 4096)
    assert shift_ppm[0] == pytest.approx(-270.0)
    assert np.all(np.diff(shift_ppm) > 0)


@pytest.mark.parametrize(
    ("crystalline", "place_ppm", "width_ppm"), [(0, 264.1, 6.0), (1, 264.5, 2.0)]
)
def test_the_metal_line_moves_and_narrows_as_the_metal_crystallises(
    crystalline, place_ppm, width_ppm
):
    content = replace(METAL_ONLY, crystalline_fraction=crystalline)
    shift_ppm = PUBLISHED_NMR.shift_ppm()
    for spectrum in spectra(content):
        assert np.average(shift_ppm, weights=spectrum) == pytest.approx(place_ppm, abs=1e-6)
        above = shift_ppm[spectrum > spectrum.max() / 2]
        assert np.ptp(above) == pytest.approx(width_ppm, abs=2 * PUBLISHED_NMR.step_ppm)


@given(st.floats(1e-3, 10.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
@settings(max_examples=30, deadline=None)
def test_signals_obey_the_sensitivity_factor(metal_c, x6, crystalline):
    content = RotorContent((metal_c * x6, metal_c * (1 - x6)), (0.0, 0.0), crystalline)
    six, seven = (area(one, 230, 300) for one in spectra(content))
    assert seven == pytest.approx(metal_c * (1 - x6), rel=1e-6, abs=1e-12)
    assert six * SENSITIVITY_6LI == pytest.approx(metal_c * x6, rel=1e-6, abs=1e-12)


def test_sidebands_stand_where_the_rotor_puts_them():
    content = RotorContent((0.0, 0.0), (7.0, 93.0), 0.0)
    shift_ppm = PUBLISHED_NMR.shift_ppm()
    for row, spacing_ppm in ((0, 14e3 / 122.14), (1, 13e3 / 322.57)):
        spectrum = spectra(content)[row]
        peaks = shift_ppm[1:-1][
            (spectrum[1:-1] > spectrum[:-2])
            & (spectrum[1:-1] >= spectrum[2:])
            & (spectrum[1:-1] > 1e-3 * spectrum.max())
        ]
        orders = (peaks - 1.2) / spacing_ppm
        assert len(peaks) >= 5
        assert orders == pytest.approx(np.rint(orders), abs=0.02)
        near = [
            area(spectrum, 1.2 + k * spacing_ppm - 5, 1.2 + k * spacing_ppm + 5) for k in range(3)
        ]
        assert near[1] / near[0] == pytest.approx(0.6, rel=1e-3)
        assert near[2] / near[1] == pytest.approx(0.6, rel=1e-3)


def test_14_khz_puts_a_7li_sideband_on_the_metal_and_13_khz_does_not():
    metal_c = PELLET.metal_c[1]
    at_13 = area(spectra(PELLET)[1], 257, 272)
    at_14 = area(spectra(PELLET, mas_khz=(14.0, 14.0))[1], 257, 272)
    assert at_13 == pytest.approx(metal_c, rel=0.01)
    assert at_14 > 5 * metal_c
    assert area(spectra(PELLET)[0], 257, 272) * SENSITIVITY_6LI == pytest.approx(0.03, rel=0.01)


def test_shorter_delays_saturate_what_relaxes_slowly():
    hurried = spectra(PELLET, recycle_delay_s=(1.0, 0.2))
    patient = spectra(PELLET)
    ratios = {
        (row, site): area(hurried[row], *window) / area(patient[row], *window)
        for row in (0, 1)
        for site, window in (("metal", (257, 272)), ("electrolyte", (-4, 6)))
    }
    t1_s = {(0, "metal"): 1.046, (1, "metal"): 0.15, (0, "electrolyte"): 3, (1, "electrolyte"): 0.5}
    for (row, site), ratio in ratios.items():
        short_s, long_s = ((1.0, 10.0), (0.2, 2.0))[row]
        expected = math.expm1(-short_s / t1_s[row, site]) / math.expm1(-long_s / t1_s[row, site])
        assert ratio == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("points", [2048, 4096])
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.long
def test_noise_of_a_line_is_5e_4_of_the_reference_and_falls_with_the_root_of_scans(points, times):
    made = imager(points=points, scans=(1024 * times, 256 * times))
    frames = np.array([made.frame((METAL_ONLY, METAL_ONLY), k) for k in range(300)])
    clean = made.noise_free((METAL_ONLY, METAL_ONLY))
    shift_ppm = made.settings.shift_ppm()
    inside = np.abs(shift_ppm - 264.5) < 7.0
    beside = (np.abs(shift_ppm - 264.5) < 30.0) & ~inside
    left = frames - clean
    step = made.settings.step_ppm
    sums = step * (left[:, :, inside].sum(axis=2) - inside.sum() * left[:, :, beside].mean(axis=2))
    expected = 5e-4 * REFERENCE_7LI_C / math.sqrt(times)
    assert sums.std(axis=0) == pytest.approx([expected, expected], rel=0.13)


def test_a_pair_knows_only_its_number():
    one, other = imager(seed=3), imager(seed=3)
    straight = [one.frame((PELLET, PELLET), k) for k in range(3)]
    other.frame((METAL_ONLY, METAL_ONLY), 0)
    assert np.array_equal(other.frame((PELLET, PELLET), 2), straight[2])
    assert not np.array_equal(straight[0], straight[1])
    assert not np.array_equal(imager(seed=4).frame((PELLET, PELLET), 0), straight[0])
    assert (straight[0].shape, straight[0].dtype) == ((2, 4096), np.float32)


def test_the_rotor_holds_what_the_sample_held_meanwhile():
    cell = LlzoCell.from_preset("tracer_8p9")
    cell.apply_current(0.0, 0.06)
    fresh = rotor_content(LlzoCell.from_preset("tracer_8p9"), 0.0, 100.0)
    assert fresh.metal_c == (0.0, 0.0)
    assert sum(fresh.electrolyte_c) == pytest.approx(300.47)
    assert fresh.electrolyte_c[0] / 300.47 == pytest.approx(0.069825)
    during = rotor_content(cell, 1000.0, 9000.0)
    at = [cell.isotopes(t) for t in np.linspace(1000.0, 9000.0, 401)]
    metal = [one.surface_dendrites_c + one.bulk_dendrites_c for one in at]
    six = [m * one.x6_dendrites for m, one in zip(metal, at, strict=True)]
    assert sum(during.metal_c) == pytest.approx(np.mean(metal), rel=2e-3)
    assert during.metal_c[0] == pytest.approx(np.mean(six), rel=2e-3)
    middle = rotor_content(cell, 1000.0, 9000.0, middle_layers=True)
    assert sum(middle.metal_c) == pytest.approx(
        np.mean([one.bulk_dendrites_c for one in at]), rel=2e-2
    )


@pytest.mark.parametrize(
    "changes",
    [{"scans": (0, 1)}, {"mas_khz": (14.0, 0.0)}, {"points": 0}, {"recycle_delay_s": (10.0,)}],
)
def test_settings_that_cannot_be_are_refused(changes):
    with pytest.raises(SimulationError, match="expected pairs"):
        replace(PUBLISHED_NMR, **changes)
