"""A chamber after a crash: its ramp goes on, is read, and is joined."""

import json

import pytest

from devices.chamber import TemperatureChamber
from devices.drivers.temptronic_ats545 import ThermoStream
from devices.errors import NotReachedError
from devices.link import open_link
from devices.surroundings import Approach
from sim.instruments.temptronic_ats545 import SimulatedAts545
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World
from tests.cut_off import HandClock

APPROACH = Approach(ramp_celsius_per_min=5.0, band_celsius=0.5, soak_s=600.0, deadline_s=9000.0)


class Laboratory:
    """A chamber that outlives its host."""

    def __init__(self):
        self.clock = HandClock()
        self.oven = SimulatedAts545(World(None, lambda: self.clock.now_s, seed=3))
        self.library = SimulatedVisaLibrary({"oven": self})
        self.heard = []
        self.host()

    def answer(self, message):
        self.heard.append(message.decode())
        return self.oven.answer(message)

    def host(self):
        link = open_link("sim://oven", who="oven", visa_library=self.library)
        self.chamber = TemperatureChamber(
            name="oven",
            clock=self.clock,
            backend=ThermoStream(link),
            limits=(-20.0, 80.0),
            approach=APPROACH,
        )

    def cut(self, outage_s):
        state = json.loads(json.dumps(self.chamber.checkpoint(), allow_nan=False))
        self.clock.cancel_all(self.chamber)
        self.clock.to(self.clock.now_s + outage_s)
        self.host()
        self.heard.clear()
        return state

    @property
    def sent(self):
        return [line for line in self.heard if line.startswith(("SETP ", "FLOW ", "RAMP "))]


@pytest.fixture
def lab():
    return Laboratory()


def test_a_ramp_is_left_as_it_is_read_and_joined(lab):
    uninterrupted = Laboratory()
    whole = uninterrupted.chamber.set(60.0)
    lab.chamber.set(60.0)
    lab.clock.to(120.0)
    state = lab.cut(60.0)
    text = lab.chamber.adopt(state)
    assert text.startswith("oven: moving, 2")
    lab.chamber.stage()
    done = lab.chamber.set(60.0)
    for t_s in range(180, 3000, 30):
        lab.clock.to(float(t_s))
        uninterrupted.clock.to(float(t_s))
        assert done.done == whole.done
    assert done.success
    assert lab.sent == []


def test_the_deadline_is_that_of_the_ramp_and_not_of_the_host(lab):
    slow = Approach(0.2, 0.5, 600.0, 3000.0)
    lab.chamber.set(60.0, slow)
    lab.clock.to(1000.0)
    state = lab.cut(1000.0)
    lab.chamber.adopt(state)
    done = lab.chamber.set(60.0, slow)
    lab.clock.to(2990.0)
    assert not done.done
    lab.clock.to(3001.0)
    assert isinstance(done.exception(timeout=1), NotReachedError)


def test_another_temperature_is_gone_to_as_ever(lab):
    lab.chamber.set(60.0)
    lab.clock.to(120.0)
    state = lab.cut(60.0)
    lab.chamber.adopt(state)
    lab.chamber.set(40.0)
    assert "SETP 40" in " ".join(lab.sent)


@pytest.mark.parametrize(
    ("meanwhile", "text"),
    [(b"FLOW 0", "does not drive"), (b"SETP 30", "goes to 30 C, expected 60 C")],
)
def test_what_somebody_did_meanwhile_is_not_joined(lab, meanwhile, text):
    lab.chamber.set(60.0)
    lab.clock.to(120.0)
    state = lab.cut(60.0)
    lab.oven.answer(meanwhile)
    assert text in lab.chamber.adopt(state)
    lab.chamber.set(60.0)
    assert "SETP 60" in " ".join(lab.sent)


def test_a_chamber_that_has_not_been_sent_anywhere(lab):
    state = lab.cut(10.0)
    assert "does not drive" in lab.chamber.adopt(state)


def test_a_temperature_that_was_reached_is_not_gone_to_again(lab):
    lab.chamber.set(60.0)
    lab.clock.to(3000.0)
    state = lab.cut(60.0)
    assert lab.chamber.adopt(state).startswith("oven: settled")
    done = lab.chamber.set(60.0)
    lab.clock.to(3100.0)
    assert done.done
    assert lab.sent == []
