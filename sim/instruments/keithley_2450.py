"""Keithley 2450 SourceMeter, simulated: SCPI, output stage, buffers and trigger model.

Pages refer to the Model 2450 reference manual, 2450-901-01 Rev. B (September 2013), or, where
marked 2461, to the sister instrument's 2461-901-01 Rev. A (November 2015), which documents the
same trigger model more fully. Never compared with hardware. It is a subset: what a potentiostat
needs and what PyMeasure's own `Keithley2450` sends; any other header is -113.

Simplifications: commands and blocks take no time, a measurement is a sample at its start; gain
and offset errors, guard and sense resistances are absent. Assumptions [A], not found in the
manual: changing the output-off state while the output is off takes effect at once; ``ABORt``
leaves the output as it is; a setting that is refused while the trigger model runs gives -221;
changing the buffer's size clears it; a reading with the relay open is not a number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sim.clock import EPOCH_S
from sim.faults.upsets import METER_KINDS, MeterUpsets
from sim.instruments.keithley_2450_readings import ReadingCommands
from sim.instruments.keithley_2450_settings import (
    NAMES,
    SCALES,
    Sense,
    Settings,
    Source,
    beep,
    set_delay,
    set_range,
    show,
)
from sim.instruments.keithley_2450_trigger import TriggerCommands
from sim.instruments.scpi import (
    Handler,
    ScpiError,
    ScpiInstrument,
    boolean,
    choice,
    integer,
    number,
    string,
)
from sim.instruments.smu_buffer import ReadingBuffer
from sim.instruments.smu_meter import CURRENT, NOT_A_NUMBER, OVERFLOW, VOLTAGE, Meter, NoiseStream
from sim.instruments.smu_output import OutputStage
from sim.instruments.smu_trigger_model import TriggerModel
from sim.world import Floats, Terminals, World

IDENTITY = "KEITHLEY INSTRUMENTS,MODEL 2450,SIM-04450001,1.7.12b"
DEFAULT_ROWS = 10_000
"""Capacity of a default buffer after a reset (page 6-115)."""

_MAINS_HZ = 50.0
_INSTANT_S = 1e-6
"""Times closer than this are the same: rounding of a sum must not cost a look at the cell."""


class Keithley2450(ScpiInstrument):
    """A 2450 on a bench; add it to the world so that its trigger model runs by itself.

    Args:
        world: The sample and its surroundings; the instrument adds itself to it.
        identity: Reply to ``*IDN?``.
        strict: Raise `sim.errors.UnknownCommand` for an unknown header.
        noise_factor: Scales the noise of `sim.instruments.smu_meter`; 0 for none.
        instrument: Number among the world's source-measure units: each has its own noise.

    Attributes:
        upsets: Faults of its meter.
    """

    upset_kinds = METER_KINDS

    def __init__(
        self,
        world: World,
        *,
        identity: str = IDENTITY,
        strict: bool = True,
        noise_factor: float = 1.0,
        instrument: int = 0,
    ) -> None:
        super().__init__(world, identity, strict=strict)
        self._noise_factor, self._instrument = noise_factor, instrument
        self._meters = {"CURR": Meter(CURRENT), "VOLT": Meter(VOLTAGE)}
        self._now_s = world.now()
        self._programs = 0
        self.upsets = MeterUpsets(OVERFLOW)
        self._noise = NoiseStream(world.seed, instrument)
        self.stage = OutputStage(world.sample)
        self.trigger = TriggerModel(self)
        self.buffers = {name: ReadingBuffer(DEFAULT_ROWS) for name in ("defbuffer1", "defbuffer2")}
        self._output_on = False
        self._add_source_commands()
        self._add_sense_commands()
        self._add_system_commands()
        self.readings = ReadingCommands(self)
        self._trigger_commands = TriggerCommands(self)
        self.reset()
        world.add(self)

    # --- time and the world ----------------------------------------------------------------------

    def advance(self, t_s: float) -> None:
        """Do everything that falls due until `t_s`."""
        if t_s <= self._now_s:
            return
        if self.trigger.running:
            self.trigger.advance(t_s)
        if t_s > self._now_s + _INSTANT_S and not self._known_until(t_s):
            self.stage.check(t_s)
        self._now_s = max(self._now_s, t_s)

    def _known_until(self, t_s: float) -> bool:
        """Whether the trigger model has looked beyond `t_s` and found no limit reached."""
        return self.trigger.running and t_s <= self.trigger.holds_until()

    @property
    def now_s(self) -> float:
        """Time until which everything was done, s since the world began."""
        return self._now_s

    def busy(self) -> bool:
        """``*OPC?`` and ``*WAI`` wait for the trigger model (page B-6)."""
        return self.trigger.running

    def reset(self) -> None:
        """``*RST``: output off with the default output-off state, which drives 0 V."""
        self.settings = Settings()
        self.trigger.abort()
        self.trigger.load_empty()
        self.trigger.reset_timers()
        for buffer in self.buffers.values():
            buffer.resize(DEFAULT_ROWS)
            buffer.once = False
        self.readings.reset()
        self.switch_output(self._now_s, on=False)

    def format_error(self, code: int, text: str) -> str:
        """As the 2461 manual prints it on page 6-151: text, type and time inside the quotes."""
        if not code:
            return '0,"No error;0;0 0"'
        stamp = datetime.fromtimestamp(EPOCH_S + self._now_s, tz=UTC)
        return f'{code},"{text};1;{stamp:%Y/%m/%d %H:%M:%S}.{stamp.microsecond // 1000:03d}"'

    # --- what the trigger model and READ? need ---------------------------------------------------

    @property
    def aperture_s(self) -> float:
        """Time of one measurement: integration, twice with source readback."""
        conversions = 2.0 if self.settings.source[self.settings.function].readback else 1.0
        return conversions * self.settings.sense[self.settings.measured].nplc / _MAINS_HZ

    def begin_program(self) -> None:
        """The trigger model starts: its readings have noise of their own."""
        self._programs += 1
        self._noise = NoiseStream(self.world.seed, self._programs * 16 + self._instrument)

    def look(self, times_s: Floats) -> tuple[Floats, Floats, int]:
        """Readings and source values of the trigger model; see `smu_trigger_model.Host`."""
        seen, valid = self.stage.look(times_s)
        while not valid:
            self.stage.pass_limit(float(times_s[0]))
            seen, valid = self.stage.look(times_s)
        normal = self._noise.normal(self.trigger.readings, len(times_s))
        readings, sources = self._read(seen, normal)
        return self.upsets.readings(times_s, readings), sources, valid

    def conditions(self) -> tuple[float, ...]:
        """What the sample's future depends on: what is applied, and whatever else changed it."""
        return (self.stage.changes, self.world.revision)

    def keep(self, buffer: str, times_s: Floats, readings: Floats, sources: Floats) -> None:
        """Store readings."""
        t_s = float(times_s[-1])
        self.stage.accept(t_s)
        self._now_s = max(self._now_s, t_s)
        self.buffers[buffer].append(times_s, readings, sources)
        self.upsets.kept(readings)

    def measure_now(self, buffer: str) -> None:
        """``READ?`` and ``TRACe:TRIGger``: one reading at the present."""
        times = np.array([self._now_s])
        readings, sources, _ = self.look(times)
        self.keep(buffer, times, readings, sources)
        self.trigger.count_reading()

    def clear_buffer(self, buffer: str) -> None:
        """Empty a buffer."""
        self.buffers[buffer].clear()

    def log_event(self, kind: str, text: str) -> None:
        """Errors of the event log also go to the error queue."""
        if kind.startswith("ERR"):
            self.report(-200, text)

    def switch_output(self, t_s: float, *, on: bool) -> None:
        """Turn the source on, or off into its output-off state."""
        self._now_s = max(self._now_s, t_s)
        self._output_on = on
        self.stage.drive(self._now_s, self.settings.drive_on() if on else self.settings.drive_off())

    @property
    def output_on(self) -> bool:
        """Whether the output is on."""
        return self._output_on

    def _read(self, seen: Terminals, normal: Floats) -> tuple[Floats, Floats]:
        """Reading of the measure function and value of the source, with noise, in A, V or ohm."""
        function, measured = self.settings.function, self.settings.measured
        source, sense = self.settings.source[function], self.settings.sense[measured]
        true = {"CURR": seen.current_ma * 1e-3, "VOLT": seen.voltage_v}
        if not self._output_on and source.off_state == "HIMP":
            nothing = np.full(len(normal), NOT_A_NUMBER)
            return nothing, nothing
        factor = self._noise_factor / math.sqrt(sense.nplc)
        if source.readback:
            sources = self._meters[function].read(true[function], normal[:, 1], factor, None)
        else:
            sources = np.full(len(normal), source.level)
        if measured == "RES":
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                ohms = np.clip(true["VOLT"] / true["CURR"], -OVERFLOW, OVERFLOW)
                return np.nan_to_num(ohms, nan=NOT_A_NUMBER), sources
        fixed = None if sense.auto_range else sense.range
        if measured == function and source.readback:
            return sources, sources
        return self._meters[measured].read(true[measured], normal[:, 0], factor, fixed), sources

    # --- commands --------------------------------------------------------------------------------

    def setting(self, header: str, execute: Handler, query: Handler | None = None) -> None:
        """A header whose command is refused while the trigger model runs (page B-6)."""

        @functools.wraps(execute)
        def guarded(*arguments: Any) -> None:
            if self.trigger.running:
                raise ScpiError(-221, "Not accepted while the trigger model runs")
            execute(*arguments)

        self.on(header, guarded, query)

    def _value(
        self,
        header: str,
        owner: Callable[[], Any],
        name: str,
        convert: Callable[[str], Any],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """A setting that is one attribute of a settings object."""

        def execute(text: str) -> None:
            setattr(owner(), name, convert(text))
            changed()

        self.setting(header, execute, lambda: show(getattr(owner(), name)))

    def _add_source_commands(self) -> None:
        """OUTPut (pages 6-31 to 6-34) and SOURce subsystems."""
        self.setting(":SOURce[1]:FUNCtion[:MODE]", self._set_function, self._source_name)
        self.on(":OUTPut[1][:STATe]", self._set_output, lambda: show(self._output_on))
        self.on(":OUTPut[1]:SMODe", self._set_off_states)
        for key, limit in (("CURR", "VLIMit"), ("VOLT", "ILIMit")):
            self._add_source_function(key, f":SOURce[1]:{NAMES[key]}", limit)

    def _add_source_function(self, key: str, head: str, limit: str) -> None:
        def owner() -> Source:
            return self.settings.source[key]

        top = SCALES[key].top
        low, high = (0.02, 210.0) if key == "CURR" else (1e-9, 1.05)
        self._value(
            f"{head}[:LEVel][:IMMediate][:AMPLitude]",
            owner,
            "level",
            lambda text: self._level(key, number(text, -top, top, default=0.0)),
            self._redrive,
        )
        self.setting(
            f"{head}:RANGe", lambda t: set_range(owner(), key, t), lambda: show(owner().range)
        )
        self._value(f"{head}:RANGe:AUTO", owner, "auto_range", boolean)
        self._value(
            f"{head}:{limit}[:LEVel]", owner, "limit", lambda t: number(t, low, high), self._redrive
        )
        self.on(f"{head}:{limit}[:LEVel]:TRIPped", query=lambda: show(self.stage.clamped))
        self.setting(
            f"{head}:DELay", lambda text: set_delay(owner(), text), lambda: show(owner().delay_s)
        )
        self._value(f"{head}:DELay:AUTO", owner, "auto_delay", boolean)
        self._value(f"{head}:READ:BACK", owner, "readback", boolean)
        self.on(
            f":OUTPut[1]:{NAMES[key]}:SMODe",
            lambda text: self._set_off_state((key,), text),
            lambda: owner().off_state,
        )

    def _add_sense_commands(self) -> None:
        """SENSe subsystem."""
        self.setting(
            "[:SENSe[1]]:FUNCtion[:ON]",
            lambda text: self.measure_function(string(text)),
            self._measured_name,
        )
        for key, name in NAMES.items():
            self._add_sense_function(key, f"[:SENSe[1]]:{name}")

    def _add_sense_function(self, key: str, head: str) -> None:
        def owner() -> Sense:
            return self.settings.sense[key]

        self.setting(
            f"{head}:RANGe[:UPPer]",
            lambda t: set_range(owner(), key, t),
            lambda: show(owner().range),
        )
        self._value(f"{head}:RANGe:AUTO", owner, "auto_range", boolean)
        self._value(f"{head}:NPLCycles", owner, "nplc", lambda text: number(text, 0.01, 10.0))
        self._value(f"{head}:RSENse", owner, "remote", boolean)
        self._value(f"{head}:AZERo[:STATe]", owner, "auto_zero", boolean)
        self._value(f"{head}:AVERage[:STATe]", owner, "filter_on", boolean)
        self._value(f"{head}:AVERage:COUNt", owner, "filter_count", lambda t: integer(t, 1, 100))
        self._value(
            f"{head}:AVERage:TCONtrol",
            owner,
            "filter_kind",
            lambda t: choice(t, "REPeat", "MOVing"),
        )

    def _add_system_commands(self) -> None:
        self._value(
            ":ROUTe:TERMinals",
            lambda: self.settings,
            "terminals",
            lambda text: choice(text, "FRONt", "REAR"),
        )
        self.on(":SYSTem:BEEPer[:IMMediate]", beep)
        self.on(":STATus:PRESet", lambda: None)
        self.on("*TRG", lambda: None)
        self.on("*LANG", query=lambda: "SCPI")

    def _set_function(self, text: str) -> None:
        """Page 6-72. Changing the function switches the output off [A]."""
        function = choice(text, "CURRent", "VOLTage")
        if function != self.settings.function:
            self.settings.function = function
            self.switch_output(self._now_s, on=False)

    def _source_name(self) -> str:
        return self.settings.function

    def measure_function(self, text: str) -> None:
        """Select what is measured."""
        self.upsets.forget()
        self.settings.measured = choice(text.partition(":")[0], *NAMES.values())

    def _measured_name(self) -> str:
        return f'"{self.settings.measured}:DC"' if self.settings.measured != "RES" else '"RES"'

    def _set_output(self, text: str) -> None:
        self.switch_output(self._now_s, on=boolean(text))

    def _set_off_states(self, text: str) -> None:
        """Page 6-32: without a function it sets the state for all functions."""
        self._set_off_state(("CURR", "VOLT"), text)

    def _set_off_state(self, keys: tuple[str, ...], text: str) -> None:
        state = choice(text, "NORMal", "HIMPedance", "ZERO", "GUARd")
        for key in keys:
            self.settings.source[key].off_state = state
        if not self._output_on:
            self.switch_output(self._now_s, on=False)

    def _level(self, key: str, level: float) -> float:
        source = self.settings.source[key]
        if not source.auto_range and abs(level) > source.range * 1.05:
            raise ScpiError(-222)
        return level

    def _redrive(self) -> None:
        if self._output_on:
            self.switch_output(self._now_s, on=True)
