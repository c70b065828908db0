"""The 2450 as a potentiostat: programs, limits, ends, stopping, and a host that comes and goes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.drivers.keithley_2450_backend import Keithley2450Backend
from devices.drivers.keithley_2450_program import CAPABILITIES, compile_program
from devices.errors import IdentityError, InstrumentFault, LimitError, LinkError
from devices.link import open_link
from devices.roles import CellLimits, Program, ProgramState
from sim.instruments.keithley_2450 import Keithley2450
from sim.samples.linear_cell import LinearCell
from sim.wire.faults import Fault, FaultyInstrument
from sim.wire.tcp import serve
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

LIMITS = CellLimits(-5.0, 5.0, -2.0, 2.0)
CHARGE = Program("current", 1.0, 1800.0, 10.0, LIMITS)
REST = Program("rest", 0.0, 300.0, 10.0, LIMITS)


class Tap:
    """An instrument whose messages a test can see and change."""

    def __init__(self, instrument):
        self.instrument, self.messages = instrument, []
        self.change = lambda message: message
        self.reply = lambda message, reply: reply

    def answer(self, message):
        self.messages.append(message.decode())
        changed = self.change(message)
        return None if changed is None else self.reply(message, self.instrument.answer(changed))


class Bench:
    """A cell, a simulated 2450 behind a tap, a link, and the backend."""

    def __init__(self, cell=None, *, noise_factor=0.0, identity=None):
        self.now_s = 0.0
        self.cell = cell or LinearCell(0.0, 1000.0, stiffness_v_per_mah=1.0)
        self.world = World(self.cell, now=lambda: self.now_s)
        options = {} if identity is None else {"identity": identity}
        self.smu = Keithley2450(self.world, noise_factor=noise_factor, **options)
        self.tap = Tap(self.smu)
        self.library = SimulatedVisaLibrary({"smu": self.tap})
        self.link = self.connect()
        self.backend = Keithley2450Backend(self.link)

    def connect(self):
        return open_link("sim://smu", who="pstat", expect=None, visa_library=self.library)

    def run(self, program):
        self.backend.load(program)
        self.backend.start()
        return self

    def after(self, seconds):
        self.now_s += seconds
        return self.backend

    @property
    def net_mah(self):
        return self.cell.charge_mah(self.now_s)[0]


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.link.close()


# --- programs ------------------------------------------------------------------------------------


def test_a_current_step_records_from_zero_to_its_end_and_switches_off(bench):
    page = bench.run(CHARGE).backend.poll()
    assert (page.state, page.reason, page.output_on) == (ProgramState.RUNNING, "", True)
    assert (page.index, page.elapsed_s.tolist()) == (0, [0.0])
    page = bench.after(1800.0).poll()
    assert (page.state, page.reason, page.output_on) == (ProgramState.FINISHED, "time", False)
    assert page.index == 1
    assert page.elapsed_s.tolist() == [10.0 * k for k in range(1, 181)]
    assert page.current_ma == pytest.approx(1.0)
    assert page.voltage_v == pytest.approx(1.0 + page.elapsed_s / 3600.0)
    assert bench.after(7200.0).poll().elapsed_s.size == 0
    assert bench.net_mah == pytest.approx(0.5, rel=1e-9)


def test_a_rest_forces_no_current_and_records_the_voltage():
    bench = Bench(LinearCell(3.0, 10.0))
    page = bench.run(REST).after(300.0).poll()
    assert page.voltage_v == pytest.approx(3.0)
    assert page.current_ma == pytest.approx(0.0)
    assert (page.reason, len(page.elapsed_s), bench.net_mah) == ("time", 31, 0.0)


def test_a_voltage_step_records_the_current():
    bench = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=10.0))
    page = bench.run(Program("voltage", 1.5, 600.0, 60.0, LIMITS)).after(600.0).poll()
    assert page.reason == "time"
    assert page.voltage_v == pytest.approx(1.5)
    assert page.current_ma == pytest.approx(1.5 * np.exp(-page.elapsed_s / 360.0))


@pytest.mark.parametrize(
    ("duration_s", "period_s", "expected"),
    [
        (25.0, 10.0, [0.0, 10.0, 20.0, 25.0]),
        (5.0, 10.0, [0.0, 5.0]),
        (1e-6, 10.0, [0.0]),
        (30.0, 10.0, [0.0, 10.0, 20.0, 30.0]),
        (0.9, 0.3, [0.0, 0.3, 0.6, 0.9]),
        (20.05, 10.0, [0.0, 10.0, 20.05]),
        (0.05, 10.0, [0.0, 0.05]),
    ],
)
def test_the_last_record_is_at_the_end(bench, duration_s, period_s, expected):
    program = replace(CHARGE, duration_s=duration_s, period_s=period_s)
    page = bench.run(program).after(100.0).poll()
    assert page.elapsed_s == pytest.approx(expected, abs=1e-9)
    assert page.reason == "time"
    assert bench.net_mah == pytest.approx(expected[-1] / 3600.0, rel=1e-6)


@pytest.mark.parametrize(("setpoint", "end_v"), [(1.0, 1.2), (-1.0, -1.2)])
def test_an_end_voltage_ends_with_its_reason(bench, setpoint, end_v):
    bench.run(replace(CHARGE, setpoint=setpoint, end_voltage_v=end_v))
    page = bench.after(1800.0).poll()
    assert (page.reason, page.output_on) == ("end_voltage", False)
    assert abs(page.voltage_v[-1]) >= 1.2
    assert abs(page.voltage_v[-2]) < 1.2
    assert abs(bench.net_mah) == pytest.approx(page.elapsed_s[-1] / 3600.0, rel=1e-9)


def test_an_end_current_ends_with_its_reason():
    bench = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=10.0))
    bench.run(Program("voltage", 1.5, 3600.0, 10.0, LIMITS, end_current_ma=0.5))
    page = bench.after(3600.0).poll()
    assert page.reason == "end_current"
    assert page.current_ma[-1] <= 0.5 < page.current_ma[-2]


@pytest.mark.parametrize("setpoint", [1.0, -1.0])
def test_a_record_outside_the_limits_ends_the_program(bench, setpoint):
    bench.run(replace(CHARGE, setpoint=setpoint, limits=CellLimits(-1.2, 1.2, -2.0, 2.0)))
    page = bench.after(1800.0).poll()
    assert (page.reason, page.output_on, page.state) == ("limit", False, ProgramState.FINISHED)
    assert abs(page.voltage_v[-1]) > 1.2
    assert np.abs(page.voltage_v[:-1]).max() <= 1.2


def test_too_much_current_at_a_forced_voltage_ends_the_program():
    bench = Bench(LinearCell(0.0, 100.0))
    page = bench.run(Program("voltage", 1.0, 60.0, 1.0, LIMITS)).backend.poll()
    assert (page.reason, page.output_on, page.elapsed_s.tolist()) == ("limit", False, [0.0])
    assert page.current_ma[0] == pytest.approx(2.04, rel=1e-3)  # clamped by ILIM, outside 2 mA


def test_a_cell_that_becomes_an_insulator_is_clamped_and_then_switched_off():
    """Row 14: by the instrument alone."""
    bench = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=500.0))
    page = bench.run(CHARGE).after(1800.0).poll()
    assert page.reason == "limit"
    assert page.voltage_v[-1] == pytest.approx(5.11)
    assert page.current_ma[-1] < 1.0
    assert bench.net_mah < page.elapsed_s[-1] / 3600.0


def test_an_instrument_left_alone_switches_itself_off(bench):
    bench.run(CHARGE)
    bench.link.close()
    bench.now_s = 1e6
    bench.world.catch_up()
    assert not bench.smu.output_on
    assert bench.net_mah == pytest.approx(0.5, rel=1e-9)


def test_a_million_seconds_and_a_hundred_thousand_records():
    bench = Bench(LinearCell(0.0, 1000.0))
    page = bench.run(replace(CHARGE, duration_s=1e6, period_s=8.0)).after(1e6).poll()
    assert (page.reason, len(page.elapsed_s)) == ("time", 125_001)
    assert np.abs(page.elapsed_s - 8.0 * np.arange(125_001)).max() < 1e-6


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"setpoint": 3.0}, r"setpoint 3 mA, limits -2 to 2 mA"),
        ({"mode": "voltage", "setpoint": 6.0}, r"setpoint 6 V, limits -5 to 5 V"),
        ({"mode": "rest"}, r"setpoint 1 mA at rest"),
        ({"setpoint": float("nan")}, r"setpoint nan"),
        ({"period_s": 0.1}, r"period_s 0.1 s, expected 0.2 to 50000 s"),
        ({"period_s": 2e5, "duration_s": 1e6}, r"period_s 200000 s"),
        ({"duration_s": 0.0}, r"duration_s 0 s"),
        ({"duration_s": float("inf")}, r"duration_s inf s"),
        ({"duration_s": 1e7, "period_s": 1.0}, r"10000001 records .* holds 6875000"),
        ({"end_voltage_v": 5.0}, r"end_voltage_v 5 V is not inside the limits"),
        ({"mode": "rest", "setpoint": 0.0, "end_voltage_v": 1.0}, r"without a current"),
        ({"end_current_ma": 0.1}, r"end_current_ma 0.1 mA in mode current"),
        ({"mode": "voltage", "end_current_ma": 0.0}, r"end_current_ma 0 mA in mode voltage"),
        (
            {"limits": CellLimits(-30.0, 5.0, -2.0, 2.0)},
            r"min_voltage_v -30, the 2450's own is -20",
        ),
        ({"limits": CellLimits(-5.0, 5.0, -2.0, 2e3)}, r"max_current_ma 2000"),
        ({"limits": CellLimits(5.0, -5.0, -2.0, 2.0)}, r"not below max_voltage_v"),
        ({"limits": CellLimits(-5.0, float("nan"), -2.0, 2.0)}, r"max_voltage_v nan"),
    ],
)
def test_what_lies_outside_is_refused_before_anything_is_written(bench, change, message):
    bench.tap.messages.clear()
    with pytest.raises(LimitError, match=f"pstat: .*{message}"):
        bench.backend.load(replace(CHARGE, **change))
    assert bench.tap.messages == []


def test_capabilities_and_identity(bench):
    assert bench.backend.capabilities() is CAPABILITIES
    assert bench.backend.identity().simulated
    assert set(CAPABILITIES.modes) == {"current", "voltage", "rest"}


def test_another_instrument_is_refused():
    """Row 3: another instrument of the same maker."""
    with pytest.raises(IdentityError, match="expected a Keithley 2450"):
        Bench(identity="ACME,T1000,SIM-1,1")


def test_nothing_is_energised_by_loading(bench):
    bench.backend.load(CHARGE)
    bench.after(3600.0)
    assert bench.net_mah == 0.0
    assert bench.backend.poll().state is ProgramState.IDLE
    assert not any(m in (":INIT", ":OUTP ON") for m in bench.tap.messages)


def test_one_write_energises_and_it_is_never_repeated(bench):
    """Row 8: the start of a program."""
    bench.backend.load(CHARGE)
    bench.tap.messages.clear()
    bench.backend.start()
    assert bench.tap.messages.count(":INIT") == 1
    assert "*OPC?" not in bench.tap.messages
    with pytest.raises(InstrumentFault, match="without a fresh program"):
        bench.backend.start()


def test_a_start_whose_reply_is_lost_is_not_repeated(bench):
    """Row 8: a start that may have acted."""
    bench.backend.load(CHARGE)
    bench.tap.messages.clear()
    bench.tap.reply = lambda message, reply: None if message == b":TRIG:STAT?" else reply
    with pytest.raises(LinkError, match="sent at most once and may have acted"):
        bench.backend.start()
    assert bench.tap.messages.count(":INIT") == 1
    bench.tap.reply = lambda message, reply: reply
    assert not bench.backend.stop().output_on


def test_an_init_that_is_ignored_is_a_fault(bench):
    bench.backend.load(CHARGE)
    bench.tap.change = lambda message: None if message == b":INIT" else message
    with pytest.raises(InstrumentFault, match="does not run after INIT"):
        bench.backend.start()


def test_loading_while_a_program_runs_is_refused(bench):
    bench.run(CHARGE)
    with pytest.raises(InstrumentFault, match="asked to load while running, output on"):
        bench.backend.load(REST)
    assert bench.after(1800.0).poll().reason == "time"


def test_a_setting_that_does_not_take_is_a_fault(bench):
    bench.tap.change = lambda m: m.replace(b":SOUR:CURR:VLIM 5.11", b":SOUR:CURR:VLIM 21")
    with pytest.raises(InstrumentFault, match="settings read back"):
        bench.backend.load(CHARGE)


def test_a_setting_that_is_refused_is_a_fault_with_the_instruments_text(bench):
    bench.tap.change = lambda m: m.replace(b":SOUR:CURR:VLIM 5.11", b":SOUR:CURR:VLIM 999")
    with pytest.raises(InstrumentFault, match="Parameter data out of range"):
        bench.backend.load(CHARGE)


def test_the_off_state_is_high_impedance_from_the_first_moment():
    bench = Bench(LinearCell(3.7, 50.0, stiffness_v_per_mah=1.0))
    bench.after(36_000.0)
    assert bench.net_mah == 0.0
    assert bench.smu.answer(b":OUTP:CURR:SMOD?;:OUTP:VOLT:SMOD?") == b"HIMP;HIMP"


def test_an_off_state_that_does_not_take_is_a_fault():
    bench = Bench()
    bench.smu.answer(b":OUTP:SMOD NORM")
    bench.tap.change = lambda m: m.replace(b":OUTP:SMOD HIMP;", b"").replace(
        b"SMOD HIMP", b"SMOD NORM"
    )
    with pytest.raises(InstrumentFault, match="never connect a cell"):
        Keithley2450Backend(bench.link)
    with pytest.raises(InstrumentFault, match="read back as NORM;NORM"):
        bench.backend.load(CHARGE)


# --- stopping ------------------------------------------------------------------------------------


def test_stop_records_the_moment_and_switches_off(bench):
    page = bench.run(CHARGE).after(33.0).stop()
    assert page.elapsed_s.tolist() == [0.0, 10.0, 20.0, 30.0, 33.0]
    assert page.current_ma == pytest.approx(1.0)
    assert (page.reason, page.state, page.output_on) == ("stopped", ProgramState.FINISHED, False)
    again = bench.after(100.0).stop()
    assert (again.elapsed_s.size, again.reason, again.output_on) == (0, "stopped", False)
    assert bench.net_mah == pytest.approx(33.0 / 3600.0, rel=1e-9)


@pytest.mark.parametrize("polled", [True, False])
def test_stop_at_the_moment_of_a_record_does_not_repeat_it(bench, polled):
    pages = [bench.run(CHARGE).after(30.0).poll()] if polled else []
    bench.now_s or bench.run(CHARGE).after(30.0)
    pages += [bench.backend.stop(), bench.backend.stop(), bench.backend.poll()]
    assert np.concatenate([p.elapsed_s for p in pages]).tolist() == [0.0, 10.0, 20.0, 30.0]
    assert pages[-1].reason == "stopped"


def test_stop_after_the_end_keeps_the_reason_and_adds_nothing(bench):
    page = bench.run(replace(CHARGE, duration_s=25.0)).after(60.0).stop()
    assert page.elapsed_s == pytest.approx([0.0, 10.0, 20.0, 25.0])
    assert page.reason == "time"
    assert bench.backend.poll().elapsed_s.size == 0


def test_stop_after_a_limit_keeps_the_reason(bench):
    bench.run(replace(CHARGE, limits=CellLimits(-1.01, 1.01, -2.0, 2.0)))
    page = bench.after(600.0).stop()
    assert page.reason == "limit"
    assert (np.diff(page.elapsed_s) == 10.0).all()


def test_stop_before_anything_ran(bench):
    page = bench.backend.stop()
    assert (page.state, page.reason, page.output_on) == (ProgramState.IDLE, "", False)


def test_stop_is_one_message_so_that_a_lost_link_leaves_the_cell_off(bench):
    bench.run(CHARGE)
    bench.tap.reply = lambda message, reply: None
    with pytest.raises(LinkError):
        bench.after(5.0).stop()
    assert not bench.smu.output_on


def test_an_ignored_off_is_a_fault(bench):
    """Row 17: a source-measure unit."""
    bench.run(CHARGE)
    bench.tap.change = lambda message: message.replace(b":OUTP OFF", b"")
    with pytest.raises(InstrumentFault, match="reads back as on after OUTPUT OFF"):
        bench.after(5.0).stop()
    bench.now_s = 3600.0
    assert bench.net_mah == pytest.approx(5.0 / 3600.0, rel=1e-9)  # on, but at 0 A
    bench.tap.change = lambda message: message
    assert not bench.backend.stop().output_on


def test_an_output_switched_off_by_hand_is_a_fault(bench):
    bench.run(CHARGE)
    bench.now_s = 15.0
    bench.smu.answer(b":OUTP OFF")
    page = bench.backend.poll()
    assert (page.state, page.reason, page.output_on) == (ProgramState.FINISHED, "fault", False)


# --- a host that comes and goes ------------------------------------------------------------------


def test_rewind_reads_again(bench):
    first = bench.run(CHARGE).after(95.0).poll()
    bench.backend.rewind(4)
    again = bench.backend.poll()
    assert again.index == 4
    assert again.voltage_v.tolist() == first.voltage_v[4:].tolist()


@pytest.mark.parametrize("program", [CHARGE, Program("voltage", 1.0, 1800.0, 10.0, LIMITS)])
def test_a_second_host_attaches_to_a_running_program(bench, program):
    first = bench.run(program).after(95.0).poll()
    second = Keithley2450Backend(bench.connect())
    second.rewind(7)
    page = second.poll()
    assert page.state is ProgramState.RUNNING
    assert page.index == 7
    assert page.current_ma.tolist() == first.current_ma[7:].tolist()
    assert page.voltage_v.tolist() == first.voltage_v[7:].tolist()
    bench.now_s = 3600.0
    assert second.poll().reason == "time"


@pytest.mark.parametrize(("limit_v", "reason"), [(1.2, "limit"), (5.0, "time")])
def test_a_second_host_learns_how_a_program_ended(bench, limit_v, reason):
    bench.run(replace(CHARGE, limits=CellLimits(-5.0, limit_v, -2.0, 2.0)))
    bench.now_s = 3600.0
    second = Keithley2450Backend(bench.connect())
    second.rewind(0)
    page = second.poll()
    assert (page.state, page.reason, page.output_on) == (ProgramState.FINISHED, reason, False)
    assert page.elapsed_s[0] == 0.0


def test_a_foreign_trigger_model_is_not_taken_for_ours(bench):
    bench.smu.answer(b':TRIG:LOAD "SimpleLoop",2;:INIT')
    bench.now_s = 10.0
    second = Keithley2450Backend(bench.connect())
    assert second.poll().state is ProgramState.IDLE
    assert bench.smu.errors == []


def test_a_restarted_instrument_is_a_fault(bench):
    """Row 5: one that was started anew meanwhile."""
    bench.run(CHARGE).after(95.0).poll()
    bench.smu.answer(b"*RST;:OUTP:SMOD HIMP")
    with pytest.raises((InstrumentFault, LinkError)):
        bench.backend.poll()


def test_limits_are_read_back_after_a_reconnect(bench):
    """Row 5: its limits."""
    bench.run(CHARGE)
    bench.link.distrust("cable pulled")
    bench.tap.messages.clear()
    assert bench.backend.poll().output_on
    assert any(":SOUR:CURR:VLIM?" in message for message in bench.tap.messages)
    bench.smu.answer(b":ABOR;:SOUR:CURR:VLIM 20")
    bench.link.distrust("cable pulled")
    with pytest.raises(InstrumentFault, match="settings read back"):
        bench.backend.poll()
    assert not bench.backend.stop().output_on


def test_a_poll_is_at_most_two_queries(bench):
    bench.run(CHARGE)
    bench.backend.poll()
    for wait_s, most in ((0.0, 1), (95.0, 2), (0.0, 1), (3600.0, 2)):
        bench.tap.messages.clear()
        bench.after(wait_s).poll()
        assert len(bench.tap.messages) <= most


def test_a_truncated_transfer_is_tried_again(bench):
    """Row 7: of a block of records."""
    bench.run(CHARGE)
    damaged = []

    def damage(message, reply):
        if message.startswith(b":TRAC:DATA?") and not damaged:
            damaged.append(message)
            return reply[:20]
        return reply

    bench.tap.reply = damage
    page = bench.after(95.0).poll()
    assert page.elapsed_s.tolist() == [10.0 * k for k in range(10)]
    assert bench.link.counters.reconnects == 1


@pytest.mark.parametrize("kind", ["silence", "late", "garble", "truncate", "close", "reset"])
def test_no_record_is_lost_or_read_twice_through_a_bad_wire(kind):
    """Row 7: of all records of a program."""
    bench = Bench(noise_factor=1.0)
    faulty = FaultyInstrument(
        bench.smu, lambda: bench.now_s, [Fault(kind, start_s=300.0, end_s=600.0, delay_s=5.0)]
    )
    link = open_link(
        "sim://smu",
        who="pstat",
        expect=None,
        visa_library=SimulatedVisaLibrary({"smu": faulty}),
    )
    bench.backend = Keithley2450Backend(link)
    bench.run(CHARGE)
    pages, failures = [], 0
    for _ in range(60):
        try:
            pages.append(bench.after(30.0).poll())
        except LinkError:
            failures += 1
    link.close()
    elapsed_s = np.concatenate([page.elapsed_s for page in pages])
    assert elapsed_s.tolist() == [10.0 * k for k in range(181)]
    assert failures == 10
    assert pages[-1].reason == "time"


def test_the_same_over_tcp(bench):
    bench.link.close()
    with serve({"smu": bench.smu}) as served:
        link = open_link(served.resource("smu"), who="pstat", expect="2450")
        bench.backend = Keithley2450Backend(link)
        page = bench.run(CHARGE).after(95.0).poll()
        assert page.elapsed_s.tolist() == [10.0 * k for k in range(10)]
        assert bench.after(8.0).stop().elapsed_s.tolist() == [100.0, 103.0]
        link.close()


# --- invariants ----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    period_s=st.floats(0.2, 40.0),
    duration_s=st.floats(1.0, 400.0),
    polls=st.lists(st.floats(0.0, 450.0), max_size=10).map(sorted),
    current_ma=st.floats(-2.0, 2.0).filter(lambda i: abs(i) > 0.01),
)
def test_polling_changes_no_record_and_charge_adds_up(period_s, duration_s, polls, current_ma):
    def run(times):
        bench = Bench(noise_factor=1.0)
        bench.run(Program("current", current_ma, duration_s, period_s, LIMITS))
        pages = []
        for t_s in [*times, 500.0]:
            bench.now_s = t_s
            pages.append(bench.backend.poll())
        bench.link.close()
        rows = [np.concatenate([getattr(p, c) for p in pages]) for c in COLUMNS]
        return np.array(rows), bench.net_mah, pages[-1].reason

    rows, net_mah, reason = run(polls)
    alone, alone_mah, alone_reason = run([])
    assert rows.tobytes() == alone.tobytes()
    assert (net_mah, reason) == (alone_mah, alone_reason)
    elapsed_s, measured_ma, _ = rows
    assert elapsed_s[0] == 0.0
    assert (np.diff(elapsed_s) > 0.0).all()
    assert reason == "time"
    assert elapsed_s[-1] == pytest.approx(duration_s, rel=1e-9, abs=1e-5)
    integral = np.trapezoid(measured_ma, elapsed_s) / 3600.0
    assert integral == pytest.approx(net_mah, rel=1e-3)


COLUMNS = ("elapsed_s", "current_ma", "voltage_v")


@given(
    duration_s=st.floats(1e-3, 1e6),
    period_s=st.floats(0.2, 5e4),
    mode=st.sampled_from(["current", "voltage", "rest"]),
)
def test_every_compiled_program_is_finite_and_every_exit_switches_off(duration_s, period_s, mode):
    setpoint = 0.0 if mode == "rest" else 1.0
    compiled = compile_program(Program(mode, setpoint, duration_s, period_s, LIMITS), who="pstat")
    blocks = ";".join(compiled.messages)
    assert blocks.count("SOUR:STAT") == 4
    assert [f"SOUR:STAT {place},OFF" in blocks for place in (14, 17, 20)] == [True] * 3
    assert "OUTP ON" not in blocks
    assert "INIT" not in blocks
    assert 1 <= compiled.records <= duration_s / period_s + 2
    assert max(len(message) for message in compiled.messages) < 256
