"""The cell at its terminals: drives, events, looking back, errors and provenance."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import numpy as np
import pytest

from sim.errors import SimulationError
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzo_parameters import PRESETS, UMOL_PER_MAH, LlzoParameters


def at(cell: LlzoCell, t_s: float) -> tuple[float, float]:
    found = cell.terminals(np.array([t_s]))
    return float(found.voltage_v[0]), float(found.current_ma[0])


@pytest.fixture
def small() -> LlzoCell:
    return LlzoCell.from_preset("small_4p8")


@pytest.fixture
def shorted() -> tuple[LlzoCell, float]:
    """A cell that 0.5 mA/cm2 without idle times shorts within days."""
    cell = LlzoCell.from_preset("small_4p8")
    t_s, sign = 0.0, 1.0
    while cell.short_time_s(t_s) is None:
        assert t_s < 10 * 86_400
        cell.apply_current(t_s, 0.5 * sign * cell.area_cm2)
        t_s, sign = t_s + 1800.0, -sign
    short_s = cell.short_time_s(t_s)
    assert short_s is not None
    return cell, short_s


def test_switching_instants_are_right_continuous(small):
    small.apply_current(0.0, 0.1 * small.area_cm2)
    before_v, _ = at(small, 1800.0)
    small.apply_current(1800.0, -0.1 * small.area_cm2)
    after_v, after_ma = at(small, 1800.0)
    assert before_v == pytest.approx(-after_v, rel=1e-9)
    assert after_ma == pytest.approx(-0.1 * small.area_cm2)
    just_before_v, just_before_ma = at(small, np.nextafter(1800.0, 0.0))
    assert just_before_v == pytest.approx(before_v, rel=1e-9)
    assert just_before_ma == pytest.approx(0.1 * small.area_cm2)


def test_one_call_for_a_week_equals_single_looks(small):
    t_s = 0.0
    for k in range(300):
        small.apply_current(t_s, (-1) ** k * 0.1 * small.area_cm2)
        t_s += 1800.0
    times_s = np.arange(0.0, t_s, 7.3)
    whole = small.terminals(times_s)
    for k in range(0, len(times_s), 997):
        assert at(small, times_s[k]) == (whole.voltage_v[k], whole.current_ma[k])


def test_voltage_drives_the_current_that_its_resistance_allows(small):
    small.apply_voltage(0.0, 0.049)
    assert at(small, 0.0) == pytest.approx((0.049, 0.1 * small.area_cm2), rel=1e-12)
    later_v, later_ma = at(small, 50_000.0)
    assert later_v == 0.049
    assert later_ma < 0.098 * small.area_cm2, "interphase and contact loss cost current"
    times_s = np.linspace(0.0, 50_000.0, 50_001)
    carried_mah = np.trapezoid(small.terminals(times_s).current_ma, times_s) / 3600
    assert small.charge_mah(50_000.0)[0] == pytest.approx(carried_mah, rel=1e-7)


def test_forcing_the_measured_voltage_gives_the_forced_current_back(small):
    small.apply_current(0.0, 0.02)
    voltage_v, _ = at(small, 9000.0)
    small.apply_voltage(9000.0, voltage_v)
    # before the change the running step was interpolated, after it the step ends there
    assert at(small, 9000.0) == pytest.approx((voltage_v, 0.02), rel=1e-7)
    small.apply_current(9000.0, 0.02)
    assert at(small, 9000.0) == pytest.approx((voltage_v, 0.02), rel=1e-7)


def test_a_short_found_by_running_ahead_is_not_seen_early(shorted):
    cell, short_s = shorted
    assert cell.short_time_s(short_s - 1e-3) is None
    assert cell.short_time_s(short_s) == short_s
    before_v, after_v = at(cell, short_s - 0.01)[0], at(cell, short_s)[0]
    assert abs(before_v) > 0.2
    assert abs(after_v) == pytest.approx(0.5e-3 * cell.area_cm2 * 20.0, rel=0.05)


@pytest.mark.long
def test_a_short_that_a_change_of_drive_prevents_does_not_happen(shorted):
    _, short_s = shorted
    other = LlzoCell.from_preset("small_4p8")
    sign, t_s = 1.0, 0.0
    while t_s < short_s - 10.0:
        other.apply_current(t_s, 0.5 * sign * other.area_cm2)
        t_s, sign = t_s + 1800.0, -sign
    assert other.short_time_s(t_s + 3600.0) is not None, "it would short if nothing changed"
    other.apply_current(short_s - 10.0, 0.0)
    assert other.short_time_s(short_s + 86_400.0) is None
    assert at(other, short_s + 1.0) == (0.0, 0.0)
    other.apply_current(short_s + 1e5, 0.5 * other.area_cm2)
    later_s = other.short_time_s(short_s + 2e5)
    assert later_s is not None
    assert later_s > short_s + 1e5


def test_after_a_short_only_ions_move_lithium(shorted):
    cell, short_s = shorted
    t0_s = math.ceil(short_s / 1800.0) * 1800.0
    cell.apply_current(t0_s, 0.4)
    state = cell.snapshot(t0_s)
    ionic_ohm = (
        state["bulk_ohm_cm2"] + state["interface_ohm_cm2"] + state["interphase_ohm_cm2"]
    ) / cell.area_cm2
    parallel_ohm = ionic_ohm * 20.0 / (ionic_ohm + 20.0)
    assert state["voltage_v"] == pytest.approx(0.4e-3 * parallel_ohm, rel=1e-9)
    net0, passed0 = cell.charge_mah(t0_s)
    net1, passed1 = cell.charge_mah(t0_s + 1.0)
    assert (net1 - net0) * 3600 == pytest.approx(state["voltage_v"] / ionic_ohm * 1e3, rel=1e-5)
    assert passed1 - passed0 == pytest.approx(net1 - net0, rel=1e-9)
    cell.apply_voltage(t0_s + 10.0, state["voltage_v"])
    assert at(cell, t0_s + 10.0)[1] == pytest.approx(0.4, rel=1e-5)


@pytest.fixture
def exhausted() -> tuple[LlzoCell, float]:
    """The tracer cell at constant 0.5 mA/cm2: 22.98 mAh/cm2 last 46 h."""
    cell = LlzoCell.from_preset("tracer_8p9")
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    return cell, 100.0 / (2 * 3.6 * cell.area_cm2) / 0.5 * 3600.0


def test_an_electrode_that_is_used_up_passes_no_current(exhausted):
    cell, end_s = exhausted
    assert end_s / 3600 == pytest.approx(46.0, abs=0.1)
    assert math.isfinite(at(cell, end_s - 0.01)[0])
    assert at(cell, end_s + 0.01) == (math.inf, 0.0)
    before, after = cell.charge_mah(end_s + 0.01), cell.charge_mah(end_s + 1e5)
    assert before == after
    assert before[0] / cell.area_cm2 == pytest.approx(22.98, abs=0.005)


def test_a_used_up_electrode_can_be_filled_again(exhausted):
    cell, end_s = exhausted
    t_s = end_s + 100.0
    cell.apply_voltage(t_s, 1.0)
    assert at(cell, t_s) == (1.0, 0.0)
    cell.apply_current(t_s + 10.0, -0.3)
    voltage_v, current_ma = at(cell, t_s + 10.0)
    assert current_ma == pytest.approx(-0.3)
    assert -1.0 < voltage_v < 0.0
    cell.apply_current(t_s + 3610.0, 0.3)
    assert math.isfinite(at(cell, t_s + 3610.0)[0])
    refilled_s = (
        3600.0 * (cell.snapshot(t_s + 3610.0)["electrodes_mah_per_cm2"][0]) / (0.3 / cell.area_cm2)
    )
    assert at(cell, t_s + 3610.0 + refilled_s + 0.01) == (math.inf, 0.0)
    cell.apply_current(t_s + 9000.0, 0.0)
    assert at(cell, t_s + 9000.0) == (0.0, 0.0)


def test_the_other_electrode_ends_with_the_other_sign():
    cell = LlzoCell.from_preset("tracer_8p9")
    cell.apply_current(0.0, -0.5 * cell.area_cm2)
    assert at(cell, 50 * 3600.0) == (-math.inf, 0.0)


def test_mean_layers_is_the_integral_of_the_layers(small):
    small.apply_current(0.0, 0.1 * small.area_cm2)
    small.apply_current(20_000.0, 0.0)
    small.apply_current(31_000.0, -0.1 * small.area_cm2)
    mean = small.mean_layers_umol_per_cm2(1234.5, 60_000.0)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    edges = np.linspace(1234.5, 60_000.0, 3001)
    half = 0.5 * np.diff(edges)
    times = (edges[:-1] + half)[:, None] + half[:, None] * nodes
    values = np.array([[small.layers_umol_per_cm2(t) for t in row] for row in times])
    numeric = np.einsum("ijk,j,i->k", values, weights, half) / (60_000.0 - 1234.5)
    assert mean == pytest.approx(numeric, rel=1e-7)
    parts = [
        small.mean_layers_umol_per_cm2(1234.5, 30_000.0) * (30_000.0 - 1234.5),
        small.mean_layers_umol_per_cm2(30_000.0, 60_000.0) * 30_000.0,
    ]
    assert mean * (60_000.0 - 1234.5) == pytest.approx(np.sum(parts, axis=0), rel=1e-12)


def test_layers_and_snapshot_agree(small):
    small.apply_current(0.0, 0.1 * small.area_cm2)
    state = small.snapshot(40_000.0)
    assert state["layers_umol_per_cm2"] == small.layers_umol_per_cm2(40_000.0).tolist()
    isotopes = small.isotopes(40_000.0)
    coulomb = isotopes.surface_dendrites_c + isotopes.bulk_dendrites_c
    amounts = 3.6 * small.area_cm2 * sum(state["layers_umol_per_cm2"]) / UMOL_PER_MAH
    assert coulomb == pytest.approx(amounts, rel=1e-9)
    json.dumps(state, allow_nan=False)


def test_a_pristine_cell_has_no_dendrites(small):
    assert small.crystalline_fraction(1e6) == 0.0
    assert np.all(small.layers_umol_per_cm2(1e6) == 0.0)
    assert math.isnan(small.isotopes(1e6).x6_dendrites)
    assert small.charge_mah(1e6) == (0.0, 0.0)
    empty = small.terminals(np.array([]))
    assert empty.voltage_v.shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.apply_current(-1.0, 0.1), r"expected not before 0\.0 s"),
        (lambda c: c.apply_current(1.0, math.nan), "expected finite numbers"),
        (lambda c: c.apply_voltage(math.inf, 0.1), "expected finite numbers"),
        (lambda c: c.terminals(np.array([2.0, 1.0])), "descend"),
        (lambda c: c.terminals(np.array([math.nan])), "finite time"),
        (lambda c: c.charge_mah(-1.0), "from 0 s on"),
        (lambda c: c.mean_layers_umol_per_cm2(5.0, 5.0), "expected an interval"),
    ],
)
def test_nonsense_is_refused(small, call, message):
    with pytest.raises(SimulationError, match=message):
        call(small)


def test_what_is_applied_cannot_be_changed_in_the_past(small):
    small.apply_current(100.0, 0.01)
    with pytest.raises(SimulationError, match=r"t = 99\.0 s, expected not before 100\.0 s"):
        small.apply_current(99.0, 0.02)
    assert small.charge_mah(3700.0)[0] == pytest.approx(0.01)


def test_the_last_of_several_drives_at_one_instant_counts(small):
    small.apply_current(50.0, 0.01)
    small.apply_voltage(50.0, 0.3)
    small.apply_current(50.0, -0.02)
    assert at(small, 50.0)[1] == pytest.approx(-0.02)
    assert small.charge_mah(3650.0) == pytest.approx((-0.02, 0.02))


def test_an_absurd_drive_ends_in_an_event_and_not_in_an_endless_loop():
    cell = LlzoCell.from_preset("tracer_8p9")
    cell.apply_current(0.0, 1e4)
    assert at(cell, 3600.0) == (math.inf, 0.0)


@pytest.mark.parametrize("current_ma", [1e-30, -1e-170, 5e-324])
def test_a_drive_too_small_to_matter_is_a_rest(current_ma):
    cell = LlzoCell.from_preset("small_4p8")
    cell.apply_current(0.0, current_ma)
    assert at(cell, 86_400.0)[1] == pytest.approx(current_ma, rel=1e-9)
    assert cell.layers_umol_per_cm2(86_400.0).sum() < 1e-20


def test_jitter_is_the_seeds_and_nothing_else():
    def layers(seed: int, jitter: float) -> list[float]:
        cell = LlzoCell.from_preset("small_4p8", seed=seed, jitter=jitter)
        cell.apply_current(0.0, 0.1 * cell.area_cm2)
        return cell.layers_umol_per_cm2(86_400.0).tolist()

    assert layers(1, 0.0) == layers(2, 0.0)
    assert layers(1, 0.1) == layers(1, 0.1)
    assert layers(1, 0.1) != layers(2, 0.1)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_description_names_a_source_for_every_constant(name):
    described = json.loads(
        json.dumps(LlzoCell.from_preset(name, seed=3, jitter=0.02).describe(), allow_nan=False)
    )
    assert (described["model"], described["preset"]) == ("llzo_cell", name)
    assert (described["seed"], described["jitter"]) == (3, 0.02)
    assert set(described["parameters"]) == {entry.name for entry in fields(LlzoParameters)}
    for entry in described["parameters"].values():
        assert entry["source"].startswith(("[P]", "[C]", "[A]", "[L]"))
        assert entry["unit"]


def test_presets_know_their_geometry():
    shapes = {name: preset.geometry for name, preset in PRESETS.items()}
    assert shapes["small_4p8"].electrode_radius_mm == 2.0
    assert shapes["small_4p8"].thickness_mm == pytest.approx(1.0)
    assert shapes["insitu_8p9"].electrode_diameter_mm == 8.0
    for name, preset in PRESETS.items():
        assert preset.parameters.thickness_cm == shapes[name].thickness_cm
    with pytest.raises(SimulationError, match="expected one of small_4p8, insitu_8p9, tracer"):
        LlzoCell.from_preset("medium")


def test_history_of_weeks_stays_small():
    cell, t_s = LlzoCell.from_preset("small_4p8"), 0.0
    for k in range(1200):
        cell.apply_current(t_s, (-1) ** k * 0.05 * cell.area_cm2)
        t_s += 1800.0
    cell.charge_mah(t_s)
    assert t_s > 24 * 86_400
    assert cell._course.history.size_bytes() < 10e6
