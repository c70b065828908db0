"""Keithley DMM6500 behind a bridge amplifier: simulated, upstream exchanges, our driver."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymeasure.instruments.keithley import KeithleyDMM6500
from pymeasure.test import expected_protocol

from devices.drivers.keithley_dmm6500 import DcVoltmeter, KeithleyDmm6500
from devices.errors import InstrumentFault
from devices.link import open_link
from sim.errors import UnknownCommand
from sim.instruments.bridge_amplifier import BridgeAmplifier, BridgeCalibration
from sim.instruments.keithley_dmm6500 import SimulatedDmm6500
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

CALIBRATION = BridgeCalibration(
    gain_v_per_kn=1.0,
    gain_uncertainty_percent=0.5,
    offset_v=0.012,
    offset_uncertainty_v=0.001,
    area_cm2=1.267,
)


class Bench:
    """A multimeter at a voltage that the test sets."""

    def __init__(self, *, strict=True, seed=0):
        self.now_s, self.volts = 0.0, 0.5
        self.world = World(None, lambda: self.now_s, seed=seed)
        self.dmm = SimulatedDmm6500(self.world, lambda _t_s: self.volts, strict=strict)

    def say(self, *lines):
        for line in lines:
            reply = self.dmm.answer(line.encode())
        return None if reply is None else reply.decode()


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def link(bench):
    library = SimulatedVisaLibrary({"dmm": bench.dmm})
    opened = open_link("sim://dmm", who="press", visa_library=library)
    yield opened
    opened.close()


# PyMeasure, tests/instruments/keithley/test_keithleyDMM6500.py, test by test. The function is
# quoted in the reply, as the reference manual shows it; upstream takes the quotes off.
UPSTREAM = [
    [("*LANG SCPI", None)],
    [("*LANG SCPI", None), ("ROUT:TERM?", "FRON")],
    [("*LANG SCPI", None), (":SENS:VOLT:NPLC 1.234", None), (":SENS:VOLT:NPLC?", "1.234")],
    [
        ("*LANG SCPI", None),
        (":SENS:FUNC?", '"VOLT:DC"'),
        ("VOLT:DC:NPLC 1.345", None),
        (":SENS:FUNC?", '"VOLT:DC"'),
        ("VOLT:DC:NPLC?", "1.345"),
    ],
]


@pytest.mark.parametrize("exchanges", UPSTREAM)
def test_upstreams_own_exchanges(bench, exchanges):
    assert [bench.say(sent) for sent, _ in exchanges] == [reply for _, reply in exchanges]
    assert bench.say("SYST:ERR?") == '0,"No error"'


def test_upstreams_driver_as_it_is(link, bench):
    dmm = KeithleyDMM6500(link.adapter)
    dmm.measure_voltage(max_voltage=10)
    dmm.nplc = 5
    dmm.autozero_enabled = True
    dmm.digits = 6
    assert (dmm.mode, dmm.voltage_range, dmm.nplc, dmm.digits) == ("voltage", 10, 5, 6)
    assert dmm.voltage == pytest.approx(0.5, abs=1e-4)
    offset = dmm.acquire_relative()
    dmm.enable_relative()
    bench.volts = 0.7
    assert dmm.voltage == pytest.approx(0.7 - offset, abs=1e-4)
    dmm.autorange_enabled = True
    assert dmm.auto_range_status()
    assert dmm.check_errors() == []


def test_reading_lies_within_a_years_accuracy():
    """25 ppm of reading and 5 ppm of range (DMM6500-905-01 Rev. A, page 2-4)."""
    far = 0
    for seed in range(60):
        bench = Bench(seed=seed)
        bench.volts = 5.0
        bench.say(":SENS:VOLT:RANG:AUTO 0;:SENS:VOLT:RANG 10")
        far += abs(float(bench.say("READ?")) - 5.0) > 5.0 * 25e-6 + 10.0 * 5e-6
    assert far <= 3


def test_a_reading_belongs_to_its_moment(bench):
    bench.now_s = 17.25
    alone = bench.say("READ?")
    bench.now_s = 18.0
    assert bench.say("READ?") != alone
    bench.now_s = 17.25
    assert bench.say("READ?;FETC?") == f"{alone};{alone}"


def test_ranges(bench):
    bench.say("VOLT:RANG 3")
    assert bench.say("VOLT:RANG?;:VOLT:RANG:AUTO?") == "10;0"
    bench.volts = -12.5
    assert float(bench.say("READ?")) == -9.9e37
    bench.say("VOLT:RANG:AUTO ON")
    assert float(bench.say("READ?")) == pytest.approx(-12.5, abs=1e-2)
    assert bench.say("VOLT:RANG?") == "100"


@pytest.mark.parametrize(
    ("line", "error"),
    [(':SENS:FUNC "CURR:DC"', -224), ("*LANG TSP", -224), ("VOLT:NPLC 20", -222)],
)
def test_what_it_does_not_do_is_said(bench, line, error):
    bench.say(line)
    assert bench.say("SYST:ERR?").startswith(f"{error},")


def test_an_unknown_header_fails_the_test(bench):
    with pytest.raises(UnknownCommand):
        bench.say("CURR:NPLC 1")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_no_bytes_break_it(data):
    bench = Bench(strict=False)
    reply = bench.dmm.answer(data)
    assert reply is None or isinstance(reply, bytes)
    assert bench.say("*LANG?") == "SCPI"


# --- our driver -----------------------------------------------------------------------------------


def test_the_bytes_of_our_driver():
    with expected_protocol(
        KeithleyDmm6500,
        [
            ("*LANG SCPI", None),
            (':SENS:FUNC "VOLT:DC"', None),
            (":SENS:VOLT:RANG:AUTO 0;:SENS:VOLT:RANG 10", None),
            (":SENS:VOLT:NPLC 5", None),
            (":SENS:VOLT:REL:STAT 0", None),
            (":READ?", "6.453262320E-01"),
        ],
    ) as dmm:
        dmm.measure_voltage(max_voltage=10)
        dmm.voltage_nplc = 5
        dmm.voltage_relative_enabled = False
        assert dmm.voltage == 0.645326232


def test_it_is_programmed_and_read_back(link, bench):
    bench.say("VOLT:REL 0.4", "VOLT:REL:STAT 1")
    meter = DcVoltmeter(link)
    assert bench.say("VOLT:RANG?;:VOLT:NPLC?;:VOLT:REL:STAT?") == "10;5;0"
    assert meter.voltage_v() == pytest.approx(0.5, abs=1e-4)
    assert meter.identity().simulated
    bench.volts = 50.0
    assert math.isnan(meter.voltage_v())


def test_a_range_that_it_does_not_have_is_noticed(link):
    with pytest.raises(
        InstrumentFault, match=r"press: reads back voltage_range 100.0, expected 50"
    ):
        DcVoltmeter(link, range_v=50.0)


# --- the amplifier --------------------------------------------------------------------------------


def pressure(volts):
    """What the calibration makes of a voltage, MPa, and its standard error."""
    per_mpa = CALIBRATION.gain_v_per_kn * CALIBRATION.area_cm2 * 0.1
    value = (volts - CALIBRATION.offset_v) / per_mpa
    return value, np.hypot(0.005 * value, CALIBRATION.offset_uncertainty_v / per_mpa)


def test_the_calibration_is_right_within_its_uncertainty_and_the_drift_within_that():
    deviations = []
    for seed in range(40):
        world = World(None, lambda: 0.0, seed=seed)
        world.stack_pressure_mpa = 5.0
        amplifier = BridgeAmplifier(world, CALIBRATION)
        for t_s in (0.0, 1e5, 6e5):
            value, error = pressure(amplifier.volts(t_s))
            deviations.append((value - 5.0) / error)
    assert np.abs(deviations).max() < 4.0
    assert 0.5 < np.std(deviations) < 1.3


def test_drift_is_slow_bounded_and_free_of_polling():
    world = World(None, lambda: 0.0, seed=1)
    one, other = (BridgeAmplifier(world, CALIBRATION) for _ in range(2))
    times = np.linspace(0.0, 7 * 86400.0, 2000)
    seen = np.array([one.volts(t_s) for t_s in times])
    assert other.volts(times[-1]) == seen[-1]
    assert np.abs(np.diff(seen)).max() < 1e-4  # V in 5 minutes
    assert 0.1e-3 < np.ptp(seen) < 5e-3


def test_the_amplifier_saturates():
    world = World(None, lambda: 0.0)
    world.stack_pressure_mpa = 1000.0
    assert BridgeAmplifier(world, CALIBRATION).volts(0.0) == 10.0
