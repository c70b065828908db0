"""The integrator: its order, and the cell's equations against an independent solver."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sim.samples.bogacki_shampine import H_MAX_S, attempt, next_step_s
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzo_equations import AT, Drive, LlzoEquations
from sim.samples.llzo_history import reduce
from sim.samples.llzo_parameters import PRESETS, UMOL_PER_MAH
from sim.samples.llzo_trajectory import Trajectory


def _rates(t_s: float, y) -> list[float]:
    return [-y[1], y[0] * (1.0 + 0.1 * math.sin(t_s))]


def _fixed_steps(steps: int) -> np.ndarray:
    h_s, y = 2.0 / steps, [1.0, 0.0]
    for k in range(steps):
        y = attempt(_rates, k * h_s, y, _rates(k * h_s, y), h_s).y1
    return np.array(y)


def test_third_order_and_first_same_as_last():
    exact = solve_ivp(_rates, (0, 2), [1.0, 0.0], method="DOP853", rtol=1e-13, atol=1e-13).y[:, -1]
    errors = [np.abs(_fixed_steps(n) - exact).max() for n in (20, 40, 80)]
    assert errors[0] / errors[1] == pytest.approx(8.0, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(8.0, rel=0.1)
    trial = attempt(_rates, 0.5, [1.0, 0.3], _rates(0.5, [1.0, 0.3]), 0.1)
    assert trial.f1 == _rates(0.6, trial.y1)


def test_error_estimate_falls_with_the_third_power():
    y = [1.0, 0.3]
    errors = [attempt(_rates, 0.0, y, _rates(0.0, y), h).error for h in (0.02, 0.01)]
    assert errors[0] / errors[1] == pytest.approx(8.0, rel=0.1)


def test_steps_that_leave_the_domain_are_refused():
    def divides(t_s: float, y) -> list[float]:
        return [1.0 / (y[0] - 1.0)]

    assert attempt(divides, 0.0, [0.0], [2.0], 1.0).error == math.inf
    assert attempt(lambda t_s, y: [math.nan], 0.0, [0.0], [2.0], 1.0).error == math.inf
    assert next_step_s(10.0, math.inf) == 2.0


@pytest.mark.parametrize(
    ("h_s", "error", "following_s"),
    [(10.0, 0.0, 50.0), (10.0, 1.0, 9.0), (10.0, 1e9, 2.0), (1000.0, 1e-9, H_MAX_S)],
)
def test_step_control(h_s, error, following_s):
    assert next_step_s(h_s, error) == pytest.approx(following_s)


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("is_voltage", [False, True])
def test_a_day_agrees_with_an_independent_solver(preset, is_voltage):
    cell = LlzoCell.from_preset(preset)
    equations = LlzoEquations(PRESETS[preset].parameters)
    y, t_s = np.array(equations.initial_state()), 0.0
    for k in range(14):
        size = 0.06 if is_voltage else 0.12
        value, duration_s = (-1) ** k * size * (k % 7 != 3), 900.0 * (k % 5 + 1)
        if is_voltage:
            cell.apply_voltage(t_s, value)
        else:
            cell.apply_current(t_s, value * cell.area_cm2)
        drive = Drive(is_voltage, value, 0.0, exhausted=False)
        y = solve_ivp(
            lambda t, state, drive=drive: equations.rates(t, state.tolist(), drive),
            (t_s, t_s + duration_s),
            y,
            method="DOP853",
            rtol=1e-10,
            atol=1e-13,
            max_step=300.0,
        ).y[:, -1]
        t_s += duration_s
    cell.apply_current(t_s, 0.0)
    assert cell.layers_umol_per_cm2(t_s) == pytest.approx(UMOL_PER_MAH * reduce(y)[2:], rel=3e-4)
    net, passed = cell.charge_mah(t_s)
    assert net / cell.area_cm2 == pytest.approx(y[AT.net], abs=1e-6)
    assert passed / cell.area_cm2 == pytest.approx(y[AT.throughput], rel=1e-6)
    assert cell.snapshot(t_s)["contact_loss"] == pytest.approx(y[:2], abs=2e-6)
    assert cell.isotopes(t_s).x6_electrolyte == pytest.approx(
        (y[AT.s_grains] + y[AT.s_boundaries]) / 300.47, rel=1e-7
    )


@pytest.mark.long
def test_the_short_does_not_depend_on_where_steps_fall():
    """Changing the drive's slicing by idle instants moves the short by less than 5e-5 d."""

    def short_s(slices: int) -> float:
        cell, t_s, sign = LlzoCell.from_preset("small_4p8"), 0.0, 1.0
        while cell.short_time_s(t_s) is None:
            for k in range(slices):
                nudge = 1.0 + 1e-9 * (k % 2)
                cell.apply_current(t_s, 0.5 * sign * nudge * cell.area_cm2)
                t_s += 1800.0 / slices
            sign = -sign
        found = cell.short_time_s(t_s)
        assert found is not None
        return found

    assert abs(short_s(1) - short_s(12)) / 86_400 < 5e-5


def test_only_the_step_that_crosses_a_change_is_done_again():
    course = Trajectory(LlzoEquations(PRESETS["small_4p8"].parameters))
    course.apply(0.0, is_voltage=False, value=0.1)
    course.run_past(5000.0)
    ahead = [(step.t0_s, step.t1_s) for step in course.history._loose]
    course.apply(4000.0, is_voltage=False, value=0.0)
    kept = [(step.t0_s, step.t1_s) for step in course.history._loose]
    crossing = next(k for k, (_, end_s) in enumerate(ahead) if end_s > 4000.0)
    assert kept == [*ahead[:crossing], (ahead[crossing][0], 4000.0)]


@pytest.mark.parametrize(
    ("amounts", "bridged"),
    [
        ({}, False),
        ({"bulk_1": 0.139, "bulk_2": 0.075, "bulk_3": 0.070, "bulk_4": 0.123}, True),
        ({"bulk_1": 0.139, "bulk_2": 0.0749, "bulk_3": 0.070, "bulk_4": 0.123}, False),
        ({"amorphous_a": 0.139, "bulk_2": 1.0, "bulk_3": 1.0, "crystalline_b": 0.123}, True),
        ({"amorphous_a": 0.10, "crystalline_a": 0.0601}, True),
        ({"amorphous_a": 0.10, "crystalline_a": 0.0599}, False),
        ({"amorphous_b": 0.0601, "crystalline_b": 0.10}, True),
        ({"bulk_1": 0.2}, False),
    ],
)
def test_what_makes_a_short(amounts, bridged):
    """All four layers at their thresholds, or one face's dendrites right through."""
    equations = LlzoEquations(PRESETS["small_4p8"].parameters)
    y = equations.initial_state()
    for name, amount in amounts.items():
        y[getattr(AT, name)] = amount
    assert equations.bridges(y) is bridged
    y[:10] = [0.0] * 10
    endless = LlzoEquations(PRESETS["tracer_8p9"].parameters)
    for name in amounts:
        y[getattr(AT, name)] = 1e6
    assert not endless.bridges(y)
