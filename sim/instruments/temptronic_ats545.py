"""A simulated Temptronic ATS-545 ThermoStream: an air stream that holds a cell at a temperature.

The command language is the ThermoStream family's. It is cited from the TP04300 Series Interface &
Applications Manual, section 4, "Device Specific Commands" (pages 4-17 to 4-26), whose commands the
ATS-545 shares, as PyMeasure's driver of the ATS-545 (after its Interface & Applications Manual
Rev. B, November 2015) shows command by command. Messages are separated by ``;`` and numbers are
decimal text (page 4-6); values belong to the selected setpoint (TP04100A manual, page 4-9).

===================  ====  ======================================================================
ADMD, AUXC           4-17  largest difference between air and cell; auxiliary condition register
EROR, FLOW           4-20  device-specific errors; main air flow on or off
TECR, TEMP           4-24  temperature event condition; the controlled temperature, in 0.1 C
TESR                 4-25  the condition latched, cleared by reading
TMPA, TMPD           4-25  temperature of the air and of the cell, in 0.1 C
TTIM, ULIM, WHAT     4-25  longest test time; highest air temperature; which screen is shown
WNDW                 4-26  largest deviation from the setpoint that counts as "at temperature"
===================  ====  ======================================================================

Those pages were seen. COOL, DSNS, DUTC, DUTM, HEAD, LLIM, LRNM, RAMP, SETD, SETN, SETP and SOAK are
taken from PyMeasure's driver alone: their ranges and units are its own.

What is assumed [A]: a ramp rate of 0 is no ramp; control by the cell's thermocouple changes what is
shown and judged, not how the air is driven; with the head up the stream does not reach the cell;
the sensors' noise is 0.03 C. ``%RM`` and ``%GL`` (remote, local) are not checked
before other commands. Cycling, set-up files and learning are not simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim.instruments.scpi import ScpiError, ScpiInstrument, integer, number
from sim.thermal import ThermalCourse
from sim.world import Floats, World

_SENSOR_STREAM = 20
_SENSOR_CELSIUS = 0.03
"""Noise of the thermocouples, C RMS [A], drawn anew each second of the world's time."""

_AIR, _CELL = 0, 1
_FLOW_SCFM, _SCFM_PER_LITRE_PER_S = 18.0, 2.1189
_HIGHEST = 225.0
_LOWEST = -99.9
_OUT_OF_RANGE = 0x0004
"""EROR? bit 2, setpoint out of range (page 4-20)."""

_AT_TEMPERATURE, _NOT_AT_TEMPERATURE = 0x01, 0x02
_READY, _MANUAL, _FLOW_ON, _CELL_MODE, _HEAD_UP = 0x40, 0x100, 0x20, 0x10, 0x04
_OPERATOR_SCREEN = "10"
"""What ``WHAT?`` answers on the Operator screen of an ATS-545 (PyMeasure's driver)."""

_PERCENT = {b"%RM", b"%GL", b"%LL"}
"""Remote, local, local lockout: single messages of the serial interface (PyMeasure's driver)."""


@dataclass
class _Setpoint:
    """One of the three setpoints of the Operator screen."""

    celsius: float
    window: float = 1.0
    soak_s: float = 30.0
    ramp_per_min: float = 0.0


def _whole(low: int, high: int) -> Callable[[str], float]:
    return lambda text: float(integer(text, low, high))


def _ranged(low: float, high: float) -> Callable[[str], float]:
    return lambda text: number(text, low, high)


_SETTINGS: dict[str, tuple[float, Callable[[str], float]]] = {
    "ADMD": (50.0, _whole(10, 300)),
    "TTIM": (1000.0, _whole(0, 9999)),
    "DUTC": (100.0, _ranged(20, 500)),
    "DSNS": (1.0, _whole(0, 2)),
    "LRNM": (0.0, _whole(0, 1)),
}
"""Values that are kept and shown and do nothing here: default and range."""


class SimulatedAts545(ScpiInstrument):
    """A ThermoStream whose head is down on the enclosure of the cell.

    Args:
        world: The sample whose temperature it moves; the instrument adds itself.
        serial: Third field of ``*IDN?``; begins with ``SIM-``.
        strict: Raise `sim.errors.UnknownCommand` at an undefined command.

    Attributes:
        course: Temperatures of air and cell.
    """

    def __init__(self, world: World, *, serial: str = "SIM-ATS-0001", strict: bool = True) -> None:
        super().__init__(world, f"TEMPTRONIC,ATS-545-M,{serial},Ver 6.30", strict=strict)
        self.course = ThermalCourse(world.temperature_celsius)
        self._power_on()
        self._declare()
        world.follow(self.course)

    def answer(self, message: bytes) -> bytes | None:
        """One program message; ``%`` messages are taken as they are."""
        if message.strip() in _PERCENT:
            self.world.catch_up()
            return None
        return super().answer(message)

    def reset(self) -> None:
        """``*RST``: the Operator screen with its defaults, flow off."""
        self._power_on()
        self._drive()

    def _power_on(self) -> None:
        self._setpoints = [_Setpoint(125.0), _Setpoint(25.0), _Setpoint(-40.0)]
        self._selected = 1
        self._low, self._high = -80.0, _HIGHEST
        self._flow, self._head_down, self._mode = False, True, _AIR
        self._errors_seen = 0
        self._values = {name: default for name, (default, _) in _SETTINGS.items()}
        self._since_s = self.world.now()
        self._event_s = -math.inf

    @property
    def _now(self) -> _Setpoint:
        return self._setpoints[self._selected]

    def _declare(self) -> None:
        for name, (_, check) in _SETTINGS.items():
            self.on(name, self._keeper(name, check), self._shower(name))
        self.on("SETN", self._select, lambda: str(self._selected))
        self.on("SETP", self._set, lambda: f"{self._now.celsius:g}")
        self.on("SETD", query=lambda: f"{self.course.setpoint(self.world.now()):.1f}")
        self.on("WNDW", self._set_window, lambda: f"{self._now.window:g}")
        self.on("SOAK", self._set_soak, lambda: f"{self._now.soak_s:g}")
        self.on("RAMP", self._set_ramp, lambda: f"{self._now.ramp_per_min:g}")
        self.on("LLIM", self._set_low, lambda: f"{self._low:g}")
        self.on("ULIM", self._set_high, lambda: f"{self._high:g}")
        self.on("FLOW", self._set_flow)
        self.on("HEAD", self._set_head, lambda: str(int(self._head_down)))
        self.on("DUTM", self._set_mode, lambda: str(self._mode))
        self.on("COOL", self._keeper("COOL", _whole(0, 1)))
        self.on("TEMP", query=lambda: self._shown(self._mode))
        self.on("TMPA", query=lambda: self._shown(_AIR))
        self.on("TMPD", query=lambda: self._shown(_CELL))
        self.on("TECR", query=lambda: str(self._condition()))
        self.on("TESR", query=self._event)
        self.on("EROR", query=lambda: str(self._errors_seen))
        self.on("CLER", self._clear)
        self.on("AUXC", query=lambda: str(self._auxiliary()))
        self.on("WHAT", query=lambda: _OPERATOR_SCREEN)
        self.on("RSTO", self.reset)
        self.on("FLWR", query=lambda: f"{_FLOW_SCFM * self._flow:g}")
        self.on("FLRL", query=lambda: f"{_FLOW_SCFM / _SCFM_PER_LITRE_PER_S * self._flow:.2f}")

    def _add_common_commands(self) -> None:
        """IEEE 488.2's; there is no SCPI error queue."""
        self.on("*IDN", query=lambda: self.identity)
        self.on("*RST", self.reset)
        self.on("*CLS", self._clear_status)
        self.on("*OPC", self._operation_complete, lambda: "1")
        self.on("*ESR", query=self._read_event_status)
        self.on("*STB", query=lambda: "0")

    def _keeper(self, name: str, check: Callable[[str], float]) -> Callable[[str], None]:
        def keep(text: str) -> None:
            self._values[name] = check(text)

        return keep

    def _shower(self, name: str) -> Callable[[], str]:
        return lambda: f"{self._values[name]:g}"

    # --- the setpoint -------------------------------------------------------------------------

    def _select(self, text: str) -> None:
        self._selected = integer(text, 0, 2)
        self._drive()

    def _set(self, text: str) -> None:
        celsius = number(text, _LOWEST, _HIGHEST)
        if not self._low <= celsius <= self._high:
            self._errors_seen |= _OUT_OF_RANGE
            raise ScpiError(-222)
        if celsius != self._now.celsius:
            self._now.celsius = celsius
            self._drive()

    def _set_window(self, text: str) -> None:
        self._now.window = number(text, 0.1, 9.9)

    def _set_soak(self, text: str) -> None:
        self._now.soak_s = float(integer(text, 0, 9999))

    def _set_ramp(self, text: str) -> None:
        ramp = round(number(text, 0.0, 9999.0), 1)
        if ramp != self._now.ramp_per_min:
            self._now.ramp_per_min = ramp
            self._drive()

    def _set_low(self, text: str) -> None:
        self._low = float(integer(text, -99, 25))

    def _set_high(self, text: str) -> None:
        self._high = float(integer(text, 25, 225))

    def _set_flow(self, text: str) -> None:
        flow = bool(integer(text, 0, 1))
        if flow != self._flow:
            self._flow = flow
            self._drive()

    def _set_head(self, text: str) -> None:
        down = bool(integer(text, 0, 1))
        if down != self._head_down:
            self._head_down = down
            self._drive()

    def _set_mode(self, text: str) -> None:
        self._mode = integer(text, 0, 1)
        self._since_s = self.world.now()

    def _drive(self) -> None:
        """The air does from now on what the settings say."""
        now_s = self._since_s = self.world.now()
        self._event_s = -math.inf
        if not (self._flow and self._head_down):
            self.course.release(now_s)
            return
        ramp = self._now.ramp_per_min
        self.course.force(now_s, self._now.celsius, ramp / 60.0 if ramp else math.inf)

    # --- what it shows ------------------------------------------------------------------------

    def _shown(self, sensor: int) -> str:
        """A temperature with the sensor's noise, in 0.1 C; ``25`` as on page 4-6."""
        t_s = self.world.now()
        noise = np.random.default_rng([self.world.seed, _SENSOR_STREAM, int(t_s)])
        true = self.course.at(t_s)[sensor]
        return f"{round(true + _SENSOR_CELSIUS * noise.standard_normal(2)[sensor], 1):g}"

    def _controlled(self, times_s: Floats) -> Floats:
        return self.course.cell(times_s) if self._mode == _CELL else self.course.air(times_s)

    def _within_since_s(self) -> float:
        """Since when the temperature has been in the window; infinite while it is not.

        The controller looks once a second of the world's time.
        """
        now_s = self.world.now()
        first, last = math.ceil(self._since_s), math.floor(now_s)
        last = min(last, max(first, math.ceil(self.course.settled_s())))
        times: Floats = np.append(np.arange(first, last + 1, dtype=np.float64), now_s)
        far = np.abs(self._controlled(times) - self._now.celsius) > self._now.window
        if far[-1]:
            return math.inf
        outside = np.flatnonzero(far)
        return float(times[outside[-1] + 1]) if outside.size else self._since_s

    def _condition(self) -> int:
        """``TECR?``: bit 0 once the soak time has elapsed, else bit 1 (page 4-24)."""
        if not (self._flow and self._head_down):
            return _NOT_AT_TEMPERATURE
        soaked_s = self._within_since_s() + self._now.soak_s
        return _AT_TEMPERATURE if self.world.now() >= soaked_s else _NOT_AT_TEMPERATURE

    def _event(self) -> str:
        """``TESR?``: the condition's bit 0 latched until it is read."""
        reached = self._condition() == _AT_TEMPERATURE
        fresh = reached and self._event_s < self._since_s
        self._event_s = self.world.now() if reached else self._event_s
        return str(_AT_TEMPERATURE if fresh else 0)

    def _auxiliary(self) -> int:
        """``AUXC?`` (page 4-17)."""
        return (
            _READY
            | _MANUAL
            | _FLOW_ON * self._flow
            | _CELL_MODE * self._mode
            | _HEAD_UP * (not self._head_down)
        )

    def _clear(self) -> None:
        self._errors_seen = 0
