"""Chamber and load cell over TCP: the same laboratory for any client."""

from contextlib import closing

import pytest

from devices.drivers.keithley_dmm6500 import DcVoltmeter
from devices.drivers.temptronic_ats545 import ThermoStream
from devices.link import open_link
from devices.surroundings import Approach
from orchestrator.laboratory import serve_laboratory
from orchestrator.profile.loading import load_profile

pytestmark = pytest.mark.wire


def test_drivers_reach_the_served_chamber_and_load_cell():
    with (
        serve_laboratory(load_profile("sim-chamber"), life_s=30.0) as served,
        closing(open_link(served.resources["oven"], who="oven")) as oven_link,
        closing(open_link(served.resources["press"], who="press")) as press_link,
    ):
        oven = ThermoStream(oven_link)
        oven.force(40.0, Approach(5.0, 0.5, 60.0, 1000.0))
        reading = oven.read()
        assert (reading.on, reading.settled, reading.setpoint_celsius) == (True, False, 40.0)
        oven.release()
        assert not oven.read().on
        # 5 MPa on 1.267 cm2 at 1 V/kN, and 12 mV: of the world's pressure where a sample has none
        assert DcVoltmeter(press_link).voltage_v() == pytest.approx(0.6335 + 0.012, rel=0.02)
        assert not served.failures()
