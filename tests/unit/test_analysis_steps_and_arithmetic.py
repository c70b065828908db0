"""Critical current of one cell in rising steps; diffusion lengths; the papers' own arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.arithmetic import (
    arithmetic_checks,
    epr_field_t,
    hours_with_current,
    lithium_um,
    scan_time_h,
    sidebands_between,
    tilt_factor,
)
from orchestrator.analysis.current_steps import critical_current_of_steps, current_steps
from orchestrator.analysis.diffusion import diffusion_length_um, diffusivity_cm2_per_s
from orchestrator.analysis.measured import Measured
from sim.samples.constants import UM_PER_MAH_PER_CM2
from sim.samples.llzto_pellet import LlztoPellet

AREA_CM2 = math.pi * 0.01
CURRENTS = (0.1, 0.2, 0.4, 0.8, 1.6)


def rising(fails_at: float, *, noise: float = 0.01, seed: int = 0):
    """A cell of 600 ohm cm2 in steps of 10 min with rests, shorted from a current on."""
    t, v, i = [], [], []
    for k, density in enumerate(CURRENTS):
        for part, current in ((0, density), (1, 0.0)):
            at = 1200.0 * k + 600.0 * part + np.arange(0.0, 600.0, 5.0)
            bad = density > fails_at or (density == fails_at and part == 0)
            ohm = np.where(bad & (at > 1200.0 * k + 300.0), 20.0, 600.0)
            t.append(at)
            v.append(1e-3 * current * ohm)
            i.append(np.full(len(at), current * AREA_CM2))
    stream = np.random.default_rng(seed)
    volts = np.concatenate(v)
    volts = volts * (1 + noise * stream.standard_normal(len(volts)))
    amps = np.concatenate(i)
    amps += 1e-6 * AREA_CM2 * stream.standard_normal(len(amps))
    return np.concatenate(t), volts, amps


def test_steps_are_found_with_what_they_passed() -> None:
    steps = current_steps(*rising(99.0), area_cm2=AREA_CM2)
    assert [s.current_ma_per_cm2 for s in steps] == pytest.approx(CURRENTS, rel=1e-3)
    for step, density in zip(steps, CURRENTS, strict=True):
        assert step.charge_mah_per_cm2 == pytest.approx(density * 595 / 3600, rel=1e-3)
        assert abs(step.voltage_v - 0.6 * density) < 4 * step.voltage_error_v
        assert step.scatter == pytest.approx(0.01, rel=0.35)
        assert not step.failed


@pytest.mark.parametrize("fails_at", CURRENTS[1:])
@pytest.mark.parametrize("seed", range(5))
def test_critical_current_of_one_cell(fails_at: float, seed: int) -> None:
    steps = current_steps(*rising(fails_at, noise=0.03, seed=seed), area_cm2=AREA_CM2)
    found = critical_current_of_steps(steps)
    assert found.upper_ma_per_cm2 == pytest.approx(fails_at, rel=1e-3)
    assert found.lower_ma_per_cm2 == pytest.approx(0.5 * fails_at, rel=1e-3)
    assert found.quality == "ok"
    failed = next(s for s in steps if s.failed)
    assert failed.failed_s == pytest.approx(failed.start_s + 305.0, abs=5.1)


def test_a_simulated_pellet_fails_in_the_step_in_which_it_shorts() -> None:
    cell = LlztoPellet.from_preset("lithiophobic", seed=1)
    start_s, rows = 0.0, []
    for density in (0.25, 0.5, 1.0, 2.0):
        cell.apply_current(start_s, density * cell.area_cm2)
        at = start_s + np.arange(10.0, 3600.0, 10.0)
        rows.append((at, cell.terminals(at).voltage_v, np.full(len(at), density * cell.area_cm2)))
        start_s += 3600.0
    short_s = cell.short_time_s(start_s)
    assert short_s is not None
    steps = current_steps(*(np.concatenate(c) for c in zip(*rows, strict=True)), area_cm2=AREA_CM2)
    failed = next(step for step in steps if step.failed)
    assert short_s <= failed.failed_s <= short_s + 20.0
    assert critical_current_of_steps(steps).upper_ma_per_cm2 == failed.current_ma_per_cm2


def test_a_cell_that_survives_has_no_upper_end() -> None:
    found = critical_current_of_steps(current_steps(*rising(99.0), area_cm2=AREA_CM2))
    assert (found.upper_ma_per_cm2, found.quality) == (math.inf, "no cell failed")


def test_steps_refuse_and_leave_out() -> None:
    assert current_steps([], [], [], area_cm2=1.0) == ()
    assert current_steps([0, 1], [np.nan, np.nan], [1, 1], area_cm2=1.0) == ()
    assert current_steps([0.0, 1.0], [0.1, 0.1], [1, 1], area_cm2=1.0)[0].quality == "2 records"
    with pytest.raises(ValueError, match="times that fall"):
        current_steps([1.0, 0.0], [0, 0], [1, 1], area_cm2=1.0)
    with pytest.raises(ValueError, match="positive area"):
        current_steps([1.0], [0], [1], area_cm2=0.0)


@pytest.mark.parametrize(("diffusivity", "um"), [(2.06e-13, 1.7), (2.42e-12, 5.9)])
def test_published_diffusion_lengths(diffusivity: float, um: float) -> None:
    found = diffusion_length_um(Measured(diffusivity, 0.1 * diffusivity), time_s=36_000.0)
    assert round(found.value, 1) == um
    assert found.error == pytest.approx(0.05 * found.value)


@given(st.floats(1e-16, 1e-6), st.floats(1.0, 1e8))
def test_diffusivity_is_the_inverse_of_the_length(diffusivity: float, time_s: float) -> None:
    length = diffusion_length_um(Measured(diffusivity, 0.2 * diffusivity), time_s=time_s)
    back = diffusivity_cm2_per_s(length, time_s=time_s)
    assert back.value == pytest.approx(diffusivity)
    assert back.error == pytest.approx(0.2 * diffusivity)


def test_diffusion_refuses_what_is_negative() -> None:
    with pytest.raises(ValueError, match="diffusion length"):
        diffusion_length_um(Measured(-1.0, 0.0), time_s=1.0)
    with pytest.raises(ValueError, match="diffusivity"):
        diffusivity_cm2_per_s(Measured(1.0, 0.0), time_s=0.0)


DISAGREE = {
    "mri3d_time", "larmor_21t", "sensitivity", "pellet_diameter", "charge_61", "charge_122",
    "tracer_x2", "pellet_density", "void_sizes",
}  # fmt: skip
"""Inconsistencies of the papers that the design lists; everything else agrees."""


def test_the_papers_agree_with_themselves_but_where_known() -> None:
    checks = arithmetic_checks()
    assert len({check.id for check in checks}) == len(checks) > 20
    assert {check.id for check in checks if not check.agrees} == DISAGREE
    assert all(check.note for check in checks if not check.agrees)


@pytest.mark.parametrize(
    ("check_id", "computed"),
    [
        ("flash2d_time", 4.437), ("mri3d_time", 28.44), ("larmor_21t", 349.2),
        ("larmor_11t", 194.44), ("mas_13khz", 6.53), ("mas_14khz", 6.07), ("epr_field", 8.564),
        ("sensitivity", 34.5), ("charge_61", 28.3), ("charge_122", 32.8), ("tracer_n", 0.1088),
        ("no_6li_line", 0.0027), ("plated_film", 12.6), ("alloy", 0.0308),
        ("pellet_density", 2.00), ("tilt", 1.269),
    ],
)  # fmt: skip
def test_computed_values_are_those_of_the_design(check_id: str, computed: float) -> None:
    (check,) = [each for each in arithmetic_checks() if each.id == check_id]
    assert check.computed == pytest.approx(computed, rel=0.006)


def test_formulas_elsewhere() -> None:
    assert scan_time_h(0.3, 81, 1024) == pytest.approx(6.91, abs=0.01)
    assert lithium_um(1.0) == pytest.approx(UM_PER_MAH_PER_CM2, rel=1e-4)
    assert hours_with_current(7.6, 30, 5) == pytest.approx(156.3, abs=0.1)
    assert epr_field_t(9.5) == pytest.approx(0.339, abs=0.001)
    assert sidebands_between(263.3, 322.57, 25.0) == pytest.approx(3.4, abs=0.01)
    assert tilt_factor(90.0) == 1.0
