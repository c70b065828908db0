"""Nickel on LLZTO: the published transient, any drive, and charge that adds up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from sim.errors import SimulationError
from sim.samples.blocking_pellet import BlockingPellet
from sim.samples.llzto_parameters import find_preset
from sim.samples.llzto_transients import (
    CHARGING_S_PER_V,
    CHARGING_TIME_S,
    step_potential_current_a,
)

DRIVES = st.lists(
    st.tuples(
        st.floats(0.0, 500.0),
        st.booleans(),
        st.floats(-1.0, 1.0),
    ),
    min_size=1,
    max_size=8,
)


def cell() -> BlockingPellet:
    return BlockingPellet.from_preset("nickel_2mm", seed=4)


def test_a_potential_step_gives_the_papers_transient():
    pellet = cell()
    pellet.apply_voltage(10.0, 0.5)
    times = np.geomspace(1.0, 3600.0, 60)
    expected = step_potential_current_a(times, 0.5, find_preset("lithiophobic").parameters)
    at = pellet.terminals(10.0 + times)
    assert at.current_ma == pytest.approx(1e3 * expected, rel=1e-12)
    assert at.voltage_v == pytest.approx(np.full(60, 0.5))
    # 2.6 nA per volt for electrodes of 2 mm, Siniscalchi et al. 2024
    assert at.current_ma[-1] * 1e6 / 0.5 == pytest.approx(2.6, rel=0.02)


@given(DRIVES)
def test_any_drive_is_the_circuits_response(drives):
    """Against a numerical solution of the circuit's equation."""
    pellet, t_s, u_v = cell(), 0.0, 0.0
    for wait_s, is_voltage, value in drives:
        if is_voltage:
            pellet.apply_voltage(t_s, value)
        else:
            pellet.apply_current(t_s, 1e-5 * value)
        current_a = 1e-8 * value
        total_s = pellet.leak_s + CHARGING_S_PER_V

        def slope(_t, u, forced=is_voltage, v=value, i=current_a, g=total_s):
            volts = v if forced else (i + CHARGING_S_PER_V * u) / g
            return (volts - u) / CHARGING_TIME_S

        end = solve_ivp(slope, (0.0, wait_s + 1.0), [u_v], rtol=1e-10, atol=1e-13).y[0, -1]
        t_s += wait_s + 1.0
        u_v = float(end)
        assert pellet.snapshot(t_s)["electrode_v"] == pytest.approx(u_v, rel=1e-6, abs=1e-9)


@given(DRIVES, st.lists(st.floats(0.0, 4000.0), max_size=20))
def test_looking_changes_nothing_and_charge_is_what_the_branch_carried(drives, looks):
    seen, unseen, t_s = cell(), cell(), 0.0
    for wait_s, is_voltage, value in drives:
        for pellet in (seen, unseen):
            if is_voltage:
                pellet.apply_voltage(t_s, value)
            else:
                pellet.apply_current(t_s, 1e-5 * value)
        for look_s in looks:
            seen.charge_mah(t_s + look_s)
            seen.terminals(np.array([t_s + look_s]))
        t_s += wait_s
    assert seen.snapshot(t_s) == unseen.snapshot(t_s)
    net, throughput = seen.charge_mah(t_s)
    farad = CHARGING_S_PER_V * CHARGING_TIME_S
    assert net == pytest.approx(farad * seen.snapshot(t_s)["electrode_v"] / 3.6, abs=1e-15)
    assert throughput >= abs(net) - 1e-15


def test_at_open_circuit_it_discharges_through_the_leak():
    pellet = cell()
    pellet.apply_voltage(0.0, 1.0)
    pellet.apply_current(3600.0, 0.0)
    first, later = pellet.terminals(np.array([3600.0, 3600.0 + 600.0])).voltage_v
    assert 0.0 < later < first < 1.0
    time_s = CHARGING_TIME_S * (pellet.leak_s + CHARGING_S_PER_V) / pellet.leak_s
    assert later / first == pytest.approx(math.exp(-600.0 / time_s), rel=1e-9)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(SimulationError, match="llzto_blocking: apply"):
        cell().apply_current(0.0, value)
    pellet = cell()
    pellet.apply_voltage(5.0, 1.0)
    with pytest.raises(SimulationError, match="no time before it"):
        pellet.apply_voltage(4.0, 1.0)
    with pytest.raises(SimulationError, match="descend"):
        cell().terminals(np.array([2.0, 1.0]))
    with pytest.raises(SimulationError, match="expected one of nickel_2mm"):
        BlockingPellet.from_preset("gold")
