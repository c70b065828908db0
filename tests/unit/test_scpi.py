"""The SCPI front end: headers, compound messages, parameters, status and the error queue."""

from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.errors import UnknownCommand
from sim.instruments import scpi
from sim.instruments.scpi import ScpiError, ScpiInstrument
from sim.world import World


class Thermometer(ScpiInstrument):
    """Instrument of the module's own example, with one of everything."""

    def __init__(self, *, strict=True):
        super().__init__(
            World(SimpleNamespace(), now=lambda: 0.0), "ACME,T1000,SIM-1,1.0", strict=strict
        )
        self.unit, self.labels, self.pending, self.range = "CEL", {}, False, 1.0
        self.on(":UNIT[:TEMPerature]", self._set_unit, lambda: self.unit)
        self.on(":MEASure[:TEMPerature]", query=lambda: "25.0")
        self.on(":SENSe[1]:CURRent:RANGe", self._set_range, lambda: f"{self.range:g}")
        self.on(":SENSe[1]:CURRent:RANGe:AUTO", self._set_auto)
        self.on(":CHANnel<n>:LABel", self._set_label, lambda n: f'"{self.labels[n]}"')
        self.on(":WAVE", query=lambda: scpi.block(b"\x00;\n\xff"))
        self.auto = None

    def _set_unit(self, text):
        self.unit = scpi.choice(text, "CELsius", "KELVin")

    def _set_range(self, text):
        self.range = scpi.number(text, 0.0, 10.0, default=2.0)

    def _set_auto(self, text):
        self.auto = scpi.boolean(text)

    def _set_label(self, channel, text):
        if channel > 4:
            raise ScpiError(-222)
        self.labels[channel] = scpi.string(text)

    def busy(self):
        return self.pending


@pytest.fixture
def meter():
    return Thermometer()


@pytest.mark.parametrize(
    "message",
    [b":MEASURE:TEMPERATURE?", b"meas?", b"MEAS:TEMP?", b":Measure?", b" :MEAS:TEMPerature?  "],
)
def test_short_and_long_forms_and_optional_nodes(meter, message):
    assert meter.answer(message) == b"25.0"


@pytest.mark.parametrize("message", [b"MEASU?", b"MEA?", b"MEAS:TEMPE?", b"MEAS2?", b":FOO", b"::"])
def test_a_header_between_the_forms_is_undefined(message):
    meter = Thermometer(strict=False)
    assert meter.answer(message) is None
    assert meter.errors == [(-113, "Undefined header")]


def test_strict_raises_and_queues(meter):
    with pytest.raises(UnknownCommand, match=r"ACME,T1000.*no such command in ':FOO 1'"):
        meter.answer(b":FOO 1")
    assert meter.answer(b"SYST:ERR?") == b'-113,"Undefined header"'
    assert meter.answer(b"SYST:ERR?") == b'0,"No error"'


def test_compound_message_with_relative_and_absolute_headers(meter):
    reply = meter.answer(b":SENS:CURR:RANG 5;RANG:AUTO ON;:UNIT KELV;:SENS1:CURR:RANG?;:UNIT?")
    assert reply == b"5;KELV"
    assert meter.auto is True


def test_common_commands_do_not_change_the_path(meter):
    assert meter.answer(b":SENS:CURR:RANG 3;*CLS;RANG?") == b"3"
    assert meter.answer(b"*RST;:*CLS;") is None
    assert meter.errors == []


def test_numeric_suffix_defaults_to_one(meter):
    meter.answer(b":CHAN:LAB 'top; left';:CHAN3:LAB \"c\"")
    assert meter.labels == {1: "top; left", 3: "c"}
    assert meter.answer(b":CHAN1:LAB?") == b'"top; left"'


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b":UNIT", -109),
        (b":UNIT CEL,KELV", -108),
        (b":UNIT RANKINE", -224),
        (b":SENS:CURR:RANG 11", -222),
        (b":SENS:CURR:RANG 1_0", -104),
        (b":SENS:CURR:RANG nan", -104),
        (b":SENS:CURR:RANG:AUTO 2", -222),
        (b":SENS:CURR:RANG:AUTO maybe", -104),
        (b":CHAN:LAB top", -151),
        (b":CHAN9:LAB 'x'", -222),
        (b"!", -102),
        (b"\x00", -101),
        (b"\xff\xfe", -101),
    ],
)
def test_bad_parameters_go_to_the_error_queue(meter, message, code):
    assert meter.answer(message) is None
    assert [entry[0] for entry in meter.errors] == [code]


def test_a_faulty_unit_does_not_stop_the_others(meter):
    assert meter.answer(b":UNIT RANKINE;:MEAS?") == b"25.0"
    assert meter.answer(b":SYST:ERR:COUN?") == b"1"


def test_min_max_def(meter):
    for word, value in (("MIN", 0.0), ("MAXimum", 10.0), ("def", 2.0)):
        meter.answer(f":SENS:CURR:RANG {word}".encode())
        assert meter.range == value


def test_status_byte_and_event_status(meter):
    assert meter.answer(b"*ESR?") == b"128"
    assert meter.answer(b"*ESE 32;*SRE 32;*ESE?;*SRE?;*STB?") == b"32;32;0"
    meter.answer(b":UNIT")
    assert meter.answer(b"*STB?") == b"100"
    assert meter.answer(b"*ESR?;*ESR?") == b"32;0"
    assert meter.answer(b"*CLS;*STB?") == b"0"


def test_operation_complete_waits_while_busy(meter):
    assert meter.answer(b"*OPC?") == b"1"
    meter.pending = True
    assert meter.answer(b"*OPC?") is None
    meter.answer(b"*CLS;*OPC")
    assert meter.answer(b"*ESR?") == b"0"


def test_the_error_queue_overflows_as_scpi_says(meter):
    for _ in range(40):
        meter.answer(b":UNIT")
    assert len(meter.errors) == 32
    assert meter.errors[-1] == (-350, "Queue overflow")


def test_binary_reply_is_left_alone(meter):
    assert meter.answer(b":WAVE?") == b"#14\x00;\n\xff"


def test_repeated_messages_are_remembered_within_bounds(meter):
    for value in range(2000):
        assert meter.answer(f":SENS:CURR:RANG {value / 250:g};RANG?".encode()) is not None
    assert meter.answer(b":SENS:CURR:RANG?") == b"7.996"


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=60))
@example(b":SENS:CURR:RANG 1e999")
@example(b'"')
@example(b";;;")
def test_any_bytes_are_answered_or_queued(message):
    meter = Thermometer(strict=False)
    reply = meter.answer(message)
    assert reply is None or isinstance(reply, bytes)
    assert meter.answer(b"*IDN?") == b"ACME,T1000,SIM-1,1.0"
