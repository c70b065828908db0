"""Curves to resistances, conductivities, diameters and critical currents."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.transport import (
    Measured,
    critical_current,
    ebic_diameter_um,
    electronic_conductivity_s_per_cm,
    ohmic_resistance_ohm,
    wire_diameter_nm,
)

SWEEP_V = np.linspace(-0.01, 0.01, 41)
PELLET = {"step_v": 1.0, "area_cm2": math.pi * 0.01, "thickness_cm": 0.12}


def sweep_ma(ohm: float, *, noise: float, seed: int) -> np.ndarray:
    """Ohmic currents with noise relative to the largest and a zero error of the ammeter."""
    current = SWEEP_V / ohm * 1e3
    grass = np.random.default_rng(seed).normal(0.0, noise, len(current))
    return current + (grass + 0.05) * current.max()


def step_current_a(until_s: float, *, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """1e-8 S/cm through the pellet and 20 nS of ions that settle in 60 s, at 1 V."""
    time_s = np.geomspace(1.0, until_s, 60)
    current = 1e-8 * PELLET["area_cm2"] / PELLET["thickness_cm"] + 2e-8 * np.exp(-time_s / 60)
    return time_s, current * (1 + np.random.default_rng(seed).normal(0.0, noise, 60))


def ebic_na(
    diameter_um: float, *, pixel_um: float, pixels: int, seed: int, noise_na: float = 0.03
) -> np.ndarray:
    """A logistic edge of 1 um, -0.55 nA inside; the centre lies anywhere in a pixel."""
    rng = np.random.default_rng(seed)
    off = rng.random(2)
    lines, columns = np.mgrid[:pixels, :pixels]
    middle = (pixels - 1) / 2
    radius = np.hypot(lines - middle + off[0], columns - middle + off[1]) * pixel_um
    spot = -0.55 / (1 + np.exp(radius - diameter_um / 2))
    return spot + rng.normal(0.0, noise_na, spot.shape)


def test_resistance_of_the_dendrite_and_its_error():
    found = [ohmic_resistance_ohm(SWEEP_V, sweep_ma(440, noise=3e-3, seed=k)) for k in range(150)]
    values = np.array([each.value for each in found])
    pulls = (values - 440.0) / np.array([each.error for each in found])
    assert {each.quality for each in found} == {"ok"}
    assert values.mean() == pytest.approx(440.0, abs=0.15)
    assert np.abs(values - 440).max() < 2.0
    assert np.std(pulls) == pytest.approx(1.0, abs=0.2)


@given(ohm=st.floats(1e-2, 1e9), largest_v=st.floats(1e-4, 100.0))
def test_resistance_at_any_scale(ohm, largest_v):
    volt = np.linspace(-largest_v, largest_v, 11)
    found = ohmic_resistance_ohm(volt, volt / ohm * 1e3)
    assert found.value == pytest.approx(ohm, rel=1e-9)
    assert found.quality == "ok"


def test_a_path_that_is_not_ohmic_is_flagged():
    volt = np.linspace(-0.3, 0.3, 41)
    grass = np.random.default_rng(0).normal(0.0, 0.01, 41)
    bent = ohmic_resistance_ohm(volt, np.sinh(5 * volt) + grass)
    rectifying = ohmic_resistance_ohm(volt, volt + 0.8 * volt**2 + 0.1 * grass)
    assert "not ohmic" in bent.quality
    assert "not ohmic" in rectifying.quality


def test_no_path_has_no_resistance():
    grass = np.random.default_rng(0).normal(0.0, 1.0, 41)
    found = ohmic_resistance_ohm(SWEEP_V, grass)
    assert math.isnan(found.value)
    assert found.quality == "no current that grows with the voltage"
    assert math.isnan(wire_diameter_nm(found, length_cm=0.12).value)


@pytest.mark.parametrize(
    ("volt", "milliampere"),
    [(np.ones(8), np.ones(8)), (np.arange(8.0), np.ones(7)), (np.arange(4.0), np.ones(4))],
)
def test_a_sweep_needs_points(volt, milliampere):
    with pytest.raises(ValueError, match=r"I-V curve: got .* at least 5 points"):
        ohmic_resistance_ohm(volt, milliampere)


def test_diameter_of_the_wire_through_the_pellet():
    wire = wire_diameter_nm(Measured(440.0, 4.4), length_cm=0.12)
    assert wire.value == pytest.approx(567.6, abs=0.5)
    assert wire.error == pytest.approx(wire.value * 0.005)
    assert wire_diameter_nm(Measured(487.0, 0.0), length_cm=0.12).value == pytest.approx(540, abs=1)
    with pytest.raises(ValueError, match=r"wire: got a length of 0 cm"):
        wire_diameter_nm(Measured(440.0, 4.4), length_cm=0)


def test_electronic_conductivity_after_an_hour():
    found = [
        electronic_conductivity_s_per_cm(*step_current_a(3600, noise=0.01, seed=k), **PELLET)
        for k in range(60)
    ]
    off = np.array([each.value for each in found]) / 1e-8 - 1
    errors = np.array([each.error for each in found]) / 1e-8
    assert abs(off.mean()) < 0.0015
    assert off.std() == pytest.approx(errors.mean(), rel=0.3)
    assert [each.quality for each in found].count("ok") >= 58


def test_ten_minutes_are_too_short_and_it_is_said():
    found = electronic_conductivity_s_per_cm(*step_current_a(600, noise=0.003, seed=0), **PELLET)
    assert found.value == pytest.approx(1.045e-8, rel=0.005)
    assert found.quality == "the current still falls: wait longer"


def test_sign_of_the_step_does_not_matter():
    time_s, current_a = step_current_a(3600, noise=0.01, seed=4)
    up = electronic_conductivity_s_per_cm(time_s, current_a, **PELLET)
    down = electronic_conductivity_s_per_cm(time_s, -current_a, **{**PELLET, "step_v": -1.0})
    assert down == up


def test_noise_alone_is_no_conductivity():
    grass = np.random.default_rng(3).normal(0.0, 1e-9, 60)
    found = electronic_conductivity_s_per_cm(np.geomspace(1, 3600, 60), grass, **PELLET)
    assert found.quality == "no steady current above the noise"


@pytest.mark.parametrize("wrong", [{"step_v": 0.0}, {"area_cm2": -1.0}, {"tail_points": 31}])
def test_a_step_needs_a_voltage_an_area_and_points(wrong):
    with pytest.raises(ValueError, match=r"step potential: got .* expected"):
        electronic_conductivity_s_per_cm(
            *step_current_a(3600, noise=0.01, seed=0), **{**PELLET, **wrong}
        )


@pytest.mark.parametrize(
    ("diameter_um", "pixel_um", "pixels", "tolerance"),
    [
        (100.0, 1.0, 160, 0.005),
        (100.0, 2.0, 80, 0.005),
        (40.0, 1.0, 80, 0.01),
        (14.0, 0.5, 64, 0.02),
    ],
)
def test_diameter_at_half_maximum(diameter_um, pixel_um, pixels, tolerance):
    size = {"pixel_um": pixel_um, "pixels": pixels}
    for seed in range(5):
        current_na = ebic_na(diameter_um, seed=seed, **size)
        found = ebic_diameter_um(current_na, pixel_um=pixel_um)
        assert found.quality == "ok"
        assert found.value == pytest.approx(diameter_um, rel=tolerance)
        assert abs(found.value - diameter_um) < 3 * found.error
        assert found.error < 0.05 * diameter_um


def test_the_largest_of_two_spots_counts_and_an_offset_does_not():
    small = np.roll(ebic_na(20.0, pixel_um=1.0, pixels=120, seed=1, noise_na=0.0), 40, axis=0)
    large = np.roll(ebic_na(40.0, pixel_um=1.0, pixels=120, seed=2), -25, axis=0)
    found = ebic_diameter_um(large + small + 0.4, pixel_um=1.0)
    assert found.value == pytest.approx(40.0, rel=0.01)


def test_noise_alone_has_no_diameter():
    grass = np.random.default_rng(5).normal(0.0, 0.03, (100, 100))
    found = ebic_diameter_um(grass, pixel_um=1.0)
    assert math.isnan(found.value)
    assert "no connected spallation" in found.quality


def test_a_spot_at_the_edge_is_flagged():
    cut = np.roll(ebic_na(40.0, pixel_um=1.0, pixels=120, seed=2), 50, axis=0)[55:, :]
    assert ebic_diameter_um(cut, pixel_um=1.0).quality == "the edge of the map cuts the spot"


@pytest.mark.parametrize(("shape", "pixel_um"), [((15, 40), 1.0), ((40,), 1.0), ((40, 40), 0.0)])
def test_a_map_needs_pixels(shape, pixel_um):
    with pytest.raises(ValueError, match=r"EBIC map: got shape"):
        ebic_diameter_um(np.zeros(shape), pixel_um=pixel_um)


def test_critical_current_of_the_lithiophilic_series():
    """None at 0.5 and 2.5 mA/cm2, craters at 5 mA/cm2."""
    found = critical_current(np.array([5.0, 0.5, 2.5]), np.array([True, False, False]))
    assert (found.lower_ma_per_cm2, found.upper_ma_per_cm2) == (2.5, 5.0)
    assert found.estimate_ma_per_cm2 == pytest.approx(3.75)
    assert found.error_ma_per_cm2 == pytest.approx(2.5 / math.sqrt(12))
    assert found.quality == "ok"


def test_critical_current_of_an_open_series():
    none = critical_current(np.array([0.5, 2.5]), np.array([False, False]))
    assert (none.lower_ma_per_cm2, none.quality) == (2.5, "no cell failed")
    assert math.isinf(none.upper_ma_per_cm2)
    every = critical_current(np.array([0.5, 2.5]), np.array([True, True]))
    assert (every.lower_ma_per_cm2, every.upper_ma_per_cm2) == (0.0, 0.5)
    assert math.isnan(every.estimate_ma_per_cm2)
    assert every.quality == "every cell failed"


def test_cells_that_contradict_widen_the_range():
    current = np.array([0.5, 1.0, 2.0, 3.0, 4.0])
    found = critical_current(current, np.array([False, True, False, False, True]))
    assert (found.lower_ma_per_cm2, found.upper_ma_per_cm2) == (1.0, 3.0)
    assert found.quality.startswith("3 of 5 cells overlap")


@given(
    limit=st.floats(0.1, 10.0),
    current=st.lists(st.floats(0.01, 20.0), min_size=1, max_size=30),
)
def test_critical_current_of_identical_cells_lies_in_the_range(limit, current):
    steps = np.array(current)
    found = critical_current(steps, steps > limit)
    assert found.lower_ma_per_cm2 <= limit <= found.upper_ma_per_cm2
    assert "overlap" not in found.quality


@pytest.mark.parametrize("current", [np.array([]), np.array([0.0, 1.0]), np.array([1.0])])
def test_critical_current_needs_cells(current):
    with pytest.raises(ValueError, match=r"critical current: got .* positive currents"):
        critical_current(current, np.zeros(2 if len(current) else 0, dtype=bool))
