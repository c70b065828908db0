"""A short is what collapses: the resistance of a symmetric cell, the voltage of one with an EMF."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.shorts import first_met
from plans.collapse import VoltageCollapse
from plans.shorts import hard_short, soft_short

REST_S, STEP_S = 60.0, 10.0


def records(rest_v, pieces, *, rest=True):
    """Rest, then pieces of (current in mA, voltages)."""
    volts, amps = (
        ([rest_v] * int(REST_S / STEP_S), [0.0] * int(REST_S / STEP_S)) if rest else ([], [])
    )
    for current_ma, piece in pieces:
        volts += list(piece)
        amps += [current_ma] * len(piece)
    return np.arange(len(volts)) * STEP_S, np.array(volts), np.array(amps)


def met(make, columns, batch_s=300.0):
    return first_met(make, *columns, batch_s=batch_s)


@pytest.mark.parametrize("batch_s", [10.0, 70.0, 900.0, 1e6])
def test_polarisation_through_zero_is_no_short(batch_s):
    """Lithium against lithiated indium: stripped until the voltage has passed zero."""
    rise = -0.6 + 0.9 * np.linspace(0.0, 1.0, 200) ** 3
    columns = records(-0.623, [(0.045, rise)])
    assert (np.abs(rise) < 0.0623).sum() > 5
    assert met(hard_short, columns, batch_s) is None


@pytest.mark.parametrize("batch_s", [10.0, 70.0, 900.0, 1e6])
def test_a_collapse_while_plating_is_a_short(batch_s):
    plating = [-0.66] * 100 + [-0.0009] * 5
    columns = records(-0.623, [(-0.045, plating)])
    found = met(hard_short, columns, batch_s)
    assert found.t_s == pytest.approx(REST_S + 101 * STEP_S)
    assert "hard short: -0.0009 V after -0.623 V at rest" in found.text


def test_a_battery_that_shorts_on_discharge_takes_longer_to_be_believed():
    columns = records(3.9, [(-2.0, [3.7] * 50 + [0.01] * 40)])
    found = met(hard_short, columns)
    assert found.t_s == pytest.approx(REST_S + (50 + 19) * STEP_S)


def test_another_rate_of_a_battery_is_no_short():
    columns = records(3.9, [(0.2, [3.95] * 50), (2.0, [4.1] * 50), (20.0, [4.2] * 50)])
    assert met(hard_short, columns) is None


def test_a_symmetric_cell_shorts_by_its_resistance():
    columns = records(1e-5, [(0.0126, [0.05] * 100 + [0.0003] * 4)])
    found = met(hard_short, columns)
    assert found.t_s == pytest.approx(REST_S + 101 * STEP_S)
    assert "ohm" in found.text
    assert met(hard_short, records(0.0, [(0.0126, [0.05] * 100 + [0.0003] * 4)], rest=False))


def test_a_rest_after_the_short_does_not_make_it_the_new_normal():
    collapse = VoltageCollapse(0.1)
    columns = records(-0.623, [(0.0, [0.0] * 20), (-0.045, [-0.001] * 4)])
    assert collapse.look(*columns)
    assert collapse.rest_v == -0.623


def test_what_is_no_number_is_no_evidence():
    columns = records(-0.623, [(-0.045, [-0.66] * 20 + [np.nan] * 20 + [-0.66] * 20)])
    assert met(hard_short, columns) is None
    assert met(soft_short, columns) is None
