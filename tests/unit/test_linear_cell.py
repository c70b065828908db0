"""The linear cell against arithmetic, and the output stage that drives it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.instruments.smu_output import OPEN, Drive, OutputStage
from sim.samples.linear_cell import LinearCell


def at(cell, t_s):
    seen = cell.terminals(np.array([t_s]))
    return float(seen.voltage_v[0]), float(seen.current_ma[0])


def test_a_current_moves_the_charge_and_with_it_the_voltage():
    cell = LinearCell(3.0, 100.0, stiffness_v_per_mah=0.5)
    cell.apply_current(10.0, 2.0)
    assert at(cell, 10.0) == pytest.approx((3.2, 2.0))
    assert at(cell, 1810.0) == pytest.approx((3.0 + 0.5 + 0.2, 2.0))
    cell.apply_current(1810.0, -2.0)
    assert cell.charge_mah(3610.0) == pytest.approx((0.0, 2.0))
    assert cell.charge_mah(910.0) == pytest.approx((0.5, 0.5))


def test_a_voltage_makes_the_current_decay():
    cell = LinearCell(0.0, 1000.0, stiffness_v_per_mah=36.0)  # time constant 100 s
    cell.apply_voltage(0.0, 1.0)
    assert at(cell, 0.0) == (1.0, 1.0)
    assert at(cell, 100.0) == pytest.approx((1.0, math.exp(-1.0)))
    assert cell.charge_mah(1e5)[0] == pytest.approx(1.0 / 36.0)


def test_a_constant_emf_never_runs_down():
    cell = LinearCell(1.0, 1000.0)
    cell.apply_voltage(0.0, 0.0)
    assert at(cell, 1e6) == (0.0, -1.0)
    assert cell.charge_mah(3600.0) == (-1.0, 1.0)


def test_time_never_goes_back():
    cell = LinearCell()
    cell.apply_current(5.0, 1.0)
    with pytest.raises(ValueError, match="time went back"):
        cell.apply_current(4.0, 1.0)
    with pytest.raises(ValueError, match="before the last change"):
        cell.terminals(np.array([4.0]))


def test_description_is_provenance():
    assert LinearCell(3.0).describe()["model"] == "linear_cell"


def test_an_open_relay_forces_no_current():
    cell = LinearCell(3.0, 10.0)
    stage = OutputStage(cell)
    stage.drive(0.0, OPEN)
    stage.check(1e6)
    assert at(cell, 1e6) == (3.0, 0.0)
    assert not stage.clamped


@given(
    level=st.floats(-5.0, 5.0),
    limit=st.floats(0.1, 5.0),
    emf_v=st.floats(-4.0, 4.0),
    stiffness=st.floats(0.0, 200.0),
    quantity=st.sampled_from(["current", "voltage"]),
)
def test_a_driven_cell_never_leaves_the_limit(level, limit, emf_v, stiffness, quantity):
    cell = LinearCell(emf_v, 1000.0, stiffness_v_per_mah=stiffness)
    stage = OutputStage(cell)
    stage.drive(0.0, Drive(quantity, level, limit))
    for t_s in np.linspace(0.0, 7200.0, 60):
        stage.check(float(t_s))
        voltage_v, current_ma = at(cell, float(t_s))
        limited, sourced = (
            (voltage_v, current_ma) if quantity == "current" else (current_ma, voltage_v)
        )
        # a 1 ms lattice: the limit may be passed by what 1 ms moves
        assert abs(limited) <= limit * (1.0 + 1e-6) + 1e-3
        assert stage.clamped or sourced == pytest.approx(level)


@given(times=st.lists(st.floats(0.0, 7200.0), max_size=20).map(sorted))
def test_looking_never_changes_what_the_stage_does(times):
    def charge(looks):
        cell = LinearCell(0.0, 1000.0, stiffness_v_per_mah=100.0)
        stage = OutputStage(cell)
        stage.drive(0.0, Drive("current", 1.0, 2.0))
        for t_s in [*looks, 7200.0]:
            stage.check(t_s)
        return cell.charge_mah(7200.0)

    assert charge(times) == charge([])
