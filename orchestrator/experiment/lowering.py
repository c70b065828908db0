"""Our steps as aurora-unicycler's, with absolute currents in mA."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import aurora_unicycler as unicycler
from pydantic import BaseModel, ValidationError

from orchestrator.experiment.protocol import (
    STEPS,
    ConstantCurrent,
    ConstantVoltage,
    Impedance,
    ImpedanceSpectroscopy,
    Protocol,
    StackPressureStep,
    Step,
    TemperatureStep,
)
from orchestrator.experiment.sample import Sample
from orchestrator.inputs.problems import Finding, Path, described

_TARGETS: dict[str, type[unicycler.Step]] = {
    "tag": unicycler.Tag,
    "loop": unicycler.Loop,
    "open_circuit_voltage": unicycler.OpenCircuitVoltage,
    "constant_current": unicycler.ConstantCurrent,
    "constant_voltage": unicycler.ConstantVoltage,
    "voltage_scan": unicycler.VoltageScan,
    "impedance_spectroscopy": unicycler.ImpedanceSpectroscopy,
}

_DIGITS = 12
"""Digits kept of a product, mA: 0.1 mA/cm2 x 0.1257 cm2 is 0.01257 mA and not 0.012570000000001."""


class NeedsCapacity(ValueError):  # noqa: N818 - it says what the sample lacks
    """A C-rate was given and the sample has no capacity."""


def absolute_ma(
    sample: Sample, *, ma: float | None, per_cm2: float | None, rate_c: float | None
) -> float | None:
    """The one given current, mA; None where none was given.

    Raises:
        NeedsCapacity: It is a C-rate and the sample has no `capacity_mAh`.
    """
    if per_cm2 is not None:
        return round(per_cm2 * sample.area_cm2, _DIGITS)
    if rate_c is None:
        return ma
    if sample.capacity_mAh is None:
        raise NeedsCapacity
    return round(rate_c * sample.capacity_mAh, _DIGITS)


_OURS = {"on_failure", "on_pause", "on_interruption"}
"""Keys of a step that aurora-unicycler does not have: what becomes of it where it is cut."""


def step_current_ma(step: ConstantCurrent, sample: Sample) -> float:
    """Current of a step, mA; raises `NeedsCapacity`."""
    current_ma = absolute_ma(
        sample, ma=step.current_mA, per_cm2=step.current_mA_per_cm2, rate_c=step.rate_C
    )
    if current_ma is None:  # the model has checked that one is given
        raise ValueError("constant_current: got no current, expected one (add current_mA)")
    return current_ma


def lower_step(step: Step, sample: Sample) -> unicycler.Step:
    """One step of aurora-unicycler with absolute currents.

    Raises:
        NeedsCapacity: It uses a C-rate and the sample has no capacity.
        pydantic.ValidationError: aurora-unicycler refuses the step.
    """
    if isinstance(step, TemperatureStep | StackPressureStep):
        # what the cell does meanwhile, at the longest
        return unicycler.OpenCircuitVoltage(id=step.id, until_time_s=step.longest_s)
    keys = step.model_dump(exclude_none=True, exclude=_OURS)
    if isinstance(step, ConstantCurrent):
        _drop(keys, "current_mA_per_cm2", "rate_C")
        keys["current_mA"] = step_current_ma(step, sample)
    elif isinstance(step, ConstantVoltage):
        end_ma = absolute_ma(
            sample,
            ma=step.until_current_mA,
            per_cm2=step.until_current_mA_per_cm2,
            rate_c=step.until_rate_C,
        )
        _drop(keys, "until_current_mA_per_cm2", "until_rate_C")
        if end_ma is not None:
            keys["until_current_mA"] = abs(end_ma)
    elif isinstance(step, ImpedanceSpectroscopy):
        keys |= _amplitude(step, sample)
        _drop(keys, "amplitude_mA_per_cm2")
    return _TARGETS[keys["step"]](**keys)


def lower_spectrum(settings: Impedance, sample: Sample) -> unicycler.ImpedanceSpectroscopy:
    """A spectrum beside the protocol as aurora-unicycler's step, amplitude in mA or V."""
    keys = settings.model_dump(exclude_none=True) | _amplitude(settings, sample)
    _drop(keys, "amplitude_mA_per_cm2")
    return unicycler.ImpedanceSpectroscopy(**keys)


def _amplitude(settings: Impedance, sample: Sample) -> dict[str, float]:
    if settings.amplitude_mA_per_cm2 is None:
        return {}
    return {"amplitude_mA": round(settings.amplitude_mA_per_cm2 * sample.area_cm2, _DIGITS)}


def _drop(keys: dict[str, Any], *names: str) -> None:
    for name in names:
        keys.pop(name, None)


def lower(protocol: Protocol, sample: Sample) -> unicycler.CyclingProtocol:
    """The whole protocol as aurora-unicycler's, for its exports and for estimates.

    A step of the surroundings becomes the rest at open circuit that it is for the cell, as long
    as its deadline.
    """
    return unicycler.CyclingProtocol(
        sample={"name": sample.name, "capacity_mAh": sample.capacity_mAh},
        record=protocol.record.model_dump(),
        safety=protocol.safety.model_dump(),
        method=[lower_step(step, sample) for step in protocol.method],
    )


def step_findings(steps: Iterable[tuple[Path, Step]], sample: Sample) -> list[Finding]:
    """What keeps steps from being lowered, at their place in the file."""
    found = []
    for path, step in steps:
        try:
            if getattr(step, "step", None) in STEPS:
                lower_step(step, sample)
        except NeedsCapacity:
            what = "got a C-rate, expected sample.capacity_mAh to go with it"
            found.append(Finding(path, what, "add capacity_mAh to the sample, or use current_mA"))
        except ValidationError as error:
            found += [_from_unicycler(path, one, step) for one in error.errors()]
    return found


def protocol_findings(protocol: Protocol, sample: Sample) -> list[Finding]:
    """What aurora-unicycler says of the protocol as a whole."""
    try:
        lower(protocol, sample)
    except ValidationError as error:
        return [
            Finding(("protocol", "method"), f"is refused by aurora-unicycler: {_said(one)}", _ASK)
            for one in error.errors()
        ]
    except NeedsCapacity:
        return []  # said of the step already
    return []


_ASK = "see the step in docs/reference/experiment-file.md"


def _said(one: Any) -> str:
    return str(one["msg"]).removeprefix("Value error, ")


def _from_unicycler(path: Path, one: Any, step: BaseModel | None) -> Finding:
    """One of aurora-unicycler's errors at the key of ours that it speaks of."""
    keys = type(step).model_fields if step is not None else {}
    own = tuple(part for part in one["loc"] if part in keys)
    got = f"got {described(one['input'])}, " if own else ""
    return Finding(path + own, f"{got}refused by aurora-unicycler: {_said(one)}", _ASK)
