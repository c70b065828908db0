"""Clocks: real time that nobody can set back, callbacks that answer for their failures."""

from __future__ import annotations

import asyncio

import pytest

from devices.clock import Clock, LoopClock, SystemClock
from sim.clock import EPOCH_S, JumpingLoop


class Someone:
    def __init__(self, name="someone"):
        self.name, self.failures = name, []

    def callback_failed(self, error):
        self.failures.append(error)


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_setting_the_hosts_clock_changes_no_duration(loop):
    """Row 32: set back by an hour."""
    wall, steady = [1_000_000.0], [50.0]
    clock = SystemClock(loop, wall=lambda: wall[0], steady=lambda: steady[0])
    before = clock.time()
    assert before == 1_000_000.0
    wall[0] -= 3600.0  # somebody sets the clock back by an hour
    steady[0] += 10.0
    assert clock.time() - before == 10.0


def jumping():
    loop = JumpingLoop()
    loop.set_may_jump(lambda: True)
    return loop, LoopClock(loop, loop.now, simulated=True)


def test_a_day_of_callbacks_passes_at_once_and_exactly():
    loop, clock = jumping()
    assert isinstance(clock, LoopClock)
    seen, owner = [], Someone()

    def tick():
        seen.append(clock.time() - EPOCH_S)
        if len(seen) < 1440:
            clock.call_later(60.0, tick, owner=owner)
        else:
            loop.stop()

    clock.call_later(60.0, tick, owner=owner)
    loop.run_forever()
    loop.close()
    assert seen[-1] == pytest.approx(86_400.0, abs=1e-3)
    assert clock.pending(owner) == 0


def test_a_callback_that_fails_is_its_owners_failure_then_everybodys():
    loop, clock = jumping()
    owner, told = Someone(), []
    clock.on_failure = lambda who, error: (told.append((who, error)), loop.stop())

    def broken():
        raise ZeroDivisionError("a bug")

    clock.call_later(1.0, broken, owner=owner)
    loop.run_forever()
    loop.close()
    assert isinstance(owner.failures[0], ZeroDivisionError)
    assert told == [(owner, owner.failures[0])]


def test_cancelled_callbacks_never_run():
    loop, clock = jumping()
    owner, other, seen = Someone("a"), Someone("b"), []
    clock.call_later(1.0, lambda: seen.append("a"), owner=owner)
    clock.call_later(1.0, lambda: seen.append("a"), owner=owner).cancel()
    clock.call_later(2.0, lambda: (seen.append("b"), loop.stop()), owner=other)
    assert clock.pending(owner) == 1
    clock.cancel_all(owner)
    assert clock.pending(owner) == 0
    loop.run_forever()
    loop.close()
    assert seen == ["b"]


def test_time_is_held_while_somebody_works():
    loop, clock = jumping()
    owner, seen = Someone(), []
    hold = loop.hold()
    hold.__enter__()
    clock.call_later(5.0, lambda: (seen.append(clock.time()), loop.stop()), owner=owner)
    released = []

    def release(count=0):
        if count < 20:
            loop.call_soon(release, count + 1)
        else:
            released.append(clock.time())
            hold.__exit__(None, None, None)

    loop.call_soon(release)
    loop.run_forever()
    loop.close()
    assert released == [EPOCH_S]
    assert seen == [EPOCH_S + 5.0]


def test_both_kinds_are_clocks(loop):
    clock: Clock = SystemClock(loop)
    assert not clock.simulated
    assert abs(clock.time() - 1.7e9) < 1e9
