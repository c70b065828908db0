"""A simulated Agilent 33522A waveform generator whose channel 1 drives a trigger cable.

After the Agilent 33500 Series Operating and Service Guide (33500-90901), "SCPI Programming
Reference": subsystems BURSt, FREQuency, FUNCtion, OUTPut, PHASe, TRIGger, VOLTage and the IEEE
488.2 common commands. Arbitrary waveforms, sweeps and modulation are not simulated: their headers
are unknown here. What matters for a trigger is modelled:

- A pulse goes down the cable at each rising edge of channel 1 that a TTL input would see: output
  on, low level at most 0.8 V, high level at least 2.0 V at the input (taken as high impedance, so
  levels set for a 50 ohm load appear doubled, as the manual warns under OUTPut:LOAD).
- In burst mode with TRIGger:SOURce BUS, ``*TRG`` starts BURSt:NCYCles cycles. Otherwise ``*TRG``
  is ignored with -211.
- With the burst off, or its trigger source IMMediate (both after ``*RST``), an output that is on
  runs free. Of a free-running train and of a long burst at most 16 edges are sent down the cable
  each time the instrument is addressed: enough for an input that starts once.

``*OPC?`` answers at once; the real instrument waits for the end of a burst.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sim.instruments.scpi import ScpiError, ScpiInstrument, boolean, choice, number, string
from sim.world import World

_MOST_EDGES = 16
_TTL_LOW_V, _TTL_HIGH_V = 0.8, 2.0
"""Input levels of TTL logic."""
_SHAPES = ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "PRBS", "NOISe", "ARB", "DC")
_PERIODIC = {"SIN", "SQU", "TRI", "RAMP", "PULS"}
_OUTPUT_OHM = 50.0
_MAX_EMF_V = 10.0

Store = Callable[[str], object]
Show = Callable[[object], str]


@dataclass
class Channel:
    """Settings of one channel; voltages are electromotive force, V, before the 50 ohm output."""

    words: dict[str, object]
    amplitude_v: float = 0.2
    offset_v: float = 0.0
    load_ohm: float = 50.0

    @property
    def factor(self) -> float:
        """Displayed voltage per electromotive force: R/(R + 50 ohm)."""
        return 1.0 if math.isinf(self.load_ohm) else self.load_ohm / (self.load_ohm + _OUTPUT_OHM)

    @property
    def low_v(self) -> float:
        """Low level into high impedance, V."""
        return self.offset_v - self.amplitude_v / 2

    @property
    def high_v(self) -> float:
        """High level into high impedance, V."""
        return self.offset_v + self.amplitude_v / 2


@dataclass
class Train:
    """Rising edges to come: first time, spacing, how many (infinite when running free)."""

    next_s: float
    period_s: float
    left: float


@dataclass(frozen=True)
class Setting:
    """A stored value: header after ``SOURce<n>:``, default, how it is read and shown."""

    header: str
    default: object
    store: Store
    show: Show = field(default=str)


def _nr3(value: object) -> str:
    return f"{float(str(value)):+.15E}"


def _ranged(low: float, high: float) -> Store:
    return lambda text: number(text, low, high)


def _bit(value: object) -> str:
    return "1" if value else "0"


_SETTINGS = (
    Setting("FUNCtion", "SIN", lambda text: choice(text, *_SHAPES)),
    Setting("FREQuency", 1e3, _ranged(1e-6, 30e6), _nr3),
    Setting("PHASe", 0.0, _ranged(-360.0, 360.0), _nr3),
    Setting("VOLTage:UNIT", "VPP", lambda text: choice(text, "VPP", "VRMS", "DBM")),
    Setting("FUNCtion:SQUare:DCYCle", 50.0, _ranged(0.01, 99.99), _nr3),
    Setting("FUNCtion:RAMP:SYMMetry", 100.0, _ranged(0.0, 100.0), _nr3),
    Setting("FUNCtion:PULSe:HOLD", "WIDT", lambda text: choice(text, "WIDTh", "DCYCle")),
    Setting("FUNCtion:PULSe:WIDTh", 1e-4, _ranged(16e-9, 1e6), _nr3),
    Setting("FUNCtion:PULSe:DCYCle", 10.0, _ranged(0.01, 99.99), _nr3),
    Setting("FUNCtion:PULSe:TRANsition[:BOTH]", 1e-8, _ranged(8.4e-9, 1e-6), _nr3),
    Setting("BURSt:STATe", default=False, store=boolean, show=_bit),
    Setting("BURSt:MODE", "TRIG", lambda text: choice(text, "TRIGgered", "GATed")),
    Setting("BURSt:NCYCles", 1.0, lambda text: float(round(number(text, 1, 1e5))), _nr3),
    Setting("BURSt:INTernal:PERiod", 0.01, _ranged(1e-6, 8000.0), _nr3),
)
"""Defaults as in the guide's "Factory Reset Settings"; ranges of the 30 MHz models."""


class SimulatedAgilent33500(ScpiInstrument):
    """Waveform generator; channel 1 is at the trigger cable.

    Args:
        world: Where the cable lies.
        cable: Name of the cable at output 1.
        serial: Third field of ``*IDN?``; begins with ``SIM-``.
        strict: Raise `sim.errors.UnknownCommand` at an undefined header.
    """

    def __init__(
        self, world: World, *, cable: str = "ttl", serial: str = "SIM-TTL-0001", strict: bool = True
    ) -> None:
        super().__init__(world, f"Agilent Technologies,33522A,{serial},2.00-1.19", strict=strict)
        self._cable = cable
        self._train: Train | None = None
        self._defaults()
        self._declare()
        world.add(self)

    def reset(self) -> None:
        """``*RST``: factory settings, outputs off."""
        self._defaults()
        self._train = None

    def advance(self, t_s: float) -> None:
        """Send the edges that are due; see the module's text for their number."""
        train = self._train
        if train is None:
            return
        for _ in range(_MOST_EDGES):
            if train.left <= 0 or train.next_s > t_s:
                break
            edge_s = train.next_s
            train.next_s += train.period_s
            train.left -= 1
            self.world.pulse(self._cable, edge_s)
        if train.left > 0 and train.next_s <= t_s:
            missed = math.floor((t_s - train.next_s) / train.period_s) + 1
            train.next_s += missed * train.period_s
            train.left -= missed
        if train.left <= 0:
            self._train = None

    def _defaults(self) -> None:
        words = {setting.header: setting.default for setting in _SETTINGS}
        self._channels = {1: Channel(dict(words)), 2: Channel(dict(words))}
        self._outputs = {1: False, 2: False}
        self._sources = {1: "IMM", 2: "IMM"}
        self._trigger_out = False

    def _declare(self) -> None:
        for setting in _SETTINGS:
            self._on_channel(setting.header, self._storer(setting), self._shower(setting))
        self._on_channel("FUNCtion:PULSe:PERiod", self._set_period, self._period)
        self._on_channel("VOLTage[:AMPLitude]", self._set_amplitude, self._amplitude)
        self._on_channel("VOLTage:OFFSet", self._set_offset, self._offset)
        self._on_channel("VOLTage:HIGH", self._set_high, self._high)
        self._on_channel("VOLTage:LOW", self._set_low, self._low)
        self.on("OUTPut<n>[:STATe]", self._set_output, lambda n: _bit(self._outputs[_known(n)]))
        self.on("OUTPut<n>:LOAD", self._set_load, self._load)
        self.on("OUTPut<n>:TRIGger[:STATe]", self._set_trigger_out, self._trigger_out_state)
        self.on("TRIGger<n>:SOURce", self._set_source, lambda n: self._sources[_known(n)])
        self.on("*TRG", self._trigger)
        self.on("PHASe:SYNChronize", lambda: None)
        self.on("SYSTem:BEEPer[:IMMediate]", lambda: None)
        self.on("DISPlay:TEXT", lambda text: self._show_text(string(text)))
        self.on("DISPlay:TEXT:CLEar", lambda: None)

    def _on_channel(
        self, header: str, execute: Callable[[int, str], None], query: Callable[[int], str]
    ) -> None:
        """A header with its optional ``[SOURce[1|2]:]``; channel 1 without it."""

        def run(channel: int, text: str) -> None:
            execute(_known(channel), text)
            self._rewind()

        self.on(f"SOURce<n>:{header}", run, lambda channel: query(_known(channel)))
        self.on(header, lambda text: run(1, text), lambda: query(1))

    def _storer(self, setting: Setting) -> Callable[[int, str], None]:
        def store(channel: int, text: str) -> None:
            self._channels[channel].words[setting.header] = setting.store(text)

        return store

    def _shower(self, setting: Setting) -> Callable[[int], str]:
        return lambda channel: setting.show(self._channels[channel].words[setting.header])

    def _show_text(self, text: str) -> None:
        """DISPlay:TEXT: this instrument has no display."""

    # Levels: BURSt and VOLTage subsystems work on displayed values, the cable on the open circuit.

    def _change(self, channel: int, amplitude_v: float, offset_v: float) -> None:
        changed = replace(self._channels[channel], amplitude_v=amplitude_v, offset_v=offset_v)
        if amplitude_v <= 0:
            raise ScpiError(-221, "Settings conflict; high level must be above low level")
        if max(abs(changed.low_v), abs(changed.high_v)) > _MAX_EMF_V * (1 + 1e-9):
            raise ScpiError(-222, "Data out of range; value clipped")
        self._channels[channel] = changed

    def _set_amplitude(self, channel: int, text: str) -> None:
        state = self._channels[channel]
        self._change(channel, number(text) / state.factor, state.offset_v)

    def _amplitude(self, channel: int) -> str:
        state = self._channels[channel]
        return _nr3(state.amplitude_v * state.factor)

    def _set_offset(self, channel: int, text: str) -> None:
        state = self._channels[channel]
        self._change(channel, state.amplitude_v, number(text) / state.factor)

    def _offset(self, channel: int) -> str:
        state = self._channels[channel]
        return _nr3(state.offset_v * state.factor)

    def _set_high(self, channel: int, text: str) -> None:
        state = self._channels[channel]
        high_v, low_v = number(text) / state.factor, state.low_v
        self._change(channel, high_v - low_v, (high_v + low_v) / 2)

    def _high(self, channel: int) -> str:
        return _nr3(self._channels[channel].high_v * self._channels[channel].factor)

    def _set_low(self, channel: int, text: str) -> None:
        state = self._channels[channel]
        low_v, high_v = number(text) / state.factor, state.high_v
        self._change(channel, high_v - low_v, (high_v + low_v) / 2)

    def _low(self, channel: int) -> str:
        return _nr3(self._channels[channel].low_v * self._channels[channel].factor)

    def _set_load(self, channel: int, text: str) -> None:
        infinite = text.upper() in {"INF", "INFINITY"}
        load_ohm = math.inf if infinite else number(text, 1.0, 1e4, default=50.0)
        self._channels[_known(channel)].load_ohm = load_ohm

    def _load(self, channel: int) -> str:
        load_ohm = self._channels[_known(channel)].load_ohm
        return _nr3(9.9e37 if math.isinf(load_ohm) else load_ohm)

    def _set_period(self, channel: int, text: str) -> None:
        self._channels[channel].words["FREQuency"] = 1.0 / number(text, 33e-9, 1e6)

    def _period(self, channel: int) -> str:
        return _nr3(1.0 / self._word(channel, "FREQuency"))

    def _word(self, channel: int, header: str) -> float:
        return float(str(self._channels[channel].words[header]))

    # Output and trigger.

    def _set_output(self, channel: int, text: str) -> None:
        self._outputs[_known(channel)] = boolean(text)
        self._rewind()

    def _set_source(self, channel: int, text: str) -> None:
        chosen = choice(text, "IMMediate", "EXTernal", "TIMer", "BUS")
        self._sources[_known(channel)] = chosen
        self._rewind()

    def _set_trigger_out(self, _channel: int, text: str) -> None:
        """OUTPut:TRIGger: the Ext Trig connector, to which no cable goes here."""
        self._trigger_out = boolean(text)

    def _trigger_out_state(self, _channel: int) -> str:
        return _bit(self._trigger_out)

    def _visible(self) -> bool:
        """Whether a TTL input at output 1 sees its edges."""
        state = self._channels[1]
        periodic = state.words["FUNCtion"] in _PERIODIC
        levels = state.low_v <= _TTL_LOW_V and state.high_v >= _TTL_HIGH_V
        return self._outputs[1] and periodic and levels

    def _rewind(self) -> None:
        """A setting changed: what runs free begins again, a burst under way ends."""
        now_s = self.world.now()
        self._train = None
        if not self._visible():
            return
        period_s = 1.0 / self._word(1, "FREQuency")
        if not self._channels[1].words["BURSt:STATe"]:
            self._train = Train(now_s, period_s, math.inf)
        elif self._sources[1] == "IMM" and self._channels[1].words["BURSt:MODE"] == "TRIG":
            burst_s = period_s * self._word(1, "BURSt:NCYCles")
            interval_s = max(burst_s, self._word(1, "BURSt:INTernal:PERiod"))
            self._train = Train(now_s, interval_s, math.inf)
        self.advance(now_s)

    def _trigger(self) -> None:
        """``*TRG``: TRIGger Subsystem Introduction, "BUS (software)"."""
        words = self._channels[1].words
        bursting = words["BURSt:STATe"] and words["BURSt:MODE"] == "TRIG"
        if self._sources[1] != "BUS" or not bursting or self._train is not None:
            raise ScpiError(-211, "Trigger ignored")
        if self._visible():
            now_s = self.world.now()
            period_s = 1.0 / self._word(1, "FREQuency")
            self._train = Train(now_s, period_s, self._word(1, "BURSt:NCYCles"))
            self.advance(now_s)


def _known(channel: int) -> int:
    if channel not in (1, 2):
        raise ScpiError(-114, "Header suffix out of range")
    return channel
