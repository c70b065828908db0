"""The electrochemical protocol: when records are kept, the limits, and the steps in their order.

The vocabulary is aurora-unicycler's (https://github.com/empaeconversion/aurora-unicycler, 0.4),
with a stricter rule for limits: every one must be given. Added are steps of the surroundings.
"""

# ruff: noqa: N815 - the keys are aurora-unicycler's
from __future__ import annotations

from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, WrapValidator
from pydantic import model_validator as _model_validator

from orchestrator.experiment.choosing import known_step, step_tag
from orchestrator.experiment.steps import (
    WHERE_CUT_OFF,
    ConstantCurrent,
    ConstantVoltage,
    Impedance,
    ImpedanceSpectroscopy,
    LoopStep,
    OnInterruption,
    OpenCircuitVoltage,
    Step,
    TagStep,
    VoltageScan,
)
from orchestrator.experiment.surrounding_steps import StackPressureStep, TemperatureStep
from orchestrator.inputs.fields import Quantity, problem
from orchestrator.inputs.models import StrictModel

__all__ = [
    "CELL_STEPS",
    "STEPS",
    "AnyStep",
    "ConstantCurrent",
    "ConstantVoltage",
    "Impedance",
    "ImpedanceSpectroscopy",
    "LoopStep",
    "OpenCircuitVoltage",
    "Protocol",
    "Record",
    "Safety",
    "StackPressureStep",
    "Step",
    "TagStep",
    "TemperatureStep",
    "VoltageScan",
]

STEPS: dict[str, type[Step]] = {
    "tag": TagStep,
    "loop": LoopStep,
    "open_circuit_voltage": OpenCircuitVoltage,
    "constant_current": ConstantCurrent,
    "constant_voltage": ConstantVoltage,
    "voltage_scan": VoltageScan,
    "impedance_spectroscopy": ImpedanceSpectroscopy,
    "temperature": TemperatureStep,
    "stack_pressure": StackPressureStep,
}
"""Every step a protocol may have, by the name in its `step` key."""

CELL_STEPS = tuple(name for name in STEPS if name not in ("temperature", "stack_pressure"))
"""Those that the potentiostat runs by itself: aurora-unicycler's."""


AnyStep = Annotated[
    Annotated[TagStep, Tag("step:tag")]
    | Annotated[LoopStep, Tag("step:loop")]
    | Annotated[OpenCircuitVoltage, Tag("step:open_circuit_voltage")]
    | Annotated[ConstantCurrent, Tag("step:constant_current")]
    | Annotated[ConstantVoltage, Tag("step:constant_voltage")]
    | Annotated[VoltageScan, Tag("step:voltage_scan")]
    | Annotated[ImpedanceSpectroscopy, Tag("step:impedance_spectroscopy")]
    | Annotated[TemperatureStep, Tag("step:temperature")]
    | Annotated[StackPressureStep, Tag("step:stack_pressure")],
    Discriminator(step_tag),
    WrapValidator(known_step(STEPS)),
]


class Record(StrictModel):
    """When a record is kept: every `time_s`, and on a change where the potentiostat can."""

    time_s: Annotated[float, Quantity("a time between records", "s", gt=0, le=86_400)]
    current_mA: Annotated[float, Quantity("a change of current", "mA", gt=0)] | None = None
    voltage_V: Annotated[float, Quantity("a change of voltage", "V", gt=0)] | None = None


class Safety(StrictModel):
    """Limits that end the experiment with the cell off; every one is required.

    Attributes:
        max_voltage_V: Highest voltage, V.
        min_voltage_V: Lowest voltage, V.
        max_current_mA: Most positive current, mA.
        min_current_mA: Most negative current, mA.
        max_capacity_mAh: Most net charge in either direction, mAh.
        delay_s: Only 0: limits act at the first record outside.
    """

    max_voltage_V: Annotated[float, Quantity("the highest voltage", "V")]
    min_voltage_V: Annotated[float, Quantity("the lowest voltage", "V")]
    max_current_mA: Annotated[float, Quantity("the most positive current", "mA", ge=0)]
    min_current_mA: Annotated[float, Quantity("the most negative current", "mA", le=0)]
    max_capacity_mAh: Annotated[float, Quantity("the largest charge", "mAh", gt=0)]
    delay_s: Annotated[float, Quantity("a delay", "s", ge=0, le=0)] | None = None

    @_model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (("min_voltage_V", "max_voltage_V"), ("min_current_mA", "max_current_mA")):
            lower, upper = getattr(self, low), getattr(self, high)
            if lower >= upper:
                what = f"got {low} {lower:g} and {high} {upper:g}, expected the first to be smaller"
                raise problem(what, "are they exchanged, or is a sign missing?")
        return self


class Protocol(StrictModel):
    """What the potentiostat does.

    Attributes:
        record: When a record is kept.
        safety: Limits of the whole experiment.
        method: The steps, in order.
        on_interruption: What becomes of a step in which the program was cut off, where the step
            does not say itself; None: it goes on with what is left.
    """

    record: Record = Field(description="when records are kept: {time_s: 10}")
    safety: Safety = Field(description="the limits, every one of them")
    method: tuple[AnyStep, ...] = Field(description="a list of steps", min_length=1)
    on_interruption: Annotated[OnInterruption, WHERE_CUT_OFF] | None = None
