"""The trigger's driver: what it programs, what it reads back, one pulse per command."""

import pytest
from pymeasure.instruments.agilent import Agilent33500 as UpstreamAgilent33500
from pymeasure.test import expected_protocol

from devices.drivers.agilent_33500 import Agilent33500, TtlTrigger
from devices.drivers.console_bridge import BridgeMriConsole
from devices.errors import InstrumentFault, LimitError, LinkError
from devices.link import open_link
from devices.roles import ConsoleState
from sim.instruments.agilent_33500 import SimulatedAgilent33500
from sim.instruments.mri_acquirers import pellet_acquirers
from sim.instruments.mri_console import SimulatedMriConsole
from sim.samples.geometry import PelletGeometry
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World


class Deaf:
    """An instrument that does not act on some commands, or loses their replies."""

    def __init__(self, instrument):
        self._instrument, self.ignored, self.mute, self.heard = instrument, set(), set(), []

    def answer(self, message):
        self.heard.append(message)
        if any(message.startswith(start) for start in self.ignored):
            return None
        reply = self._instrument.answer(message)
        return None if message in self.mute else reply


class Bench:
    """A generator whose cable ends in a list, and the link to it."""

    def __init__(self):
        self.now_s, self.pulses = 0.0, []
        self.world = World(None, lambda: self.now_s)
        self.world.connect("ttl", self.pulses.append)
        self.generator = Deaf(SimulatedAgilent33500(self.world))
        library = SimulatedVisaLibrary({"ttl": self.generator})
        self.link = open_link("sim://ttl", who="ttl", visa_library=library, expect="3352")

    def set(self, *lines):
        for line in lines:
            self.generator.answer(line.encode())


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.link.close()


def test_preparing_sends_no_pulse_and_leaves_the_output_ready(bench):
    trigger = TtlTrigger(bench.link)
    bench.now_s = 1000.0
    bench.world.catch_up()
    assert bench.pulses == []
    assert trigger.identity().simulated
    assert trigger.driver.output
    assert trigger.driver.trigger_source == "BUS"
    assert trigger.driver.voltage_high == pytest.approx(5.0)


def test_preparing_sends_no_pulse_whatever_the_generator_did_before(bench):
    bench.set("FUNC SQU", "VOLT 5", "OUTP 1", "OUTP:LOAD INF", "SOUR1:BURS:NCYC 9")
    assert bench.pulses, "it ran free"
    bench.now_s = 1.0
    bench.world.catch_up()
    bench.pulses.clear()
    TtlTrigger(bench.link)
    bench.now_s = 2.0
    bench.world.catch_up()
    assert bench.pulses == []


def test_each_pulse_is_one_pulse_at_its_time(bench):
    trigger = TtlTrigger(bench.link)
    for t_s in (10.0, 10.5, 9000.25):
        bench.now_s = t_s
        trigger.pulse()
    bench.now_s = 1e4
    bench.world.catch_up()
    assert bench.pulses == [10.0, 10.5, 9000.25]


def test_a_prepared_generator_is_left_alone(bench):
    TtlTrigger(bench.link)
    before = len(bench.generator.heard)
    TtlTrigger(bench.link)
    assert all(message.endswith(b"?") for message in bench.generator.heard[before:])


@pytest.mark.parametrize(
    ("ignored", "message"),
    [
        (b"OUTP 1", "ttl: reads back output False, expected True"),
        (b"OUTP:LOAD INF", "output_load 50.0, expected inf"),
        (b"TRIG:SOUR BUS", "trigger_source 'IMM', expected 'BUS'"),
        (b"BURS:STAT 1", "burst_state False, expected True"),
    ],
)
def test_a_command_that_had_no_effect_is_a_fault(bench, ignored, message):
    bench.generator.ignored.add(ignored)
    with pytest.raises(InstrumentFault, match=message):
        TtlTrigger(bench.link)


def test_a_trigger_that_is_ignored_is_a_fault(bench):
    trigger = TtlTrigger(bench.link)
    bench.set("TRIG:SOUR EXT")
    with pytest.raises(InstrumentFault, match=r"ttl: no pulse was sent: -211.*Trigger ignored"):
        trigger.pulse()
    assert bench.pulses == []


def test_a_pulse_is_never_repeated(bench):
    trigger = TtlTrigger(bench.link)
    bench.generator.mute.add(b"SYST:ERR?")
    with pytest.raises(LinkError, match="sent at most once and may have acted"):
        trigger.pulse()
    assert bench.pulses == [0.0]


def test_after_a_reconnect_a_generator_that_was_reset_is_prepared_again(bench):
    trigger = TtlTrigger(bench.link)
    bench.set("*RST")
    bench.link.distrust("the test pulled the plug")
    with pytest.raises(LinkError, match="was not sent"):
        trigger.pulse()
    trigger.pulse()
    assert bench.pulses == [0.0]


def test_off_is_verified(bench):
    trigger = TtlTrigger(bench.link)
    trigger.off()
    trigger.off()
    assert not trigger.driver.output
    bench.set("OUTP 1")
    bench.generator.ignored.add(b"OUTP 0")
    with pytest.raises(InstrumentFault, match="ttl: output is on, expected off"):
        trigger.off()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"high_v": 10.0}, "high_v: got 10, expected 2.4 to 5"),
        ({"high_v": 1.0}, "high_v: got 1"),
        ({"width_s": 0.0}, "width_s: got 0, expected 1e-06 to 0.5"),
    ],
)
def test_levels_that_are_not_ttl_are_refused_before_anything_is_sent(bench, options, message):
    before = len(bench.generator.heard)
    with pytest.raises(LimitError, match=message):
        TtlTrigger(bench.link, **options)
    assert len(bench.generator.heard) == before


def test_a_short_pulse_is_programmed_as_asked(bench):
    trigger = TtlTrigger(bench.link, high_v=3.3, width_s=1e-5)
    assert trigger.driver.pulse_width == pytest.approx(1e-5)
    assert trigger.driver.voltage_high == pytest.approx(3.3)
    trigger.pulse()
    assert bench.pulses == [0.0]


def test_the_strict_driver_speaks_upstreams_bytes():
    exchanges = [
        (b"OUTP 1", None),
        (b"OUTP?", b"1"),
        (b"TRIG:SOUR BUS", None),
        (b"FUNC:PULS:WIDT 1.000000e-03", None),
        (b"OUTP:LOAD?", b"+9.900000000000000E+37"),
        (b"*TRG;*WAI", None),
    ]
    for driver in (Agilent33500, UpstreamAgilent33500):
        with expected_protocol(driver, exchanges) as generator:
            generator.output = True
            assert generator.output
            generator.trigger_source = "BUS"
            generator.pulse_width = 1e-3
            assert generator.output_load >= 9.9e37
            generator.trigger()


def test_upstreams_own_driver_runs_a_burst_on_the_simulated_generator(bench):
    generator = UpstreamAgilent33500(bench.link.adapter)
    generator.reset()
    generator.output_load = "INF"
    generator.shape = "PULS"
    generator.amplitude, generator.offset = 5, 2.5
    generator.trigger_source = "BUS"
    generator.burst_ncycles, generator.burst_state = 2, True
    generator.output = True
    assert generator.check_errors() == []
    generator.trigger()
    bench.now_s = 1.0
    bench.world.catch_up()
    assert bench.pulses == pytest.approx([0.0, 1e-3])


class Layers:
    """A sample with one micromol/cm2 in each layer."""

    def mean_layers_umol_per_cm2(self, t0_s, t1_s):
        return [1.0, 1.0, 1.0, 1.0]


def test_a_pulse_of_the_generator_starts_the_armed_scan_of_the_console():
    now_s = [0.0]
    world = World(Layers(), lambda: now_s[0])
    geometry = PelletGeometry(4.0, 4.8, 0.1)
    library = SimulatedVisaLibrary(
        {
            "console": SimulatedMriConsole(world, pellet_acquirers(geometry, 0)),
            "ttl": SimulatedAgilent33500(world),
        }
    )
    links = [
        open_link(f"sim://{name}", who=name, visa_library=library) for name in ("console", "ttl")
    ]
    console, trigger = BridgeMriConsole(links[0]), TtlTrigger(links[1])
    console.configure({"averages": 1})
    trigger.pulse()
    now_s[0] = 5.0
    console.arm()
    now_s[0] = 7.5
    trigger.pulse()
    assert console.status().state is ConsoleState.ACQUIRING
    now_s[0] = 7.5 + 15.6 + 2.0
    status = console.status()
    assert status.state is ConsoleState.IDLE
    assert status.t_end_s - status.t_start_s == pytest.approx(15.6)
    assert console.driver.status["triggers_ignored"] == 1
    image, _ = console.read_image()
    assert image.sum() == pytest.approx(2.33 * 67.2, rel=1.0)
    for link in links:
        link.close()
