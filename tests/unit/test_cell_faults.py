"""A short beside the cell and a contact that is lost, against arithmetic and against itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import SimulationError
from sim.faults.cell import CellFault
from sim.faults.faulty_sample import FaultySample
from sim.samples.impedance import impedance_ohm
from sim.samples.linear_cell import LinearCell
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.void_cell import VoidCell

pytestmark = pytest.mark.unit

SAMPLES = {
    "resistor": lambda: LinearCell(0.0, 1000.0),
    "battery": lambda: LinearCell(3.8, 20.0, stiffness_v_per_mah=0.5),
    "llzo": lambda: LlzoCell.from_preset("small_4p8"),
    "void": lambda: VoidCell.from_preset("li_lpscl"),
    "pellet": lambda: LlztoPellet.from_preset("lithiophobic"),
}


def seen(sample, *times_s):
    found = sample.terminals(np.array(times_s, dtype=float))
    return found.voltage_v.tolist(), found.current_ma.tolist()


@pytest.mark.parametrize("make", SAMPLES.values(), ids=SAMPLES)
def test_without_faults_no_bit_changes(make):
    bare, wrapped = make(), FaultySample(make())
    for k, current_ma in enumerate((0.01, 0.0, -0.02, 0.03)):
        for one in (bare, wrapped):
            one.apply_current(600.0 * k, current_ma)
        times = 600.0 * k + np.linspace(0, 599, 7)
        assert np.array_equal(bare.terminals(times).voltage_v, wrapped.terminals(times).voltage_v)
        assert bare.charge_mah(600.0 * k + 300) == wrapped.charge_mah(600.0 * k + 300)
    assert bare.describe() == wrapped.describe()


def test_a_resistor_beside_a_resistor():
    for ohm in (1.0, 1000.0, 1e6):
        cell = FaultySample(LinearCell(0.0, 1000.0), [CellFault("short", 100, 200, ohm=ohm)])
        cell.apply_current(0.0, 0.01)
        both = ohm * 1000.0 / (ohm + 1000.0)
        volts, amps = seen(cell, 0, 99.9, 100, 150, 199.9, 200)
        alone, shorted = 1e-5 * 1000.0, 1e-5 * both
        assert volts == pytest.approx([alone, alone, shorted, shorted, shorted, alone], rel=1e-9)
        assert amps == [0.01] * 6
        lithium_ma_s = 0.01 * (100 + 100 * both / 1000.0 + 50)  # the resistor's share moves none
        assert cell.charge_mah(250)[0] == pytest.approx(lithium_ma_s / 3600, rel=1e-9)


def test_a_battery_empties_itself_through_a_short():
    """At open circuit: q decays exponentially with (R + r) / (k / 3600), here 151.2 s."""
    cell = FaultySample(SAMPLES["battery"](), [CellFault("short", 10, math.inf, ohm=1.0)])
    times = np.array([0.0, 9.9, 10.0, 60.0, 161.2, 1000.0])
    volts = cell.terminals(times).voltage_v
    decay = np.exp(-np.maximum(times - 10.0, 0) / (21.0 * 3600 / 500))
    expected = np.where(times < 10.0, 3.8, 3.8 / 21.0 * decay)
    assert volts == pytest.approx(expected, rel=0.02, abs=1e-4)
    assert seen(cell, 0.0, 60.0)[1] == [0.0, 0.0]  # an ammeter at the terminals sees nothing
    assert cell.charge_mah(1e4)[0] == pytest.approx(-3.8 / 0.5, rel=1e-3)


def test_a_forced_voltage_lies_on_both():
    cell = FaultySample(SAMPLES["battery"](), [CellFault("short", 10, 20, ohm=2.0)])
    cell.apply_voltage(0.0, 3.9)
    volts, amps = seen(cell, 9.0, 10.0)
    assert volts == [3.9, 3.9]
    assert amps[1] - amps[0] == pytest.approx(3.9 / 2.0 * 1e3, rel=1e-3)


@pytest.mark.parametrize("make", SAMPLES.values(), ids=SAMPLES)
def test_a_lost_contact_stops_everything(make):
    cell = FaultySample(make(), [CellFault("open", 100, 200)])
    cell.apply_current(0.0, -0.01)
    volts, amps = seen(cell, 99, 100, 150, 199, 200, 250)
    assert amps == [-0.01, 0, 0, 0, -0.01, -0.01]
    assert volts[1:4] == [-math.inf] * 3
    assert all(map(math.isfinite, (volts[0], *volts[4:])))
    moved = -0.01 * np.array([100, 100, 100, 150]) / 3600
    found = [cell.charge_mah(t)[0] for t in (100, 150, 200, 250)]
    assert found == pytest.approx(moved.tolist(), rel=1e-6)
    cell.apply_current(300.0, 0.0)
    cell.add(CellFault("open", 400, 500))
    assert seen(cell, 450.0) == ([0.0], [0.0])
    cell.apply_voltage(460.0, 0.5)
    assert seen(cell, 460.0, 499.0) == ([0.5, 0.5], [0.0, 0.0])


def test_faults_of_a_cell_add_up():
    cell = FaultySample(
        LinearCell(0.0, 1000.0),
        [
            CellFault("short", 10, 100, ohm=1000.0),
            CellFault("short", 20, 100, ohm=1000.0),
            CellFault("open", 30, 40),
        ],
    )
    cell.apply_current(0.0, 0.03)
    volts, amps = seen(cell, 5, 15, 25, 35, 45)
    assert volts == pytest.approx([0.03, 0.015, 0.01, math.inf, 0.01])
    assert amps == [0.03, 0.03, 0.03, 0.0, 0.03]


def test_impedance_sees_them():
    cell = FaultySample(
        SAMPLES["llzo"](), [CellFault("short", 10, 20, ohm=5.0), CellFault("open", 30, 40)]
    )
    frequencies = np.array([1.0])
    sound, shorted, lost = (
        abs(impedance_ohm(frequencies, cell.resistances(t_s))[0]) for t_s in (5, 15, 35)
    )
    assert sound > 1000
    assert shorted == pytest.approx(5.0 * sound / (5.0 + sound), rel=1e-3)
    assert lost > 1e9
    assert cell.snapshot(15)["faults"] == ["short"]
    assert cell.snapshot(15)["short_ohm"] == 5.0
    assert cell.snapshot(35)["is_open"]
    assert "faults" not in cell.snapshot(25)
    pellet = FaultySample(SAMPLES["pellet"](), [CellFault("short", 10, 20, ohm=5.0)])
    assert pellet.resistances(15).short_ohm == 5.0
    assert pellet.resistances(25).short_ohm is None


def test_what_else_a_sample_has_is_passed_on():
    cell = FaultySample(SAMPLES["pellet"](), [CellFault("short", 10, 20)])
    assert cell.geometry == SAMPLES["pellet"]().geometry
    assert cell.short_time_s(100.0) is None  # the pellet's own
    cell.set_temperature(5.0, 60.0)
    assert cell.snapshot(15.0)["temperature_celsius"] == 60.0
    with pytest.raises(AttributeError):
        _ = cell.nothing_of_the_kind


def test_the_past_stays_as_it_was():
    cell = FaultySample(SAMPLES["llzo"]())
    cell.apply_current(100.0, 0.01)
    with pytest.raises(SimulationError, match="the past cannot be changed"):
        cell.add(CellFault("short", 99.0, 200.0))
    with pytest.raises(SimulationError, match=r"expected not before 100\.0 s"):
        cell.apply_current(99.0, 0.0)
    with pytest.raises(ValueError, match="expected more than 0"):
        CellFault("short", 0, 1, ohm=0.0)
    with pytest.raises(ValueError, match="expected the end after the start"):
        CellFault("open", 1, 1)


DRIVES = st.lists(
    st.tuples(
        st.floats(1.0, 900.0),
        st.sampled_from(["apply_current", "apply_voltage"]),
        st.sampled_from([0.0, 0.01, -0.02, 0.05]),
    ),
    min_size=1,
    max_size=4,
)
FAULTS = st.lists(
    st.builds(
        lambda kind, start_s, length_s, ohm: CellFault(kind, start_s, start_s + length_s, ohm=ohm),
        st.sampled_from(["short", "open"]),
        st.floats(0, 1500),
        st.floats(1.0, 1500) | st.just(math.inf),
        st.sampled_from([0.5, 300.0, 1e5]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(SAMPLES)),
    drives=DRIVES,
    faults=FAULTS,
    looks=st.lists(st.floats(0.0, 3000.0), max_size=6),
)
@pytest.mark.long
def test_looking_changes_nothing(name, drives, faults, looks):
    """Whoever looks at whatever time, the cell goes the same way to the last bit."""
    asked, alone = (FaultySample(SAMPLES[name](), faults) for _ in range(2))
    t_s = 0.0
    for length_s, method, value in drives:
        for one in (asked, alone):
            getattr(one, method)(t_s, value)
        for look_s in sorted(looks):
            asked.terminals(np.array([t_s + look_s]))
            asked.charge_mah(t_s + 0.5 * look_s)
        t_s += length_s
        assert asked.charge_mah(t_s) == alone.charge_mah(t_s)
        times = t_s + np.array([0.0, 1.0, 77.0])
        first, second = asked.terminals(times), alone.terminals(times)
        assert np.array_equal(first.voltage_v, second.voltage_v, equal_nan=True)
        assert np.array_equal(first.current_ma, second.current_ma, equal_nan=True)


@settings(max_examples=25, deadline=None)
@given(
    ohm=st.sampled_from([1.0, 1000.0, 1e5]),
    current_ma=st.sampled_from([0.0, 0.01, -0.03]),
    name=st.sampled_from(["battery", "llzo", "void"]),
)
def test_the_split_conserves_charge(ohm, current_ma, name):
    """What passes the terminals is what the lithium carries and what the resistor takes."""
    cell = FaultySample(SAMPLES[name](), [CellFault("short", 0, math.inf, ohm=ohm)])
    cell.apply_current(0.0, current_ma)
    times = np.linspace(0.0, 3600.0, 3601)
    resistor_ma = 1e3 * cell.terminals(times).voltage_v / ohm
    lithium_mah = cell.charge_mah(3600.0)[0]
    through = lithium_mah + np.trapezoid(resistor_ma, times) / 3600
    scale = abs(current_ma) + abs(lithium_mah) + abs(resistor_ma).max()
    assert through == pytest.approx(current_ma, abs=0.02 * scale)
