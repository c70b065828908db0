"""Readings of the surroundings that come late: flagged, and those after them when they are due."""

from __future__ import annotations

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent
from ophyd.status import Status

from devices.roles import CellLimits
from plans.cycling import Cycling
from plans.environment import LATE_S, Environment
from plans.runs import run_with_images
from tests.quick_surroundings import make_press

LIMITS = CellLimits(-5, 5, -10, 10)
METHOD = [ConstantCurrent(current_mA=1.0, until_time_s=3600)]


class SlowPress:
    """A load cell that answers late from the second reading on, some times."""

    def __init__(self, clock, delays_s):
        self.device, _ = make_press(clock)
        self.clock, self.delays_s = clock, [0.0, *delays_s]
        self.name, self._read = "slow", self.device.trigger
        self.device.trigger = self.trigger

    def callback_failed(self, error):
        raise error

    def trigger(self):
        delay_s = self.delays_s.pop(0) if self.delays_s else 0.0
        if not delay_s:
            return self._read()
        status = Status(obj=self.device, timeout=None)

        def answer():
            self._read()
            status.set_finished()

        self.clock.call_later(delay_s, answer, owner=self)
        return status


def readings(cell_bench, *delays_s):
    """Times of the readings and of the notes, s since the first reading, with the lateness."""
    engine, pstat, backend = cell_bench
    slow = SlowPress(engine.clock, delays_s)
    around = Environment(load_cell=slow.device, every_s=300)
    cycling = Cycling(pstat, METHOD, 10, LIMITS, 10)
    engine.RE(run_with_images(cycling, (), (), around, md={}))
    assert not backend.on
    assert backend.charge_mah == pytest.approx(1.0)
    environment = engine.documents.stream("environment")
    times_s = np.array(environment["time"]) - environment["time"][0]
    events = engine.documents.stream("events")
    late = [
        (text, value)
        for kind, text, value in zip(
            events["event_kind"], events["event_text"], events["event_value"], strict=True
        )
        if kind == "environment_late"
    ]
    return times_s, late


def test_a_late_reading_is_flagged_and_shifts_none_after_it(cell_bench):
    """Row 9: by 40 s, twice."""
    times_s, late = readings(cell_bench, 0.0, 40.0, 40.0)
    expected = [0.0, 0.0, 340.0, 640.0, *range(900, 3601, 300)]
    assert times_s[: len(expected)] == pytest.approx(expected, abs=0.01)
    assert [value for _, value in late] == pytest.approx([40.0, 40.0], abs=0.01)
    assert late[0][0].endswith("was done 40.0 s late")


def test_readings_that_a_late_one_has_overtaken_are_left_out_and_counted(cell_bench):
    """Row 9: by more than two periods."""
    times_s, late = readings(cell_bench, 0.0, 700.0)
    assert times_s[:5] == pytest.approx([0.0, 0.0, 1000.0, 1200.0, 1500.0], abs=0.01)
    assert "2 after it were left out" in late[0][0]


def test_what_is_not_late_is_not_flagged(cell_bench):
    times_s, late = readings(cell_bench, 0.0, LATE_S / 2, LATE_S / 2)
    assert late == []
    assert times_s[4] == pytest.approx(900.0, abs=0.01)
