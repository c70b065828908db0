"""Temptronic ATS-545: the simulated one, upstream's own driver on it, and ours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymeasure.instruments.temptronic import temptronic_ats545 as upstream
from pymeasure.test import expected_protocol

from devices.drivers.temptronic_ats545 import Ats545, ThermoStream
from devices.errors import InstrumentFault, LimitError
from devices.link import open_link
from devices.surroundings import Approach
from sim.errors import UnknownCommand
from sim.instruments.temptronic_ats545 import SimulatedAts545
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

APPROACH = Approach(ramp_celsius_per_min=5.0, band_celsius=0.5, soak_s=600.0, deadline_s=1e4)


class Bench:
    """An instrument and a clock that the test sets."""

    def __init__(self, *, strict=True):
        self.now_s = 0.0
        self.world = World(None, lambda: self.now_s, seed=3)
        self.oven = SimulatedAts545(self.world, strict=strict)

    def say(self, *lines):
        for line in lines:
            reply = self.oven.answer(line.encode())
        return None if reply is None else reply.decode()

    def at(self, t_s, line):
        self.now_s = t_s
        return self.say(line)


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def link(bench):
    library = SimulatedVisaLibrary({"oven": bench.oven})
    opened = open_link("sim://oven", who="oven", visa_library=library)
    yield opened
    opened.close()


HEAT = ("%RM", "DUTM 1", "SETN 0", "WNDW 0.5", "SOAK 600", "RAMP 5", "SETP 60", "FLOW 1")


# --- the simulated instrument ---------------------------------------------------------------------


def test_upstreams_own_exchange():
    """PyMeasure, tests/instruments/temptronic/test_temptronic_base.py: TTIM? is answered."""
    bench = Bench()
    bench.say("TTIM 7")
    assert bench.say("TTIM?") == "7"


def test_messages_and_numbers_as_the_manual_shows_them(bench):
    assert bench.say("SETP 30;SETP?") == "30"  # page 4-6: units are separated by semicolons
    assert bench.say("TMPA?") == "25"  # page 4-6: TEMP? answers 25
    assert bench.say("*IDN?").split(",")[2].startswith("SIM-")


def test_the_air_ramps_the_cell_lags_and_soaks(bench):
    bench.say(*HEAT)
    assert bench.at(60.0, "SETD?") == "30.0"  # 5 K/min
    air, cell, state = bench.at(420.0, "TMPA?;TMPD?;TECR?").split(";")
    assert float(cell) < float(air) < 60.0
    assert state == "2"  # not at temperature
    within_s = next(
        t_s for t_s in range(420, 4000) if abs(bench.oven.course.at(float(t_s))[1] - 60.0) <= 0.5
    )
    assert bench.at(within_s + 599.0, "TECR?") == "2"
    assert bench.at(within_s + 600.0, "TECR?") == "1"  # soak time has elapsed
    assert bench.say("TESR?;TESR?") == "1;0"  # latched once, cleared by reading
    assert bench.say("AUXC?") == str(0x40 | 0x100 | 0x20 | 0x10)


def test_flow_off_or_head_up_lets_the_cell_go_to_the_room(bench):
    bench.say(*HEAT)
    bench.at(4000.0, "FLOW 0")
    assert bench.say("TECR?") == "2"
    assert float(bench.at(14_000.0, "TMPD?")) == pytest.approx(25.0, abs=0.3)
    bench.say("FLOW 1", "HEAD 0")
    assert float(bench.at(18_000.0, "TMPD?")) == pytest.approx(25.0, abs=0.3)
    assert int(bench.say("AUXC?")) & 0x04


def test_a_setpoint_beyond_the_airs_limits_is_not_taken(bench):
    bench.say("ULIM 80", "LLIM -20", "SETP 90")
    assert bench.say("SETP?") == "25"
    assert bench.say("EROR?") == "4"  # bit 2, page 4-20
    bench.say("CLER")
    assert bench.say("EROR?") == "0"


def test_each_setpoint_has_its_own_values(bench):
    bench.say("SETN 0", "SETP 70", "RAMP 3", "SETN 2", "SETP -5", "RAMP 9.9", "SETN 0")
    assert bench.say("SETP?;RAMP?") == "70;3"


def test_reset_is_the_operator_screen_with_the_flow_off(bench):
    bench.say(*HEAT, "RSTO")
    assert bench.say("WHAT?;SETN?;DUTM?") == "10;1;0"
    assert not int(bench.say("AUXC?")) & 0x20


def test_a_reading_belongs_to_its_second(bench):
    bench.say(*HEAT)
    alone = bench.at(500.2, "TMPD?")
    assert {bench.at(500.0 + k / 10, "TMPA?;TMPD?;TMPD?").split(";")[1] for k in (2, 2)} == {alone}
    readings = [float(bench.at(20_000.0 + t, "TMPD?")) for t in range(400)]
    assert np.std(readings) == pytest.approx(np.hypot(0.03, 0.1 / np.sqrt(12)), rel=0.4)


@pytest.mark.parametrize("line", ["SYST:ERR?", "TEMPERATURE?", "SETPOINT 3", "*TST?"])
def test_what_it_does_not_have_fails_the_test(bench, line):
    with pytest.raises(UnknownCommand):
        bench.say(line)
    lenient = Bench(strict=False)
    assert lenient.say(line) is None
    assert int(lenient.say("*ESR?")) & 0x20  # command error


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_no_bytes_break_it(data):
    bench = Bench(strict=False)
    reply = bench.oven.answer(data)
    assert reply is None or isinstance(reply, bytes)
    assert bench.say("SETN?") in {"0", "1", "2"}


# --- drivers --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:It is not known:FutureWarning")
def test_upstreams_driver_as_it_is(link, bench):
    """Every exchange that an unmodified driver makes for our purpose, against the simulated one."""
    oven = upstream.ATS545(link.adapter)
    oven.configure(temp_window=0.5, soak_time=60, temp_limit_air_high=100)
    oven.start()
    oven.set_point_number = 0
    oven.temperature_setpoint = 60
    oven.ramp_rate = 5
    assert (oven.temperature_setpoint, oven.ramp_rate, oven.dut_mode) == (60, 5, "ON")
    bench.now_s = 4000.0
    assert oven.at_temperature()
    assert oven.temperature == pytest.approx(60.0, abs=0.2)
    assert oven.air_temperature == pytest.approx(60.0, abs=0.2)
    assert int(oven.error_status()) == 0
    oven.shutdown()
    assert not int(oven.auxiliary_condition_code) & 0x20


def test_the_bytes_of_our_driver():
    """One chamber command, byte by byte."""
    with expected_protocol(
        Ats545,
        [
            ("%RM", None),
            ("DUTM 1", None),
            ("SETN 0", None),
            ("WNDW 0.5", None),
            ("SOAK 600", None),
            ("RAMP 5", None),
            ("SETP 60", None),
            ("SETP?", "60"),
            ("FLOW 1", None),
            ("AUXC?", "368"),
            ("TECR?", "2"),
            ("EROR?", "0"),
            ("TMPD?", "25.1"),
        ],
    ) as oven:
        oven.remote_mode, oven.dut_mode, oven.set_point_number = True, "ON", 0
        oven.temperature_setpoint_window, oven.temperature_soak_time = 0.5, 600
        oven.ramp_rate, oven.temperature_setpoint = 5, 60
        assert oven.temperature_setpoint == 60
        oven.enable_air_flow = True
        assert int(oven.auxiliary_condition_code) == 368
        assert int(oven.temperature_condition_status_code) == 2
        assert int(oven.error_code) == 0
        assert oven.dut_temperature == 25.1


def test_force_read_release(link, bench):
    oven = ThermoStream(link)
    oven.limit(-20.5, 80.0)
    assert bench.say("LLIM?;ULIM?") == "-21;80"
    oven.force(60.0, APPROACH)
    assert bench.say("SETN?;SETP?;WNDW?;SOAK?;RAMP?;DUTM?") == "0;60;0.5;600;5;1"
    bench.now_s = 4000.0
    reading = oven.read()
    assert reading.on
    assert reading.settled
    assert reading.setpoint_celsius == 60.0
    assert reading.temperature_celsius == pytest.approx(60.0, abs=0.2)
    oven.release()
    assert not oven.read().on
    oven.release()
    assert oven.identity().simulated


@pytest.mark.parametrize(("celsius", "number"), [(-10.0, "2"), (25.0, "1"), (30.0, "0")])
def test_the_setpoint_is_the_one_for_its_temperature(link, bench, celsius, number):
    ThermoStream(link).force(celsius, APPROACH)
    assert bench.say("SETN?") == number


def test_a_number_out_of_range_is_refused_before_anything_is_sent(link, bench):
    oven = ThermoStream(link)
    slow = Approach(0.01, 0.5, 600.0, 1e4)
    with pytest.raises(LimitError, match=r"oven: ramp_rate: got 0, expected 0.1 to 9999"):
        oven.force(60.0, slow)
    with pytest.raises(LimitError, match="got 300"):
        oven.force(300.0, APPROACH)
    assert bench.say("AUXC?;SETP?") == "320;25"


def test_what_reads_back_otherwise_never_lets_the_air_flow(link, bench):
    oven = ThermoStream(link)
    oven.limit(-20.0, 80.0)
    with pytest.raises(InstrumentFault, match="temperature_setpoint reads back 125, expected 90"):
        oven.force(90.0, APPROACH)
    assert not int(bench.say("AUXC?")) & 0x20
    with pytest.raises(InstrumentFault, match=r"oven: reports .*0x0004"):
        oven.read()
