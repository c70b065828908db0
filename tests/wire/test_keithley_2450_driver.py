"""Bytes of the 2450 driver, property by property, and its strictness."""

import numpy as np
import pytest
from pymeasure.test import expected_protocol

from devices.drivers.keithley_2450 import (
    Keithley2450,
    TriggerStatus,
    parse_records,
    parse_trigger_status,
    records_query,
)
from devices.errors import InstrumentFault, LinkError


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("source_current_readback", True, b":SOUR:CURR:READ:BACK 1"),
        ("source_voltage_readback", False, b":SOUR:VOLT:READ:BACK 0"),
        ("voltage_four_wire", True, b":SENS:VOLT:RSEN 1"),
        ("data_format", "REAL", b":FORM:DATA REAL"),
        ("byte_order", "SWAP", b":FORM:BORD SWAP"),
        ("buffer_fill_mode", "ONCE", b":TRAC:FILL:MODE ONCE"),
        ("timer_period", 0.25, b":TRIG:TIM1:DEL 0.25"),
        ("timer_count", 0, b":TRIG:TIM1:COUN 0"),
    ],
)
def test_controls(name, value, message):
    header, _, text = message.decode().partition(" ")
    query = f"{header}?".encode()
    with expected_protocol(Keithley2450, [(message, None), (query, text.encode())]) as smu:
        setattr(smu, name, value)
        assert getattr(smu, name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("output_off_state", "OPEN"),
        ("data_format", "DOUBLE"),
        ("timer_period", 1e-6),
        ("timer_period", 1e6),
        ("timer_count", 2_000_000),
    ],
)
def test_values_outside_are_refused_before_they_are_sent(name, value):
    with expected_protocol(Keithley2450, []) as smu, pytest.raises(ValueError, match="not in"):
        setattr(smu, name, value)


@pytest.mark.parametrize(
    ("name", "query", "reply", "value"),
    [
        ("voltage_limit_tripped", b":SOUR:CURR:VLIM:TRIP?", b"1", True),
        ("current_limit_tripped", b":SOUR:VOLT:ILIM:TRIP?", b"0", False),
        ("buffer_readings", b":TRAC:ACT?", b"11", 11),
        ("buffer_end", b":TRAC:ACT:END?", b"11", 11),
    ],
)
def test_measurements(name, query, reply, value):
    with expected_protocol(Keithley2450, [(query, reply)]) as smu:
        assert getattr(smu, name) == value


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("clear_trigger_model", b':TRIG:LOAD "Empty"'),
        ("abort", b":ABOR"),
        ("clear_buffer", b':TRAC:CLE "defbuffer1"'),
        ("store_reading", b':TRAC:TRIG "defbuffer1"'),
    ],
)
def test_commands(method, message):
    with expected_protocol(Keithley2450, [(message, None)]) as smu:
        getattr(smu, method)()


def test_output_off_state_of_all_functions():
    with expected_protocol(Keithley2450, [(b":OUTP:SMOD HIMP", None)]) as smu:
        smu.output_off_state = "HIMP"


def test_trigger_status_and_counter():
    pairs = [(b":TRIG:STAT?", b"WAITING;WAITING;4"), (b":TRIG:BLOC:BRAN:COUN:COUN? 8", b"17")]
    with expected_protocol(Keithley2450, pairs) as smu:
        assert smu.trigger_status() == TriggerStatus("WAITING", 4)
        assert smu.counter_block(8) == 17


@pytest.mark.parametrize(
    ("state", "running"),
    [("IDLE", False), ("RUNNING", True), ("WAITING", True), ("ABORTING", True), ("FAILED", False)],
)
def test_which_states_run(state, running):
    assert parse_trigger_status(f"{state};{state};9\n").running is running


@pytest.mark.parametrize("reply", ["", "IDLE", "IDLE;IDLE", "IDLE;IDLE;x", "1;2;3;4"])
def test_a_garbled_trigger_status_is_refused(reply):
    with pytest.raises(ValueError, match=r"values to unpack|invalid literal"):
        parse_trigger_status(reply)


def test_records_are_read_by_count_since_a_new_line_may_be_part_of_a_number():
    rows = np.array([[1.5, 2.5e-3, 0.0], [np.frombuffer(b"\n" * 8, "<f8")[0], -1e-3, 10.0]])
    query, size = records_query(5, 6)
    assert query == ':TRAC:DATA? 5,6,"defbuffer1",READ,SOUR,REL'
    reply = b"#0" + rows.astype("<f8").tobytes() + b"\n"
    assert size == len(reply)
    with expected_protocol(Keithley2450, [(query.encode(), reply)]) as smu:
        assert smu.read_records(5, 6).tolist() == rows.tolist()


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9] + b"\n", lambda b: b"#1" + b[2:], lambda b: b"#0"]
)
def test_a_damaged_block_is_refused(damage):
    reply = damage(b"#0" + bytes(48) + b"\n")
    with pytest.raises(ValueError, match="expected #0, rows"):
        parse_records(reply)


def test_a_garbled_number_raises_instead_of_being_returned():
    with (
        expected_protocol(Keithley2450, [(b":TRAC:ACT?", b"1x")]) as smu,
        pytest.raises(LinkError, match="garbled"),
    ):
        _ = smu.buffer_readings


def test_errors_raise_with_the_instruments_own_text():
    pairs = [
        (b"SYST:ERR?", b'-222,"Parameter data out of range;1;2025/01/01 00:00:00.000"'),
        (b"SYST:ERR?", b'0,"No error;0;0 0"'),
    ]
    with (
        expected_protocol(Keithley2450, pairs) as smu,
        pytest.raises(InstrumentFault, match=r"-222 .*Parameter data out of range"),
    ):
        smu.check_errors()
