"""What holds for every protocol: conservation, bounds, monotony; looking changes nothing."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sim.samples.full_cell import FullCell
from sim.samples.full_cell_parameters import FullCellParameters
from tests.galvanostat import cycle

pytestmark = pytest.mark.long

P = FullCellParameters()
CAPACITY = 2.75
DIGITS = 1e-12


class Segment(NamedTuple):
    """A drive (mA/cm2 or V) under a pressure and a temperature, for some time."""

    is_voltage: bool
    value: float
    mpa: float
    celsius: float
    duration_s: float


pressures = st.sampled_from([0.0, 0.2, 1.0, 5.0, 14.0, 50.0])
temperatures = st.sampled_from([-10.0, 25.0, 60.0])
currents = st.builds(
    Segment,
    st.just(value=False),
    st.one_of(st.just(0.0), st.floats(0.05, 4.0), st.floats(-4.0, -0.05)),
    pressures,
    temperatures,
    st.floats(1.0, 7_200.0),
)
voltages = st.builds(
    Segment,
    st.just(value=True),
    st.one_of(st.floats(2.6, 4.25), st.floats(-5.0, 9.0)),
    pressures,
    temperatures,
    st.floats(1.0, 7_200.0),
)
protocols = st.lists(st.one_of(currents, currents, voltages), min_size=1, max_size=12)
thirty = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)


def new(mpa=1.0):
    return FullCell.from_preset("nmc83_limg", stack_pressure_mpa=mpa)


def apply(cell, t_s, segment):
    cell.apply_pressure(t_s, segment.mpa)
    cell.set_temperature(t_s, segment.celsius)
    if segment.is_voltage:
        cell.apply_voltage(t_s, segment.value)
    else:
        cell.apply_current(t_s, segment.value * cell.area_cm2)


def run(cell, protocol, between=lambda cell, t0_s, t1_s: None):
    """Applies a protocol; `between` may act on the cell during each segment. Returns the end."""
    t_s = 0.0
    for segment in protocol:
        apply(cell, t_s, segment)
        between(cell, t_s, t_s + segment.duration_s)
        t_s += segment.duration_s
    return t_s


def switches_s(protocol):
    return np.concatenate(([0.0], np.cumsum([segment.duration_s for segment in protocol])))


def within(t0_s, t1_s, count):
    """Times in [t0, t1), dense at both ends of the interval."""
    inside = t0_s + (t1_s - t0_s) * 0.5 * (1.0 - np.cos(np.linspace(0.0, np.pi, count)))
    return np.minimum(inside, np.nextafter(t1_s, 0.0))


@thirty
@given(protocols)
def test_charge_is_the_integral_of_the_current(protocol):
    cell = new()
    run(cell, protocol)
    throughput = 0.0
    for t0_s, t1_s in zip(switches_s(protocol)[:-1], switches_s(protocol)[1:], strict=True):
        times_s = within(t0_s, t1_s, 4001)
        current_ma = cell.terminals(times_s).current_ma
        integral = np.trapezoid(current_ma, times_s) / 3600.0
        net = cell.charge_mah(times_s[-1])[0] - cell.charge_mah(t0_s)[0]
        # where the cathode becomes full or empty the current ends between two samples
        between = 2e-3 * np.abs(current_ma).max() + 1e-12
        assert integral == pytest.approx(net, rel=1e-3, abs=between)
        throughput += abs(net)
    assert cell.charge_mah(times_s[-1])[1] == pytest.approx(throughput, rel=DIGITS, abs=1e-12)


@thirty
@given(protocols)
def test_lithium_balances(protocol):
    """What passed is what the touching cathode gave and what was stranded with lost contact."""
    cell = new()
    run(cell, protocol)
    stranded = 0.0
    for t0_s, t1_s in zip(switches_s(protocol)[:-1], switches_s(protocol)[1:], strict=True):
        truths = [cell.snapshot(float(t_s)) for t_s in within(t0_s, t1_s, 41)]
        state, contact = (
            np.array([truth[key] for truth in truths]) for key in ("state", "contact")
        )
        stranded += CAPACITY * np.sum(0.5 * (state[1:] + state[:-1]) * -np.diff(contact))
        truth = truths[-1]
        assert truth["stranded_mah_per_cm2"] == pytest.approx(stranded, rel=1e-3, abs=1e-6)
        touching = CAPACITY * truth["state"] * truth["contact"]
        balance = touching + truth["stranded_mah_per_cm2"]
        assert balance == pytest.approx(truth["net_mah_per_cm2"], abs=1e-12)


@thirty
@given(protocols)
def test_state_stays_within_its_bounds_and_contact_only_falls(protocol):
    cell = new()
    end_s = run(cell, protocol)
    truths = [cell.snapshot(float(t_s)) for t_s in np.linspace(0.0, end_s, 60)]
    json.dumps(truths, allow_nan=False)
    states = np.array([truth["state"] for truth in truths])
    contacts = np.array([truth["contact"] for truth in truths])
    assert (states >= P.least_state).all()
    assert (states <= P.most_state).all()
    assert (contacts > 0.0).all()
    assert (np.diff(contacts) <= 0.0).all()
    assert contacts[0] <= 1.0


@thirty
@given(protocols)
def test_voltage_follows_the_sign_of_the_current(protocol):
    cell = new()
    end_s = run(cell, protocol)
    for t_s in np.linspace(0.0, end_s, 40):
        truth, at = cell.snapshot(float(t_s)), cell.terminals(np.array([t_s]))
        over_v = float(at.voltage_v[0]) - truth["open_circuit_v"]
        current_ma = float(at.current_ma[0])
        if np.isfinite(over_v) and current_ma:
            assert over_v * current_ma > 0.0 or abs(over_v) < 1e-12
            ohm = truth["resistance_ohm_cm2"] / cell.area_cm2
            assert over_v == pytest.approx(1e-3 * current_ma * ohm, rel=1e-9, abs=1e-12)


@thirty
@given(protocols, st.floats(0.05, 3.0), st.floats(1.05, 3.0))
def test_more_current_more_voltage_and_time_moves_it_on(protocol, density, factor):
    less, more = new(), new()
    end_s = run(less, protocol)
    run(more, protocol)
    for cell, applied in ((less, density), (more, factor * density)):
        cell.apply_current(end_s, applied * cell.area_cm2)
    times_s = end_s + np.linspace(0.0, 600.0, 30)
    below, above = (cell.terminals(times_s).voltage_v for cell in (less, more))
    assert (np.diff(below[np.isfinite(below)]) > 0.0).all()
    both = np.isfinite(below) & np.isfinite(above)
    assert (above[both] > below[both]).all()


@thirty
@given(protocols, st.floats(2.7, 4.25))
def test_a_held_voltage_makes_the_current_decay(protocol, voltage_v):
    cell = new()
    end_s = run(cell, protocol)
    cell.apply_voltage(end_s, voltage_v)
    at = cell.terminals(end_s + np.geomspace(1e-3, 1e6, 200))
    assert (at.voltage_v == voltage_v).all()
    size_ma = np.abs(at.current_ma)
    assert (np.diff(size_ma) <= 1e-12 * size_ma[0]).all()
    assert len({np.sign(each) for each in at.current_ma if each}) <= 1
    assert size_ma[-1] <= 1e-9 * size_ma[0] + 1e-12
    rested_v = cell.snapshot(end_s + 1e6)["open_circuit_v"]
    assert rested_v == pytest.approx(voltage_v, abs=1e-9)


@thirty
@given(protocols, st.lists(st.floats(0.0, 1.0), max_size=4))
def test_looking_changes_no_bit(protocol, shares):
    quiet, watched = new(), new()
    seen = {}

    def look(cell, t0_s, t1_s):
        for share in shares:
            t_s = min(t0_s + share * (t1_s - t0_s), float(np.nextafter(t1_s, 0.0)))
            seen[t_s] = cell.snapshot(t_s)
            cell.terminals(np.array([0.5 * t_s, t_s, t1_s + 500.0]))
            cell.charge_mah(t1_s + 500.0)
            cell.resistances(t_s)

    end_s = run(quiet, protocol)
    assert run(watched, protocol, look) == end_s
    assert watched.snapshot(end_s) == quiet.snapshot(end_s)
    for t_s, truth in seen.items():
        assert quiet.snapshot(t_s) == truth


@thirty
@given(protocols, st.lists(st.floats(0.02, 0.98), min_size=1, max_size=4))
def test_slices_are_the_whole_to_12_digits(protocol, shares):
    """A change that is taken back at once begins a new segment and changes nothing."""
    whole, sliced = new(), new()

    def cut(cell, t0_s, t1_s):
        celsius = cell.snapshot(t0_s)["temperature_celsius"]
        for share in sorted(shares):
            t_s = t0_s + share * (t1_s - t0_s)
            cell.set_temperature(t_s, celsius + 10.0)
            cell.set_temperature(t_s, celsius)

    end_s = run(whole, protocol)
    run(sliced, protocol, cut)
    expected, got = whole.snapshot(end_s), sliced.snapshot(end_s)
    for key in ("state", "contact", "net_mah_per_cm2", "throughput_mah_per_cm2"):
        assert got[key] == pytest.approx(expected[key], rel=DIGITS, abs=DIGITS)


@thirty
@given(protocols)
def test_applying_the_same_again_changes_no_bit(protocol):
    once, twice = new(), new()

    def again(cell, t0_s, t1_s):
        for t_s in (t0_s, 0.5 * (t0_s + t1_s)):
            at = cell.snapshot(t_s)
            cell.apply_pressure(t_s, at["stack_pressure_mpa"])
            cell.set_temperature(t_s, at["temperature_celsius"])

    end_s = run(once, protocol)
    run(twice, protocol, again)
    assert once.snapshot(end_s) == twice.snapshot(end_s)


cycled = st.tuples(st.floats(0.4, 2.4), st.sampled_from([0.0, 0.5, 1.0, 7.0, 14.0, 50.0]))


def capacities(density, mpa, cycles=12):
    cell, t_s, found = new(mpa), 0.0, []
    for _ in range(cycles):
        done = cycle(cell, t_s, density, (P.lower_v, P.upper_v))
        t_s = done.end_s
        found.append(done)
    return found


@thirty
@given(cycled)
def test_capacity_only_fades_and_never_more_comes_out_than_went_in(given_):
    done = capacities(*given_)
    assert (np.diff([each.discharged_mah for each in done]) < 0.0).all()
    for each in done:
        assert 0.98 < each.discharged_mah / each.charged_mah < 1.0


@thirty
@given(cycled, st.floats(1.01, 20.0))
def test_more_pressure_is_never_worse(given_, factor):
    density, mpa = given_
    low, high = (
        [each.discharged_mah for each in capacities(density, at)] for at in (mpa, mpa * factor)
    )
    if mpa * factor > P.least_pressure_mpa:
        assert (np.array(high) > np.array(low)).all()
    else:
        assert high == low


@thirty
@given(protocols)
def test_the_same_protocol_gives_the_same_bits(protocol):
    first, again = new(), new()
    end_s = run(first, protocol)
    run(again, protocol)
    assert first.snapshot(end_s) == again.snapshot(end_s)
