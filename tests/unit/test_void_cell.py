"""The cell as instruments meet it: terminals, forced voltage, pressure, short, exhaustion."""

from __future__ import annotations

import numpy as np
import pytest

from sim.errors import SimulationError
from sim.samples.constants import UM_PER_MAH_PER_CM2
from sim.samples.impedance import impedance_ohm
from sim.samples.void_cell import VoidCell

REST_V = -0.623
FULL_OHM_CM2 = 34.3


def cell_of(name="li_lpscl", seed=0, density=0.0, pressure_mpa=None):
    cell = VoidCell.from_preset(name, seed=seed, stack_pressure_mpa=pressure_mpa)
    cell.apply_current(0.0, density * cell.area_cm2)
    return cell


def at(cell, t_s):
    pair = cell.terminals(np.array([t_s]))
    return float(pair.voltage_v[0]), float(pair.current_ma[0])


def shorted():
    """A cell that was delaminated, turned at 10 800 s and has shorted by 21 600 s."""
    cell = cell_of(density=0.5)
    cell.apply_current(10_800.0, -0.5 * cell.area_cm2)
    short_s = cell.short_time_s(21_600.0)
    assert short_s is not None
    return cell, short_s


def test_at_rest_the_counter_electrode_sets_the_voltage():
    assert at(cell_of(), 100.0) == (REST_V, 0.0)


@pytest.mark.parametrize("density", [0.5, -0.5, 0.05])
def test_first_voltage_is_ohmic_and_current_is_what_is_forced(density):
    cell = cell_of(density=density)
    depletion_v = 0.25 if density < 0.0 else 0.0  # the indium was never given lithium
    voltage_v, current_ma = at(cell, 0.0)
    assert voltage_v == pytest.approx(REST_V + 1e-3 * density * FULL_OHM_CM2 - depletion_v)
    assert current_ma == pytest.approx(density * 1.267)


def test_a_new_current_holds_at_the_switching_instant():
    cell = cell_of(density=0.5)
    cell.apply_current(100.0, 0.0)
    assert at(cell, 100.0) == (REST_V, 0.0)
    assert at(cell, 99.9)[1] == pytest.approx(0.5 * 1.267)


def test_charge_is_the_integral_of_the_current():
    cell = cell_of(density=0.5)
    cell.apply_current(3_600.0, 0.0)
    cell.apply_current(4_000.0, -0.25 * cell.area_cm2)
    net, throughput = cell.charge_mah(4_000.0 + 1_800.0)
    assert net == pytest.approx((0.5 - 0.125) * 1.267)
    assert throughput == pytest.approx((0.5 + 0.125) * 1.267)
    assert cell.charge_mah(1_800.0)[0] == pytest.approx(0.25 * 1.267)


def test_a_forced_voltage_drives_what_the_contact_lets_through():
    cell = VoidCell.from_preset("li_lpscl", seed=2)
    cell.apply_voltage(0.0, REST_V + 0.030)
    voltage_v, first_ma = at(cell, 0.0)
    assert voltage_v == pytest.approx(-0.593)
    assert first_ma == pytest.approx(30.0 / FULL_OHM_CM2 * 1.267)
    times_s = np.linspace(0.0, 7_200.0, 7_201)
    pair = cell.terminals(times_s)
    assert pair.current_ma[-1] < 0.5 * first_ma
    integral = np.sum(pair.current_ma[:-1]) / 3600.0
    assert cell.charge_mah(7_200.0)[0] == pytest.approx(integral, rel=2e-3)


def test_a_forced_voltage_plates_until_the_counter_electrode_is_empty():
    cell = cell_of(density=0.5, pressure_mpa=7.0)
    cell.apply_voltage(7_200.0, REST_V - 0.050)
    assert at(cell, 7_200.0)[1] == pytest.approx(-50.0 / FULL_OHM_CM2 * 1.267)
    truth = cell.snapshot(200_000.0)
    assert truth["current_ma"] == 0.0
    assert truth["plated_mah_per_cm2"] == pytest.approx(0.92 * 1.0, abs=0.05)


def test_pressure_applied_later_stops_new_voids():
    cell, twin = cell_of(density=0.5), cell_of(density=0.5)
    cell.apply_pressure(1_800.0, 7.0)
    assert cell.snapshot(1_800.0)["stack_pressure_mpa"] == 7.0
    before, after = cell.geometry(1_800.0), cell.geometry(5_400.0)
    assert after.contact_loss == before.contact_loss > 0.3
    assert twin.geometry(5_400.0).contact_loss > after.contact_loss + 0.2


def test_pressure_at_construction_and_by_method_are_the_same():
    built = cell_of(density=0.5, pressure_mpa=1.2)
    changed = VoidCell.from_preset("li_lpscl")
    changed.apply_pressure(0.0, 1.2)
    changed.apply_current(0.0, 0.5 * changed.area_cm2)
    assert built.snapshot(3_000.0) == changed.snapshot(3_000.0)


def test_the_short_is_where_the_longest_filament_arrives():
    cell, short_s = shorted()
    assert cell.short_time_s(np.nextafter(short_s, 0.0)) is None
    before, there = cell.geometry(short_s - 36.0), cell.geometry(short_s)
    assert there.filament_lengths_um.max() == pytest.approx(500.0)
    per_s = 500.0 / (short_s - 10_800.0)
    assert before.filament_lengths_um.max() == pytest.approx(500.0 - 36.0 * per_s)


def test_after_the_short_the_filament_carries_the_current():
    cell, short_s = shorted()
    voltage_v, current_ma = at(cell, short_s)
    assert current_ma == pytest.approx(-0.5 * 1.267)
    assert voltage_v == pytest.approx(20.0 * current_ma / 1000.0)
    assert cell.charge_mah(short_s + 5_000.0) == cell.charge_mah(short_s)
    cell.apply_current(30_000.0, 0.0)
    assert at(cell, 30_000.0) == (0.0, 0.0)
    cell.apply_voltage(30_100.0, 0.010)
    assert at(cell, 30_100.0) == (0.010, pytest.approx(0.5))


def test_impedance_follows_contact_and_short():
    cell, short_s = shorted()
    fresh, void = cell.resistances(0.0), cell.resistances(3_600.0)
    lost = cell.geometry(3_600.0).contact_loss
    assert (fresh.bulk_ohm_cm2, fresh.interface_ohm_cm2) == (14.3, 20.0)
    assert void.interface_ohm_cm2 == pytest.approx(20.0 / (1.0 - lost))
    low_hz = np.array([1e-3])
    open_ohm = impedance_ohm(low_hz, fresh)[0].real
    assert open_ohm == pytest.approx(FULL_OHM_CM2 / 1.267, rel=1e-2)
    assert impedance_ohm(low_hz, cell.resistances(short_s))[0].real < 20.0


def test_metal_that_is_used_up_passes_no_more_current():
    cell = cell_of(density=2.0, pressure_mpa=50.0)
    all_s = 100.0 / UM_PER_MAH_PER_CM2 / 2.0 * 3600.0
    assert np.isfinite(at(cell, all_s - 1.0)[0])
    assert at(cell, all_s + 1.0) == (np.inf, 0.0)
    assert cell.snapshot(all_s + 1.0)["voltage_v"] is None
    assert cell.charge_mah(2 * all_s)[0] == pytest.approx(100.0 / UM_PER_MAH_PER_CM2 * 1.267)
    cell.apply_current(2 * all_s, -0.5 * cell.area_cm2)
    assert at(cell, 2 * all_s)[1] == pytest.approx(-0.5 * 1.267)


def test_filaments_are_kept_while_stripping_and_grow_only_under_high_local_current():
    cell = cell_of(density=0.5)
    cell.apply_current(10_800.0, -0.5 * cell.area_cm2)
    cell.apply_current(12_600.0, 0.5 * cell.area_cm2)
    kept = cell.geometry(12_600.0).filament_lengths_um
    assert kept.max() > 50.0
    np.testing.assert_array_equal(cell.geometry(14_400.0).filament_lengths_um, kept)
    cell.apply_current(14_400.0, -0.01 * cell.area_cm2)
    np.testing.assert_array_equal(cell.geometry(18_000.0).filament_lengths_um, kept)


def test_the_operando_cell_is_the_same_interface_on_a_smaller_area():
    large, small = cell_of("limg_lpscl", 4, 0.5), cell_of("limg_lpscl_operando", 4, 0.5)
    assert small.area_cm2 == 0.09
    np.testing.assert_allclose(
        small.geometry(9_000.0).left_um, large.geometry(9_000.0).left_um, atol=1e-9
    )


def test_no_times_give_no_readings():
    pair = cell_of().terminals(np.array([]))
    assert pair.voltage_v.shape == pair.current_ma.shape == (0,)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda c: c.apply_current(5.0, np.nan), "expected finite numbers"),
        (lambda c: c.apply_current(np.inf, 1.0), "expected finite numbers"),
        (lambda c: c.apply_voltage(-1.0, 0.1), "expected ascending times"),
        (lambda c: c.apply_pressure(5.0, -0.1), "stack pressure -0.1 MPa, expected 0 or more"),
        (lambda c: c.terminals(np.array([2.0, 1.0])), "expected ascending"),
        (lambda c: c.terminals(np.array([-1.0])), "expected 0 or later"),
        (lambda c: c.snapshot(np.nan), "expected 0 or later"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, match):
    with pytest.raises(SimulationError, match=match):
        wrong(cell_of())
