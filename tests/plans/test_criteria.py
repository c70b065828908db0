"""Conditions on records and readings: what is met, when, and that polling does not matter."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.cell_records import Records
from devices.roles import Reading
from plans.conditions import CRITERIA, Terms
from plans.criteria import AnyOf, Latch, Level, Repeated
from plans.evidence import Column, Value
from plans.shorts import hard_short, soft_short

STEP_S, REST_S = 10.0, 100.0
ON_CELL = [
    "hard_short", "soft_short", "voltage_above_v", "voltage_jump_v", "dv_dt_above_v_per_h",
    "dv_dt_below_v_per_h", "overpotential_above_v", "charge_mah_per_cm2", "throughput_mah_per_cm2",
    "duration_s", "cycle_number",
]  # fmt: skip
ON_READINGS = sorted(set(CRITERIA) - set(ON_CELL))


def records(volts, amps, *, step_s=STEP_S, cycle=1, connected_s=-np.inf):
    t_s = np.arange(len(volts)) * step_s
    volts, amps = np.asarray(volts, float), np.broadcast_to(np.asarray(amps, float), len(volts))
    charge = np.concatenate([[0.0], np.cumsum(amps[1:] * np.diff(t_s) / 3600.0)])
    through = np.concatenate([[0.0], np.cumsum(np.abs(amps[1:]) * np.diff(t_s) / 3600.0)])
    return Records(t_s, volts, amps, charge, through, 0, cycle, connected_s)


def part(whole, first, last):
    rows = slice(first, last)
    return Records(
        whole.t_s[rows], whole.voltage_v[rows], whole.current_ma[rows], whole.charge_mah[rows],
        whole.throughput_mah[rows], whole.step_index, whole.cycle, whole.connected_s,
    )  # fmt: skip


def batches(whole, cuts):
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(whole.t_s)}), len(whole.t_s)]
    return [part(whole, a, b) for a, b in pairwise(edges)]


def mets(criterion, parts):
    return [met for one in parts for met in criterion.update(one)]


def make(name, value=0.0, **terms):
    return CRITERIA[name](Terms(value=value, **terms))


# --- levels -------------------------------------------------------------------------------------


def test_a_latch_confirms_holds_and_is_armed_again():
    latch = Latch(confirm=2)
    far = np.array([1, 0, 1, 1, 1, 0, 1, 1], bool)
    near = np.array([0, 0, 0, 0, 0, 1, 0, 0], bool)
    assert latch.beginnings(far, near) == [3, 7]


@pytest.mark.parametrize("hysteresis", [0.0, 0.1, 0.3])
def test_a_level_is_met_again_only_after_it_has_gone_back_far_enough(hysteresis):
    level = Level(Column("voltage_v"), 1.0, hysteresis=hysteresis)
    found = level.update(records([0.5, 1.1, 0.95, 1.2, 0.65, 1.3], 0.0))
    expected = {0.0: [1.1, 1.2, 1.3], 0.1: [1.1, 1.3], 0.3: [1.1, 1.3]}[hysteresis]
    assert [met.value for met in found] == expected


def test_what_is_no_number_neither_meets_nor_goes_back():
    level = Level(Value(), 0.5, confirm=2, hysteresis=0.1)
    seen = [
        Reading(1.0, 0.6),
        Reading(2.0, np.nan, quality="black"),
        Reading(3.0, 0.9, quality="poor fit"),
        Reading(4.0, 0.7),
        Reading(5.0, 0.0, quality="dark"),
        Reading(6.0, 0.8),
    ]
    assert [met.t_s for met in mets(level, seen)] == [4.0]


def test_below_and_inclusive():
    below = make("temperature_below_celsius", -20.0)
    found = mets(below, [Reading(t, v) for t, v in enumerate((-10.0, -20.0, -21.0))])
    assert [met.t_s for met in found] == [2.0]
    assert "below -20" in found[0].text
    duration = make("duration_s", 50.0)
    assert duration.update(records(np.zeros(10), 0.0))[0].t_s == 50.0
    cycle = make("cycle_number", 3)
    assert not cycle.update(records([0.0], 0.0, cycle=2))
    assert cycle.update(records([0.0], 0.0, cycle=3))


def test_any_of_several():
    either = AnyOf(make("voltage_above_v", 1.0), make("duration_s", 20.0))
    found = either.update(records([0.0, 2.0, 2.0, 2.0], 0.0))
    assert [met.t_s for met in found] == [10.0, 20.0]
    assert either.holding


def test_repeated_counts_within_a_time_and_anew():
    level = Level(Column("voltage_v"), 1.0, hysteresis=0.0)
    thrice = Repeated(level, 3, 60.0, name="it comes and goes")
    volts = [0, 2, 0, 2, 0, 2, 0, 2, 0] + [0] * 20 + [2, 0] * 2
    found = thrice.update(records(volts, 0.0))
    assert [met.t_s for met in found] == [50.0]
    assert "3 times within 60 s" in found[0].text


# --- the voltage --------------------------------------------------------------------------------


def test_a_step_of_current_is_no_jump_but_a_step_of_voltage_is():
    volts = [0.1] * 20 + [0.2] * 20 + [0.26] * 20
    amps = [1.0] * 20 + [2.0] * 40
    (met,) = make("voltage_jump_v", 0.05).update(records(volts, amps))
    assert met.t_s == 400.0
    assert met.value == pytest.approx(0.06)


def test_what_a_reversal_and_a_connection_do_is_no_jump():
    volts = 0.1 + 0.5 * np.exp(-np.arange(30) * STEP_S / 2.0)  # a time constant of 2 s
    connected = records(volts, 1.0, connected_s=0.0)
    assert make("voltage_jump_v", 0.05).update(connected) == []
    assert make("voltage_jump_v", 0.05, settle_s=0.0).update(connected)
    back = np.concatenate([np.full(30, 0.1), -volts])
    reversed_there = records(back, [1.0] * 30 + [-1.0] * 30)
    assert make("voltage_jump_v", 0.05).update(reversed_there) == []


def test_a_ramp_is_no_jump_unless_it_is_steep_enough():
    ramp = np.arange(60) * 0.001
    assert make("voltage_jump_v", 0.05).update(records(ramp, 1.0)) == []
    (met,) = make("voltage_jump_v", 0.05, within_s=600.0).update(records(ramp, 1.0))
    assert met.t_s == 520.0  # from 10 s on, when it had settled


def test_slopes_of_a_ramp_and_of_a_plateau():
    volts = np.concatenate([np.arange(60) * 0.001, np.full(60, 0.06)])
    whole = records(volts, 1.0)
    (steep,) = make("dv_dt_above_v_per_h", 0.3).update(whole)
    assert steep.value == pytest.approx(0.36)
    (flat,) = make("dv_dt_below_v_per_h", 0.01).update(whole)
    assert 600 + 250 < flat.t_s <= 600 + 310


def test_the_overpotential_counts_from_the_last_rest():
    volts = [3.9] * 10 + [4.0] * 10 + [3.95] * 10 + [4.3] * 10
    amps = [0.0] * 10 + [1.0] * 10 + [0.0] * 10 + [1.0] * 10
    (met,) = make("overpotential_above_v", 0.3).update(records(volts, amps))
    assert met.value == pytest.approx(0.35)
    assert make("overpotential_above_v", 0.3).update(records([4.3] * 20, 1.0)) == []


def test_charges_count_per_area_and_either_way():
    whole = records(np.zeros(100), -3.78)  # 0.0105 mAh a record
    (met,) = make("charge_mah_per_cm2", 2.0, area_cm2=0.1).update(whole)
    assert met.value == pytest.approx(0.21)
    (through,) = make("throughput_mah_per_cm2", 2.0, area_cm2=0.1).update(whole)
    assert through.t_s == met.t_s


# --- numbers out of frames ----------------------------------------------------------------------


def test_a_drop_counts_from_the_first_spectrum_and_takes_a_bound_for_what_it_is():
    drop = make("bulk_resistance_drop", 0.3)
    seen = [
        Reading(1.0, 50.0, quality="not resolved"),
        Reading(2.0, 100.0),
        Reading(3.0, 75.0),
        Reading(4.0, 2.0, quality="upper bound: the cell is shorted"),
    ]
    (met,) = mets(drop, seen)
    assert (met.t_s, met.value) == (4.0, pytest.approx(0.98))


# --- soft shorts --------------------------------------------------------------------------------


def noisy(level_v, count, dips):
    volts = np.full(count, level_v)
    for at in dips:
        volts[at] *= 0.75
    return volts


def test_a_resistance_that_dips_again_and_again_is_a_soft_short():
    """Row 13: soft, by resistance."""
    assert soft_short().update(records(noisy(0.05, 120, (50, 70)), 1.0)) == []
    (met,) = soft_short().update(records(noisy(0.05, 120, (50, 70, 90)), 1.0))
    assert met.t_s == 900.0
    assert "dips" in met.text


def test_a_contact_that_comes_and_goes_at_high_resistance_is_none():
    rise = 0.05 * np.exp(np.arange(200) / 40.0)
    rise[150::7] *= 0.7
    assert soft_short().update(records(rise, 1.0)) == []


def test_a_resistance_that_falls_slowly_through_the_limit_does_not_dip():
    rng = np.random.default_rng(0)
    slow = 0.05 * np.concatenate([np.ones(200), np.linspace(1.0, 0.8, 60), np.full(100, 0.8)])
    slow *= 1.0 + 0.01 * rng.standard_normal(len(slow))
    assert soft_short().update(records(slow, 1.0)) == []


def test_contact_that_plating_restores_is_no_short():
    """Lithium plated back on a void interface: 0.5 V of polarisation vanish within minutes."""
    rng = np.random.default_rng(1)
    volts = -0.66 - 0.45 * np.exp(-np.arange(120) * STEP_S / 150.0)
    volts += 0.005 * rng.standard_normal(120)
    whole = np.concatenate([np.full(10, -0.62), volts])
    plating = records(whole, np.concatenate([np.zeros(10), np.full(120, -1.0)]))
    assert soft_short().update(plating) == []


def charging(volts, rest_v=3.8):
    whole = np.concatenate([np.full(10, rest_v), volts])
    return records(whole, np.concatenate([np.zeros(10), np.ones(len(volts))]))


def test_the_voltage_of_a_charged_cell_neither_falls_nor_dips():
    ramp = 3.9 + 0.002 * np.arange(100)
    assert soft_short().update(charging(ramp)) == []
    dips = ramp.copy()
    dips[[40, 60, 80]] -= 0.15
    (met,) = soft_short().update(charging(dips))
    assert "voltage dips" in met.text
    fallen = np.where(np.arange(100) < 60, ramp, 3.0)
    (first, *_) = soft_short().update(charging(fallen))
    assert first.t_s == (10 + 62) * STEP_S
    discharge = records(
        np.concatenate([np.full(10, 3.8), 3.6 - 0.02 * np.arange(100)]),
        np.concatenate([np.zeros(10), -np.ones(100)]),
    )
    assert soft_short().update(discharge) == []


def cycled(backs, charge=60):
    """Charges of one length; what comes back, in records, cycle by cycle; a charge after them."""
    volts, amps = [3.8] * 10, [0.0] * 10
    for back in (*backs, 0):
        volts += [4.0] * charge + [3.8] * 3 + [3.6] * back + [3.8] * 3
        amps += [1.0] * charge + [0.0] * 3 + [-1.0] * back + [0.0] * 3
    return records(volts, amps)


def test_charge_that_does_not_come_back_is_a_soft_short():
    """Row 13: soft, by charge."""
    usual = [45, 58, 57, 58, 57]  # the first cycle loses charge for good
    assert soft_short().update(cycled(usual)) == []
    (met,) = soft_short().update(cycled([*usual, 45]))
    assert "charge lost in a cycle" in met.text
    assert soft_short().update(cycled([30, 30, 30, 30, 30])) == []  # as the protocol has it


# --- polling does not matter --------------------------------------------------------------------


def lively(seed, count, rest_v):
    """A rest, then currents that reverse, jumps, dips, falls and gaps."""
    rng = np.random.default_rng(seed)
    amps = np.repeat(rng.choice([1.0, -1.0, 0.5, 0.0], count // 15 + 1), 15)[:count]
    ohm = 100.0 * np.cumprod(1.0 + 0.01 * rng.standard_normal(count))
    ohm *= np.where(rng.random(count) < 0.06, 0.3, 1.0)
    ohm[int(0.8 * count) :] *= rng.choice([1.0, 0.05])
    volts = rest_v + 1e-3 * amps * ohm
    volts[rng.random(count) < 0.02] = np.nan
    rests = int(REST_S / STEP_S)
    return records(
        np.concatenate([np.full(rests, rest_v), volts]), np.concatenate([np.zeros(rests), amps])
    )


VALUES = {
    "voltage_above_v": 0.1, "voltage_jump_v": 0.03, "dv_dt_above_v_per_h": 1.0,
    "dv_dt_below_v_per_h": 0.5, "overpotential_above_v": 0.09, "charge_mah_per_cm2": 0.05,
    "throughput_mah_per_cm2": 0.2, "duration_s": 700.0, "cycle_number": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", ON_CELL)
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rest_v=st.sampled_from([0.0, 3.8]),
    cuts=st.lists(st.integers(10, 200), max_size=40),
    at=st.integers(10, 190),
)
def test_batches_and_a_restart_change_nothing(name, seed, rest_v, cuts, at):
    """However records fall into polls, and across a checkpoint, the same times are met once."""
    whole = lively(seed, 190, rest_v)
    terms = {"within_s": 60.0} if name.startswith("dv_dt") else {}

    def fresh():
        return make(name, VALUES.get(name, 0.0), **terms)

    expected = mets(fresh(), batches(whole, [10]))  # the rest is a step of its own
    assert mets(fresh(), batches(whole, [10, *cuts])) == expected
    before, after = fresh(), fresh()
    found = mets(before, batches(part(whole, 0, at), [10, *cuts]))
    after.restore(json.loads(json.dumps(before.state(), allow_nan=False)))
    assert after.holding == before.holding
    found += mets(after, batches(part(whole, at, len(whole.t_s)), [c - at for c in cuts]))
    assert found == expected


@pytest.mark.parametrize("name", ON_READINGS)
def test_criteria_on_readings_survive_a_restart(name):
    values = np.abs(np.sin(np.arange(40) / 3.0))
    seen = [Reading(float(k), float(v) * (k != 7)) for k, v in enumerate(values, 1)]
    expected = mets(make(name, 0.5), seen)
    assert expected
    before, after = make(name, 0.5), make(name, 0.5)
    found = mets(before, seen[:17])
    after.restore(json.loads(json.dumps(before.state(), allow_nan=False)))
    assert found + mets(after, seen[17:]) == expected


def test_composites_survive_a_restart():
    def fresh():
        level = Level(Column("voltage_v"), 0.05, hysteresis=0.0)
        return AnyOf(Repeated(level, 2, 200.0, name="twice"), hard_short())

    whole = lively(3, 190, 0.0)
    expected = mets(fresh(), [whole])
    assert expected
    before, after = fresh(), fresh()
    found = mets(before, [part(whole, 0, 90)])
    after.restore(json.loads(json.dumps(before.state(), allow_nan=False)))
    assert found + mets(after, [part(whole, 90, 200)]) == expected
