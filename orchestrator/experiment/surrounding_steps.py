"""Steps that concern what surrounds the cell: its temperature and its stack pressure.

What a step leaves out is the bench's: its profile says how fast its chamber goes, and when a
temperature or a pressure counts as reached.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from orchestrator.experiment.steps import TimedStep
from orchestrator.inputs.fields import Quantity
from orchestrator.inputs.models import StrictModel
from orchestrator.profile.surroundings import ChamberEntry, LoadCellEntry

PRESSURE_SOAK_S = 60.0
"""Time that a pressure must stay within its tolerance where a step does not say, s."""

DEADLINE_S = 14_400.0
"""Longest wait where neither step nor bench says, s: that of a bench profile's chamber."""

_CELSIUS = "degree Celsius"
_DEADLINE = Quantity("a time", "s", gt=0, le=1e6)


class TemperatureSettling(StrictModel):
    """When a temperature counts as reached.

    Attributes:
        band_celsius: Largest deviation, degree Celsius.
        soak_s: Time that the temperature must stay within it, s.
    """

    band_celsius: Annotated[float, Quantity("a deviation", _CELSIUS, ge=0.1, le=9.9)] | None = None
    soak_s: Annotated[float, Quantity("a time", "s", ge=0, le=9999)] | None = None


class TemperatureStep(TimedStep):
    """The chamber goes to a temperature; the cell rests at open circuit meanwhile, recorded.

    Attributes:
        celsius: Where to, degree Celsius.
        ramp_celsius_per_min: How fast; at most, and by default, the bench's.
        settle: When it counts as reached; by default as the bench says.
        deadline_s: Longest time until then, s; by default the bench's.
    """

    step: Literal["temperature"]
    celsius: Annotated[float, Quantity("a temperature", _CELSIUS, ge=-196, le=1200)]
    ramp_celsius_per_min: (
        Annotated[float, Quantity("a rate", f"{_CELSIUS} per minute", gt=0, le=1000)] | None
    ) = None
    settle: TemperatureSettling = TemperatureSettling()
    deadline_s: Annotated[float, _DEADLINE] | None = None

    @property
    def longest_s(self) -> float:
        """Longest time that it takes, s."""
        return self.deadline_s or DEADLINE_S

    def on(self, chamber: ChamberEntry) -> Self:
        """The step with everything said that it leaves to the bench."""
        band, soak = self.settle.band_celsius, self.settle.soak_s
        return self.model_copy(
            update={
                "ramp_celsius_per_min": self.ramp_celsius_per_min
                or chamber.limits.max_ramp_celsius_per_min,
                "settle": TemperatureSettling(
                    band_celsius=chamber.settle_band_celsius if band is None else band,
                    soak_s=chamber.soak_s if soak is None else soak,
                ),
                "deadline_s": self.deadline_s or chamber.deadline_s,
            }
        )


class PressureSettling(StrictModel):
    """When a stack pressure counts as reached.

    Attributes:
        tolerance_percent: Largest deviation, %; never less than three standard errors.
        soak_s: Time that the pressure must stay within it, s.
    """

    tolerance_percent: Annotated[float, Quantity("a tolerance", "%", gt=0, le=100)] | None = None
    soak_s: Annotated[float, Quantity("a time", "s", ge=0, le=86_400)] | None = None


class StackPressureStep(TimedStep):
    """Waits until the load cell shows a pressure, which a person sets; the cell rests meanwhile.

    Attributes:
        mpa: The pressure, MPa.
        settle: When it counts as reached; by default within the bench's tolerance for 60 s.
        deadline_s: Longest time until then, s; 14,400 by default.
    """

    step: Literal["stack_pressure"]
    mpa: Annotated[float, Quantity("a pressure", "MPa", gt=0, le=1e4)]
    settle: PressureSettling = PressureSettling()
    deadline_s: Annotated[float, _DEADLINE] | None = None

    @property
    def longest_s(self) -> float:
        """Longest time that it takes, s."""
        return self.deadline_s or DEADLINE_S

    def on(self, load_cell: LoadCellEntry) -> Self:
        """The step with everything said that it leaves to the bench."""
        percent, soak = self.settle.tolerance_percent, self.settle.soak_s
        return self.model_copy(
            update={
                "settle": PressureSettling(
                    tolerance_percent=load_cell.tolerance_percent if percent is None else percent,
                    soak_s=PRESSURE_SOAK_S if soak is None else soak,
                ),
                "deadline_s": self.longest_s,
            }
        )
