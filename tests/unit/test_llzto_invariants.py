"""What holds for every protocol on a pellet, and that looking changes nothing."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sim.samples.llzto_equations import next_node_mah_per_cm2
from sim.samples.llzto_parameters import PRESETS
from sim.samples.llzto_pellet import LlztoPellet

pytestmark = pytest.mark.long

SHORT_OHM = 499.0


class Segment(NamedTuple):
    """A drive (mA/cm2, V, or a temperature in C that leaves the drive) for some time."""

    kind: str
    value: float
    duration_s: float


durations = st.floats(0.5, 400.0)
currents = st.builds(
    Segment, st.just("current"), st.floats(-6.0, 6.0).map(lambda x: round(x, 3)), durations
)
voltages = st.builds(
    Segment, st.just("voltage"), st.floats(-1.0, 1.0).map(lambda x: round(x, 3)), durations
)
temperatures = st.builds(Segment, st.just("temperature"), st.floats(0.0, 80.0), durations)
protocols = st.lists(st.one_of(currents, currents, voltages, temperatures), min_size=3, max_size=8)
presets = st.sampled_from(sorted(PRESETS))
seeds = st.integers(0, 1000)
thirty = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)


def apply(cell: LlztoPellet, t_s: float, segment: Segment) -> None:
    if segment.kind == "temperature":
        cell.set_temperature(t_s, segment.value)
    elif segment.kind == "voltage":
        cell.apply_voltage(t_s, segment.value)
    else:
        cell.apply_current(t_s, segment.value * cell.area_cm2)


def run(cell: LlztoPellet, protocol: list[Segment]) -> float:
    t_s = 0.0
    for segment in protocol:
        apply(cell, t_s, segment)
        t_s += segment.duration_s
    return t_s


@thirty
@given(presets, seeds, protocols)
def test_looking_changes_nothing(preset, seed, protocol):
    """Polled, asked about the future, and driven the same again: the same bits."""
    left_alone = LlztoPellet.from_preset(preset, seed=seed)
    end_s = run(left_alone, protocol)
    polled = LlztoPellet.from_preset(preset, seed=seed)
    t_s = 0.0
    for segment in protocol:
        apply(polled, t_s, segment)
        polled.snapshot(t_s + 3.0 * segment.duration_s)
        for part in (0.9, 0.2, 0.55):
            polled.terminals(np.array([t_s, t_s + part * segment.duration_s]))
            polled.charge_mah(part * t_s)
        apply(polled, t_s + 0.4 * segment.duration_s, segment)
        t_s += segment.duration_s
    times_s = np.linspace(0.0, end_s, 20)
    for one, other in zip(
        (left_alone.snapshot(t) for t in times_s),
        (polled.snapshot(t) for t in times_s),
        strict=True,
    ):
        assert one == other
    assert left_alone.short_time_s(end_s) == polled.short_time_s(end_s)


@thirty
@given(presets, seeds, protocols)
def test_conservation_signs_and_monotony(preset, seed, protocol):
    cell = LlztoPellet.from_preset(preset, seed=seed)
    end_s = run(cell, protocol)
    states = [cell.snapshot(t_s) for t_s in np.linspace(0.0, end_s, 30)]
    for state in states:
        area = cell.area_cm2
        assert sum(state["electrodes_mah_per_cm2"]) == pytest.approx(2 * 200.0 / 4.839, rel=1e-12)
        assert sum(state["plated_mah_per_cm2"]) * area == pytest.approx(state["throughput_mah"])
        net = (state["plated_mah_per_cm2"][1] - state["plated_mah_per_cm2"][0]) * area
        assert net == pytest.approx(state["charge_mah"], abs=1e-9)
        assert state["voltage_v"] * state["current_ma"] >= 0.0
        assert (state["voltage_v"] == 0.0) == (state["current_ma"] == 0.0)
        assert 0.0 < state["contact_fraction"] <= 1.0
        assert all(0.0 <= length <= 1.0 for length in state["dendrites"])
        assert all(5.0 <= each["diameter_um"] <= 100.0 for each in state["spallations"])
        for face, name in enumerate("AB"):
            count = sum(each["face"] == name for each in state["spallations"])
            assert count <= state["pores"][face]
    for earlier, later in pairwise(states):
        assert len(later["spallations"]) >= len(earlier["spallations"])
        assert later["interface_ohm_cm2"] <= earlier["interface_ohm_cm2"]
        for face in (0, 1):
            assert later["dendrites"][face] >= earlier["dendrites"][face] - 1e-12
        assert (later["short_ohm"] is None) <= (earlier["short_ohm"] is None)


@thirty
@given(presets, seeds, protocols)
def test_charge_is_the_integral_of_the_lithiums_current(preset, seed, protocol):
    cell = LlztoPellet.from_preset(preset, seed=seed)
    end_s = run(cell, protocol)
    times_s = np.linspace(0.0, end_s, 4_001)
    middle_s = 0.5 * (times_s[1:] + times_s[:-1])
    found = cell.terminals(middle_s)
    short_s = cell.short_time_s(end_s)
    leak_ma = np.where(
        middle_s >= (np.inf if short_s is None else short_s), found.voltage_v / SHORT_OHM * 1e3, 0.0
    )
    ionic_ma = found.current_ma - leak_ma
    net_mah = ionic_ma.sum() * (end_s / 4_000) / 3600.0
    step_mah = np.abs(np.diff(ionic_ma)).sum() * (end_s / 4_000) / 3600.0
    assert net_mah == pytest.approx(cell.charge_mah(end_s)[0], abs=step_mah + 1e-9)


def test_after_a_short_both_paths_carry_the_current():
    cell = LlztoPellet.from_preset("lithiophobic", seed=5)
    applied_ma = 0.5 * cell.area_cm2
    cell.apply_current(0.0, applied_ma)
    short_s = cell.short_time_s(10_000.0)
    times_s = np.linspace(short_s, short_s + 5000.0, 50)
    found = cell.terminals(times_s)
    assert found.current_ma == pytest.approx(applied_ma, rel=1e-12)
    assert (found.voltage_v / found.current_ma * 1e3 <= SHORT_OHM).all()
    before, after = cell.charge_mah(short_s)[0], cell.charge_mah(short_s + 5000.0)[0]
    leak_mah = np.mean(found.voltage_v) / SHORT_OHM * 1e3 * 5000.0 / 3600.0
    assert after - before == pytest.approx(applied_ma * 5000.0 / 3600.0 - leak_mah, rel=0.02)
    assert cell.short_time_s(short_s - 1e-3) is None


def test_faces_are_alike_but_not_the_same():
    forward, backward = (LlztoPellet.from_preset("lithiophobic", seed=6) for _ in range(2))
    forward.apply_current(0.0, 0.0157)
    backward.apply_current(0.0, -0.0157)
    ahead, back = forward.snapshot(1800.0), backward.snapshot(1800.0)
    assert back["charge_mah"] == -ahead["charge_mah"]
    assert {each["face"] for each in ahead["spallations"]} == {"B"}
    assert {each["face"] for each in back["spallations"]} == {"A"}
    assert ahead["dendrites"][0] == back["dendrites"][1] == 0.0
    assert ahead["dendrites"][1] != back["dendrites"][0] > 0.0


def test_a_dendrite_from_either_face_shorts():
    cell = LlztoPellet.from_preset("lithiophobic", seed=6)
    cell.apply_current(0.0, -0.5 * cell.area_cm2)
    short_s = cell.short_time_s(12_000.0)
    before, after = cell.snapshot(short_s - 0.01), cell.snapshot(short_s)
    assert before["bulk_ohm_cm2"] == pytest.approx(66.0, abs=0.01)
    assert after["dendrites"] == [pytest.approx(1.0), 0.0]
    assert after["voltage_v"] / before["voltage_v"] < 0.04
    assert after["short_ohm"] == SHORT_OHM


def test_voltage_follows_the_resistances_within_a_step():
    """Between two lattice points only the flicker is held: the ratio to the rest is constant."""
    cell = LlztoPellet.from_preset("lithiophobic", seed=6)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    for charge_mah_per_cm2 in (0.02, 0.3):
        step_mah_per_cm2 = next_node_mah_per_cm2(charge_mah_per_cm2) - charge_mah_per_cm2
        parts = np.linspace(0.02, 0.98, 20) * step_mah_per_cm2
        times_s = (charge_mah_per_cm2 + parts) * 3600.0 / 0.5
        voltage_v = cell.terminals(times_s).voltage_v
        total = [r.bulk_ohm_cm2 + r.interface_ohm_cm2 for r in map(cell.resistances, times_s)]
        assert np.ptp(total) > 0.01
        assert np.ptp(voltage_v / total) < 1e-12 * voltage_v[0] / total[0]


def test_same_seed_same_cell_other_seed_other_pores():
    first, again, other = (LlztoPellet.from_preset("limg", seed=seed) for seed in (7, 7, 8))
    for cell in (first, again, other):
        cell.apply_current(0.0, 0.0157)
    assert first.snapshot(2000.0) == again.snapshot(2000.0)
    assert first.spallations(2000.0) != other.spallations(2000.0)
    json.dumps([first.snapshot(2000.0), first.describe()], allow_nan=False)


def test_voltage_flickers_only_with_spallations():
    cell = LlztoPellet.from_preset("lithiophobic", seed=9)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    times_s = np.linspace(0.0, 5000.0, 3000)
    found = cell.terminals(times_s).voltage_v
    smooth = np.array(
        [0.5e-3 * (r.bulk_ohm_cm2 + r.interface_ohm_cm2) for r in map(cell.resistances, times_s)]
    )
    relative = found / smooth - 1.0
    quiet = times_s < 3600.0 * 0.0029 / 0.5
    assert np.abs(relative[quiet]).max() < 1e-12
    assert np.std(relative[times_s > 400.0]) == pytest.approx(0.03, rel=0.15)
    cell.apply_current(5000.0, 0.0)
    assert cell.terminals(np.array([5000.0, 9000.0])).voltage_v.tolist() == [0.0, 0.0]


def test_lattice_points_are_hit_from_wherever_one_comes():
    found, q = [], 0.0
    while q < 0.0525:
        q = next_node_mah_per_cm2(q)
        found.append(q)
    expected = [*(2e-4 * np.arange(1, 251)), 0.051, 0.052, 0.053]
    assert found == pytest.approx(expected, rel=1e-12)
    assert next_node_mah_per_cm2(0.00031) == pytest.approx(4e-4)
    assert next_node_mah_per_cm2(0.0500001) == pytest.approx(0.051)
