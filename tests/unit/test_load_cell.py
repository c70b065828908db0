"""The load cell: pressure and its error, tolerance, drift, tare."""

import datetime
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import InstrumentFault, LimitError
from devices.load_cell import LoadCell
from devices.roles import Identity
from devices.surroundings import Calibration

CALIBRATION = Calibration(
    gain_v_per_kn=2.0,
    gain_uncertainty_percent=1.0,
    offset_v=0.1,
    offset_uncertainty_v=0.002,
    area_cm2=2.0,
    date=datetime.date(2026, 3, 2),
)


class Meter:
    """A voltage that the test sets."""

    volts = 0.1

    def identity(self):
        return Identity("Test", "meter", "SIM-1", "1")

    def voltage_v(self):
        return self.volts


@pytest.fixture
def press(virtual_engine):
    return LoadCell(
        name="press", clock=virtual_engine.clock, voltmeter=Meter(), calibration=CALIBRATION
    )


def at(press, mpa):
    """Let the amplifier show a pressure: 1 MPa on 2 cm2 is 200 N, which are 0.4 V."""
    press._voltmeter.volts = 0.1 + 0.4 * mpa
    press.trigger()
    return press


def test_volts_become_force_and_pressure_with_an_error(press):
    at(press, 3.0)
    assert press.force_n.get() == pytest.approx(600.0)
    assert press.pressure_mpa.get() == pytest.approx(3.0)
    assert press.pressure_error_mpa.get() == pytest.approx(math.hypot(0.03, 0.002 / 0.4))
    assert press.raw_v.get() == pytest.approx(1.3)
    configuration = press.read_configuration()
    assert configuration["press_calibration_date"]["value"] == "2026-03-02"
    assert configuration["press_area_cm2"]["value"] == 2.0
    assert press.simulated


@given(st.floats(0.0, 100.0), st.floats(0.1, 10.0), st.floats(0.1, 10.0))
def test_pressure_and_volts_are_inverse(mpa, gain, area):
    calibration = Calibration(gain, 1.0, 0.1, 0.002, area, datetime.date(2026, 1, 1))
    volts = 0.1 + gain * mpa * area * 0.1
    back = calibration.pressure_mpa(calibration.force_n(volts, 0.1))
    assert back == pytest.approx(mpa, abs=1e-9)


def test_a_pressure_other_than_stated_is_refused(press):
    press.check(at(press, 3.14).pressure_mpa.get(), stated_mpa=3.0)
    with pytest.raises(
        LimitError,
        match=r"press: stack pressure: got 3.2 \+- 0.032 MPa, expected 3 MPa within 0.15",
    ):
        press.check(at(press, 3.2).pressure_mpa.get(), stated_mpa=3.0)
    with pytest.raises(LimitError):
        press.check(math.nan, stated_mpa=3.0)


def test_small_pressures_are_tolerated_within_the_error(press):
    assert press.tolerance_mpa(0.0) == pytest.approx(3 * 0.005)


def test_drift_raises_the_alarm_and_a_new_run_begins_anew(press):
    at(press, 3.0).stage()
    assert at(press, 2.9).drift_alarm.get() == 0
    assert at(press, 2.7).drift_alarm.get() == 1
    assert at(press, 3.0).drift_alarm.get() == 0
    press.unstage()
    at(press, 2.7).stage()
    assert press.drift_alarm.get() == 0


def test_tare_moves_the_offset_with_the_press_open_only(press):
    press._voltmeter.volts = 0.11
    assert press.tare() == 0.11
    assert press.pressure_mpa.get() == 0.0
    assert press.tared_at_s.get() == press.clock.time()
    press._voltmeter.volts = 1.3
    with pytest.raises(LimitError, match=r"tare: got 1.3 V, expected 0.1 V within 0.02 V"):
        press.tare()
    assert press.offset_v.get() == 0.11


def test_an_amplifier_beyond_the_range_is_a_fault(press):
    press._voltmeter.volts = np.nan
    with pytest.raises(InstrumentFault, match="press: got an output beyond the meter's range"):
        press.trigger()
