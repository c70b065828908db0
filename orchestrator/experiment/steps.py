"""Steps of a protocol: aurora-unicycler's, plus currents per area.

The vocabulary is aurora-unicycler's (https://github.com/empaeconversion/aurora-unicycler, 0.4).
Added: `current_mA_per_cm2`, and what happens to a step when it fails or is paused.
"""

# ruff: noqa: N815 - the keys are aurora-unicycler's
from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import model_validator as _model_validator
from typing_extensions import override

from orchestrator.experiment.failure import OnFailure
from orchestrator.experiment.rates import Rate
from orchestrator.inputs.fields import Choice, Count, Expected, Quantity, Text, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import listed

OnPause = Literal["continue", "restart", "drop"]
PAUSE = ("continue", "restart", "drop")
"""What may happen to the rest of a step after a pause."""

OnInterruption = Literal["resume", "hold"]
INTERRUPTION = ("resume", "hold")
"""What becomes of a step in which the program was cut off: it goes on by itself with what is left,
or the cell is off until a person decides."""

WHERE_CUT_OFF = Choice("what becomes of a step in which the program was cut off", INTERRUPTION)

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


class TimedStep(Step):
    """What every step may carry that takes time.

    Attributes:
        on_failure: What happens when it fails; None: the run fails.
        on_pause: What happens to the rest of it after a pause; None: it goes on.
        on_interruption: What becomes of it where the program was cut off in it and is resumed;
            None: as the protocol says.
    """

    on_failure: OnFailure | None = None
    on_pause: (
        Annotated[OnPause, Choice("what happens to the rest of a step after a pause", PAUSE)] | None
    ) = None
    on_interruption: Annotated[OnInterruption, WHERE_CUT_OFF] | None = None


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


class OpenCircuitVoltage(TimedStep):
    """No current; the voltage is recorded."""

    step: Literal["open_circuit_voltage"]
    until_time_s: Annotated[float, _DURATION]


class ConstantCurrent(TimedStep):
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


class ConstantVoltage(TimedStep):
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


class VoltageScan(TimedStep):
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


class ImpedanceSpectroscopy(Impedance, TimedStep):
    """An impedance spectrum as a step of the protocol."""

    step: Literal["impedance_spectroscopy"]


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
