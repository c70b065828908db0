"""When an interlock trips: exactly at the n-th bad reading in a row, whatever happens between."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.cell_records import Records
from devices.errors import LinkError
from orchestrator.errors import InterlockTripped
from orchestrator.interlocks import BenchParts, Interlocks, Latches
from orchestrator.interlocks.feeds import RecordsFeed
from orchestrator.interlocks.monitor import Monitor
from orchestrator.interlocks.rules import Sample
from orchestrator.profile.interlocks import (
    DataRateInterlock,
    FreeDiskInterlock,
    ImageInterlock,
    PlausibleInterlock,
    ReadingInterlock,
)
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile
from plans.control import Control

NAN, INF = math.nan, math.inf
READINGS = st.one_of(
    st.floats(-10, 10), st.sampled_from([NAN, INF, -INF, 4.0, 4.0001, -4.0, -4.0001])
)


def bad_voltage(value: float) -> bool:
    return not (math.isfinite(value) and -4.0 <= value <= 4.0)


def voltage(confirm: int) -> Monitor:
    return Monitor(ReadingInterlock(device="p", signal="voltage_v", min=-4, max=4, confirm=confirm))


def first_run_of(bad: list[bool], count: int) -> int | None:
    """Index of the reading that completes the first `count` bad ones in a row."""
    run = 0
    for index, one in enumerate(bad):
        run = run + 1 if one else 0
        if run == count:
            return index
    return None


@given(st.lists(st.tuples(READINGS, st.booleans()), max_size=60), st.integers(1, 5))
def test_no_trip_without_n_confirmations_and_none_is_missed(readings, confirm):
    """A missing reading is a bad one; a good one begins the count anew; it trips once."""
    monitor = voltage(confirm)
    trips = [
        monitor.take(Sample(float(k), value, "no reading" if missing else "ok"))
        for k, (value, missing) in enumerate(readings)
    ]
    bad = [missing or bad_voltage(value) for value, missing in readings]
    expected = first_run_of(bad, confirm)
    at = [index for index, trip in enumerate(trips) if trip is not None]
    assert at == ([] if expected is None else [expected])


class Cell:
    """As much of a potentiostat as a feed needs."""

    name = "p"

    def __init__(self, clock):
        self.clock, self.poll_period_s = clock, SimpleNamespace(get=lambda: 30.0)
        self.record_within_s, self.under_way = 40.0, (0.0, INF)
        self.listeners = []

    def subscribe_records(self, listener):
        self.listeners.append(listener)


@given(st.lists(READINGS, max_size=60), st.integers(1, 4), st.data())
def test_it_does_not_matter_how_records_fall_into_batches(values, confirm, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=8)))
    monitor, trips = voltage(confirm), []
    cell = Cell(SimpleNamespace(time=lambda: 0.0))

    def take(one, sample):
        trip = one.take(sample)
        if trip is not None:
            trips.append(trip)

    RecordsFeed(cell, [monitor], take).listen()
    for first, last in itertools.pairwise([0, *cuts, len(values)]):
        part = np.array(values[first:last])
        if len(part):
            t_s = np.arange(first, last, dtype=float)
            cell.listeners[0](Records(t_s, part, part, part, part, 0, 1))
    expected = first_run_of([bad_voltage(value) for value in values], confirm)
    assert [trip.t_s for trip in trips] == ([] if expected is None else [float(expected)])


# --- on the clock ---------------------------------------------------------------------------------


class LateClock:
    """A clock whose callbacks come late by what a test says; time passes in `run`."""

    simulated = True

    def __init__(self, lateness):
        self.now_s, self._lateness, self._due = 0.0, itertools.cycle(lateness or [0.0]), []
        self._count = itertools.count()

    def time(self):
        return self.now_s

    def call_later(self, delay_s, callback, *, owner):
        item = [self.now_s + delay_s + next(self._lateness), next(self._count), callback]
        heapq.heappush(self._due, item)
        return SimpleNamespace(cancel=lambda: item.__setitem__(2, None))

    def run(self, until_s):
        while self._due and self._due[0][0] <= until_s:
            at_s, _, callback = heapq.heappop(self._due)
            self.now_s = max(self.now_s, at_s)
            if callback is not None:
                callback()
        self.now_s = max(self.now_s, until_s)


@dataclass
class Thermometer:
    """Read by a trigger, as a chamber is; some readings fail."""

    clock: LateClock
    hot_from_s: float
    fails: list[bool]
    name: str = "oven"
    reads: list[tuple[float, bool]] = field(default_factory=list)

    def __post_init__(self):
        self._fails = itertools.cycle(self.fails or [False])
        self._listeners = []
        self.temperature_celsius = SimpleNamespace(get=lambda: self.value)

    @property
    def value(self):
        return 90.0 if self.clock.now_s >= self.hot_from_s else 60.0

    def subscribe_records(self, listener):
        self._listeners.append(listener)

    def trigger(self):
        failed = next(self._fails)
        self.reads.append((self.clock.now_s, failed or self.value > 80.0))
        if failed:
            raise LinkError("oven", "no reply in time", remedy="look")
        for listener in self._listeners:
            listener(None)


class QuietEngine:
    """As much of an engine as interlocks need."""

    state, energised, unsafe = "running", ("p",), {}

    def __init__(self):
        self.control, self.offs = Control(), []
        self.given_up = []

    def subscribe(self, _func, _name):
        pass

    def switch_off(self, *, only):
        self.offs.append(only)

    def record_interruption(self, text):
        self.interruption = text

    def give_up(self, error):
        self.given_up.append(error)


def watched(clock, thermometer, *entries, latch=True):
    document = load_profile("sim-chamber").to_document() | {"interlocks": list(entries)}
    engine, told = QuietEngine(), []
    devices = {"oven": thermometer}
    profile = BenchProfile.model_validate(document)
    stopped = SimpleNamespace(stop=lambda: None)
    parts = BenchParts(
        profile=profile,
        engine=engine,
        devices=devices | {"pstat": stopped, "press": stopped},
        links={},
        data=Path(),
        worker=SimpleNamespace(),
        run=lambda: "",
        go_on=lambda: True,
        audit=None,
        tell=told.append,
        simulated=True,
    )
    thermometer.make_safe = lambda action: None
    locks = Interlocks(parts, clock, Latches("test", kept=False))
    return locks, engine, told


EVERY_S = 10.0


@settings(max_examples=200, deadline=None)
@given(
    lateness=st.lists(st.floats(0, 25), max_size=8),
    fails=st.lists(st.booleans(), max_size=12),
    confirm=st.integers(1, 5),
    hot_from_s=st.floats(0, 300),
)
def test_a_trip_is_never_missed_under_jitter_late_and_failed_polls(
    lateness, fails, confirm, hot_from_s
):
    """It trips at the read that completes the first n bad ones, by n late polls at the latest."""
    clock = LateClock(lateness)
    oven = Thermometer(clock, hot_from_s, fails)
    entry = {"device": "oven", "signal": "temperature_celsius", "max": 80, "confirm": confirm}
    locks, engine, told = watched(clock, oven, entry | {"every_s": EVERY_S})
    locks.permit()
    clock.run(hot_from_s + (confirm + 1) * (EVERY_S + max(lateness, default=0.0)) + 1.0)
    at = first_run_of([bad for _, bad in oven.reads], confirm)
    assert at is not None, "hot for long enough, and not tripped"
    assert locks.tripped is not None
    assert locks.tripped.t_s == pytest.approx(oven.reads[at][0])
    assert engine.offs[0] == {"pstat"}
    assert len(told) == len(engine.given_up) == 1
    assert isinstance(engine.given_up[0], InterlockTripped)
    with pytest.raises(InterlockTripped):
        locks.permit()


def test_a_reading_that_somebody_else_takes_counts_and_spares_a_look():
    clock = LateClock([0.0])
    oven = Thermometer(clock, 25.0, [])
    entry = {"device": "oven", "signal": "temperature_celsius", "max": 80, "every_s": 10}
    locks, _, _ = watched(clock, oven, entry)
    locks.permit()
    clock.run(15.0)
    oven.trigger()
    clock.run(21.0)
    assert [t_s for t_s, _ in oven.reads] == [10.0, 15.0]  # none at 20: one is 5 s old
    clock.run(26.0)
    oven.trigger()
    assert locks.tripped is not None


def test_what_is_idle_and_off_is_not_polled_for_ever():
    clock = LateClock([0.0])
    oven = Thermometer(clock, INF, [])
    entry = {"device": "oven", "signal": "temperature_celsius", "max": 80, "every_s": 10}
    locks, engine, _ = watched(clock, oven, entry)
    locks.permit()
    clock.run(35.0)
    assert len(oven.reads) == 3
    engine.state, engine.energised = "idle", ()
    clock.run(1000.0)
    assert len(oven.reads) == 3


# --- kinds ----------------------------------------------------------------------------------------


def taken(entry, *samples):
    """Texts of what was wrong with each reading."""
    monitor = Monitor(entry)
    found = []
    for sample in samples:
        monitor.take(sample)
        found.append(monitor.wrong)
    return found


def test_bounds_say_what_they_got_and_expected():
    entry = ReadingInterlock(device="p", signal="current_ma", max=1)
    assert taken(entry, Sample(0, 1.0), Sample(1, 1.25), Sample(2, NAN), Sample(3, INF)) == [
        "",
        "got 1.25 mA, expected at most 1 mA",
        "got nan, expected a number",
        "got inf, expected a number",
    ]


@given(
    st.lists(st.tuples(st.floats(0.1, 50), st.integers(0, 3)), min_size=1, max_size=40),
    st.sampled_from([30.0, 100.0]),
)
def test_a_value_is_stuck_exactly_when_it_has_not_changed_for_that_long(steps, stuck_s):
    """Row 16: a stuck sensor; the time counts from the first of the equal readings."""
    entry = PlausibleInterlock(
        kind="plausible", device="o", signal="temperature_celsius", stuck_s=stuck_s, confirm=1
    )
    times = list(itertools.accumulate(gap for gap, _ in steps))
    values = [float(value) for _, value in steps]
    since_s, expected = times[0], []
    for index, t_s in enumerate(times):
        if index and values[index] != values[index - 1]:
            since_s = t_s
        expected.append(t_s - since_s >= stuck_s)
    wrong = taken(entry, *map(Sample, times, values))
    assert [bool(one) for one in wrong] == expected


def test_noise_of_less_than_the_change_is_stuck_and_a_missing_reading_says_nothing_about_it():
    entry = PlausibleInterlock(
        kind="plausible", device="o", signal="pressure_mpa", stuck_s=10, change=0.1, confirm=1
    )
    found = taken(
        entry, Sample(0, 5.0), Sample(5, 5.05), Sample(7, NAN), Sample(10, 4.95), Sample(11, 5.2)
    )
    assert found[2].startswith("got nan")
    assert found[3] == "stuck at 4.95 MPa for 10 s, expected it to change"
    assert [bool(one) for one in found] == [False, False, True, True, False]


def test_frames_disk_and_rate():
    image = ImageInterlock(kind="image", device="m", min_spread=0.5)
    assert taken(image, Sample(0, 1.0), Sample(0, 0.1), Sample(0, NAN, "black")) == [
        "",
        "got a blank frame (spread 0.1), expected a spread of at least 0.5",
        "got a frame that is black, expected one that shows something",
    ]
    assert taken(FreeDiskInterlock(kind="free_disk", min_gb=5), Sample(0, 4.9)) == [
        "got 4.9 GB, expected at least 5 GB"
    ]
    rate = DataRateInterlock(kind="data_rate", device="p", within_s=60, min_records=2)
    assert taken(rate, Sample(0, 1.0), Sample(0, 2.0)) == [
        "got 1 records in 60 s, expected at least 2 records in 60 s",
        "",
    ]
