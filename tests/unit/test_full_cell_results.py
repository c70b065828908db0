"""The full cell gives the published numbers when it is cycled as in the paper.

Zhao et al., Nature Communications 2025, Fig. 5: galvanostatic between 2.6 and 4.25 V at 25 C.
All five are calibrated; what stands on its own is that the cell, driven by another current, does
what its equations say, integrated here in another way.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sim.samples.full_cell import FullCell
from sim.samples.full_cell_parameters import FullCellParameters
from tests.galvanostat import cycle

pytestmark = pytest.mark.long

P = FullCellParameters()
WINDOW_V = (P.lower_v, P.upper_v)
ONE_C = 2.0
"""mA/cm2: the nominal 2 mAh/cm2 in an hour."""


def fresh(mpa=1.0, celsius=25.0):
    return FullCell.from_preset("nmc83_limg", stack_pressure_mpa=mpa, temperature_celsius=celsius)


def specific(cell, charge_mah):
    """mAh per gram of NMC."""
    return charge_mah / cell.area_cm2 / P.loading_mg_per_cm2 * 1e3


def capacity(rate, **surroundings):
    cell = fresh(**surroundings)
    return specific(cell, cycle(cell, 0.0, rate * ONE_C, WINDOW_V).discharged_mah)


def retention(cycles, mpa, density=ONE_C):
    cell, t_s, discharged = fresh(mpa), 0.0, []
    for _ in range(cycles):
        done = cycle(cell, t_s, density, WINDOW_V)
        t_s = done.end_s
        discharged.append(done.discharged_mah)
    return discharged[-1] / discharged[0]


@pytest.mark.parametrize(("rate", "published"), [(0.1, 208.0), (1.0, 163.0)])
def test_rate_capability(rate, published):
    assert capacity(rate) == pytest.approx(published, abs=0.5)


def test_capacity_per_area_at_2_ma_per_cm2():
    cell = fresh()
    done = cycle(cell, 0.0, 2.0, WINDOW_V)
    assert done.discharged_mah / cell.area_cm2 == pytest.approx(1.6, abs=0.05)


@pytest.mark.parametrize(("cycles", "mpa", "published"), [(260, 1.0, 0.76), (750, 14.0, 0.80)])
def test_retention(cycles, mpa, published):
    assert retention(cycles, mpa) == pytest.approx(published, abs=0.005)


def test_pressure_is_what_makes_the_difference():
    assert retention(260, 14.0) > retention(260, 1.0) + 0.1


def test_formation_at_rising_rates():
    cell, t_s, discharged = fresh(), 0.0, []
    for rate in (0.1, 0.2, 0.33, 0.5, 1.0):
        done = cycle(cell, t_s, rate * ONE_C, WINDOW_V)
        t_s = done.end_s
        discharged.append(specific(cell, done.discharged_mah))
    assert (np.diff(discharged) < 0.0).all()
    assert discharged[0] == pytest.approx(208.0, abs=0.5)
    assert discharged[-1] == pytest.approx(163.0, abs=2.0)  # worn by the four cycles before


def integrated_mah_per_cm2(density, mpa=1.0, ohm_cm2=50.0 / 3.5):
    """Charge and discharge by a general integrator from the equations, without the table."""
    capacity_mah_per_cm2 = 2.75
    loss = P.loss_per_mah_per_cm2 * mpa**-P.pressure_exponent

    def open_circuit_v(x):
        step = P.step_v * np.tanh((x - P.step_place) / P.step_width)
        ends = P.rise_v * np.exp((x - 1) / P.rise_width) - P.knee_v * np.exp(-x / P.knee_width)
        return P.ocv_v + P.ocv_slope_v * x + step + ends

    x, c, moved = 0.0, 1.0, []
    for sign, limit_v in ((1.0, P.upper_v), (-1.0, P.lower_v)):

        def rates(_q, y, sign=sign):
            return [sign / (capacity_mah_per_cm2 * y[1]), -loss * y[1]]

        def reached(_q, y, sign=sign, limit_v=limit_v):
            ohm = ohm_cm2 + P.transfer_ohm_cm2 / y[1]
            return sign * (open_circuit_v(y[0]) + sign * 1e-3 * density * ohm - limit_v)

        reached.terminal, reached.direction = True, 1.0
        done = solve_ivp(rates, (0.0, 4.0), [x, c], events=reached, rtol=1e-10, atol=1e-12)
        moved.append(float(done.t_events[0][0]))
        x, c = done.y_events[0][0]
    return moved


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("rate", [0.1, 1.0])
@pytest.mark.parametrize("mpa", [1.0, 14.0])
def test_at_other_currents_the_equations_are_the_truth(factor, rate, mpa):
    cell, density = fresh(mpa), factor * rate * ONE_C
    done = cycle(cell, 0.0, density, WINDOW_V)
    charged, discharged = integrated_mah_per_cm2(density, mpa)
    assert done.charged_mah / cell.area_cm2 == pytest.approx(charged, rel=2e-5)
    assert done.discharged_mah / cell.area_cm2 == pytest.approx(discharged, rel=2e-5)


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_fade_at_other_currents_is_that_of_the_equations(factor):
    """After n cycles the contact is exp(-k throughput), whatever the current."""
    cell, t_s, discharged = fresh(), 0.0, []
    for _ in range(60):
        done = cycle(cell, t_s, factor * ONE_C, WINDOW_V)
        t_s = done.end_s
        discharged.append(done.discharged_mah)
    truth = cell.snapshot(t_s)
    worn = np.exp(-P.loss_per_mah_per_cm2 * truth["throughput_mah_per_cm2"])
    assert truth["contact"] == pytest.approx(worn, rel=1e-12)
    assert 0.93 < discharged[-1] / discharged[0] < 0.97


def test_warmth_lowers_the_electrolytes_resistance_as_measured():
    cold, warm = fresh(), fresh(celsius=60.0)
    assert cold.resistances(0.0).bulk_ohm_cm2 == pytest.approx(14.3, abs=0.05)
    assert warm.resistances(0.0).bulk_ohm_cm2 == pytest.approx(4.03, abs=0.05)
    _, discharged = integrated_mah_per_cm2(2.0, ohm_cm2=50.0 / 12.4)
    assert capacity(1.0, celsius=60.0) == pytest.approx(1e2 * discharged, rel=2e-5)
    assert capacity(1.0, celsius=60.0) > capacity(1.0) + 4.0
    assert capacity(1.0, celsius=0.0) < capacity(1.0)
