"""The strict mixin over unmodified PyMeasure drivers, and the numbers in replies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.instruments import Channel, Instrument, SCPIMixin
from pymeasure.instruments.agilent import Agilent33500
from pymeasure.instruments.keithley import Keithley2450
from pymeasure.test import expected_protocol

from devices.errors import InstrumentFault, LinkError
from devices.link import StrictInstrumentMixin, open_link
from devices.link_numbers import (
    GarbledReplyError,
    parse_bool,
    parse_field,
    parse_float,
    parse_int,
    without_markers,
)
from sim.wire.visa import SimulatedVisaLibrary


class Scripted:
    """Answers from a table."""

    def __init__(self, **replies: bytes) -> None:
        self.replies = {key.encode(): value for key, value in replies.items()}
        self.received: list[bytes] = []

    def answer(self, message: bytes) -> bytes | None:
        self.received.append(message)
        if message == b"*IDN?":
            return b"KEITHLEY INSTRUMENTS,MODEL 2450,SIM-1,1.7.12b"
        return self.replies.get(message)

    def say(self, query: str, reply: bytes) -> None:
        self.replies[query.encode()] = reply


@pytest.fixture
def instrument():
    return Scripted()


@pytest.fixture
def link(instrument):
    library = SimulatedVisaLibrary({"smu": instrument})
    link = open_link("sim://smu", who="smu", visa_library=library, read_retries=0)
    yield link
    link.close()


class Strict2450(StrictInstrumentMixin, Keithley2450):
    pass


# --- upstream drivers -----------------------------------------------------------------------------


def test_an_unmodified_upstream_driver_runs_on_the_links_adapter(link, instrument):
    smu = Keithley2450(link.adapter)
    instrument.say(":SOUR:CURR?", b"1.0E-3")
    instrument.say(":SOUR:FUNC?", b"CURR")
    assert smu.id == "KEITHLEY INSTRUMENTS,MODEL 2450,SIM-1,1.7.12b"
    assert smu.source_current == 1e-3
    assert smu.source_mode == "current"
    smu.source_current = 2e-3
    link.barrier("*IDN?")
    assert b":SOUR:CURR:LEV 0.002" in instrument.received


def test_the_strict_driver_reads_the_same_and_refuses_what_upstream_returns(link, instrument):
    plain, strict = Keithley2450(link.adapter), Strict2450(link.adapter)
    instrument.say(":SOUR:CURR?", b"1.0E-3")
    instrument.say(":SOUR:FUNC?", b"CURR")
    for smu in (plain, strict):
        assert (smu.source_current, smu.source_mode) == (1e-3, "current")
    instrument.say(":SOUR:CURR?", b"1.0E-3x")
    assert plain.source_current == "1.0E-3x"
    with pytest.raises(LinkError, match=r"garbled reply, got '1\.0E-3x', expected a number"):
        _ = strict.source_current
    instrument.say(":SOUR:FUNC?", b"CURX")
    with pytest.raises(LinkError, match="got 'CURX'"):
        _ = strict.source_mode


def test_strict_drivers_keep_upstreams_bytes():
    """Exchanges as in upstream's own tests of the 2450, through the mixin."""
    with expected_protocol(
        Strict2450,
        [
            (":SOUR:CURR?", "1.000000E-03"),
            (":SOUR:CURR:LEV 0.002", None),
            (":SOUR:FUNC?", "VOLT"),
            ("*IDN?", "KEITHLEY INSTRUMENTS,MODEL 2450,1,1"),
            ("SYST:ERR?", '-113,"Undefined header"'),
            ("SYST:ERR?", '0,"No error"'),
        ],
    ) as smu:
        assert smu.source_current == 1e-3
        smu.source_current = 2e-3
        assert smu.source_mode == "voltage"
        assert smu.id.startswith("KEITHLEY")
        with pytest.raises(InstrumentFault, match='reports -113 "Undefined header"'):
            smu.check_errors()


def test_strict_drivers_are_strict_over_any_adapter():
    with (
        expected_protocol(Strict2450, [(":SOUR:CURR?", "abc")]) as smu,
        pytest.raises(LinkError, match=r":SOUR:CURR\?: garbled reply, got 'abc'"),
    ):
        _ = smu.source_current


class StrictGenerator(StrictInstrumentMixin, Agilent33500):
    pass


def test_an_upstream_driver_with_channels_keeps_working(link, instrument):
    generator = StrictGenerator(link.adapter)
    instrument.say("FREQ?", b"1.0E+3")
    instrument.say("SOUR2:FREQ?", b"2.0E+3")
    assert generator.frequency == 1000.0
    assert generator.ch_2.frequency == 2000.0


# --- drivers of our own ---------------------------------------------------------------------------


class Lamp(StrictInstrumentMixin, Channel):
    brightness = Channel.measurement("LAMP{ch}:BRIG?", "Measure the brightness in cd.")


class Meter(StrictInstrumentMixin, SCPIMixin, Instrument):
    def __init__(self, adapter, **kwargs):
        super().__init__(adapter, "meter", **kwargs)

    text_queries = frozenset({"MODE?"})
    field_counts = {"PAIR?": 2, "ANY?": None}  # noqa: RUF012 - as drivers write it

    pair = Instrument.measurement("PAIR?", "Measure current in A and voltage in V.")
    any = Instrument.measurement("ANY?", "Get what there is.")
    mode = Instrument.measurement("MODE?", "Get the mode.")
    points = Instrument.measurement("POIN?", "Get points.", get_process_list=tuple)
    count = Instrument.measurement("COUN?", "Get the count.", cast=int)
    on = Instrument.measurement("ON?", "Get whether it is on.", cast=bool)
    split = Instrument.measurement(
        "SPLIT?", "Get a number behind a colon.", preprocess_reply=lambda v: v.split(":")[1]
    )
    quoted = Instrument.control(
        "QUOT?",
        "QUOT %s",
        "Control a quoted word.",
        values={"a": "A"},
        map_values=True,
        get_process=lambda v: v.strip('"'),
    )
    lamps = Instrument.MultiChannelCreator(Lamp, [1, 2])


@pytest.mark.parametrize(
    ("name", "query", "reply", "value"),
    [
        ("pair", "PAIR?", b"1,2", [1.0, 2.0]),
        ("any", "ANY?", b"1,2,3", [1.0, 2.0, 3.0]),
        ("mode", "MODE?", b"AUTO", "AUTO"),
        ("points", "POIN?", b"1,2,3", (1.0, 2.0, 3.0)),
        ("count", "COUN?", b"+1.000E+01", 10),
        ("on", "ON?", b"1", True),
        ("split", "SPLIT?", b"V:1.5", 1.5),
        ("quoted", "QUOT?", b'"A"', "a"),
    ],
)
def test_a_property_gives_what_it_promises(link, instrument, name, query, reply, value):
    instrument.say(query, reply)
    assert getattr(Meter(link.adapter), name) == value


@pytest.mark.parametrize(
    ("name", "query", "reply", "message"),
    [
        ("pair", "PAIR?", b"1", "got 1 fields in '1', expected 2"),
        ("points", "POIN?", b"1,?,3", r"got '\?', expected a number"),
        ("count", "COUN?", b"1.5", "got '1.5', expected a whole number"),
        ("on", "ON?", b"2", "got '2', expected 0 or 1"),
        ("split", "SPLIT?", b"V1.5", "got 'V1.5', which cannot be taken apart"),
        ("count", "COUN?", b"", "got '', expected a number"),
    ],
)
def test_a_property_raises_where_the_reply_breaks_its_promise(
    link, instrument, name, query, reply, message
):
    instrument.say(query, reply)
    with pytest.raises(LinkError, match=f"smu: garbled reply, {message}"):
        getattr(Meter(link.adapter), name)


def test_a_strict_channel_is_strict(link, instrument):
    meter = Meter(link.adapter)
    instrument.say("LAMP2:BRIG?", b"3.5")
    assert meter.ch_2.brightness == 3.5
    instrument.say("LAMP2:BRIG?", b"3.5?")
    with pytest.raises(LinkError, match=r"smu: LAMP\{ch\}:BRIG\?: garbled reply"):
        _ = meter.ch_2.brightness


def test_fields_may_be_counted_for_one_question(link, instrument):
    instrument.say("TRAC? 1,2", b"1,2,3,4")
    meter = Meter(link.adapter)
    assert meter.values("TRAC? 1,2", fields=4) == [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(LinkError, match="got 4 fields"):
        meter.values("TRAC? 1,2", fields=2)


def test_a_query_with_a_delay_is_still_one_exchange(link, instrument):
    instrument.say("SLOW?", b"1.5")
    meter = Meter(link.adapter)
    assert meter.values("SLOW?", query_delay=0.001) == [1.5]
    assert meter.ask("SLOW?", query_delay=0.001) == "1.5"


def test_a_block_is_one_exchange(link, instrument):
    instrument.say("DATA?", b"#18" + np.array([1.0, 2.0], "<f4").tobytes())
    values = Meter(link.adapter).binary_values("DATA?", header_bytes=3, termination_bytes=-1)
    np.testing.assert_array_equal(values, [1.0, 2.0])
    np.testing.assert_array_equal(link.query_binary("DATA?"), [1.0, 2.0])


def test_an_error_queue_that_never_empties_ends(link, instrument):
    instrument.say("SYST:ERR?", b'-350,"Queue overflow"')
    with pytest.raises(InstrumentFault, match='reports -350 "Queue overflow", -350'):
        Meter(link.adapter).check_errors()
    assert instrument.received.count(b"SYST:ERR?") == 64


def test_a_garbled_error_code_is_a_link_error(link, instrument):
    instrument.say("SYST:ERR?", b"?113,x")
    with pytest.raises(LinkError, match=r"smu: SYST:ERR\?: got '\?113'"):
        Meter(link.adapter).check_errors()


# --- numbers --------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-9e36, max_value=9e36))
def test_every_number_survives_being_written_and_read(value):
    assert parse_float(repr(value)) == value
    assert parse_float(f" +{abs(value):.17E}") == float(f"{abs(value):.17E}")


@given(st.text(max_size=12))
def test_text_is_a_number_or_an_error_never_something_else(text):
    try:
        value = parse_float(text)
    except GarbledReplyError:
        return
    assert isinstance(value, float)
    assert "_" not in text
    assert text.strip().isascii()


@pytest.mark.parametrize(
    "text", ["", "1_000", "1e", "0x10", "1 2", "--1", "1,0", "١", "one", "1e5x"]
)
def test_what_is_no_number_is_garbled(text):
    with pytest.raises(GarbledReplyError, match="expected a number"):
        parse_float(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9.9E37", math.inf),
        ("-9.900000E+37", -math.inf),
        ("9.91E+37", math.nan),
        ("9.9100003e37", math.nan),
        ("NAN", math.nan),
        ("INF", math.inf),
        ("NINF", -math.inf),
        ("9.8E37", 9.8e37),
        ("1E39", 1e39),
    ],
)
def test_markers_of_instruments(text, value):
    np.testing.assert_equal(parse_float(text), value)


def test_markers_in_arrays_of_either_precision():
    for dtype in ("<f4", ">f8"):
        raw = np.array([1.0, 9.91e37, 9.9e37, -9.9e37, 9.8e37], dtype=dtype)
        raw.flags.writeable = False
        cleaned = without_markers(raw)
        expected = np.array([1.0, np.nan, np.inf, -np.inf, 9.8e37], dtype=dtype)
        np.testing.assert_array_equal(cleaned, expected)
    counts = np.array([1, 2], dtype="<i2")
    assert without_markers(counts) is counts


def test_other_casts():
    assert parse_bool("ON") is True
    assert parse_bool("0") is False
    assert parse_int("-3") == -3
    assert parse_field(" a", str) == " a"
    assert parse_field("ff", lambda v: int(v, 16)) == 255
    with pytest.raises(GarbledReplyError, match="expected <lambda>"):
        parse_field("fg", lambda v: int(v, 16))
