"""The chamber: when a temperature counts as reached, deadlines, lost links, the safe action."""

import math

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest

from devices.chamber import TemperatureChamber
from devices.errors import LimitError, LinkError, NotReachedError
from devices.roles import Identity
from devices.surroundings import Approach, ChamberReading

APPROACH = Approach(5.0, 0.5, 600.0, 7200.0)


class Oven:
    """A chamber that settles `settles_s` after it was told to go somewhere."""

    def __init__(self, clock, settles_s=1000.0):
        self.clock, self.settles_s = clock, settles_s
        self.said, self.celsius, self.began_s, self.on = [], 25.0, 0.0, False
        self.failures = []

    def identity(self):
        return Identity("Test", "oven", "SIM-2", "1")

    def limit(self, low_celsius, high_celsius):
        self.said.append(("limit", low_celsius, high_celsius))

    def force(self, celsius, approach):
        self.said.append(("force", celsius))
        self.celsius, self.began_s, self.on = celsius, self.clock.time(), True

    def release(self):
        self.said.append("release")
        self.on = False

    def read(self):
        if self.failures:
            raise self.failures.pop(0)
        settled = self.on and self.clock.time() - self.began_s >= self.settles_s
        shown = self.celsius if settled else 25.0
        return ChamberReading(shown, shown, self.celsius, self.on, settled)


def chamber(engine, oven, **options):
    made = TemperatureChamber(
        name="oven",
        clock=engine.clock,
        backend=oven,
        limits=(-20.0, 80.0),
        approach=APPROACH,
        **options,
    )
    engine.RE.guard(made)
    return made


def moving(device, celsius, then=None):
    """A plan that goes to a temperature and waits for it."""
    status = yield from bps.abs_set(device, celsius, group="oven")
    if then is not None:
        then()
    yield from bps.wait("oven")
    return status


def test_set_is_done_when_it_has_settled_and_the_run_ends_with_the_chamber_off(virtual_engine):
    oven = Oven(virtual_engine.clock)
    device = chamber(virtual_engine, oven)
    began_s = virtual_engine.clock.time()
    virtual_engine.RE(bpp.run_wrapper(moving(device, 60.0)))
    assert virtual_engine.clock.time() - began_s == pytest.approx(1020.0)  # polls each 30 s
    assert oven.said == [("limit", -20.0, 80.0), ("force", 60.0), "release"]
    assert device.state.get() == "off"


def test_a_move_that_is_no_run_stays_and_a_reading_does_not_undo_it(virtual_engine):
    oven = Oven(virtual_engine.clock)
    device = chamber(virtual_engine, oven)
    virtual_engine.RE(moving(device, 60.0))
    assert device.state.get() == "settled"
    virtual_engine.RE(bp.count([device]))
    assert device.state.get() == "settled"
    assert "release" not in oven.said
    with pytest.raises(RuntimeError, match="went wrong"):
        virtual_engine.RE(fails(device))
    assert oven.said[-1] == "release"
    assert not virtual_engine.RE.unsafe


def fails(device):
    yield from bps.trigger(device, wait=True)
    raise RuntimeError("the end of a plan that went wrong")


def test_hold_keeps_the_temperature_after_a_run(virtual_engine):
    oven = Oven(virtual_engine.clock)
    device = chamber(virtual_engine, oven, safe_action="hold")
    virtual_engine.RE(moving(device, 60.0))
    assert "release" not in oven.said
    assert device.state.get() == "settled"


def test_a_chamber_that_never_settles_fails_at_its_deadline(virtual_engine):
    oven = Oven(virtual_engine.clock, settles_s=math.inf)
    began_s = virtual_engine.clock.time()
    with pytest.raises(Exception, match="oven") as caught:
        virtual_engine.RE(moving(chamber(virtual_engine, oven), 60.0))
    assert isinstance(caught.value.__cause__, NotReachedError)
    assert "got 25.0 C after 7200 s, expected 60.0 C" in str(caught.value.__cause__)
    assert virtual_engine.clock.time() - began_s == pytest.approx(7200.0)
    assert oven.said[-1] == "release"


def test_outside_its_limits_nothing_is_sent(virtual_engine):
    oven = Oven(virtual_engine.clock)
    device = chamber(virtual_engine, oven)
    with pytest.raises(LimitError, match="oven: temperature: got 90 C, expected -20 to 80 C"):
        device.set(90.0)
    assert oven.said == [("limit", -20.0, 80.0)]
    assert device.describe()["oven_setpoint_celsius"]["limits"] == {
        "control": {"low": -20.0, "high": 80.0}
    }


def test_a_lost_link_is_asked_again_and_then_given_up(virtual_engine):
    oven = Oven(virtual_engine.clock)
    device = chamber(virtual_engine, oven)
    lost = LinkError("oven", "no reply", remedy="look")

    def lose(times):
        oven.failures = [lost] * times

    virtual_engine.RE(moving(device, 60.0, lambda: lose(2)))
    with pytest.raises(Exception, match="oven") as caught:
        virtual_engine.RE(moving(device, 50.0, lambda: lose(3)))
    assert caught.value.__cause__ is lost


def test_another_setpoint_ends_the_wait_for_the_first(virtual_engine):
    oven = Oven(virtual_engine.clock)
    device = chamber(virtual_engine, oven)
    first = device.set(60.0)
    device.set(50.0)
    with pytest.raises(NotReachedError, match="was sent to 50 C before it had settled"):
        first.wait(timeout=1)
    device.stop()
    assert oven.said[-1] == "release"
    assert virtual_engine.clock.pending(device) == 0
