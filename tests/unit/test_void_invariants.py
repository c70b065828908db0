"""What holds for every protocol: conservation, geometry, monotony; looking changes nothing."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sim.errors import SimulationError
from sim.samples.constants import UM_PER_MAH_PER_CM2
from sim.samples.void_cell import VoidCell
from sim.samples.void_parameters import PRESETS

pytestmark = pytest.mark.long

ROUNDING_UM2 = 1e-9


class Segment(NamedTuple):
    """A drive (mA/cm2 or V) at a pressure, for some time."""

    is_voltage: bool
    value: float
    pressure_mpa: float
    duration_s: float


pressures = st.sampled_from([0.2, 0.2, 1.0, 5.0, 20.0])
currents = st.builds(
    Segment,
    st.just(value=False),
    st.one_of(st.just(0.0), st.floats(0.05, 2.0), st.floats(-2.0, -0.05)),
    pressures,
    st.floats(0.5, 3_600.0),
)
voltages = st.builds(
    Segment, st.just(value=True), st.floats(-0.9, -0.5), pressures, st.floats(0.5, 900.0)
)
protocols = st.lists(st.one_of(currents, currents, voltages), min_size=1, max_size=12)
names = st.sampled_from(["li_lpscl", "limg_lpscl"])
seeds = st.integers(0, 10_000)
thirty = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)


def apply(cell, t_s, segment):
    cell.apply_pressure(t_s, segment.pressure_mpa)
    if segment.is_voltage:
        cell.apply_voltage(t_s, segment.value)
    else:
        cell.apply_current(t_s, segment.value * cell.area_cm2)


def run(cell, protocol, between=lambda cell, t0_s, t1_s: None):
    """Applies a protocol; `between` may look at the cell during each segment. Returns the end."""
    t_s = 0.0
    for segment in protocol:
        apply(cell, t_s, segment)
        between(cell, t_s, t_s + segment.duration_s)
        t_s += segment.duration_s
    return t_s


def stripped(name, seed, until, density=0.5):
    cell = VoidCell.from_preset(name, seed=seed)
    cell.apply_current(0.0, density * cell.area_cm2)
    return cell, until / density * 3600.0


def check(cell, t_s):
    truth = cell.snapshot(t_s)
    json.dumps(truth, allow_nan=False)
    areas = sum(truth["void_areas_um2"])
    balance = areas + truth["closed_um2"] + truth["refilled_um2"]
    assert balance == pytest.approx(truth["supplied_um2"], abs=ROUNDING_UM2)
    window_um = cell.geometry(t_s).window_um
    volume_um2 = truth["stripped_mah_per_cm2"] * UM_PER_MAH_PER_CM2 * window_um
    assert truth["supplied_um2"] <= 0.5 * volume_um2 + ROUNDING_UM2
    edges = np.array(truth["void_intervals_um"]).ravel()
    assert (np.diff(edges) > 0.0).all()
    assert edges.size == 0 or (edges[0] >= 0.0 and edges[-1] <= window_um)
    assert 0.0 <= truth["contact_loss"] <= 1.0
    assert truth["filament_charge_mah_per_cm2"] <= truth["plated_mah_per_cm2"]
    net, throughput = cell.charge_mah(t_s)
    assert net == pytest.approx(
        (truth["stripped_mah_per_cm2"] - truth["plated_mah_per_cm2"]) * cell.area_cm2
    )
    assert throughput >= abs(net) - 1e-12


@thirty
@given(names, seeds, protocols)
def test_area_and_order_hold_throughout(name, seed, protocol):
    cell = VoidCell.from_preset(name, seed=seed)
    end_s = run(cell, protocol)
    for t_s in np.linspace(0.0, end_s, 7):
        check(cell, float(t_s))


@thirty
@given(names, seeds, protocols, st.lists(st.floats(0.0, 1.0), max_size=4))
def test_looking_changes_no_bit(name, seed, protocol, shares):
    quiet, watched = (VoidCell.from_preset(name, seed=seed) for _ in range(2))
    seen = {}

    def look(cell, t0_s, t1_s):
        for share in shares:
            t_s = min(t0_s + share * (t1_s - t0_s), np.nextafter(t1_s, 0.0))
            seen[t_s] = cell.snapshot(t_s)
            cell.terminals(np.array([t_s]))
            cell.short_time_s(t_s)
            cell.geometry(0.5 * t_s)
            cell.snapshot(t1_s + 500.0)  # as if this drive went on

    end_s = run(quiet, protocol)
    assert run(watched, protocol, look) == end_s
    assert watched.snapshot(end_s) == quiet.snapshot(end_s)
    for t_s, truth in seen.items():
        assert quiet.snapshot(t_s) == truth == watched.snapshot(t_s)


@thirty
@given(names, seeds, st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_slices_of_one_current_are_one_current(name, seed, slices):
    whole, cut = (VoidCell.from_preset(name, seed=seed) for _ in range(2))
    whole.apply_current(0.0, 0.5 * whole.area_cm2)
    t_s = 0.0
    for count in slices:
        cut.apply_current(t_s, 0.5 * cut.area_cm2)
        t_s += count * 11.0
    assert cut.snapshot(t_s) == whole.snapshot(t_s)


@thirty
@given(
    seeds,
    st.lists(
        st.tuples(st.floats(0.05, 2.0), st.floats(0.0, 3.0), st.floats(1.0, 900.0)),
        min_size=1,
        max_size=10,
    ),
)
def test_void_forming_charge_is_the_sum_over_drives(seed, drives):
    cell = VoidCell.from_preset("li_lpscl", seed=seed)
    t_s = expected = 0.0
    for density, pressure_mpa, duration_s in drives:
        apply(
            cell,
            t_s,
            Segment(
                is_voltage=False, value=density, pressure_mpa=pressure_mpa, duration_s=duration_s
            ),
        )
        healed = 0.10 + 0.40 * (pressure_mpa / 1.5) ** 6.6
        expected += max(0.0, density - healed) * duration_s / 3600.0
        t_s += duration_s
    truth = cell.snapshot(t_s)
    assert truth["void_charge_mah_per_cm2"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    supplied_um2 = 0.5 * 4.839 * expected * 160.0
    assert truth["supplied_um2"] == pytest.approx(supplied_um2, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["li_lpscl", "limg_lpscl"])
def test_rests_on_and_off_the_lattice_leave_the_same_voids(name):
    whole, end_s = stripped(name, 3, 1.5)
    rested, _ = stripped(name, 3, 1.5)
    done_s, pause_s = (36.0 * 10, 36.0 * 7.3, 36.0 * 50.6), 100.0
    t_s = 0.0
    for each in done_s:
        rested.apply_current(t_s + each, 0.0)
        rested.apply_current(t_s + each + pause_s, 0.5 * rested.area_cm2)
        t_s += each + pause_s
    got = rested.geometry(end_s + len(done_s) * pause_s)
    expected = whole.geometry(end_s)
    np.testing.assert_allclose(got.left_um, expected.left_um, atol=1e-9)
    np.testing.assert_allclose(got.right_um, expected.right_um, atol=1e-9)
    np.testing.assert_allclose(got.area_um2, expected.area_um2, atol=1e-9)


@thirty
@given(seeds)
def test_lithium_only_loses_contact_while_stripped(seed):
    cell, end_s = stripped("li_lpscl", seed, 1.5)
    times_s = np.linspace(0.0, end_s, 30)
    losses = [cell.geometry(float(t_s)).contact_loss for t_s in times_s]
    assert (np.diff(losses) >= -1e-12).all()


def test_the_alloy_regains_contact_when_voids_split():
    regained = 0
    for seed in range(5):
        cell, end_s = stripped("limg_lpscl", seed, 3.0)
        losses = [cell.geometry(float(t)).contact_loss for t in np.linspace(0.0, end_s, 200)]
        regained += (np.diff(losses) < -0.01).any()
    assert regained >= 4


@thirty
@given(names, seeds, st.floats(0.1, 2.0), st.floats(0.05, 1.0))
def test_plating_refills_exponentially(name, seed, charge, plated):
    cell, turn_s = stripped(name, seed, charge)
    cell.apply_current(turn_s, -0.5 * cell.area_cm2)
    before = cell.geometry(turn_s).contact_loss
    after = cell.geometry(turn_s + plated * 7200.0)
    if cell.short_time_s(turn_s + plated * 7200.0) is None:
        assert after.contact_loss == pytest.approx(before * np.exp(-plated / 2.5), rel=1e-9)


def test_cycled_voids_open_again_where_they_were():
    cell, turn_s = stripped("li_lpscl", 1, 0.5)
    cell.apply_current(turn_s, -0.5 * cell.area_cm2)
    cell.apply_current(2 * turn_s, 0.5 * cell.area_cm2)
    plated, again = cell.geometry(2 * turn_s), cell.geometry(2 * turn_s + 720.0)
    assert again.contact_loss > plated.contact_loss
    assert len(again.left_um) <= len(plated.left_um)
    check(cell, 3 * turn_s)


@thirty
@given(names, seeds)
def test_same_seed_same_voids_other_seed_other_voids(name, seed):
    first, again, other = (stripped(name, each, 0.3)[0] for each in (seed, seed, seed + 1))
    assert first.snapshot(2160.0) == again.snapshot(2160.0)
    assert first.snapshot(2160.0) != other.snapshot(2160.0)


@thirty
@given(names, seeds, st.floats(0.01, 1.0))
def test_part_of_a_step_leads_to_the_whole(name, seed, charge):
    cell, end_s = stripped(name, seed, charge)
    steps = round(charge / 0.005)
    edge_s = steps * 36.0
    just_before, at = (cell.geometry(t_s) for t_s in (max(0.0, edge_s - 1e-5), edge_s))
    assert just_before.contact_loss == pytest.approx(at.contact_loss, abs=1e-4)
    assert end_s >= 0.0


def test_an_unknown_preset_is_named():
    with pytest.raises(SimulationError, match="void_cell: preset, got 'zinc', expected one of li_"):
        VoidCell.from_preset("zinc")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_describe_names_every_source(name):
    told = VoidCell.from_preset(name, seed=7, stack_pressure_mpa=1.5).describe()
    json.dumps(told, allow_nan=False)
    assert (told["model"], told["preset"], told["seed"]) == ("void_interface", name, 7)
    assert told["stack_pressure_mpa"] == 1.5
    for entry in told["parameters"].values():
        assert entry["source"].startswith(("[P]", "[A]", "[L]"))
