"""Steps of a file with what they leave to the bench, or to other parts of the file, said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.experiment.bench_checks import device_for
from orchestrator.experiment.blocks import ImageStep
from orchestrator.experiment.steps import Step
from orchestrator.experiment.surrounding_steps import StackPressureStep, TemperatureStep
from orchestrator.profile.models import BenchProfile
from orchestrator.profile.surroundings import ChamberEntry, LoadCellEntry

if TYPE_CHECKING:
    from orchestrator.experiment.model import Experiment


def bound_steps(experiment: Experiment, profile: BenchProfile) -> dict[str, Any]:
    """The parts of an experiment that hold steps, bound to a bench.

    Args:
        experiment: With the roles of the bench, and its devices in `images`.
        profile: The bench.
    """

    def bound(step: Step) -> Step:
        if isinstance(step, TemperatureStep):
            chamber = profile.devices.get(experiment.device_of("chamber"))
            return step.on(chamber) if isinstance(chamber, ChamberEntry) else step
        if isinstance(step, StackPressureStep):
            load_cell = profile.devices.get(experiment.device_of("load_cell"))
            return step.on(load_cell) if isinstance(load_cell, LoadCellEntry) else step
        if isinstance(step, ImageStep):
            return _image(step, experiment, profile)
        return step

    method = tuple(bound(step) for step in experiment.protocol.method)
    return {
        "protocol": experiment.protocol.model_copy(update={"method": method}),
        "before": tuple(bound(step) for step in experiment.before),
        "after": tuple(bound(step) for step in experiment.after),
    }


def _image(step: ImageStep, experiment: Experiment, profile: BenchProfile) -> ImageStep:
    device = device_for(step.device, experiment.roles, profile) or step.device
    series = next((one for one in experiment.images if one.device == device), None)
    settings = step.settings or (None if series is None else series.settings)
    return step.model_copy(update={"device": device, "settings": settings})
