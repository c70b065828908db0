"""When a running program is looked at, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from devices.clock import LoopClock
from devices.errors import LinkError, NotReachedError
from devices.polling import Poller
from sim.clock import JumpingLoop


class Looked:
    """Owns a poller; remembers when it looked, and fails where it is told to."""

    name = "pstat"

    def __init__(self):
        self.loop = JumpingLoop()
        self.loop.set_may_jump(lambda: True)
        self.clock = LoopClock(self.loop, self.loop.now, simulated=True)
        self.times_s, self.errors, self.failing, self.ends = [], [], set(), True
        self.poller = Poller(self, self.clock, self.poll)

    def callback_failed(self, error):
        self.errors.append(error)

    def poll(self):
        self.times_s.append(self.loop.time())
        if len(self.times_s) in self.failing:
            raise LinkError("pstat", "no reply", remedy="wait")
        return not (self.ends and self.loop.time() >= self.duration_s - 1e-6)

    def run(self, period_s, duration_s, marks=(), *, wait_s=500.0):
        self.duration_s = duration_s
        self.poller.begin(period_s, duration_s, marks)
        self.loop.run_until_complete(asyncio.sleep(wait_s, None))
        return self.times_s


@pytest.fixture
def looked():
    looked = Looked()
    yield looked
    looked.loop.close()


def test_polls_come_at_multiples_of_the_period_at_marks_and_at_the_end(looked):
    times_s = looked.run(30.0, 100.0, (9.8, 70.0))
    assert times_s == pytest.approx([9.8, 30, 60, 70, 90, 100], abs=1e-5)


def test_a_mark_that_is_a_rounding_away_is_not_polled_for_ever(looked):
    looked.run(10.0, 30.0, (10.0 + 1e-10, 20.0 - 1e-10))
    assert len(looked.times_s) <= 5


def test_a_lost_reply_is_asked_for_again_and_shifts_nothing(looked):
    """Rows 8, 9: the schedule stays absolute."""
    looked.failing = {1, 2}
    assert looked.run(30.0, 90.0) == pytest.approx([30, 31, 32, 60, 90], abs=1e-5)
    assert looked.errors == []


def test_three_lost_replies_in_a_row_fail_the_owner(looked):
    """Row 6: three in a row are a fault."""
    looked.failing = {1, 2, 3}
    looked.run(30.0, 90.0)
    assert [type(error) for error in looked.errors] == [LinkError]
    assert len(looked.times_s) == 3


def test_a_program_that_does_not_end_is_waited_for_a_minute(looked):
    looked.ends = False
    looked.run(30.0, 60.0)
    assert [type(error) for error in looked.errors] == [NotReachedError]
    assert 120.0 <= looked.times_s[-1] <= 120.5
