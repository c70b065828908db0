"""Magnesium profiles: totals are exact, published means are met, the profile solves diffusion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import SimulationError
from sim.samples.constants import UM_PER_MAH_PER_CM2
from sim.samples.void_composition import (
    effective_cm2_per_s,
    film_magnesium,
    mean_film_magnesium,
    stripped_magnesium,
)
from sim.samples.void_parameters import PRESETS

ALLOY = PRESETS["limg_lpscl"].parameters
FILM_UM, TIME_S = 12.6, 9.29 * 3600.0


def mean(profile, x):
    return float(np.trapezoid(profile, x) / (x[-1] - x[0]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.floats(0.0, 15.0))
def test_magnesium_is_conserved_exactly(stripped):
    rest_um = ALLOY.metal_um - UM_PER_MAH_PER_CM2 * stripped
    depths_um = np.linspace(0.0, rest_um, 20_001)
    total = mean(stripped_magnesium(depths_um, stripped, ALLOY), depths_um) * rest_um
    assert total == pytest.approx(0.03 * ALLOY.metal_um, rel=1e-5)


def test_alloy_after_4_mah_is_li096_mg004():
    metal = replace(ALLOY, metal_um=90.0)
    depths_um = np.linspace(0.0, 90.0 - 4.0 * UM_PER_MAH_PER_CM2, 20_001)
    profile = stripped_magnesium(depths_um, 4.0, metal)
    assert mean(profile, depths_um) == pytest.approx(0.0382, abs=1e-4)
    assert profile[0] > 1.5 * profile[-1]
    assert (np.diff(profile) <= 0.0).all()


def test_lithium_has_no_magnesium():
    lithium = PRESETS["li_lpscl"].parameters
    assert not stripped_magnesium(np.array([0.0, 5.0]), 2.0, lithium).any()


@pytest.mark.parametrize(
    ("diffusivity", "share"),
    [(4.5e-11, 0.502), (3.8e-10, 0.805), (2.06e-13, 0.037), (2.42e-12, 0.127)],
)
def test_plated_film_takes_up_magnesium(diffusivity, share):
    assert mean_film_magnesium(FILM_UM, TIME_S, diffusivity) == pytest.approx(share, abs=3e-3)


@pytest.mark.parametrize("diffusivity", [4.5e-11, 3.8e-10, 2.42e-12])
def test_profile_of_the_film_has_the_closed_mean_and_a_sealed_face(diffusivity):
    heights_um = np.linspace(0.0, FILM_UM, 20_001)
    profile = film_magnesium(heights_um, FILM_UM, TIME_S, diffusivity)
    expected = mean_film_magnesium(FILM_UM, TIME_S, diffusivity)
    assert mean(profile, heights_um) == pytest.approx(expected, rel=1e-5)
    assert (np.diff(profile) <= 1e-15).all()
    assert abs(profile[-1] - profile[-2]) < 1e-3 * abs(profile[1] - profile[0])


def test_diffusivity_follows_temperature():
    assert effective_cm2_per_s(25.0) == pytest.approx(4.5e-11)
    assert effective_cm2_per_s(60.0) == pytest.approx(3.8e-10)
    assert 4.5e-11 < effective_cm2_per_s(40.0) < 3.8e-10


@pytest.mark.parametrize(
    ("depths_um", "stripped", "match"),
    [
        ([0.0], 25.0, "expected 0 to less than the metal's 100.0 um"),
        ([0.0], -1.0, "expected 0 to less than the metal's 100.0 um"),
        ([-0.1], 1.0, "expected 0 to 95.2 um"),
        ([96.0], 1.0, "expected 0 to 95.2 um"),
    ],
)
def test_lines_outside_the_metal_are_refused(depths_um, stripped, match):
    with pytest.raises(SimulationError, match=match):
        stripped_magnesium(np.array(depths_um), stripped, ALLOY)
