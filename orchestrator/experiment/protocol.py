"""The electrochemical protocol: aurora-unicycler's steps, plus currents per area.

The vocabulary is aurora-unicycler's (https://github.com/empaeconversion/aurora-unicycler, 0.4).
Added: `current_mA_per_cm2`, and a stricter rule for limits: every one must be given.
"""

# ruff: noqa: N815 - the keys are aurora-unicycler's
from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidatorFunctionWrapHandler, WrapValidator
from pydantic import model_validator as _model_validator
from typing_extensions import override

from orchestrator.experiment.rates import Rate
from orchestrator.inputs.fields import Choice, Count, Expected, Quantity, Text, at, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import described, listed, name_remedy

_DURATION = Quantity("a duration", "s", gt=0, le=1e9)
_VOLTAGE = Quantity("a voltage", "V", ge=-1e3, le=1e3)
_FREQUENCY = Quantity("a frequency", "Hz", ge=1e-5, le=1e7)


class Step(StrictModel):
    """What every step may carry.

    Attributes:
        id: A label of your own; exported, not used.
    """

    takes_time: ClassVar[bool] = True
    id: Annotated[str, Text("a label")] | None = None


class TagStep(Step):
    """A place that a loop goes back to."""

    takes_time: ClassVar[bool] = False
    step: Literal["tag"]
    tag: Annotated[str, Text("a tag's name")]


class _TagOrNumber(Expected):
    """Where a loop goes back to."""

    @property
    @override
    def words(self) -> str:
        return "the name of a tag, or the number of a step from 1"

    @override
    def check(self, value: Any) -> str | int:
        if isinstance(value, str):
            return Text("the name of a tag").check(value)
        return Count("the number of a step", le=100_000).check(value)

    @override
    def schema(self) -> dict[str, Any]:
        return {"anyOf": [Text("the name of a tag").schema(), Count("a step's number").schema()]}


class LoopStep(Step):
    """Goes back to a tag until the steps between have run `cycle_count` times in total."""

    takes_time: ClassVar[bool] = False
    step: Literal["loop"]
    loop_to: Annotated[str | int, _TagOrNumber()]
    cycle_count: Annotated[int, Count("a number of cycles", ge=1, le=10_000_000)]


class OpenCircuitVoltage(Step):
    """No current; the voltage is recorded."""

    step: Literal["open_circuit_voltage"]
    until_time_s: Annotated[float, _DURATION]


class ConstantCurrent(Step):
    """A current, as exactly one of `current_mA`, `current_mA_per_cm2`, `rate_C`.

    Positive current flows from A to B and charges the working electrode. Ends at the first of
    `until_time_s` and `until_voltage_V`.
    """

    step: Literal["constant_current"]
    current_mA: Annotated[float, Quantity("a current", "mA", nonzero=True)] | None = None
    current_mA_per_cm2: Annotated[float, Quantity("a current", "mA/cm2", nonzero=True)] | None = (
        None
    )
    rate_C: Annotated[float, Rate(nonzero=True)] | None = None
    until_time_s: Annotated[float, _DURATION] | None = None
    until_voltage_V: Annotated[float, _VOLTAGE] | None = None

    @_model_validator(mode="after")
    def _one_current(self) -> Self:
        _exactly_one(self, "current_mA", "current_mA_per_cm2", "rate_C")
        _at_least_one(self, "until_time_s", "until_voltage_V")
        return self


class ConstantVoltage(Step):
    """A voltage. Ends at the first of the time and the current, whose sign is ignored."""

    step: Literal["constant_voltage"]
    voltage_V: Annotated[float, _VOLTAGE]
    until_time_s: Annotated[float, _DURATION] | None = None
    until_current_mA: Annotated[float, Quantity("a current", "mA", nonzero=True)] | None = None
    until_current_mA_per_cm2: (
        Annotated[float, Quantity("a current", "mA/cm2", nonzero=True)] | None
    ) = None
    until_rate_C: Annotated[float, Rate(nonzero=True)] | None = None

    @_model_validator(mode="after")
    def _an_end(self) -> Self:
        currents = ("until_current_mA", "until_current_mA_per_cm2", "until_rate_C")
        _at_least_one(self, "until_time_s", *currents)
        _at_most_one(self, *currents)
        return self


class VoltageScan(Step):
    """Sweeps the voltage linearly; the scan rate has no sign."""

    step: Literal["voltage_scan"]
    start_voltage_V: Annotated[float, _VOLTAGE]
    end_voltage_V: Annotated[float, _VOLTAGE]
    scan_rate_mV_per_s: Annotated[float, Quantity("a scan rate", "mV/s", gt=0)]

    @_model_validator(mode="after")
    def _a_range(self) -> Self:
        if self.start_voltage_V == self.end_voltage_V:
            what = f"got {self.start_voltage_V:g} V as start and end, expected two voltages"
            raise problem(what, "to hold a voltage use the step constant_voltage")
        return self


class Impedance(StrictModel):
    """What an impedance spectrum is taken with, as exactly one of the amplitudes."""

    amplitude_V: Annotated[float, Quantity("an amplitude", "V", gt=0)] | None = None
    amplitude_mA: Annotated[float, Quantity("an amplitude", "mA", gt=0)] | None = None
    amplitude_mA_per_cm2: Annotated[float, Quantity("an amplitude", "mA/cm2", gt=0)] | None = None
    start_frequency_Hz: Annotated[float, _FREQUENCY]
    end_frequency_Hz: Annotated[float, _FREQUENCY]
    points_per_decade: Annotated[int, Count("a number of points", ge=1, le=1000)] = 10
    measures_per_point: Annotated[int, Count("a number of measurements", ge=1, le=10_000)] = 1
    drift_correction: Annotated[bool, Choice("whether to correct drift", (True, False))] | None = (
        False
    )

    @_model_validator(mode="after")
    def _one_amplitude(self) -> Self:
        _exactly_one(self, "amplitude_V", "amplitude_mA", "amplitude_mA_per_cm2")
        return self


class ImpedanceSpectroscopy(Impedance, Step):
    """An impedance spectrum as a step of the protocol."""

    step: Literal["impedance_spectroscopy"]


STEPS: dict[str, type[Step]] = {
    "tag": TagStep,
    "loop": LoopStep,
    "open_circuit_voltage": OpenCircuitVoltage,
    "constant_current": ConstantCurrent,
    "constant_voltage": ConstantVoltage,
    "voltage_scan": VoltageScan,
    "impedance_spectroscopy": ImpedanceSpectroscopy,
}
"""Every step a protocol may have, by the name in its `step` key."""


def _step_tag(value: Any) -> str:
    name = value.get("step") if isinstance(value, dict) else getattr(value, "step", "")
    return f"step:{name}"


def _known_step(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Refuse what is no step, with the nearest name."""
    if isinstance(value, Step):
        return handler(value)
    if not isinstance(value, dict):
        what = f"got {described(value)}, expected a step such as {{step: tag, tag: cycle}}"
        raise problem(what, "write each step as a mapping with the key `step`")
    name = value.get("step")
    if isinstance(name, str) and name in STEPS:
        return handler(value)
    if name is None:
        what, remedy = f"is missing, expected {listed(STEPS)}", "add `step: ...`"
    else:
        what = f"got {described(name)}, expected a step"
        remedy = name_remedy(str(name), STEPS)
    raise at(("step",), problem(what, remedy))


AnyStep = Annotated[
    Annotated[TagStep, Tag("step:tag")]
    | Annotated[LoopStep, Tag("step:loop")]
    | Annotated[OpenCircuitVoltage, Tag("step:open_circuit_voltage")]
    | Annotated[ConstantCurrent, Tag("step:constant_current")]
    | Annotated[ConstantVoltage, Tag("step:constant_voltage")]
    | Annotated[VoltageScan, Tag("step:voltage_scan")]
    | Annotated[ImpedanceSpectroscopy, Tag("step:impedance_spectroscopy")],
    Discriminator(_step_tag),
    WrapValidator(_known_step),
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
    """

    record: Record = Field(description="when records are kept: {time_s: 10}")
    safety: Safety = Field(description="the limits, every one of them")
    method: tuple[AnyStep, ...] = Field(description="a list of steps", min_length=1)


def _given(model: StrictModel, keys: tuple[str, ...]) -> list[str]:
    return [key for key in keys if getattr(model, key) is not None]


def _exactly_one(model: StrictModel, *keys: str) -> None:
    if not _given(model, keys):
        raise problem(f"got none of {listed(keys)}, expected exactly one", f"add `{keys[0]}: ...`")
    _at_most_one(model, *keys)


def _at_least_one(model: StrictModel, *keys: str) -> None:
    if not _given(model, keys):
        raise problem(f"got no end, expected {listed(keys)}", f"add `{keys[0]}: ...`")


def _at_most_one(model: StrictModel, *keys: str) -> None:
    given = _given(model, keys)
    if len(given) > 1:
        raise problem(f"got {' and '.join(given)}, expected exactly one", "keep one of them")
