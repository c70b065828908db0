"""The driver of a potentiostat behind the bridge: over the in-process wire to the simulator."""

import asyncio
import json
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from pymeasure.test import expected_protocol

from devices.bridge.agent import Agent
from devices.drivers.potentiostat_bridge import BridgePotentiostat, PotentiostatBridge
from devices.errors import (
    IdentityError,
    InstrumentFault,
    LimitError,
    LinkError,
    NotReachedError,
)
from devices.link import open_link
from devices.roles import CellLimits, Program, ProgramState, Sweep
from sim.instruments.bridge_potentiostat import SimulatedPotentiostat
from sim.instruments.mri_acquirers import pellet_acquirers
from sim.instruments.mri_console import SimulatedMriConsole
from sim.samples.linear_cell import LinearCell
from sim.samples.llzo_cell import LlzoCell
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World
from tests.wire.test_potentiostat_contract import Resistor

LIMITS = CellLimits(-5.0, 5.0, -10.0, 10.0)
TOKEN = "correct horse battery staple"
STEP = Program("current", 0.1, 100.0, 10.0, LIMITS)
GEIS = Program(
    "impedance", 0.1, 0.0, 1.0, LIMITS, sweep=Sweep("current", 0.01, 1e4, 1.0, points_per_decade=2)
)


class Wire:
    """An instrument whose answers may be spoilt, in the order in which they are given."""

    def __init__(self, instrument):
        self._instrument, self.spoil, self.always, self.heard = instrument, {}, {}, []

    def answer(self, message):
        self.heard.append(message)
        reply = self._instrument.answer(message)
        for start, change in self.always.items():
            if message.startswith(start.encode()):
                return change(reply)
        for start, change in list(self.spoil.items()):
            if message.startswith(start.encode()):
                del self.spoil[start]
                return change(reply)
        return reply

    def count(self, start):
        return sum(message.startswith(start.encode()) for message in self.heard)


class Bench:
    """A battery, the simulated potentiostat, and its driver over an in-process link."""

    def __init__(self, sample=None):
        self.now_s = 0.0
        self.cell = sample or LinearCell(1.0, 1000.0, stiffness_v_per_mah=100.0)
        self.world = World(self.cell, lambda: self.now_s)
        self.wire = Wire(SimulatedPotentiostat(self.world, noise_factor=0.0))
        self.library = SimulatedVisaLibrary({"pstat": self.wire})
        self.link = self.open()
        self.backend = BridgePotentiostat(self.link)

    def open(self):
        return open_link("sim://pstat", who="pstat", visa_library=self.library, expect="SIM-")

    def run(self, *programs, until_s=None):
        """Load and start; after the programs, or after a while, poll."""
        self.backend.load(*programs)
        self.backend.start()
        self.now_s += 1e5 if until_s is None else until_s
        return self.backend.poll()


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.link.close()


def changed(**more):
    """Replaces keys in a JSON reply."""
    return lambda reply: json.dumps({**json.loads(reply), **more}).encode()


# --- the PyMeasure-style part ---


@pytest.mark.parametrize(
    ("exchange", "use"),
    [
        (("TECH:LOAD?", "null"), lambda one: one.program == {}),
        (("TECH:LOAD?", '{"techniques": []}'), lambda one: one.program == {"techniques": []}),
        (("TECH:CAP?", '{"counter": true}'), lambda one: one.capabilities == {"counter": True}),
        (("TECH:STAT?", '{"rows": 3}'), lambda one: one.status == {"rows": 3}),
        (("SYST:TIME?", "1735689600.5"), lambda one: one.clock_s == 1735689600.5),
        (("TECH:STOP", None), lambda one: one.halt() is None),
        (('TECH:LOAD {"limits": {}}', None), lambda one: setattr(one, "program", {"limits": {}})),
    ],
)
def test_properties(exchange, use):
    with expected_protocol(PotentiostatBridge, [exchange]) as instrument:
        assert use(instrument) in (True, None)


# --- the role ---


def test_it_says_what_the_instrument_can_do(bench):
    can = bench.backend.capabilities()
    assert set(can.modes) == {"current", "voltage", "rest", "scan", "impedance"}
    assert can.counter
    assert can.frequency_hz == (1e-5, 7e6)
    assert bench.backend.identity().simulated


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (STEP, "time"),
        (replace(STEP, end_voltage_v=1.2), "end_voltage"),
        (replace(STEP, setpoint=-0.1, end_voltage_v=0.8), "end_voltage"),
        (Program("voltage", 1.2, 1000.0, 10.0, LIMITS, end_current_ma=0.05), "end_current"),
        (Program("rest", 0.0, 50.0, 10.0, LIMITS), "time"),
        (Program("scan", 1.0, 20.0, 1.0, LIMITS, scan_to_v=1.2), "time"),
        (replace(GEIS, duration_s=2.0), "time"),
        (replace(STEP, limits=CellLimits(-5, 1.15, -10, 10)), "limit"),
    ],
)
def test_every_mode_runs_and_ends_for_its_reason_with_the_cell_open(bench, program, reason):
    page = bench.run(program)
    assert (page.state, page.reason) == (ProgramState.FINISHED, reason)
    assert not page.output_on
    assert not bench.backend.output_on()
    assert page.index == 0
    assert len(page.elapsed_s) == len(page.current_ma) == len(page.voltage_v) > 0
    if program.mode == "rest":
        assert not page.current_ma.any()


def test_a_poll_continues_where_the_last_one_ended_and_a_rewind_goes_back(bench):
    first = bench.run(STEP, until_s=35.0)
    assert first.elapsed_s.tolist() == pytest.approx([0, 10, 20, 30])
    assert first.output_on
    bench.now_s += 20.0
    second = bench.backend.poll()
    assert (second.index, second.elapsed_s.tolist()) == (4, pytest.approx([40, 50]))
    assert len(bench.backend.poll().elapsed_s) == 0
    bench.backend.rewind(2)
    assert bench.backend.poll().elapsed_s.tolist() == pytest.approx([20, 30, 40, 50])


def test_a_linked_spectrum_comes_in_pages_with_the_counter(bench):
    page = bench.run(GEIS, STEP, until_s=0.5)
    assert 0 < len(page.spectrum.frequency_hz) < GEIS.sweep.points
    assert page.technique == 0
    bench.now_s += 50.0
    rest = bench.backend.poll()
    assert rest.technique == 1
    hertz = [*page.spectrum.frequency_hz, *rest.spectrum.frequency_hz]
    assert hertz == pytest.approx(np.geomspace(1e4, 1.0, 9).tolist())
    assert rest.counter_mah == pytest.approx(0.1 * 50.5 / 3600, rel=0.2)
    assert bench.backend.poll().spectrum is None


def test_stopping_keeps_the_last_record_and_may_be_repeated(bench):
    bench.run(STEP, until_s=15.0)
    bench.now_s += 2.5
    page = bench.backend.stop()
    assert page.elapsed_s[-1] == pytest.approx(17.5)
    assert (page.reason, page.output_on) == ("stopped", False)
    assert len(bench.backend.stop().elapsed_s) == 0
    assert bench.cell.charge_mah(1e3)[0] == pytest.approx(0.1 * 17.5 / 3600)


@pytest.mark.parametrize(
    ("programs", "says"),
    [
        ([replace(STEP, setpoint=20.0)], "got 20 mA"),
        ([replace(STEP, period_s=1e-4)], "dt_s: got 0.0001"),
        ([STEP, replace(STEP, limits=CellLimits(-1, 1, -1, 1))], "different limits"),
        ([replace(GEIS, sweep=replace(GEIS.sweep, start_hz=1e8))], r"got 1e\+08 Hz"),
        ([replace(GEIS, sweep=replace(GEIS.sweep, amplitude=9.95))], r"\+- 9.95"),
    ],
)
def test_what_is_refused_is_a_limit_error_and_nothing_is_energised(bench, programs, says):
    with pytest.raises(LimitError, match=says):
        bench.backend.load(*programs)
    assert not bench.backend.output_on()
    assert bench.wire.count("TECH:STAR") == 0


def test_loading_is_refused_while_a_program_runs(bench):
    bench.run(STEP, until_s=1.0)
    with pytest.raises(NotReachedError, match="program 1 runs"):
        bench.backend.load(STEP)
    assert bench.backend.output_on()


def test_start_needs_a_fresh_program_and_is_sent_once(bench):
    """Row 8: behind the bridge."""
    with pytest.raises(InstrumentFault, match="without a fresh program"):
        bench.backend.start()
    bench.backend.load(STEP)
    bench.wire.spoil["SYST:ERR?"] = lambda _reply: b"\xff\xfe"
    with pytest.raises(LinkError, match="at most once and may have acted"):
        bench.backend.start()
    assert bench.wire.count("TECH:STAR") == 1
    assert bench.backend.output_on()  # it had acted: whoever called goes safe
    with pytest.raises(InstrumentFault, match="without a fresh program"):
        bench.backend.start()
    assert not bench.backend.stop().output_on


def test_an_instrument_that_does_not_run_is_a_fault(bench):
    bench.backend.load(STEP)
    bench.wire.spoil["TECH:STAT?"] = changed(state="loaded", rows=0)
    with pytest.raises(InstrumentFault, match="does not run, it is loaded"):
        bench.backend.start()


def test_off_is_believed_only_when_it_reads_back(bench):
    """Row 17: behind the bridge."""
    bench.run(STEP, until_s=5.0)
    bench.wire.spoil["TECH:STAT?"] = changed(cell_on=True)
    assert not bench.backend.stop().output_on  # told twice
    assert bench.wire.count("TECH:STOP") == 2
    bench.wire.always["TECH:STAT?"] = changed(cell_on=True)
    with pytest.raises(InstrumentFault, match="reads back as on"):
        bench.backend.stop()


def test_a_program_that_reads_back_otherwise_is_not_started(bench):
    bench.wire.spoil["TECH:LOAD?"] = lambda reply: reply.replace(
        b'"current_ma":0.1', b'"current_ma":1'
    )
    with pytest.raises(InstrumentFault, match="reads back as"):
        bench.backend.load(STEP)


def test_rows_that_were_spoilt_are_asked_for_again(bench):
    bench.run(STEP, until_s=1.0)
    bench.now_s += 40.0

    def flip(reply):
        return reply[:40] + bytes([reply[40] ^ 1]) + reply[41:]

    bench.wire.spoil["TECH:DATA?"] = flip
    with pytest.raises(LinkError, match="CRC-32"):
        bench.backend.poll()
    assert bench.backend.poll().elapsed_s.tolist() == pytest.approx([10, 20, 30, 40])


@pytest.mark.parametrize("reply", [b"{}", b'{"state": "??"}', b"[1]", b"x"])
def test_a_garbled_status_is_a_failure_of_the_link(bench, reply):
    bench.run(STEP, until_s=1.0)
    bench.wire.always["TECH:STAT?"] = lambda _reply: reply
    with pytest.raises(LinkError):
        bench.backend.poll()


def test_records_that_are_gone_and_another_program_are_faults(bench):
    bench.run(STEP, until_s=25.0)
    bench.wire.spoil["TECH:STAT?"] = changed(rows=1)
    with pytest.raises(InstrumentFault, match="the program is lost"):
        bench.backend.poll()
    bench.wire.spoil["TECH:STAT?"] = changed(program=7)
    with pytest.raises(InstrumentFault, match="of program 7"):
        bench.backend.poll()


def test_a_program_that_runs_is_found_again_and_left_alone(bench):
    bench.run(GEIS, replace(STEP, end_voltage_v=1.2), until_s=20.0)
    with_link = bench.open()
    again = BridgePotentiostat(with_link)
    again.rewind(0)
    page = again.poll()
    assert page.state is ProgramState.RUNNING
    assert page.index == 0
    assert len(page.spectrum.frequency_hz) == GEIS.sweep.points
    bench.now_s += 1e4
    assert again.poll().reason == "end_voltage"
    with_link.close()


def test_after_a_reconnect_the_loaded_program_is_read_back(bench):
    bench.run(STEP, until_s=5.0)
    bench.link.distrust("a test")
    bench.now_s += 10.0
    assert len(bench.backend.poll().elapsed_s) == 1
    bench.link.distrust("a test")
    bench.wire.spoil["TECH:LOAD?"] = lambda _reply: b"null"
    with pytest.raises(InstrumentFault, match="another program is loaded"):
        bench.backend.poll()
    assert not bench.backend.stop().output_on  # a safe state can still be commanded


def test_something_else_on_the_bridge_is_no_potentiostat():
    """Row 3: an instrument of another kind."""
    cell = LlzoCell.from_preset("small_4p8")
    console = SimulatedMriConsole(
        World(cell, lambda: 0.0), pellet_acquirers(cell.geometry, seed=0), strict=False
    )
    library = SimulatedVisaLibrary({"console": console})
    link = open_link("sim://console", who="pstat", visa_library=library)
    with pytest.raises(IdentityError, match="no potentiostat"):
        BridgePotentiostat(link)
    link.close()


# --- the agent on a vendor's PC ---


@contextmanager
def served(plugin, **options):
    """An agent over TCP in a thread of its own; gives its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    agent = Agent(plugin, token=TOKEN, **options)
    try:
        yield asyncio.run_coroutine_threadsafe(agent.start(), loop).result(5)
    finally:
        asyncio.run_coroutine_threadsafe(agent.stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def test_the_agent_with_a_plug_in_is_driven_the_same_way_and_made_safe_without_a_client():
    import time

    plugin = Resistor(time.monotonic)
    with served(plugin, lost_client_s=0.2) as port:
        resource = f"TCPIP::127.0.0.1::{port}::SOCKET"
        with pytest.raises(IdentityError, match="wants a token"):
            BridgePotentiostat(open_link(resource, who="pstat"))
        link = open_link(resource, who="pstat")
        backend = BridgePotentiostat(link, token=TOKEN)
        program = replace(STEP, duration_s=60.0, limits=CellLimits(-1, 1, -2, 2))
        backend.load(replace(GEIS, limits=program.limits), program)
        backend.start()
        page = backend.poll()
        assert page.output_on
        assert page.current_ma[0] == 0.1
        link.close()  # the client is lost
        deadline = time.monotonic() + 5.0
        while plugin.active():
            assert time.monotonic() < deadline, "the agent left the cell on"
            time.sleep(0.02)
    assert plugin.status()["reason"] == "stopped"
