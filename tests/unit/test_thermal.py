"""Air and cell of a chamber: closed forms against integration, and a staircase free of polling."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import SimulationError
from sim.samples.llzto_pellet import LlztoPellet
from sim.thermal import AIR_S, CELL_S, LATTICE_S, ROOM_CELSIUS, ThermalCourse
from sim.world import World

celsius = st.floats(-80.0, 225.0)
rates = st.one_of(st.floats(0.01, 2.0), st.just(float("inf")))


def integrated(target, rate, until_s, step_s=0.05):
    """Euler's method on the two lags, written down a second time."""
    setpoint = air = cell = ROOM_CELSIUS
    for _ in range(round(until_s / step_s)):
        reach = rate * step_s
        setpoint = (
            target
            if abs(target - setpoint) <= reach
            else setpoint + np.copysign(reach, target - setpoint)
        )
        cell += step_s * (air - cell) / CELL_S
        air += step_s * (setpoint - air) / AIR_S
    return air, cell


@pytest.mark.parametrize(
    ("target", "rate", "until_s"),
    [(60.0, 5 / 60, 300.0), (60.0, 5 / 60, 900.0), (-20.0, 0.5, 400.0)],
)
def test_temperatures_solve_the_two_lags(target, rate, until_s):
    course = ThermalCourse()
    course.force(0.0, target, rate)
    assert course.at(until_s) == pytest.approx(integrated(target, rate, until_s), abs=0.05)


@settings(max_examples=30)
@given(target=celsius, rate=rates, again=celsius, t_s=st.floats(0.0, 5000.0))
def test_temperatures_are_continuous_through_commands(target, rate, again, t_s):
    course = ThermalCourse()
    course.force(0.0, target, rate)
    before = course.at(t_s)
    course.force(t_s, again, rate)
    assert course.at(t_s) == pytest.approx(before, abs=1e-9)
    course.release(t_s)
    assert course.at(t_s) == pytest.approx(before, abs=1e-9)


@settings(max_examples=30)
@given(target=celsius, rate=rates)
def test_nothing_leaves_the_span_and_all_comes_to_rest_at_the_target(target, rate):
    course = ThermalCourse()
    course.force(0.0, target, rate)
    times = np.linspace(0.0, course.settled_s(), 400)
    low, high = sorted((ROOM_CELSIUS, target))
    for values in (course.air(times), course.cell(times)):
        assert values.min() >= low - 1e-6
        assert values.max() <= high + 1e-6
    assert course.at(course.settled_s()) == pytest.approx((target, target), abs=2e-3)


def staircase(polls):
    """What the sample was told, by time, when somebody looked at `polls`."""
    course = ThermalCourse()
    told = []
    last = 0.0
    commands = {600.0: (60.0, 5 / 60), 4000.0: None, 6000.0: (-10.0, float("inf"))}
    for t_s in sorted({*polls, *commands, 12_000.0}):
        told += course.changes(last, t_s)
        last = t_s
        if t_s in commands:
            course.release(t_s) if commands[t_s] is None else course.force(t_s, *commands[t_s])
    return told


@settings(max_examples=30)
@given(polls=st.lists(st.floats(0.0, 12_000.0), max_size=40))
def test_the_staircase_is_the_same_however_often_anybody_looks(polls):
    told = staircase(polls)
    assert told == staircase([])
    assert all(t_s % LATTICE_S == 0.0 for t_s, _ in told)
    assert all(one != other for (_, one), (_, other) in itertools.pairwise(told))


class Watcher:
    """Sees when it was told to advance, and how warm the sample was then."""

    def __init__(self, world):
        self.world, self.seen = world, []

    def advance(self, t_s):
        self.seen.append((t_s, self.world.temperature_celsius))


def test_everybody_acts_until_a_change_before_the_sample_changes():
    now = [0.0]
    world = World(None, lambda: now[0])
    course = ThermalCourse()
    world.follow(course)
    watcher = Watcher(world)
    world.add(watcher)
    course.force(0.0, 60.0)
    now[0] = 30.0
    world.catch_up()
    assert [t_s for t_s, _ in watcher.seen] == [10.0, 20.0, 30.0, 30.0]
    assert watcher.seen[0][1] == ROOM_CELSIUS  # until the first change it was cold
    assert watcher.seen[-1][1] == pytest.approx(course.at(30.0)[1], abs=0.005)


def test_temperature_and_pressure_act_where_the_sample_has_them():
    world = World(LlztoPellet.from_preset("lithiophilic"), lambda: 0.0)
    revision = world.revision
    world.set_temperature(0.0, 60.0)
    world.apply_pressure(0.0, 7.0)  # does not act on this sample
    assert world.sample.snapshot(0.0)["temperature_celsius"] == 60.0
    assert (world.stack_pressure_mpa, world.revision) == (7.0, revision + 2)


def test_a_second_chamber_around_one_sample_is_refused():
    world = World(None, lambda: 0.0)
    world.follow(ThermalCourse())
    with pytest.raises(SimulationError, match="world: got a second chamber"):
        world.follow(ThermalCourse())
