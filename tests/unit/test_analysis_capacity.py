"""Capacity, efficiency and retention of a battery from records: arithmetic, then a real fade."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.capacity import capacity_table, is_battery
from orchestrator.analysis.cycles import Records
from orchestrator.report.battery import _with_error, capacities, capacity_unit, draw_battery
from orchestrator.report.contents import Contents
from sim.samples.full_cell import FullCell
from tests.galvanostat import run_to

PERIOD_S = 10.0


def records_of(current_ma, voltage_v, time_s=None):
    """Records whose charge is the current times the time to the next one."""
    current_ma, voltage_v = np.asarray(current_ma, float), np.asarray(voltage_v, float)
    time_s = PERIOD_S * np.arange(len(current_ma)) if time_s is None else np.asarray(time_s)
    moved = np.concatenate([[0.0], current_ma[:-1] * np.diff(time_s) / 3600.0])
    return Records(
        time_s=time_s,
        voltage_v=voltage_v,
        current_ma=current_ma,
        charge_mah=np.cumsum(moved),
        throughput_mah=np.cumsum(np.abs(moved)),
        cycle=np.ones(len(current_ma), np.int64),
    )


def battery(halves, rest=5):
    """Records of (current, number of records) one after the other, with rests between."""
    current = np.concatenate([np.r_[np.full(n, i), np.zeros(rest)] for i, n in halves])
    return records_of(current, 3.7 + 0.1 * np.sign(current))


def test_cycles_are_found_without_being_numbered():
    table = capacity_table(battery([(2.0, 180), (-2.0, 171), (1.0, 360), (-1.0, 324)]))
    assert table.cycle.tolist() == [1, 2]
    assert table.charge_mah == pytest.approx([1.0, 1.0])
    assert table.discharge_mah == pytest.approx([0.95, 0.9])
    assert table.efficiency == pytest.approx([0.95, 0.9])
    assert table.retention == pytest.approx([1.0, 0.9 / 0.95])
    assert table.discharge_ma == pytest.approx([2.0, 1.0], rel=0.01)
    assert table.quality == ("ok", "ok")


def test_the_error_is_that_of_the_last_interval():
    table = capacity_table(battery([(2.0, 180), (-2.0, 171), (2.0, 180), (-2.0, 160)], rest=0))
    one = 2.0 * PERIOD_S / 3600.0 / np.sqrt(12.0)
    assert table.charge_error_mah == pytest.approx([one, one])
    assert table.discharge_error_mah == pytest.approx([one, one])
    expected = table.efficiency[1] * np.hypot(one / 1.0, one / table.discharge_mah[1])
    assert table.efficiency_error[1] == pytest.approx(expected, rel=1e-2)
    assert table.retention_error[0] == 0.0
    assert table.retention_error[1] > 0.0


def test_voltage_is_weighted_by_charge_and_a_hold_belongs_to_its_half():
    current = np.r_[np.full(100, 2.0), np.geomspace(2.0, 0.1, 50), np.full(120, -2.0), 0.0]
    voltage = np.r_[np.full(100, 4.0), np.full(50, 4.25), np.full(120, 3.5), 3.6]
    table = capacity_table(records_of(current, voltage))
    assert len(table) == 1
    held = current[100:150].sum() * PERIOD_S / 3600.0
    constant = 200.0 * PERIOD_S / 3600.0
    assert table.charge_mah[0] == pytest.approx(held + constant)
    expected_v = (4.25 * held + 4.0 * constant) / (held + constant)
    assert table.charge_v[0] == pytest.approx(expected_v, abs=2e-3)
    assert table.discharge_v[0] == pytest.approx(3.5, abs=1e-2)


def test_halves_that_are_missing_are_said():
    table = capacity_table(battery([(-2.0, 90), (2.0, 180), (-2.0, 170), (2.0, 50)]))
    assert table.quality == ("no charge", "ok", "no discharge")
    assert np.isnan(table.efficiency[0])
    assert table.retention[2] == 0.0
    chosen = capacity_table(battery([(-2.0, 90), (2.0, 180), (-2.0, 170)]), reference=2)
    assert chosen.retention == pytest.approx([90 / 170, 1.0])


def test_a_symmetric_cell_is_no_battery():
    current = np.tile(np.r_[np.full(50, 0.01), np.full(50, -0.01)], 3)
    symmetric = records_of(current, 5.0 * current)
    assert not is_battery(symmetric)
    assert set(capacity_table(symmetric).quality) == {"voltage follows the current"}
    assert is_battery(battery([(2.0, 20), (-2.0, 20)]))
    assert not is_battery(battery([(2.0, 20)]))
    assert not is_battery(records_of(np.zeros(5), np.full(5, 3.0)))


def test_noise_at_rest_begins_no_cycle():
    records = battery([(2.0, 180), (-2.0, 171), (2.0, 180), (-2.0, 160)], rest=40)
    noise = 1e-6 * np.random.default_rng(3).standard_normal(len(records.time_s))
    noisy = replace(records, current_ma=records.current_ma + noise)
    assert len(capacity_table(noisy)) == 2


@pytest.mark.parametrize("current", [[], [0.0, 0.0]])
def test_nothing_flowed(current):
    with pytest.raises(ValueError, match="records without current, expected a charge"):
        capacity_table(records_of(current, np.full(len(current), 3.0)))


@pytest.mark.parametrize("reference", [0, 3])
def test_a_reference_that_does_not_exist_is_refused(reference):
    with pytest.raises(ValueError, match="expected 1 to 2"):
        capacity_table(battery([(2.0, 9), (-2.0, 9), (2.0, 9)]), reference=reference)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([-2.0, -0.5, 0.0, 0.5, 2.0]), st.integers(1, 30)),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 5),
)
def test_cycles_add_up_to_the_run(halves, rest):
    records = battery(halves, rest)
    if not records.current_ma.any():
        return
    table = capacity_table(records)
    net = table.charge_mah.sum() - table.discharge_mah.sum()
    assert net == pytest.approx(records.charge_mah[-1], abs=1e-9)
    passed = table.charge_mah.sum() + table.discharge_mah.sum()
    assert passed == pytest.approx(records.throughput_mah[-1], abs=1e-9)


def test_records_of_a_fading_cell_give_its_own_charges_within_the_errors():
    """Twenty cycles of the simulated full cell, recorded each minute, against what it knows."""
    cell, t_s = FullCell.from_preset("nmc83_limg"), 0.0
    pieces, truth = [], []
    for _ in range(20):
        for density, limit_v in ((2.0, 4.25), (-2.0, 2.6)):
            begun, end_s = cell.charge_mah(t_s)[0], run_to(cell, t_s, density, limit_v)
            at = np.append(np.arange(t_s, end_s, 60.0), end_s - 1e-6)
            pieces.append((at, *cell.terminals(at).__dict__.values()))
            truth.append(abs(cell.charge_mah(end_s)[0] - begun))
            t_s = end_s
    time_s, voltage_v, current_ma = (np.concatenate(column) for column in zip(*pieces, strict=True))
    table = capacity_table(records_of(current_ma, voltage_v, time_s))
    assert len(table) == 20
    assert np.abs(table.charge_mah - truth[::2]).max() < 1e-5
    assert np.abs(table.discharge_mah - truth[1::2]).max() < 1e-5
    assert (np.diff(table.retention) < 0.0).all()
    assert 0.97 < table.retention[-1] < 0.99
    # as assembled it is emptier than a discharge at 2 mA/cm2 leaves it
    assert 0.99 < table.efficiency[0] < table.efficiency[1:].min()
    assert (np.abs(1.0 - table.efficiency[1:]) < 1e-3).all()
    assert 3.4 < table.discharge_v[0] < table.charge_v[0] < 4.1


def test_the_report_shows_errors_to_two_digits_and_units_of_the_metadata():
    assert _with_error(162.7764, 0.16) == "162.78 ± 0.16"
    assert _with_error(1630.4, 23.0) == "1630 ± 23"
    assert _with_error(1.0, 0.0) == "1"
    assert _with_error(float("nan"), 0.1) == "–"
    for sample, expected in (
        ({"mass_mg": 12.67, "area_cm2": 1.267}, (0.01267, "mAh/g")),
        ({"area_cm2": 1.267}, (1.267, "mAh/cm²")),
        ({"mass_mg": "heavy"}, (1.0, "mAh")),
    ):
        contents = Contents(
            start={"sample": sample},
            stop=None,
            begin_s=0.0,
            echem=None,
            imaging=None,
            micrographs=None,
            impedance=None,
            short=None,
            events=(),
            damage="",
        )
        assert capacity_unit(contents) == pytest.approx(expected)
        assert capacities(contents) == []
        assert draw_battery(contents) is None
