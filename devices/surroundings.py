"""What an experiment may expect of a temperature chamber and of a voltmeter behind a load cell.

Devices know these protocols; drivers supply them.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import Protocol

from devices.roles import Identity


@dataclass(frozen=True)
class ChamberReading:
    """What a chamber shows at one moment.

    Attributes:
        temperature_celsius: Temperature of the cell, degree Celsius.
        air_celsius: Temperature of the air around it, degree Celsius.
        setpoint_celsius: Where it is to go, degree Celsius.
        on: Whether the chamber drives the temperature.
        settled: Whether the chamber itself says that the temperature is reached and has soaked.
    """

    temperature_celsius: float
    air_celsius: float
    setpoint_celsius: float
    on: bool
    settled: bool


@dataclass(frozen=True)
class Approach:
    """How a chamber goes to a temperature and when that counts as reached.

    Attributes:
        ramp_celsius_per_min: Rate of the setpoint, degree Celsius per minute.
        band_celsius: Largest deviation that counts as reached, degree Celsius.
        soak_s: Time that the temperature must stay within the band, s.
        deadline_s: Longest time from the command until then, s.
    """

    ramp_celsius_per_min: float
    band_celsius: float
    soak_s: float
    deadline_s: float


@dataclass(frozen=True)
class PressureSettling:
    """When a stack pressure counts as reached; whoever presses, nothing here does.

    Attributes:
        tolerance_percent: Largest deviation, % of the pressure; never less than three standard
            errors of the load cell.
        soak_s: Time that the pressure must stay within it, s.
        deadline_s: Longest time until then, s.
    """

    tolerance_percent: float
    soak_s: float
    deadline_s: float


class ChamberBackend(Protocol):
    """A temperature chamber that ramps and judges by itself.

    Every method is one short transaction on the link and raises `devices.errors`.
    """

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        ...

    def limit(self, low_celsius: float, high_celsius: float) -> None:
        """Program the instrument's own limits of the air, as near outside these as it can."""
        ...

    def force(self, celsius: float, approach: Approach) -> None:
        """Begin to bring the cell to a temperature; what was set is read back first.

        Raises `LimitError` before anything is sent.
        """
        ...

    def release(self) -> None:
        """Stop driving the temperature; verified, idempotent."""
        ...

    def read(self) -> ChamberReading:
        """What it shows now; raises `InstrumentFault` where it reports an error."""
        ...


class Voltmeter(Protocol):
    """A meter that measures a DC voltage at each call."""

    def identity(self) -> Identity:
        """Who answers, from ``*IDN?``."""
        ...

    def voltage_v(self) -> float:
        """One measurement, V; NaN where the input is beyond the range."""
        ...


@dataclass(frozen=True)
class Calibration:
    """Calibration of a bridge amplifier; uncertainties are one standard deviation.

    Attributes:
        gain_v_per_kn: Output per force, V/kN.
        gain_uncertainty_percent: Of the gain, %.
        offset_v: Output without force, V.
        offset_uncertainty_v: Of the offset, its drift included, V.
        area_cm2: Area of the stack that the force acts on, cm2.
        date: When it was calibrated.
    """

    gain_v_per_kn: float
    gain_uncertainty_percent: float
    offset_v: float
    offset_uncertainty_v: float
    area_cm2: float
    date: datetime.date

    def force_n(self, volts: float, offset_v: float) -> float:
        """Force of a reading, N.

        Args:
            volts: Output of the amplifier, V.
            offset_v: Its output without force, V: `offset_v`, or of a tare since.
        """
        return 1e3 * (volts - offset_v) / self.gain_v_per_kn

    def pressure_mpa(self, force_n: float) -> float:
        """Stack pressure that goes with a force, MPa: 1 N/cm2 is 0.01 MPa."""
        return 0.01 * force_n / self.area_cm2

    def error_mpa(self, pressure_mpa: float) -> float:
        """Standard error of a pressure, MPa: gain and offset are independent."""
        gain = 0.01 * self.gain_uncertainty_percent * pressure_mpa
        offset = self.pressure_mpa(self.force_n(self.offset_uncertainty_v, 0.0))
        return math.hypot(gain, offset)
