"""A source-measure unit on the full cell: its limit makes a hold, and it stops at neither end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.instruments.smu_output import OPEN, Drive, OutputStage
from sim.samples.full_cell import FullCell
from tests.galvanostat import run_to

ONE_C_MA = 2.534


def staged(level_ma, limit_v):
    cell = FullCell.from_preset("nmc83_limg")
    stage = OutputStage(cell)
    stage.drive(0.0, Drive("current", level_ma, limit_v))
    return cell, stage


def at(cell, t_s):
    seen = cell.terminals(np.array([t_s]))
    return float(seen.voltage_v[0]), float(seen.current_ma[0])


def test_a_voltage_limit_charges_at_constant_current_then_constant_voltage():
    cell, stage = staged(ONE_C_MA, 4.25)
    stage.check(4 * 3600.0)
    assert stage.clamped
    by_hand = FullCell.from_preset("nmc83_limg")
    turn_s = run_to(by_hand, 0.0, 2.0, 4.25)
    by_hand.apply_voltage(turn_s, 4.25)
    for t_s in (3600.0, 7200.0, 4 * 3600.0):
        assert at(cell, t_s) == (4.25, pytest.approx(at(by_hand, t_s)[1], rel=1e-4))
        expected = by_hand.charge_mah(t_s)[0]
        assert cell.charge_mah(t_s)[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("level_ma", "limit_v"), [(ONE_C_MA, 8.0), (-ONE_C_MA, 5.0)])
def test_beyond_either_end_the_limit_holds_and_the_current_dies(level_ma, limit_v):
    cell, stage = staged(level_ma, limit_v)
    for t_s in np.linspace(0.0, 3 * 3600.0, 200):
        stage.check(float(t_s))
        voltage_v, current_ma = at(cell, float(t_s))
        assert abs(voltage_v) <= limit_v * (1.0 + 1e-6) + 2e-2  # what 1 ms moves at a steep end
        assert abs(current_ma) <= ONE_C_MA * (1.0 + 1e-9)
    assert stage.clamped
    assert current_ma == 0.0


def test_an_output_that_is_off_in_its_normal_state_discharges_the_cell():
    cell, stage = staged(ONE_C_MA, 4.25)
    stage.check(3600.0)
    charged = cell.charge_mah(3600.0)[0]
    stage.drive(3600.0, Drive("voltage", 0.0, 10.0))  # NORMAL: 0 V behind a current limit
    stage.check(7200.0)
    assert cell.charge_mah(7200.0)[0] < 0.05 * charged
    stage.drive(7200.0, OPEN)
    assert at(cell, 7200.0)[1] == 0.0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(times=st.lists(st.floats(0.0, 14_400.0), max_size=12).map(sorted))
def test_looking_never_changes_what_the_unit_does(times):
    def end(looks):
        cell, stage = staged(ONE_C_MA, 4.25)
        for t_s in [*looks, 14_400.0]:
            stage.check(t_s)
        return cell.snapshot(14_400.0)

    assert end(times) == end([])
