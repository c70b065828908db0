"""Steps beside those of aurora-unicycler: surroundings, a check of the voltage, frames.

They are values, as aurora-unicycler's are: which chamber, load cell or potentiostat they concern
says the `Environment` and the `Cycling` that they are run with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aurora_unicycler import ImpedanceSpectroscopy

from devices.surroundings import Approach, PressureSettling


@dataclass(frozen=True)
class TemperatureStep:
    """Brings the cell to a temperature; the cell rests at open circuit and is recorded meanwhile.

    Attributes:
        celsius: Where to, degree Celsius.
        approach: How, and when that counts as reached.
    """

    celsius: float
    approach: Approach

    @property
    def longest_s(self) -> float:
        """Longest time that it takes, s."""
        return self.approach.deadline_s


@dataclass(frozen=True)
class PressureStep:
    """Waits for a stack pressure; the cell rests at open circuit and is recorded meanwhile.

    Nothing presses: a person turns the press, and the load cell says when that is done.

    Attributes:
        mpa: The pressure, MPa.
        settling: When that counts as reached.
    """

    mpa: float
    settling: PressureSettling

    @property
    def longest_s(self) -> float:
        """Longest time that it takes, s."""
        return self.settling.deadline_s


@dataclass(frozen=True)
class VoltageCheck:
    """Lets the cell rest, and refuses to go on where its voltage then lies outside a window.

    Attributes:
        min_voltage_v: Lowest voltage, V.
        max_voltage_v: Highest voltage, V.
        duration_s: How long it rests before the voltage counts, s.
    """

    min_voltage_v: float
    max_voltage_v: float
    duration_s: float

    @property
    def longest_s(self) -> float:
        """Longest time that it takes, s."""
        return self.duration_s


@dataclass(frozen=True)
class FrameStep:
    """Takes frames one after another and waits for them; the cell is off meanwhile.

    Attributes:
        device: An image device.
        count: Number of frames.
        settings: Acquisition parameters for the device.
    """

    device: Any
    count: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def longest_s(self) -> float:
        """Time that the frames take, s; NaN before the device was configured."""
        return self.count * float(self.device.expected_duration_s.get())


Surround: TypeAlias = TemperatureStep | PressureStep
"""Steps that concern what surrounds the cell."""

OwnStep: TypeAlias = Surround | VoltageCheck | FrameStep
"""Steps that aurora-unicycler does not have."""


def described(step: Any) -> str:
    """A step in a few words, for an event."""
    if isinstance(step, TemperatureStep):
        return f"{step.celsius:g} C"
    if isinstance(step, PressureStep):
        return f"{step.mpa:g} MPa"
    if isinstance(step, VoltageCheck):
        return f"voltage within {step.min_voltage_v:g} to {step.max_voltage_v:g} V"
    if isinstance(step, FrameStep):
        return f"{step.count} frame{'' if step.count == 1 else 's'} of {step.device.name}"
    if isinstance(step, ImpedanceSpectroscopy):
        return "impedance spectrum"
    return "rest at open circuit"
