"""The steps of an experiment file as the plans take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devices.surroundings import Approach, PressureSettling
from orchestrator.experiment.blocks import ImageStep, OpenCircuitCheck
from orchestrator.experiment.lowering import lower_step
from orchestrator.experiment.sample import Sample
from orchestrator.experiment.steps import Step, TimedStep
from orchestrator.experiment.surrounding_steps import StackPressureStep, TemperatureStep
from plans.cycling import StepPolicy
from plans.preflight import Preflight
from plans.steps import FrameStep, PressureStep, VoltageCheck
from plans.steps import TemperatureStep as ToTemperature

if TYPE_CHECKING:
    from orchestrator.experiment.model import Experiment


@dataclass(frozen=True)
class PlannedSteps:
    """The parts of a file that hold steps; see `plans.cycling.Cycling`.

    Attributes:
        method: Steps of the method, every current in mA.
        before: Steps before it.
        after: Steps after it.
        policies: What is special about some of them, by their index.
    """

    method: Sequence[Any]
    before: Sequence[Any]
    after: Sequence[Any]
    policies: Mapping[int, StepPolicy]


def planned_steps(experiment: Experiment, devices: Mapping[str, Any]) -> PlannedSteps:
    """The steps of an experiment that is bound to a bench, with that bench's devices."""
    parts = (experiment.protocol.method, experiment.before, experiment.after)
    sample = experiment.sample
    method, before, after = ([_step(step, sample, devices) for step in part] for part in parts)
    return PlannedSteps(method, before, after, dict(_policies(*parts)))


def planned_preflight(experiment: Experiment) -> Preflight | None:
    """What is to be checked of the cell first; None where the file asks for nothing."""
    asked = experiment.preflight
    if asked is None:
        return None
    return Preflight(
        ocv_s=asked.ocv_s,
        ocv_window_v=asked.ocv_window_v,
        expect_positive=asked.expect_positive,
        max_contact_resistance_ohm=asked.max_contact_resistance_ohm,
        probe_current_ma=asked.probe_current_mA,
    )


def _step(step: Step, sample: Sample, devices: Mapping[str, Any]) -> Any:
    if isinstance(step, TemperatureStep):
        approach = Approach(
            ramp_celsius_per_min=_said(step.ramp_celsius_per_min),
            band_celsius=_said(step.settle.band_celsius),
            soak_s=_said(step.settle.soak_s),
            deadline_s=step.longest_s,
        )
        return ToTemperature(step.celsius, approach)
    if isinstance(step, StackPressureStep):
        percent, soak_s = _said(step.settle.tolerance_percent), _said(step.settle.soak_s)
        return PressureStep(step.mpa, PressureSettling(percent, soak_s, step.longest_s))
    if isinstance(step, OpenCircuitCheck):
        return VoltageCheck(step.min_voltage_V, step.max_voltage_V, step.until_time_s)
    if isinstance(step, ImageStep):
        settings = step.settings.model_dump(mode="json", exclude_none=True) if step.settings else {}
        return FrameStep(devices[step.device], step.count, settings)
    return lower_step(step, sample)


def _said(value: float | None) -> float:
    """A value that every step has once it is bound to a bench."""
    if value is None:
        raise ValueError("a step: got nothing for what the bench says (bind it to a bench first)")
    return value


def _policies(
    method: Sequence[Step], before: Sequence[Step], after: Sequence[Step]
) -> Iterator[tuple[int, StepPolicy]]:
    """Steps before the method count below 0, those after it from its length on."""
    for index, step in enumerate((*before, *method, *after), -len(before)):
        if isinstance(step, TimedStep) and (step.on_failure or step.on_pause):
            left_out = step.on_failure is None and index >= len(method)
            yield index, _policy(step, "skip" if left_out else "safe_state")


def _policy(step: TimedStep, usual: Any) -> StepPolicy:
    said = step.on_failure
    if said is None:
        return StepPolicy(then=usual, on_pause=step.on_pause)
    return StepPolicy(
        retries=said.retry or 0,
        wait_s=StepPolicy.wait_s if said.wait_s is None else said.wait_s,
        then="rest" if said.rest_s is not None else (said.then or "safe_state"),
        rest_s=said.rest_s or 0.0,
        on_pause=step.on_pause,
    )
