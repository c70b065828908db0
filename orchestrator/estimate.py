"""What an experiment will take: time, frames, bytes."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from pathlib import Path

from orchestrator.errors import RecordError
from orchestrator.experiment import Experiment
from orchestrator.experiment.blocks import ImageStep, OpenCircuitCheck
from orchestrator.experiment.imaging import AtMoments, EveryCharge, ImageSeries, OnCondition
from orchestrator.experiment.lowering import lower_step
from orchestrator.experiment.steps import Step
from orchestrator.profile.checks import HARDWARE_JOURNAL_S
from plans.schedule import longest_duration_s, step_duration_s

_BYTES_PER_RECORD, _BYTES_PER_PAGE = 150, 500
"""Size of a record and of a page around its records, bytes; measured on journals of two hours with
records every 1 s and 10 s in pages of 30 s and of 900 s."""
_BYTES_PER_VOXEL = 4
_S_PER_H = 3600.0
_LONGEST_S = 30 * 86_400.0
_MARGIN = 1.5
_LEAST_FREE_BYTES = 50_000_000
_REPEATS = 100
"""Frames that are reckoned with of a condition that repeats [A]: nobody knows how often it will be
met, and no frame is begun on a disk that is too full."""


def duration_s(experiment: Experiment) -> float:
    """Longest experiment time, s; steps without an end in time count as thirty days."""
    longest = longest_duration_s(experiment.lower().method) + blocks_s(experiment)
    return longest if math.isfinite(longest) else _LONGEST_S


def blocks_s(experiment: Experiment) -> float:
    """Longest time that the blocks before and after the protocol take, s."""
    return sum(_block_step_s(step, experiment) for step in (*experiment.before, *experiment.after))


def _block_step_s(step: Step, experiment: Experiment) -> float:
    if isinstance(step, ImageStep):
        return step.count * step.settings.exposure_s if step.settings else 0.0
    if isinstance(step, OpenCircuitCheck):
        return step.until_time_s
    return step_duration_s(lower_step(step, experiment.sample))


def frames(series: ImageSeries, experiment: Experiment) -> int:
    """Largest number of frames of one series."""
    exposure_s, whole_s = series.settings.exposure_s, duration_s(experiment)
    if isinstance(series.when, OnCondition):
        whole = math.ceil(whole_s / exposure_s) + 1
        return min(_REPEATS, whole) if series.when.on.repeat else 1
    if isinstance(series.when, AtMoments) and set(series.when.at) <= {"start", "end"}:
        return len(series.when.at)
    every_s = getattr(series.when, "every_s", None) or exposure_s
    if isinstance(series.when, EveryCharge):
        every_mah = series.when.every_mah_per_cm2 * experiment.sample.area_cm2
        every_s = _S_PER_H * every_mah / max(_most_ma(experiment), 1e-12)
    return math.ceil(whole_s / max(every_s, exposure_s)) + 1


def _most_ma(experiment: Experiment) -> float:
    """Largest current of the method either way, mA; where a voltage is held, what safety allows."""
    safety = experiment.protocol.safety
    allowed = max(abs(safety.min_current_mA), abs(safety.max_current_mA))
    currents = [0.0]
    for step in experiment.lower().method:
        if hasattr(step, "current_mA"):
            currents.append(abs(step.current_mA))
        elif hasattr(step, "voltage_V"):
            currents.append(allowed)
    return max(currents)


def record_bytes(experiment: Experiment) -> int:
    """Size of the records if the protocol runs to its end, in pages as on hardware, bytes."""
    whole_s = duration_s(experiment)
    records, pages = whole_s / experiment.protocol.record.time_s, whole_s / HARDWARE_JOURNAL_S
    images = sum(
        series.settings.values * frames(series, experiment) for series in experiment.images
    )
    images += sum(
        step.settings.values * step.count
        for step in (*experiment.before, *experiment.after)
        if isinstance(step, ImageStep) and step.settings
    )
    documents = records * _BYTES_PER_RECORD + pages * _BYTES_PER_PAGE
    return int(documents + images * _BYTES_PER_VOXEL)


def needed_bytes(experiments: Iterable[Experiment]) -> int:
    """Free space that runs insist on: one and a half times the estimate, and a reserve, bytes."""
    return reserved_bytes(sum(map(record_bytes, experiments)))


def reserved_bytes(expected: float) -> int:
    """Free space with which records of an expected size may begin, bytes."""
    return int(_MARGIN * expected) + _LEAST_FREE_BYTES


def check_disk(experiment: Experiment | Iterable[Experiment], root: Path) -> None:
    """Refuse to begin where the records would not fit.

    Args:
        experiment: What will be run, or all of it where that is several.
        root: The data directory; need not exist yet.

    Raises:
        RecordError: Less is free than one and a half times the estimate.
    """
    together = [experiment] if isinstance(experiment, Experiment) else experiment
    needed = needed_bytes(together)
    folder = root.resolve()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise RecordError(
            str(root),
            f"{free / 1e6:.0f} MB free, expected {needed / 1e6:.0f} MB for this experiment",
            remedy="free some space or choose another directory with --data",
        )
