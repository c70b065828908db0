"""An experiment file as a plan on a bench's devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bluesky.utils import MsgGenerator

from devices.potentiostat import Potentiostat
from devices.roles import CellLimits
from orchestrator.bench import Bench
from orchestrator.errors import ExperimentError
from orchestrator.experiment import Experiment
from orchestrator.experiment.conditions import Condition as ConditionModel
from orchestrator.experiment.imaging import ImageSeries
from plans.conditions import CRITERIA, Condition, condition
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images


def experiment_plan(
    experiment: Experiment,
    bench: Bench,
    *,
    md: Mapping[str, Any],
) -> MsgGenerator[str]:
    """The plan of an experiment file.

    Args:
        experiment: The validated file.
        bench: The open bench that it will run on.
        md: Metadata of the start document.

    Returns:
        The plan; it returns the stop reason.

    Raises:
        ExperimentError: The file asks for something that no plan does yet.
    """
    _check_can_be_carried_out(experiment)
    profile, devices = bench.profile, bench.devices
    potentiostat = devices[experiment.device_of("potentiostat")]
    protocol = experiment.lower()
    safety = experiment.protocol.safety
    cycling = Cycling(
        potentiostat=potentiostat,
        method=list(protocol.method),
        period_s=experiment.protocol.record.time_s,
        limits=CellLimits(
            min_voltage_v=safety.min_voltage_V,
            max_voltage_v=safety.max_voltage_V,
            min_current_ma=safety.min_current_mA,
            max_current_ma=safety.max_current_mA,
        ),
        max_capacity_mah=safety.max_capacity_mAh,
        journal_every_s=profile.journal_period_s,
    )
    area_cm2 = experiment.sample.area_cm2
    captures = [
        _capture(series, devices[series.device], potentiostat, area_cm2)
        for series in experiment.images
    ]
    conditions = [_condition(one, potentiostat, area_cm2) for one in experiment.stop_when]
    return run_with_images(cycling, captures, conditions, md=md)


def _check_can_be_carried_out(experiment: Experiment) -> None:
    """Refuse what a driver of another distribution would allow and no plan does yet."""
    wanted = [*experiment.stop_when, *(getattr(one.when, "on", None) for one in experiment.images)]
    unknown = sorted({one.name for one in wanted if one is not None} - set(CRITERIA))
    if experiment.spectra or unknown:
        what = f"the conditions {', '.join(unknown)}" if unknown else "spectra"
        raise ExperimentError(
            experiment.experiment,
            f"asks for {what}, which no plan carries out yet",
            remedy="leave it out",
        )


def _capture(
    series: ImageSeries, device: Any, potentiostat: Potentiostat, area_cm2: float
) -> Capture:
    when = series.when.model_dump()
    per_cm2 = when.get("every_mah_per_cm2")
    on = getattr(series.when, "on", None)
    return Capture(
        device=device,
        back_to_back=bool(when.get("back_to_back")),
        every_s=when.get("every_s"),
        every_mah=None if per_cm2 is None else per_cm2 * area_cm2,
        at=tuple(when.get("at", ())),
        on=None if on is None else _condition(on, potentiostat, area_cm2),
        settings=series.settings.model_dump(mode="json", exclude_none=True),
    )


def _condition(model: ConditionModel, potentiostat: Potentiostat, area_cm2: float) -> Condition:
    return condition(model.name, potentiostat, value=model.value or 0.0, area_cm2=area_cm2)
