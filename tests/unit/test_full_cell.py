"""The full cell as instruments meet it: terminals, limits, steep ends, temperature, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sim.errors import SimulationError
from sim.samples.full_cell import FullCell
from sim.samples.full_cell_equations import LATTICE, electrolyte_ohm_cm2, open_circuit
from sim.samples.full_cell_parameters import PRESETS, FullCellParameters
from sim.samples.impedance import impedance_ohm
from tests.galvanostat import run_to

P = FullCellParameters()
FULL_OHM_CM2 = 50.0 / 3.5 + P.transfer_ohm_cm2


def new(**surroundings):
    return FullCell.from_preset("nmc83_limg", **surroundings)


def at(cell, t_s):
    pair = cell.terminals(np.array([t_s]))
    return float(pair.voltage_v[0]), float(pair.current_ma[0])


def charged(density=2.0):
    """A cell that has just reached 4.25 V, and when."""
    cell = new()
    return cell, run_to(cell, 0.0, density, 4.25)


def test_as_assembled_it_rests_at_the_lower_limit():
    assert at(new(), 100.0) == (pytest.approx(2.6, abs=2e-3), 0.0)
    assert new().nominal_mah == pytest.approx(2.534)


def test_first_voltage_is_ohmic_and_a_positive_current_charges():
    cell = new()
    rest_v, _ = at(cell, 0.0)
    cell.apply_current(10.0, 2.0 * cell.area_cm2)
    voltage_v, current_ma = at(cell, 10.0)
    assert voltage_v - rest_v == pytest.approx(2e-3 * FULL_OHM_CM2)
    assert current_ma == pytest.approx(2.534)
    assert at(cell, 1810.0)[0] > voltage_v
    assert cell.charge_mah(1810.0) == pytest.approx((1.267, 1.267))
    assert at(cell, 5.0) == (rest_v, 0.0)


def test_a_hold_at_the_upper_limit_takes_the_charge_that_the_resistance_kept_out():
    cell, full_s = charged()
    current_v, _ = at(cell, full_s)
    assert current_v == pytest.approx(4.25, abs=1e-4)
    before = cell.charge_mah(full_s)[0]
    cell.apply_voltage(full_s, 4.25)
    assert at(cell, full_s) == (4.25, pytest.approx(2.534, rel=1e-3))
    held = cell.charge_mah(full_s + 36_000.0)[0] - before
    assert held / cell.area_cm2 == pytest.approx(0.49, abs=0.02)
    assert 0.0 < at(cell, full_s + 36_000.0)[1] < 1e-3


def test_at_rest_only_the_resistance_is_gone():
    cell, full_s = charged()
    loaded_v, _ = at(cell, full_s)
    ohm_cm2 = cell.snapshot(full_s)["resistance_ohm_cm2"]
    cell.apply_current(full_s, 0.0)
    assert loaded_v - at(cell, full_s)[0] == pytest.approx(2e-3 * ohm_cm2)
    assert at(cell, full_s + 86_400.0) == at(cell, full_s)


def test_both_ends_are_steep():
    curve = open_circuit(P)
    assert (np.diff(curve.volts) > 0.0).all()
    below_mah = 2.75 * (curve.state_of(2.6) - curve.state_of(0.0))
    assert below_mah < 0.05
    above_mah = 2.75 * (curve.state_of(5.0) - curve.state_of(4.5))
    assert above_mah < 0.15
    assert curve.volts[0] < 0.0
    assert curve.volts[-1] > 7.0


def test_the_table_is_finer_than_any_meter_between_the_limits():
    curve, finer = open_circuit(P), 0.5 * LATTICE
    middle = curve.states[:-1] + finer
    x = middle
    exact = (
        P.ocv_v
        + P.ocv_slope_v * x
        + P.step_v * np.tanh((x - P.step_place) / P.step_width)
        - P.knee_v * np.exp(-x / P.knee_width)
        + P.rise_v * np.exp((x - 1.0) / P.rise_width)
    )
    inside = (middle > 0.0) & (exact < 4.25)
    assert np.abs(curve.at(middle) - exact)[inside].max() < 3e-4
    assert np.abs(curve.at(middle) - exact)[inside & (middle > 0.03)].max() < 2e-5


def test_over_discharge_ends_where_the_cathode_takes_no_more_lithium():
    cell, full_s = charged()
    cell.apply_current(full_s, -2.0 * cell.area_cm2)
    empty_s = full_s + 2.75 * 3600.0
    assert at(cell, empty_s) == (-np.inf, 0.0)
    assert cell.snapshot(empty_s)["voltage_v"] is None
    assert cell.snapshot(empty_s)["state"] == P.least_state
    assert cell.charge_mah(empty_s) == cell.charge_mah(2 * empty_s)
    cell.apply_current(2 * empty_s, 0.5 * cell.area_cm2)
    assert np.isfinite(at(cell, 2 * empty_s)[0])


def test_over_charge_ends_where_the_cathode_has_no_more_lithium():
    cell = new()
    cell.apply_current(0.0, 2.0 * cell.area_cm2)
    assert at(cell, 2.9 * 1800.0) == (np.inf, 0.0)
    assert cell.snapshot(2.9 * 1800.0)["state"] == P.most_state
    assert cell.charge_mah(6000.0)[0] / cell.area_cm2 == pytest.approx(2.75, abs=0.002)


@pytest.mark.parametrize(("voltage_v", "state"), [(-5.0, P.least_state), (9.0, P.most_state)])
def test_a_clamp_beyond_the_ends_passes_current_until_there_is_no_more(voltage_v, state):
    cell, full_s = charged()
    cell.apply_voltage(full_s, voltage_v)
    assert at(cell, full_s)[1] * (voltage_v - 4.25) > 0.0
    assert at(cell, full_s + 20_000.0) == (voltage_v, 0.0)
    assert cell.snapshot(full_s + 20_000.0)["state"] == state


def test_zero_volts_discharge_it():
    """What a source-measure unit does whose output is off in its normal state."""
    cell, full_s = charged()
    cell.apply_voltage(full_s, 0.0)
    assert at(cell, full_s)[1] < -40.0
    assert cell.snapshot(full_s + 3600.0)["open_circuit_v"] < 1.0


def test_temperature_acts_on_the_electrolyte_and_pressure_on_the_fade():
    cell, full_s = charged()
    cool, cool_v = cell.resistances(full_s), at(cell, full_s)[0]
    cell.set_temperature(full_s, 60.0)
    cell.apply_pressure(full_s, 14.0)
    warm, truth = cell.resistances(full_s), cell.snapshot(full_s)
    assert cool.bulk_ohm_cm2 / warm.bulk_ohm_cm2 == pytest.approx(12.4 / 3.5)
    assert cool.interface_ohm_cm2 == warm.interface_ohm_cm2
    assert cool_v - at(cell, full_s)[0] == pytest.approx(2e-3 * 50.0 * (1 / 3.5 - 1 / 12.4))
    assert truth["loss_per_mah_per_cm2"] == pytest.approx(P.loss_per_mah_per_cm2 * 14.0**-0.4897)
    assert (truth["stack_pressure_mpa"], truth["temperature_celsius"]) == (14.0, 60.0)


def test_conductivity_is_arrhenius_through_both_measurements():
    assert electrolyte_ohm_cm2(P, 25.0) == pytest.approx(50.0 / 3.5)
    assert electrolyte_ohm_cm2(P, 60.0) == pytest.approx(50.0 / 12.4)
    slope = np.log(electrolyte_ohm_cm2(P, 0.0) / electrolyte_ohm_cm2(P, 25.0))
    activation_ev = slope * 8.617e-5 / (1 / 273.15 - 1 / 298.15)
    assert activation_ev == pytest.approx(0.309, abs=0.002)


def test_impedance_at_low_frequency_is_the_resistance():
    cell, full_s = charged()
    z = impedance_ohm(np.array([1e-3]), cell.resistances(full_s))[0]
    expected = cell.snapshot(full_s)["resistance_ohm_cm2"] / cell.area_cm2
    assert z.real == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_describe_names_every_source(name):
    told = FullCell.from_preset(name, stack_pressure_mpa=14.0).describe()
    json.dumps(told, allow_nan=False)
    assert (told["model"], told["preset"], told["stack_pressure_mpa"]) == ("full_cell", name, 14.0)
    for entry in told["parameters"].values():
        assert entry["source"].startswith(("[P]", "[A]", "[L]"))
    calibrated = [key for key, entry in told["parameters"].items() if "calibr" in entry["source"]]
    assert calibrated == [
        "ocv_slope_v",
        "transfer_ohm_cm2",
        "loss_per_mah_per_cm2",
        "pressure_exponent",
    ]


def test_no_times_give_no_readings():
    pair = new().terminals(np.array([]))
    assert pair.voltage_v.shape == pair.current_ma.shape == (0,)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda c: c.apply_current(5.0, np.nan), "expected finite numbers"),
        (lambda c: c.apply_current(np.inf, 1.0), "expected finite numbers"),
        (lambda c: c.apply_voltage(-1.0, 3.1), "expected ascending times"),
        (lambda c: c.apply_pressure(5.0, -0.1), "stack pressure -0.1 MPa, expected 0 or more"),
        (lambda c: c.set_temperature(5.0, -300.0), "temperature -300.0 C, expected one above"),
        (lambda c: c.terminals(np.array([2.0, 1.0])), "expected ascending"),
        (lambda c: c.terminals(np.array([-1.0])), "expected 0 or later"),
        (lambda c: c.snapshot(np.nan), "expected 0 or later"),
        (lambda _: FullCell.from_preset("lfp"), "preset, got 'lfp', expected one of nmc83_limg"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, match):
    with pytest.raises(SimulationError, match=match):
        wrong(new())
