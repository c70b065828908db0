"""The simulated Agilent 33522A: upstream's own exchanges, and what reaches the trigger cable."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import UnknownCommand
from sim.instruments.agilent_33500 import SimulatedAgilent33500
from sim.world import World

TTL = (
    "OUTP:LOAD INF",
    "FUNC PULS",
    "VOLT:LOW 0",
    "VOLT:HIGH 5",
    "BURS:MODE TRIG",
    "BURS:NCYC 1",
    "BURS:STAT 1",
)


class Bench:
    """A generator, its cable and a clock that the test sets."""

    def __init__(self, *, strict=True):
        self.now_s = 0.0
        self.pulses = []
        self.world = World(None, lambda: self.now_s)
        self.world.connect("ttl", self.pulses.append)
        self.generator = SimulatedAgilent33500(self.world, strict=strict)

    def say(self, *lines):
        for line in lines:
            reply = self.generator.answer(line.encode())
        return None if reply is None else reply.decode()

    def error(self):
        return self.say("SYST:ERR?")

    def at(self, t_s):
        self.now_s = t_s
        self.world.catch_up()
        return self.pulses


@pytest.fixture
def ready():
    bench = Bench()
    bench.say(*TTL, "TRIG:SOUR BUS", "OUTP 1")
    assert bench.error() == '0,"No error"'
    return bench


# Values that upstream's own driver tests write and read (PyMeasure, tests/instruments/agilent/
# test_agilent33500.py), as exchanges against this instrument.
UPSTREAM = [
    *[
        ("FUNC", shape)
        for shape in ["SIN", "SQU", "TRI", "RAMP", "PULS", "PRBS", "NOIS", "ARB", "DC"]
    ],
    *[("VOLT:UNIT", unit) for unit in ("VPP", "VRMS", "DBM")],
    ("FREQ", "0.000001"),
    ("VOLT", "0.010000"),
    ("VOLT", "10.000000"),
    ("VOLT:OFFS", "-4.895000"),
    ("VOLT:HIGH", "4.995000"),
    ("VOLT:LOW", "-4.995000"),
    ("PHAS", "-360.000000"),
    ("PHAS", "360.000000"),
    ("FUNC:SQU:DCYC", "0.010000"),
    ("FUNC:RAMP:SYMM", "0.010000"),
    ("FUNC:PULS:PER", "1.000000e-03"),
    ("FUNC:PULS:WIDT", "1.000000e-04"),
    ("FUNC:PULS:HOLD", "DCYC"),
    ("FUNC:PULS:TRAN:BOTH", "1.000000e-07"),
    ("BURS:STAT", "1"),
    ("BURS:MODE", "GAT"),
    ("BURS:INT:PER", "1.000000e+00"),
    ("BURS:NCYC", "17"),
]


@pytest.mark.parametrize("prefix", ["", "SOUR1:", "SOUR2:"])
@pytest.mark.parametrize(("header", "value"), UPSTREAM)
def test_what_upstream_writes_it_reads_back(prefix, header, value):
    bench = Bench()
    bench.say(f"{prefix}{header} {value}")
    assert bench.error() == '0,"No error"'
    reply = bench.say(f"{prefix}{header.removesuffix(':BOTH')}?")
    try:
        assert float(reply) == pytest.approx(float(value))
    except ValueError:
        assert reply == value


@pytest.mark.parametrize("header", ["OUTP", "OUTP1", "OUTP2", "OUTP:TRIG"])
@pytest.mark.parametrize("state", ["0", "1"])
def test_switches_read_back(header, state):
    bench = Bench()
    bench.say(f"{header} {state}")
    assert bench.say(f"{header}?") == state


def test_channels_are_apart():
    bench = Bench()
    bench.say("SOUR2:FREQ 5")
    assert float(bench.say("SOUR1:FREQ?")) == 1000.0
    assert float(bench.say("SOURCE2:FREQUENCY?")) == 5.0
    bench.say("SOUR3:FREQ 5")
    assert bench.error().startswith("-114")


def test_displayed_levels_follow_the_load():
    bench = Bench()
    assert float(bench.say("VOLT?")) == pytest.approx(0.1)
    bench.say("OUTP:LOAD INF")
    assert float(bench.say("VOLT?")) == pytest.approx(0.2)
    assert float(bench.say("OUTP:LOAD?")) == 9.9e37
    bench.say("VOLT:HIGH 11")
    assert bench.error().startswith("-222")


def test_a_bus_trigger_sends_one_pulse_now(ready):
    ready.now_s = 12.5
    ready.say("*TRG;*WAI")
    assert ready.at(100.0) == [12.5]
    ready.say("*TRG")
    assert ready.pulses == [12.5, 100.0]
    assert ready.error() == '0,"No error"'


def test_a_burst_of_three_cycles_is_three_pulses_one_period_apart(ready):
    ready.say("FUNC:PULS:PER 0.5", "BURS:NCYC 3", "*TRG")
    assert ready.at(0.6) == [0.0, 0.5]
    ready.say("*TRG")
    assert ready.error().startswith('-211,"Trigger ignored')
    assert ready.at(9.0) == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("TRIG:SOUR IMM", "-211"),
        ("TRIG:SOUR EXT", "-211"),
        ("BURS:STAT 0", "-211"),
        ("OUTP 0", "0"),
        ("FUNC DC", "0"),
        ("VOLT:HIGH 1.9", "0"),
        ("VOLT:LOW 0.9", "0"),
    ],
)
def test_no_pulse_reaches_the_cable_when_something_is_missing(ready, change, error):
    ready.say(change, "OUTP 0" if error == "-211" else "*CLS")
    ready.pulses.clear()
    ready.say("*TRG")
    ready.at(5.0)
    assert ready.pulses == []
    assert ready.error().split(",")[0] == error


def test_levels_set_for_50_ohm_appear_doubled_at_the_input():
    bench = Bench()
    bench.say(*TTL[1:2], "VOLT:LOW 0", "VOLT:HIGH 1.1", *TTL[4:], "TRIG:SOUR BUS", "OUTP 1", "*TRG")
    assert bench.pulses == [0.0]


def test_an_output_that_is_on_without_bus_trigger_runs_free():
    bench = Bench()
    bench.say(*TTL, "BURS:INT:PER 2")
    bench.now_s = 1.0
    bench.say("OUTP 1")
    assert bench.at(6.0) == [1.0, 3.0, 5.0]
    bench.say("BURS:STAT 0", "FUNC:PULS:PER 1e-3")
    bench.pulses.clear()
    bench.at(86_400.0)
    assert 1 <= len(bench.pulses) <= 16
    bench.say("OUTP 0")
    bench.pulses.clear()
    assert bench.at(1e5) == []


def test_reset_switches_everything_off(ready):
    ready.say("*RST")
    assert (ready.say("OUTP?"), ready.say("BURS:STAT?"), ready.say("TRIG:SOUR?")) == (
        "0",
        "0",
        "IMM",
    )
    assert ready.at(10.0) == []


def test_an_unknown_header_fails_the_test():
    with pytest.raises(UnknownCommand, match="SWE"):
        Bench().say("SWE:STAT 1")


def test_it_says_that_it_is_simulated():
    assert Bench().say("*IDN?").split(",")[:3] == ["Agilent Technologies", "33522A", "SIM-TTL-0001"]


HEADERS = st.sampled_from([b"FREQ ", b"VOLT:HIGH ", b"OUTP:LOAD ", b"SOUR9:FREQ ", b"*TRG;", b""])


@pytest.fixture(scope="module")
def lasting():
    return Bench(strict=False)


@settings(max_examples=1000, deadline=None)
@given(HEADERS, st.one_of(st.binary(max_size=100), st.text(max_size=60).map(str.encode)))
def test_no_bytes_crash_the_generator(lasting, header, rest):
    reply = lasting.generator.answer(header + rest)
    assert reply is None or isinstance(reply, bytes)
    assert lasting.say("*IDN?").startswith("Agilent")
