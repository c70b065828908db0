"""A simulated Keithley DMM6500 multimeter that measures a DC voltage.

After the Model DMM6500 Reference Manual (DMM6500-901-01 Rev. A, April 2018), "SCPI command
reference": *LANG, READ?, ROUTe:TERMinals?, [SENSe]:FUNCtion, [SENSe]:VOLTage[:DC] with APERture,
AZERo, AVERage, NPLCycles, RANGe and RELative, DISPlay, SYSTem:LFRequency. Only the function
VOLTage:DC is simulated: another one is refused with -224.

Accuracy of a year on the 10 V range: 25 ppm of reading and 5 ppm of range (Calibration and
Adjustment Manual, DMM6500-905-01 Rev. A, page 2-4); gain and zero errors within it are drawn once.
Noise: 0.2 ppm of range at 1 power-line cycle, falling with the square root of the cycles [A].
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sim.faults.upsets import METER_KINDS, MeterUpsets
from sim.instruments.scpi import ScpiError, ScpiInstrument, boolean, choice, number, string
from sim.world import World

_STREAM = 22
_ERRORS = 0
_PPM = 1e-6
_GAIN_PPM, _ZERO_PPM, _NOISE_PPM = 25.0, 5.0, 0.2
_SPREAD = 1.0 / 3.0
"""One standard deviation as a part of the specified accuracy, which holds for nearly all [A]."""

_RANGES_V = (0.1, 1.0, 10.0, 100.0, 1000.0)
_OVERRANGE = 1.2
_OVERFLOW = 9.9e37
_LINE_HZ = 50.0
_V_DC = {"VOLT:DC", "VOLT", "VOLTAGE:DC", "VOLTAGE"}
_SENSE = "[:SENSe[1]]:VOLTage[:DC]"
_LANGUAGES = ("SCPI", "TSP", "SCPI2000", "SCPI34401")


class SimulatedDmm6500(ScpiInstrument):
    """A multimeter with something at its front terminals.

    Args:
        world: Where it stands.
        terminals: True voltage at its terminals at a time (s since the world began), V.
        serial: Third field of ``*IDN?``; begins with ``SIM-``.
        strict: Raise `sim.errors.UnknownCommand` at an undefined header.

    Attributes:
        upsets: Faults of its meter.
    """

    upset_kinds = METER_KINDS

    def __init__(
        self,
        world: World,
        terminals: Callable[[float], float],
        *,
        serial: str = "SIM-DMM-0001",
        strict: bool = True,
    ) -> None:
        super().__init__(
            world, f"KEITHLEY INSTRUMENTS,MODEL DMM6500,{serial},1.7.7b", strict=strict
        )
        self._terminals, self.upsets = terminals, MeterUpsets(_OVERFLOW)
        errors = np.random.default_rng([world.seed, _STREAM, _ERRORS]).standard_normal(2)
        self._gain = 1.0 + _PPM * _GAIN_PPM * _SPREAD * float(errors[0])
        self._zero = _PPM * _ZERO_PPM * _SPREAD * float(errors[1])
        self._last = _OVERFLOW
        self._defaults()
        self._declare()

    def reset(self) -> None:
        """``*RST``: DC volts, autorange, 1 power-line cycle."""
        self._defaults()

    def _defaults(self) -> None:
        self._auto, self._range_v, self._nplc = True, 1000.0, 1.0
        self._relative_on, self._relative_v = False, 0.0
        self._zeroing, self._averaging, self._average, self._how = True, False, 10, "REP"
        self._digits = 6

    def _declare(self) -> None:
        self.on("*LANG", self._language, lambda: "SCPI")
        self.on("[:SENSe[1]]:FUNCtion[:ON]", self._function, lambda: '"VOLT:DC"')
        self.on(f"{_SENSE}:NPLCycles", self._set_nplc, lambda: f"{self._nplc:g}")
        self.on(f"{_SENSE}:APERture", self._set_aperture, lambda: f"{self._nplc / _LINE_HZ:g}")
        self.on(f"{_SENSE}:RANGe[:UPPer]", self._set_range, lambda: f"{self._range_v:g}")
        self.on(f"{_SENSE}:RANGe:AUTO", self._set_auto, lambda: str(int(self._auto)))
        self.on(f"{_SENSE}:RELative", self._set_relative, lambda: f"{self._relative_v:.6E}")
        self.on(
            f"{_SENSE}:RELative:STATe",
            self._set_relative_on,
            lambda: str(int(self._relative_on)),
        )
        self.on(f"{_SENSE}:RELative:ACQuire", self._acquire)
        self.on(f"{_SENSE}:AZERo[:STATe]", self._set_zeroing, lambda: str(int(self._zeroing)))
        self.on(f"{_SENSE}:AVERage[:STATe]", self._set_averaging, lambda: str(int(self._averaging)))
        self.on(f"{_SENSE}:AVERage:COUNt", self._set_average, lambda: str(self._average))
        self.on(f"{_SENSE}:AVERage:TCONtrol", self._set_how, lambda: self._how)
        self.on(":DISPlay:VOLTage[:DC]:DIGits", self._set_digits, lambda: str(self._digits))
        self.on(":READ", query=self._read)
        self.on(":FETCh", query=lambda: self._reply(self._last))
        self.on(":ROUTe:TERMinals", query=lambda: "FRON")
        self.on(":SYSTem:LFRequency", query=lambda: f"{_LINE_HZ:g}")
        self.on(":SYSTem:BEEPer[:IMMediate]", self._beep)

    # --- settings -----------------------------------------------------------------------------

    def _language(self, text: str) -> None:
        if choice(text, *_LANGUAGES) != "SCPI":
            raise ScpiError(-224)  # another language needs a restart, which is not simulated

    def _function(self, text: str) -> None:
        if string(text).upper() not in _V_DC:
            raise ScpiError(-224)

    def _set_nplc(self, text: str) -> None:
        self._nplc = number(text, 0.0005, 12.0, default=1.0)

    def _set_aperture(self, text: str) -> None:
        self._nplc = number(text, 8.333e-6, 0.24, default=1.0 / _LINE_HZ) * _LINE_HZ

    def _set_range(self, text: str) -> None:
        nominal = number(text, 0.0, 1000.0, default=1000.0)
        self._auto, self._range_v = False, next(r for r in _RANGES_V if nominal <= r)

    def _set_auto(self, text: str) -> None:
        self._auto = boolean(text)

    def _set_relative(self, text: str) -> None:
        self._relative_v = number(text, -1000.0, 1000.0, default=0.0)

    def _set_relative_on(self, text: str) -> None:
        self._relative_on = boolean(text)

    def _acquire(self) -> None:
        self._relative_v = self._measure()

    def _set_zeroing(self, text: str) -> None:
        self._zeroing = boolean(text)

    def _set_averaging(self, text: str) -> None:
        self._averaging = boolean(text)

    def _set_average(self, text: str) -> None:
        self._average = round(number(text, 1, 100, default=10))

    def _set_how(self, text: str) -> None:
        self._how = choice(text, "REPeat", "MOVing", "HYBRid")

    def _set_digits(self, text: str) -> None:
        self._digits = round(number(text, 3, 6, default=6))

    def _beep(self, frequency: str, duration: str) -> None:
        number(frequency, 20, 8000)
        number(duration, 0.001, 100)

    # --- readings -----------------------------------------------------------------------------

    def _read(self) -> str:
        """``READ?``: measure with the present settings."""
        self._last = self._measure()
        if abs(self._last) < _OVERFLOW and self._relative_on:
            self._last -= self._relative_v
        return self._reply(self._last)

    def _measure(self) -> float:
        """One reading as the meter shows it, V."""
        times = np.array([self.world.now()])
        readings = self.upsets.readings(times, np.array([self._converted(float(times[0]))]))
        self.upsets.kept(readings)
        return float(readings[0])

    def _converted(self, t_s: float) -> float:
        """One conversion, V; its noise belongs to the millisecond, not to the count of readings."""
        true = self._terminals(t_s)
        if self._auto:
            largest = _RANGES_V[-1]
            self._range_v = next((r for r in _RANGES_V if abs(true) <= r * _OVERRANGE), largest)
        if abs(true) > self._range_v * _OVERRANGE:
            return math.copysign(_OVERFLOW, true)
        stream = np.random.default_rng([self.world.seed, _STREAM, 1 + round(1e3 * t_s)])
        cycles = self._nplc * (self._average if self._averaging and self._how == "REP" else 1)
        noise_v = _PPM * _NOISE_PPM * self._range_v / math.sqrt(cycles)
        return self._gain * true + self._zero * self._range_v + noise_v * stream.standard_normal()

    def _reply(self, value: float) -> str:
        return f"{value:.9E}"
