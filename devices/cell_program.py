"""What a potentiostat is told, and what it says: programs, spectra, pages of records."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CellLimits:
    """What must never be exceeded at the cell; every field is required.

    Attributes:
        min_voltage_v: Lowest voltage, V.
        max_voltage_v: Highest voltage, V.
        min_current_ma: Most negative current, mA.
        max_current_ma: Most positive current, mA.
    """

    min_voltage_v: float
    max_voltage_v: float
    min_current_ma: float
    max_current_ma: float


Mode = Literal["current", "voltage", "rest", "scan", "impedance"]
"""What a program does; an instrument says in its capabilities which modes it runs."""


@dataclass(frozen=True)
class Sweep:
    """Frequencies and amplitude of an impedance spectrum.

    Attributes:
        quantity: What is forced: ``current`` (GEIS) or ``voltage`` (PEIS).
        amplitude: Peak amplitude, mA or V by quantity.
        start_hz: First frequency, Hz.
        end_hz: Last frequency, Hz.
        points_per_decade: At least so many points in each decade, evenly spaced in the logarithm.
        cycles: Periods measured at each frequency.
    """

    quantity: Literal["current", "voltage"]
    amplitude: float
    start_hz: float
    end_hz: float
    points_per_decade: int = 10
    cycles: int = 1

    @property
    def points(self) -> int:
        """Number of frequencies, both ends included: 73 from 7 MHz to 0.5 Hz at 10 per decade."""
        decades = abs(math.log10(self.start_hz / self.end_hz))
        return math.ceil(decades * self.points_per_decade - 1e-9) + 1

    @property
    def duration_s(self) -> float:
        """Sum of the periods measured, s: 9.8 s from 7 MHz to 0.5 Hz at 10 per decade."""
        frequencies_hz = np.geomspace(self.start_hz, self.end_hz, self.points)
        return float(np.sum(self.cycles / frequencies_hz))


@dataclass(frozen=True)
class Program:
    """One finite technique that a potentiostat runs by itself and ends with the output off.

    Attributes:
        mode: ``current`` forces `setpoint` mA, ``voltage`` forces `setpoint` V, ``rest`` passes
            no current and records the voltage (0 A forced with the output on, or the cell open,
            as the instrument does it), ``scan`` moves the voltage linearly from `setpoint` to
            `scan_to_v`, ``impedance`` takes the spectrum `sweep` about `setpoint`.
        setpoint: mA or V by mode (at ``impedance`` by what the sweep forces); 0 at rest.
        duration_s: The instrument ends the program by itself after this time, s.
        period_s: Time between records, s; the first record is at 0 and the last at the end.
        limits: Ends the program with the output off when a record lies outside (reason
            ``limit``).
        end_voltage_v: In ``current`` mode, ends the program (reason ``end_voltage``) when a
            record reaches this voltage, coming from the side on which the program starts:
            upwards for a positive current, downwards for a negative one. None: no such end.
        end_current_ma: In ``voltage`` mode, ends the program (reason ``end_current``) when a
            record's absolute current falls to this value, mA. None: no such end.
        scan_to_v: Where a ``scan`` ends, V.
        sweep: Frequencies and amplitude of an ``impedance`` program.
        at_open_circuit: An ``impedance`` program is taken about the voltage at which it finds the
            open cell, instead of `setpoint`; for sweeps that force a voltage.
    """

    mode: Mode
    setpoint: float
    duration_s: float
    period_s: float
    limits: CellLimits
    end_voltage_v: float | None = None
    end_current_ma: float | None = None
    scan_to_v: float | None = None
    sweep: Sweep | None = None
    at_open_circuit: bool = False


class ProgramState(StrEnum):
    """Where a program stands on the instrument."""

    IDLE = "idle"
    RUNNING = "running"
    FINISHED = "finished"


EndReason = Literal["", "time", "end_voltage", "end_current", "limit", "stopped", "fault"]


@dataclass(frozen=True)
class SpectrumPoints:
    """New points of a spectrum, in columns of equal length and in the order of measurement.

    Attributes:
        elapsed_s: Instrument time of each point since the start, s.
        frequency_hz: Frequency, Hz.
        real_ohm: Re Z, ohm.
        imag_ohm: Im Z, ohm; negative for a capacitor.
        current_ma: Direct current meanwhile, mA.
        voltage_v: Direct voltage meanwhile, V.
        amplitude_ma: Peak amplitude of the current, mA.
        amplitude_v: Peak amplitude of the voltage, V: what says whether the signal was small.
    """

    elapsed_s: Floats
    frequency_hz: Floats
    real_ohm: Floats
    imag_ohm: Floats
    current_ma: Floats
    voltage_v: Floats
    amplitude_ma: Floats
    amplitude_v: Floats


@dataclass(frozen=True)
class Page:
    """New records of the running or last program, in columns of equal length.

    Attributes:
        index: Number of the first row in the program, from 0: the read index of a checkpoint.
        elapsed_s: Instrument time of each record since the program's start, s.
        current_ma: Measured current A -> B, mA.
        voltage_v: Measured voltage, V; NaN where the instrument reported an overload.
        state: The program's state when the page was read.
        reason: Why the program ended; empty while it runs.
        output_on: Whether the cell is connected and driven, as read back.
        technique: Number of the program that runs or ran last, of those loaded together.
        counter_mah: What the instrument's own counter says of the net charge since the start,
            mAh; NaN where it has none.
        spectrum: New points of a spectrum; None where there are none.
    """

    index: int
    elapsed_s: Floats
    current_ma: Floats
    voltage_v: Floats
    state: ProgramState
    reason: EndReason
    output_on: bool
    technique: int = 0
    counter_mah: float = math.nan
    spectrum: SpectrumPoints | None = None


@dataclass(frozen=True)
class PotentiostatCapabilities:
    """What a potentiostat can do.

    Attributes:
        modes: Program modes it runs.
        limits: Its own envelope.
        min_period_s: Shortest time between records, s.
        max_records: Records it keeps for one program.
        counter: Whether it counts charge independently of the records.
        frequency_hz: Lowest and highest frequency of its spectra, Hz; None where it takes none.
    """

    modes: tuple[str, ...]
    limits: CellLimits
    min_period_s: float
    max_records: int
    counter: bool
    frequency_hz: tuple[float, float] | None = None
