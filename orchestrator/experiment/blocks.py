"""Steps of the blocks before and after a protocol: none passes a net charge."""

# ruff: noqa: N815 - the keys are spelled as aurora-unicycler's
from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Tag, WrapValidator
from pydantic import model_validator as _model_validator

from orchestrator.experiment.choosing import known_step, step_tag
from orchestrator.experiment.imaging import ImageSettings
from orchestrator.experiment.protocol import STEPS
from orchestrator.experiment.steps import (
    ImpedanceSpectroscopy,
    OpenCircuitVoltage,
    Step,
    TimedStep,
)
from orchestrator.experiment.surrounding_steps import StackPressureStep, TemperatureStep
from orchestrator.inputs.fields import Count, Quantity, Text, problem

_VOLTAGE = Quantity("a voltage", "V", ge=-1e3, le=1e3)


class OpenCircuitCheck(TimedStep):
    """The cell rests, without current, and its voltage must then lie within a window.

    Attributes:
        min_voltage_V: Lowest voltage, V.
        max_voltage_V: Highest voltage, V.
        until_time_s: How long it rests before the voltage counts, s.
    """

    step: Literal["ocv_check"]
    min_voltage_V: Annotated[float, _VOLTAGE]
    max_voltage_V: Annotated[float, _VOLTAGE]
    until_time_s: Annotated[float, Quantity("a duration", "s", gt=0, le=1e9)] = 60.0

    @_model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.min_voltage_V, self.max_voltage_V
        if low >= high:
            what = f"got {low:g} to {high:g} V, expected a window of voltages"
            raise problem(what, "are they exchanged, or is a sign missing?")
        return self


class ImageStep(TimedStep):
    """Frames that are waited for, the cell off meanwhile.

    Attributes:
        device: Role (`mri`) or name of an imaging device of the bench.
        count: How many, one after another.
        settings: How they are acquired; may be left out where `images` has a series of the device.
    """

    step: Literal["image"]
    device: Annotated[str, Text("the role or name of an imaging device")]
    count: Annotated[int, Count("a number of frames", ge=1, le=100_000)] = 1
    settings: ImageSettings | None = None


BLOCK_STEPS: dict[str, type[Step]] = {
    "ocv_check": OpenCircuitCheck,
    "image": ImageStep,
    "impedance_spectroscopy": ImpedanceSpectroscopy,
    "open_circuit_voltage": OpenCircuitVoltage,
    "temperature": TemperatureStep,
    "stack_pressure": StackPressureStep,
}
"""Every step that `before` and `after` may have, by the name in its `step` key."""

_IN_THE_METHOD = {
    name: "put it into protocol.method: before and after pass no charge"
    for name in STEPS
    if name not in BLOCK_STEPS
}

BlockStep = Annotated[
    Annotated[OpenCircuitCheck, Tag("step:ocv_check")]
    | Annotated[ImageStep, Tag("step:image")]
    | Annotated[ImpedanceSpectroscopy, Tag("step:impedance_spectroscopy")]
    | Annotated[OpenCircuitVoltage, Tag("step:open_circuit_voltage")]
    | Annotated[TemperatureStep, Tag("step:temperature")]
    | Annotated[StackPressureStep, Tag("step:stack_pressure")],
    Discriminator(step_tag),
    WrapValidator(known_step(BLOCK_STEPS, _IN_THE_METHOD)),
]
