"""An experiment file as a plan on a bench's devices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bluesky.utils import MsgGenerator

from devices.roles import CellLimits
from devices.technique import sweep_of
from orchestrator.bench import Bench
from orchestrator.evidence import Evidence
from orchestrator.experiment import Experiment
from orchestrator.experiment.lowering import lower_spectrum
from orchestrator.experiment.planned import planned_preflight, planned_steps
from orchestrator.profile.surroundings import ChamberEntry, LoadCellEntry
from plans.cell import Cell
from plans.environment import Environment
from plans.imaging import Capture
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
        LimitError: The potentiostat cannot take the spectra that are asked for.
    """
    devices, cell = bench.devices, _cell(experiment)
    potentiostat = devices[experiment.device_of("potentiostat")]
    steps = planned_steps(experiment, devices)
    cycling = replace(
        cell.cycling(potentiostat, steps.method, experiment.protocol.record.time_s),
        policies=steps.policies,
        before=steps.before,
        after=steps.after,
        preflight=planned_preflight(experiment),
    )
    evidence = Evidence(experiment, bench)
    images = [
        replace(
            _capture(
                series.when,
                devices[series.device],
                evidence,
                cell,
                series.settings.model_dump(mode="json", exclude_none=True),
            ),
            cell=series.cell,
            on_pause=series.on_pause,
        )
        for series in experiment.images
    ]
    spectra = []
    for number, asked in enumerate(experiment.spectra):
        sweep = sweep_of(lower_spectrum(asked.settings, experiment.sample))
        taken = cell.spectra(potentiostat, sweep, number, at_rest=asked.cell == "rest")
        spectra.append(_capture(asked.when, taken, evidence, cell))
    captures = [*images, *spectra]
    conditions = [evidence.condition(one) for one in experiment.stop_when]
    return run_with_images(cycling, captures, conditions, _environment(experiment, bench), md=md)


def _cell(experiment: Experiment) -> Cell:
    """What the file says of the cell, as plans know it."""
    safety = experiment.protocol.safety
    limits = CellLimits(
        min_voltage_v=safety.min_voltage_V,
        max_voltage_v=safety.max_voltage_V,
        min_current_ma=safety.min_current_mA,
        max_current_ma=safety.max_current_mA,
    )
    return Cell(experiment.sample.area_cm2, limits, safety.max_capacity_mAh)


def _environment(experiment: Experiment, bench: Bench) -> Environment:
    """What the bench has of a chamber and a load cell, and what the file wants of them."""
    chamber, load_cell = (experiment.device_of(role) for role in ("chamber", "load_cell"))
    entries = [bench.profile.devices.get(name) for name in (chamber, load_cell)]
    wanted = experiment.environment
    return Environment(
        chamber=bench.devices.get(chamber),
        load_cell=bench.devices.get(load_cell),
        temperature_celsius=wanted.temperature_celsius,
        stack_pressure_mpa=wanted.stack_pressure_mpa,
        every_s=min(
            (e.poll_period_s for e in entries if isinstance(e, ChamberEntry | LoadCellEntry)),
            default=math.inf,
        ),
    )


def _capture(
    when: Any,
    device: Any,
    evidence: Evidence,
    cell: Cell,
    settings: Mapping[str, Any] | None = None,
) -> Capture:
    asked = when.model_dump()
    per_cm2 = asked.get("every_mah_per_cm2")
    on = getattr(when, "on", None)
    return Capture(
        device=device,
        back_to_back=bool(asked.get("back_to_back")),
        every_s=asked.get("every_s"),
        every_mah=None if per_cm2 is None else cell.charge_mah(per_cm2),
        at=tuple(asked.get("at", ())),
        on=None if on is None else evidence.condition(on),
        settings=settings or {},
    )
