"""The simulated 2450: output stage, trigger model, buffers, and what it never does."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import UnknownCommand
from sim.instruments.keithley_2450 import Keithley2450
from sim.instruments.smu_meter import NoiseStream
from sim.samples.linear_cell import LinearCell
from sim.world import Terminals, World


class Bench:
    """One simulated 2450, a cell, and a clock that the test moves."""

    def __init__(self, cell=None, **options):
        self.now_s = 0.0
        self.cell = LinearCell(resistance_ohm=1000.0) if cell is None else cell
        self.world = World(self.cell, now=lambda: self.now_s)
        self.smu = Keithley2450(self.world, **options)

    def ask(self, message):
        reply = self.smu.answer(message.encode())
        return None if reply is None else reply.decode()

    def numbers(self, message):
        return [float(text) for text in self.ask(message).split(",")]

    def at(self, t_s):
        self.now_s = t_s
        return self

    def rows(self, first, last):
        self.ask(":FORM REAL")
        query = f':TRAC:DATA? {first},{last},"defbuffer1",READ,SOUR,REL'
        reply = self.smu.answer(query.encode())
        self.ask(":FORM ASC")
        assert reply[:2] == b"#0"
        return np.frombuffer(reply[2:], "<f8").reshape(-1, 3)


SOURCE_1_MA = ':SOUR:FUNC CURR;:SOUR:CURR:VLIM 5;:SOUR:CURR 1e-3;:SENS:FUNC "VOLT"'
TIMER_10_S = (
    ":TRIG:TIM1:DEL 10;:TRIG:TIM1:COUN 0;:TRIG:TIM1:STAR:GEN ON"
    ";:TRIG:TIM1:STAR:STIM NOT1;:TRIG:TIM1:STAT ON"
)


def load(bench, count=11, limits=(-3.0, 3.0), *, by_block=False):
    """Record `count` times on a timer; `by_block` adds a block that spoils the fast shape."""
    bench.ask(":OUTP:SMOD HIMP")
    bench.ask(SOURCE_1_MA)
    bench.ask(TIMER_10_S)
    blocks = ['BUFF:CLE {},"defbuffer1"', "SOUR:STAT {},ON", "NOT {},1", "WAIT {},TIM1"]
    blocks += ['MEAS {},"defbuffer1"', f"BRAN:LIM:CONS {{}},OUT,{limits[0]},{limits[1]},20,5"]
    blocks += ["BRAN:ALW {},8" if by_block else "NOP {}", f"BRAN:COUN {{}},{count},4"]
    blocks += ["SOUR:STAT {},OFF", "BRAN:ALW {},22"]
    bench.ask(':TRIG:LOAD "Empty"')
    for place, block in enumerate(blocks, start=1):
        bench.ask(":TRIG:BLOC:" + block.format(place))
    bench.ask(":TRIG:BLOC:SOUR:STAT 20,OFF;:TRIG:BLOC:BRAN:COUN 21,1,21;:TRIG:BLOC:NOP 22")
    assert bench.smu.errors == []


# --- output-off states ---------------------------------------------------------------------------


def full_cell():
    """3.7 V behind 50 ohm; 1 V per mAh."""
    return LinearCell(3.7, 50.0, stiffness_v_per_mah=1.0)


@pytest.mark.parametrize("state", ["NORM", "ZERO"])
def test_the_default_off_state_discharges_a_full_cell(state):
    bench = Bench(full_cell())
    bench.ask(f":OUTP:SMOD {state}")
    bench.at(36_000.0).ask(":OUTP?")
    net, _ = bench.cell.charge_mah(36_000.0)
    assert net < -0.05
    expected_ma = 0.1 * 0.1 if state == "NORM" else 0.1  # of the present range, 100 uA
    assert net == pytest.approx(-expected_ma * 10.0, rel=1e-3)


@pytest.mark.parametrize("state", ["HIMP", "GUAR"])
def test_an_open_relay_and_guard_take_nothing(state):
    bench = Bench(LinearCell(0.15, 50.0, stiffness_v_per_mah=1.0))
    bench.ask(f":SOUR:FUNC CURR;:SENS:VOLT:RANG 2;:OUTP:SMOD {state}")
    bench.at(36_000.0).ask(":OUTP?")
    assert bench.cell.charge_mah(36_000.0) == (0.0, 0.0)


def test_normal_off_after_reset_is_the_default():
    bench = Bench(full_cell())
    bench.ask(":OUTP:SMOD HIMP")
    bench.ask("*RST")
    assert bench.ask(":OUTP:CURR:SMOD?;:OUTP:VOLT:SMOD?") == "NORM;NORM"
    bench.at(3600.0).ask("*IDN?")
    assert bench.cell.charge_mah(3600.0)[0] == pytest.approx(-0.01, rel=1e-3)


def test_an_emptied_cell_is_held_at_zero_volts():
    """The current limit holds until the voltage has fallen to 0; then 0 V are driven."""
    bench = Bench(LinearCell(0.5, 1000.0, stiffness_v_per_mah=10.0))
    bench.ask(":SENS:CURR:RANG 1e-3;:OUTP:SMOD NORM")
    bench.at(200_000.0).ask(":OUTP?")
    assert bench.cell.charge_mah(200_000.0)[0] == pytest.approx(-0.05, rel=1e-6)
    assert bench.cell.terminals(np.array([200_000.0])).voltage_v[0] == 0.0


# --- source and limit ----------------------------------------------------------------------------


def test_the_voltage_limit_clamps_and_keeps_passing_current():
    bench = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=100.0), noise_factor=0.0)
    bench.ask(":OUTP:SMOD HIMP")
    bench.ask(SOURCE_1_MA + ";:SOUR:CURR:VLIM 2;:OUTP ON")
    assert bench.numbers(':READ? "defbuffer1",READ,SOUR') == [1.0, 1e-3]
    # E reaches 1 V after 0.01 mAh, 36 s at 1 mA; then the current falls exponentially
    assert bench.at(35.0).ask(":SOUR:CURR:VLIM:TRIP?") == "0"
    assert bench.at(72.0).ask(":SOUR:CURR:VLIM:TRIP?") == "1"
    volts, amps = bench.numbers(':READ? "defbuffer1",READ,SOUR')
    assert volts == 2.0
    assert amps == pytest.approx(1e-3 * math.exp(-1.0), rel=1e-4)
    net, _ = bench.cell.charge_mah(72.0)
    assert net == pytest.approx(0.01 + 0.01 * (1.0 - math.exp(-1.0)), rel=1e-4)


def test_a_current_limit_clamps_a_voltage_source_and_lets_go():
    bench = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=100.0), noise_factor=0.0)
    bench.ask(':OUTP:SMOD HIMP;:SOUR:FUNC VOLT;:SOUR:VOLT 3;:SOUR:VOLT:ILIM 1e-3;:SENS:FUNC "CURR"')
    bench.ask(":OUTP ON")
    assert bench.at(10.0).numbers(':READ? "defbuffer1",READ') == [1e-3]
    assert bench.ask(":SOUR:VOLT:ILIM:TRIP?") == "1"
    assert bench.at(72.0 + 36.0).ask(":SOUR:VOLT:ILIM:TRIP?") == "0"
    assert bench.numbers(':READ? "defbuffer1",READ')[0] == pytest.approx(1e-3 / math.e, rel=1e-4)


@pytest.mark.parametrize("polls", [(), (40.0,), tuple(np.linspace(1.0, 99.0, 77))])
def test_when_the_clamp_acts_does_not_depend_on_who_asks(polls):
    bench = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=100.0))
    bench.ask(":OUTP:SMOD HIMP")
    bench.ask(SOURCE_1_MA + ";:SOUR:CURR:VLIM 2;:OUTP ON")
    for t_s in polls:
        bench.at(t_s).ask("*IDN?")
    bench.at(100.0).ask("*IDN?")
    reference = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=100.0))
    reference.ask(":OUTP:SMOD HIMP")
    reference.ask(SOURCE_1_MA + ";:SOUR:CURR:VLIM 2;:OUTP ON")
    reference.at(100.0).ask("*IDN?")
    assert bench.cell.charge_mah(100.0) == reference.cell.charge_mah(100.0)


def test_an_electrode_that_is_exhausted_reads_the_limit():
    class Exhausted(LinearCell):
        def terminals(self, times_s):
            seen = super().terminals(times_s)
            if self._segments[-1].forced == "voltage":
                return Terminals(seen.voltage_v, np.zeros(len(times_s)))
            forced = seen.current_ma > 0
            return Terminals(np.where(forced, np.inf, 0.0), np.where(forced, 0.0, 0.0))

    bench = Bench(Exhausted(), noise_factor=0.0)
    bench.ask(":OUTP:SMOD HIMP")
    bench.ask(SOURCE_1_MA + ";:OUTP ON")
    assert bench.at(1.0).numbers(':READ? "defbuffer1",READ,SOUR') == [5.0, 0.0]


# --- trigger model -------------------------------------------------------------------------------


def test_records_at_zero_on_the_period_and_off_at_the_end():
    bench = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=1.0), noise_factor=0.0)
    load(bench)
    bench.ask("INIT")
    assert bench.ask(":OUTP?;:TRAC:ACT?") == "1;1"
    assert bench.at(99.999).ask(":TRIG:STAT?;:OUTP?;:TRAC:ACT?") == "WAITING;WAITING;4;1;10"
    assert bench.at(5000.0).ask(":TRIG:STAT?;:OUTP?;:TRAC:ACT?") == "IDLE;IDLE;22;0;11"
    rows = bench.rows(1, 11)
    assert rows[:, 2].tolist() == [10.0 * k for k in range(11)]
    assert rows[:, 0] == pytest.approx(1.0 + rows[:, 2] / 3600.0)
    assert bench.cell.charge_mah(5000.0)[0] == pytest.approx(100.0 / 3600.0, rel=1e-12)


def test_the_record_at_the_end_still_has_the_current():
    bench = Bench(noise_factor=0.0)
    load(bench, count=2)
    bench.ask("INIT")
    bench.at(10.0)
    assert bench.rows(1, 2)[:, 1].tolist() == [1e-3, 1e-3]
    assert bench.cell.terminals(np.array([10.0])).current_ma[0] == 0.0


@given(
    polls=st.lists(st.floats(0.0, 130.0), max_size=12).map(sorted),
    limit=st.sampled_from([3.0, 1.018, 1.0]),
    by_block=st.booleans(),
)
@settings(max_examples=60, deadline=None)
@pytest.mark.long
def test_polling_changes_nothing_and_blocks_equal_the_loop(polls, limit, by_block):
    def run(times, *, slow):
        bench = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=1.0))
        load(bench, limits=(-3.0, limit), by_block=slow)
        bench.ask("INIT")
        for t_s in times:
            bench.at(t_s).ask(":TRIG:STAT?")
        bench.at(140.0)
        state, count = bench.ask(":TRIG:STAT?"), int(bench.ask(":TRAC:ACT?"))
        exits = bench.ask(":TRIG:BLOC:BRAN:COUN:COUN? 21;:TRIG:BLOC:BRAN:COUN:COUN? 8")
        charge = bench.cell.charge_mah(140.0)
        return state, exits, bench.rows(1, count).tobytes(), charge

    assert run(polls, slow=by_block) == run((), slow=False)


def test_the_first_record_outside_switches_off_then():
    bench = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=1.0), noise_factor=0.0)
    load(bench, limits=(-3.0, 1.015))
    bench.ask("INIT")
    bench.at(1000.0)
    assert bench.ask(":TRAC:ACT?;:TRIG:BLOC:BRAN:COUN:COUN? 21;:OUTP?") == "7;1;0"
    assert bench.cell.charge_mah(1000.0)[0] == pytest.approx(60.0 / 3600.0, rel=1e-12)


def test_a_record_beyond_the_clamp_is_outside_the_limits():
    bench = Bench(LinearCell(0.0, 1000.0, stiffness_v_per_mah=100.0), noise_factor=0.0)
    load(bench, limits=(-3.0, 2.0))
    bench.ask(":SOUR:CURR:VLIM 2.05;:INIT")
    bench.at(200.0)
    rows = bench.rows(1, int(bench.ask(":TRAC:ACT?")))
    assert rows[:, 2].tolist() == [0.0, 10.0, 20.0, 30.0, 40.0]
    assert rows[-1, 0] == 2.05
    assert rows[-1, 1] < 1e-3
    assert bench.ask(":OUTP?") == "0"


def test_rows_looked_at_ahead_are_dropped_when_the_output_changes():
    bench = Bench(noise_factor=0.0)
    load(bench)
    bench.ask("INIT")
    bench.at(25.0).ask(":OUTP OFF")
    bench.at(100.0)
    rows = bench.rows(1, int(bench.ask(":TRAC:ACT?")))
    assert rows[:, 0] == pytest.approx([1.0, 1.0, 1.0, 9.91e37])  # no number is outside, too
    assert bench.cell.charge_mah(100.0)[0] == pytest.approx(25.0 / 3600.0)


def test_two_timers_give_the_rest_of_a_program():
    bench = Bench(noise_factor=0.0)
    load(bench, count=2)
    bench.ask(":TRIG:TIM2:DEL 3.5;:TRIG:TIM2:STAR:STIM NOT2;:TRIG:TIM2:STAT ON")
    bench.ask(':TRIG:BLOC:NOT 9,2;:TRIG:BLOC:WAIT 10,TIM2;:TRIG:BLOC:MEAS 11,"defbuffer1"')
    bench.ask(":TRIG:BLOC:SOUR:STAT 12,OFF;:TRIG:BLOC:BRAN:ALW 13,22;:INIT")
    bench.at(60.0)
    assert bench.ask(":TRAC:ACT?") == "3"
    assert bench.rows(1, 3)[:, 2].tolist() == [0.0, 10.0, 13.5]
    assert bench.ask(":OUTP?") == "0"


def test_the_period_is_exact_over_days_and_a_million_rows():
    bench = Bench()
    load(bench, count=700_001)
    bench.ask(":TRIG:TIM1:STAT OFF;:TRIG:TIM1:DEL 0.9;:TRIG:TIM1:STAT ON")
    bench.ask(":TRAC:POIN 800000;:TRAC:FILL:MODE ONCE;:INIT")
    bench.at(630_000.0)
    assert bench.ask(":TRAC:ACT?;:TRIG:STAT?") == "700001;IDLE;IDLE;22"
    assert bench.rows(700_001, 700_001)[0, 2] == pytest.approx(630_000.0, abs=1e-6)


def test_simple_loop_template_measures_count_times():
    bench = Bench(noise_factor=0.0)
    bench.ask(":OUTP:SMOD HIMP")
    bench.ask(SOURCE_1_MA + ';:TRIG:LOAD "SimpleLoop",5,2;:OUTP ON;:INIT')
    bench.at(100.0)
    assert bench.ask(":TRAC:ACT?;:TRIG:STAT?;:OUTP?") == "5;IDLE;IDLE;4;1"
    assert np.diff(bench.rows(1, 5)[:, 2]) == pytest.approx(2.0)


def test_a_measure_block_with_a_count_takes_its_time():
    bench = Bench()
    bench.ask(SOURCE_1_MA + ';:OUTP ON;:TRIG:BLOC:MEAS 1,"defbuffer1",100;:INIT')
    assert bench.at(1.0).ask(":TRAC:ACT?") == "26"  # 40 ms each: 1 cycle, twice for readback
    assert bench.at(10.0).ask(":TRAC:ACT?;:TRIG:STAT?") == "100;IDLE;IDLE;1"


def test_a_model_without_end_fails_instead_of_hanging():
    bench = Bench()
    bench.ask(":TRIG:BLOC:NOP 1;:TRIG:BLOC:BRAN:ALW 2,1;:INIT")
    assert bench.ask(":TRIG:STAT?").startswith("FAILED")
    assert bench.smu.errors[0][1] == "trigger model loops without end"


def test_operation_complete_is_silent_while_the_trigger_model_runs():
    bench = Bench()
    load(bench)
    assert bench.ask("*OPC?") == "1"
    bench.ask("INIT")
    assert bench.ask("*OPC?") is None
    assert bench.at(100.0).ask("*OPC?") == "1"


@pytest.mark.parametrize("message", [":SOUR:CURR 0", ":TRAC:CLE", "INIT", ":TRIG:BLOC:NOP 1"])
def test_settings_are_refused_while_the_trigger_model_runs(message):
    bench = Bench()
    load(bench)
    bench.ask("INIT")
    bench.ask(message)
    assert [code for code, _ in bench.smu.errors] == [-221]


def test_abort_leaves_the_output_on():
    bench = Bench()
    load(bench)
    bench.ask("INIT")
    assert bench.at(15.0).ask(":ABOR;:TRIG:STAT?;:OUTP?") == "ABORTED;ABORTED;4;1"
    bench.at(60.0).ask(":OUTP OFF")
    assert bench.cell.charge_mah(60.0)[0] == pytest.approx(60.0 / 3600.0)


def test_init_without_blocks_is_ignored():
    bench = Bench()
    bench.ask("INIT")
    assert [code for code, _ in bench.smu.errors] == [-213]


# --- readings ------------------------------------------------------------------------------------


def test_buffers_fill_once_or_continuously():
    bench = Bench(noise_factor=0.0)
    bench.ask(SOURCE_1_MA + ";:OUTP ON;:TRAC:POIN 10;:TRAC:FILL:MODE CONT")
    for k in range(13):
        bench.at(float(k)).ask(":READ?")
    assert bench.ask(":TRAC:ACT?;:TRAC:ACT:STAR?;:TRAC:ACT:END?") == "10;4;3"
    assert bench.rows(1, 10)[:, 2].tolist() == [10.0, 11.0, 12.0, *map(float, range(3, 10))]
    bench.ask(":TRAC:FILL:MODE ONCE")
    assert [code for code, _ in bench.smu.errors] == [-221]
    bench.ask("*CLS;:TRAC:CLE;:TRAC:FILL:MODE ONCE")
    for _ in range(13):
        bench.ask(":READ?")
    assert bench.ask(":TRAC:ACT?;:TRAC:ACT:STAR?;:TRAC:ACT:END?") == "10;1;10"


def test_formats_and_byte_orders_hold_the_same_numbers():
    bench = Bench()
    load(bench, count=3)
    bench.ask("INIT")
    bench.at(20.0)
    query = b':TRAC:DATA? 1,3,"defbuffer1",READ,SOUR,REL'
    double = np.frombuffer(bench.smu.answer(b":FORM REAL;" + query)[2:], "<f8")
    swapped = np.frombuffer(bench.smu.answer(b":FORM:BORD NORM;" + query)[2:], ">f8")
    single = np.frombuffer(bench.smu.answer(b":FORM:BORD SWAP;:FORM SRE;" + query)[2:], "<f4")
    text = bench.smu.answer(b":FORM ASC;" + query).decode()
    assert double.tolist() == swapped.tolist()
    assert single == pytest.approx(double, rel=1e-6)
    assert [float(field) for field in text.split(",")] == pytest.approx(double, rel=1e-6)


def test_noise_is_that_of_the_data_sheet_and_of_the_index():
    stream = NoiseStream(3, 1)
    assert stream.normal(1000, 100).tolist() == NoiseStream(3, 1).normal(0, 1100)[1000:].tolist()
    bench = Bench(LinearCell(0.0, 1000.0))
    load(bench, count=5000, limits=(-5.0, 5.0))
    bench.ask(":TRIG:TIM1:STAT OFF;:TRIG:TIM1:DEL 1;:TRIG:TIM1:STAT ON;:INIT")
    bench.at(5000.0)
    rows = bench.rows(1, 5000)
    assert rows[:, 0].std() == pytest.approx(10e-6, rel=0.05)  # 2 V range
    assert rows[:, 1].std() == pytest.approx(5e-9, rel=0.05)  # 1 mA range


def test_a_fixed_range_overflows():
    bench = Bench()
    bench.ask(":OUTP:SMOD HIMP")
    bench.ask(SOURCE_1_MA + ";:SENS:VOLT:RANG 0.2;:OUTP ON")
    assert bench.numbers(":READ?") == [9.9e37]


def test_no_reading_with_the_relay_open():
    bench = Bench()
    bench.ask(":OUTP:SMOD HIMP")
    assert bench.numbers(":READ?") == [9.91e37]


def test_a_wrapped_instrument_can_ignore_output_off():
    bench = Bench()
    bench.ask(SOURCE_1_MA + ";:OUTP ON")

    def deaf(message):
        return bench.smu.answer(message.replace(b":OUTP OFF", b""))

    deaf(b":ABOR;:OUTP OFF")
    assert bench.ask(":OUTP?") == "1"


# --- strictness ----------------------------------------------------------------------------------


def test_an_unknown_header_fails_the_test():
    bench = Bench()
    with pytest.raises(UnknownCommand, match=":SOUR:CURR:ILIM"):
        bench.ask(":SOUR:CURR:ILIM 1")
    assert bench.ask(":SYST:ERR?").startswith('-113,"Undefined header;1;2025/01/01')


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (":SOUR:CURR 2", -222),
        (":SOUR:CURR:VLIM 0.001", -222),
        (":SENS:CURR:NPLC 100", -222),
        (":TRIG:TIM5:DEL 1", -222),
        (":TRIG:TIM1:DEL 1e6", -222),
        (":TRIG:BLOC:BRAN:LIM:CONS 1,NEAR,0,1,2", -224),
        (":TRIG:BLOC:WAIT 1,DISP", -224),
        (':TRAC:POIN 5,"defbuffer1"', -222),
        (':TRAC:ACT? "mine"', -224),
        (':TRAC:DATA? 1,2,"defbuffer1"', -222),
        (':TRIG:LOAD "Nothing"', -224),
    ],
)
def test_values_outside_go_to_the_error_queue(message, code):
    bench = Bench()
    bench.ask(message)
    assert [entry for entry, _ in bench.smu.errors] == [code]


WORDS = st.sampled_from(
    [
        ":OUTP ON",
        ":OUTP OFF",
        ":INIT",
        ":ABOR",
        "*RST",
        "*CLS",
        ":READ?",
        ":TRAC:CLE",
        ":SYST:ERR?",
        ":TRIG:STAT?",
        "*OPC?",
        ":SOUR:FUNC CURR",
        ":SOUR:FUNC VOLT",
        ":SOUR:CURR 1e-3",
        ":SOUR:CURR -1",
        ":SOUR:VOLT 200",
        ":SOUR:CURR:VLIM 0.02",
        ":SOUR:VOLT:ILIM 1e-9",
        ":OUTP:SMOD ZERO",
        ":OUTP:SMOD HIMP",
        ":OUTP:SMOD GUAR",
        ':SENS:FUNC "VOLT"',
        ':SENS:FUNC "RES"',
        ':TRIG:LOAD "SimpleLoop",100,0.5',
        ':TRIG:LOAD "Empty"',
        ":TRIG:TIM1:STAT ON",
        ":TRIG:TIM1:DEL 8e-6",
        ":TRIG:TIM1:DEL 7",
        ":TRIG:TIM1:STAR:STIM NOT1",
        ":TRIG:BLOC:NOT 1,1",
        ":TRIG:BLOC:WAIT 2,TIM1",
        ":TRIG:BLOC:MEAS 3",
        ":TRIG:BLOC:BRAN:COUN 4,9,2",
        ":TRIG:BLOC:BRAN:ALW 5,1",
        ":TRIG:BLOC:DEL:CONS 1,0.1",
        ":TRAC:DATA? 1,3",
        ":TRAC:STAT:AVER?",
        ":SENS:CURR:NPLC 0.01",
        ":MEAS:RES?",
        ":TRAC:POIN 10",
        ":FORM SRE",
        ":TRIG:BLOC:LIST?",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(WORDS, st.floats(0.0, 50.0)), min_size=5, max_size=40))
def test_any_order_of_commands_ends_in_an_answer(steps):
    bench = Bench(full_cell(), strict=False)
    for message, wait_s in steps:
        reply = bench.at(bench.now_s + wait_s).smu.answer(message.encode())
        assert reply is None or isinstance(reply, bytes)
    assert bench.ask("*IDN?").startswith("KEITHLEY INSTRUMENTS,MODEL 2450,SIM-")


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_survived(message):
    SMU.answer(message)
    assert SMU.answer(b"*IDN?").startswith(b"KEITHLEY INSTRUMENTS,MODEL 2450")


SMU = Keithley2450(
    World(LinearCell(), now=lambda: 0.0), strict=False
)  # one instrument must survive them all


def test_two_instruments_on_a_world_have_noise_of_their_own():
    world = World(LinearCell(1.0), now=lambda: 0.0)
    readings = []
    for number in range(2):
        smu = Keithley2450(world, instrument=number)
        smu.answer((SOURCE_1_MA + ";:OUTP ON").encode())
        readings.append(smu.answer(b":READ?"))
    assert readings[0] != readings[1]


def test_a_resistance_without_current_is_over_range_not_a_number_beyond_all():
    """Found by fuzzing: an infinite quotient broke the statistics of the buffer."""
    bench = Bench(LinearCell(emf_v=1.0), noise_factor=0.0)
    bench.ask(
        ':OUTP:SMOD NORM;:SOUR:FUNC CURR;:SOUR:CURR:VLIM 5;:SOUR:CURR 0;:SENS:FUNC "RES";:OUTP ON'
    )
    assert float(bench.ask(":READ?")) == pytest.approx(9.9e37)
    bench.ask(":TRAC:TRIG")
    assert float(bench.ask(":TRAC:STAT:STDD?")) == 0.0
