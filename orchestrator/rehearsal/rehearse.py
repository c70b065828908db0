"""`rehearse`: from a file, a validated experiment or a plan to a `Rehearsal`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.bench import Bench
from orchestrator.estimate import needed_bytes, reserved_bytes
from orchestrator.experiment import Experiment, bench_of, load_experiment
from orchestrator.experiment.advice import Advice
from orchestrator.experiment.loading import placed
from orchestrator.laboratory import Surroundings
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile, PotentiostatEntry
from orchestrator.rehearsal.findings import (
    dead_times,
    exposing,
    margins,
    step_summaries,
    without_current,
)
from orchestrator.rehearsal.performing import (
    HORIZON_S,
    During,
    Performance,
    PlanFactory,
    Stage,
    experiment_factory,
    perform,
)
from orchestrator.rehearsal.remarks import Rehearsed, latency_mah, remarks
from orchestrator.rehearsal.result import Disk, LossWindow, Rehearsal, Remark
from orchestrator.rehearsal.stand_in import stand_in
from orchestrator.rehearsal.timeline import timeline
from orchestrator.rehearsal.twin import Twin, twin_of
from orchestrator.rehearsal.violations import violations
from orchestrator.rehearsal.words import step_words

_PREFLIGHT = -1
"""Index in the records of what is done before the first block or step."""

_AT_REST = ("rest", "open circuit", "ocv check", "temperature", "stack pressure")
"""How steps in words begin in which the cell rests."""


@dataclass(frozen=True)
class Setting:
    """What is the same for a file and for a plan.

    Attributes:
        data: The data directory of the real run, whose disk is looked at; nothing is written.
        days: Experiment time after which the rehearsal is cut off, days.
        keep: A directory of its own in which records and frames are kept; None: not kept.
        during: A context around the run, given the twin; for progress.
    """

    data: Path
    days: float = HORIZON_S / 86_400.0
    keep: Path | None = None
    during: During = lambda _bench: nullcontext()


def rehearse(
    what: str | Path | Experiment | PlanFactory,
    bench: str | Path | BenchProfile | Bench | None = None,
    *,
    data: str | Path | None = None,
    sample: Mapping[str, Any] | None = None,
    days: float = HORIZON_S / 86_400.0,
    keep: str | Path | None = None,
    during: During | None = None,
) -> Rehearsal:
    """Run an experiment on a simulated twin of its bench in virtual time; nothing real is opened.

    Args:
        what: An experiment file, a validated `Experiment`, or a function that makes a plan from
            the twin: ``lambda bench: my_plan(bench.pstat, bench.mri)``.
        bench: Name or path of a bench profile, the profile, or an open bench, of which only the
            profile is used. None: the one that the file names.
        data: The data directory of the real run, whose disk is looked at; nothing is written.
            None: ``$OPERANDO_DATA``, else ``./operando-data``.
        sample: What stands for the sample, as an experiment's ``simulate_as``; of a plan.
        days: Experiment time after which the rehearsal is cut off, days.
        keep: A directory of its own in which records and frames are kept. None: not kept.
        during: A context around the run, given the twin; for progress.

    Raises:
        ExperimentError: The file cannot be used; with file, line and column.
        ProfileError: The bench cannot be, or has a driver for which nothing simulated stands.
        LimitError: The plan asks for more than the bench allows.
    """
    setting = Setting(
        data=Path(data or os.environ.get("OPERANDO_DATA", "operando-data")),
        days=days,
        keep=None if keep is None else Path(keep),
        during=during or (lambda _bench: nullcontext()),
    )
    profile = _profile(bench)
    if isinstance(what, str | Path):
        own = profile or bench_of(what)
        return rehearse_experiment(
            load_experiment(what, profile=own), own, setting, file=Path(what)
        )
    if isinstance(what, Experiment):
        return rehearse_experiment(what, profile or load_profile(what.bench or "sim-mri"), setting)
    return rehearse_plan(what, profile or load_profile("sim-mri"), setting, sample=sample)


def rehearse_experiment(
    experiment: Experiment,
    profile: BenchProfile,
    setting: Setting,
    *,
    file: Path | None = None,
    run: int = 0,
) -> Rehearsal:
    """Rehearse a validated file on the twin of its bench; see `rehearse`.

    Args:
        experiment: The file, bound to the bench.
        profile: The real bench.
        setting: Where and how.
        file: Where the experiment stands, for ``file:line:column``.
        run: Which run of the file's sweep it is, from 0.
    """
    twin = twin_of(profile)
    sample = stand_in(experiment, profile)
    stage = Stage(
        twin,
        sample.recipe,
        Surroundings(**experiment.environment.model_dump()),
        setting.days * 86_400.0,
        setting.keep,
        setting.during,
    )
    done = perform(experiment_factory(experiment), stage)
    safety = experiment.protocol.safety
    limits = {key: getattr(safety, key) for key in _LIMITS}
    found = margins(done.course.records, limits)
    steps = step_summaries(done.course)
    seen = Rehearsed(experiment, done.course, steps, found, done.stop_reason, stage.horizon_s)
    said = [
        *sample.advice,
        *_of_twin(twin),
        *experiment.advice(profile),
        *remarks(seen),
    ]
    wrong, code = violations(done, experiment, setting.data, found)
    names = _step_names(experiment)
    return _conclude(
        done,
        twin,
        setting,
        name=experiment.experiment,
        recipe=sample.recipe,
        stated=sample.stated,
        area_cm2=experiment.sample.area_cm2,
        needed=needed_bytes([experiment]),
        record_s=experiment.protocol.record.time_s,
        margins=found,
        steps=steps,
        step_names=names,
        resting=frozenset(k for k, one in names.items() if one.startswith(_AT_REST)),
        violations=_at(wrong, file, run),
        warnings=_at(said, file, run),
        exit_code=code,
    )


def _step_names(experiment: Experiment) -> dict[int, str]:
    """Every step in words, by the index that its records have."""
    method = [step_words(step) for step in experiment.lower().method]
    blocks = (
        (-len(experiment.before), experiment.before),
        (len(method), experiment.after),
    )
    named = dict(enumerate(method)) | {_PREFLIGHT: "pre-flight"}
    for first, steps in blocks:
        named |= {first + k: f"{step.step}".replace("_", " ") for k, step in enumerate(steps)}
    return named


def rehearse_plan(
    plan_of: PlanFactory,
    profile: BenchProfile,
    setting: Setting,
    *,
    sample: Mapping[str, Any] | None = None,
) -> Rehearsal:
    """Rehearse a plan of one's own on the twin of a bench; see `rehearse`.

    Args:
        plan_of: Makes the plan from the twin.
        profile: The real bench.
        setting: Where and how.
        sample: What stands for the sample; None: as on a simulated bench.
    """
    twin = twin_of(profile)
    stage = Stage(twin, sample, None, setting.days * 86_400.0, setting.keep, setting.during)
    done = perform(plan_of, stage)
    entry = next((d for d in profile.devices.values() if isinstance(d, PotentiostatEntry)), None)
    limits = dict(zip(_LIMITS, _bench_limits(entry), strict=False)) if entry is not None else {}
    wrong, code = violations(done, None, setting.data, ())
    period_s = _record_period_s(done)
    return _conclude(
        done,
        twin,
        setting,
        name=str(done.course.plan_name or getattr(plan_of, "__name__", "plan")),
        recipe=sample or {},
        stated=sample is not None,
        area_cm2=0.0,
        needed=0,
        record_s=period_s,
        margins=margins(done.course.records, limits),
        steps=step_summaries(done.course),
        step_names={},
        resting=without_current(done.course),
        violations=_at(wrong, None),
        warnings=_at(_of_twin(twin), None),
        exit_code=code,
    )


_LIMITS = ("max_voltage_V", "min_voltage_V", "max_current_mA", "min_current_mA", "max_capacity_mAh")


def _bench_limits(entry: PotentiostatEntry) -> tuple[float, float, float, float]:
    low_v, high_v, low_ma, high_ma = entry.limits.span
    return high_v, low_v, high_ma, low_ma


def _record_period_s(done: Performance) -> float:
    times = done.course.records["time_s"]
    return float((times[-1] - times[0]) / (len(times) - 1)) if len(times) > 1 else 1.0


def _profile(bench: str | Path | BenchProfile | Bench | None) -> BenchProfile | None:
    if isinstance(bench, Bench):
        return bench.profile
    return bench if bench is None or isinstance(bench, BenchProfile) else load_profile(bench)


def _of_twin(twin: Twin) -> list[Advice]:
    """What the twin does not show of the real bench."""
    return [
        Advice(
            "driver_replaced",
            (),
            f"{who}: nothing simulated answers to the driver {driver}, so {other} was rehearsed in"
            " its place",
            f"what {driver} does by itself is not rehearsed: try it on the instrument",
        )
        for who, (driver, other) in twin.replaced.items()
    ]


def _at(advice: Iterable[Advice], file: Path | None, run: int = 0) -> list[Remark]:
    said = list(advice)
    if file is None:
        return [Remark.of(one, None) for one in said]
    places = placed(file, [one.finding for one in said], run=run)
    return [
        Remark.of(one, place if one.path else None) for one, place in zip(said, places, strict=True)
    ]


def _with_reserve(done: Performance) -> int:
    """One and a half times what the rehearsed run wrote, and a reserve, bytes."""
    return reserved_bytes(done.record_bytes + sum(done.frame_bytes.values()))


def _conclude(
    done: Performance,
    twin: Twin,
    setting: Setting,
    *,
    recipe: Mapping[str, Any],
    stated: bool,
    needed: int,
    record_s: float,
    resting: frozenset[int],
    **rest: Any,
) -> Rehearsal:
    """Put the result together."""
    course = done.course
    frames: dict[str, int] = {}
    for one in course.exposures:
        frames[one.device] = frames.get(one.device, 0) + 1
    real = twin.real
    journal_s = real.journal_period_s
    polls = [d.poll_period_s for d in real.devices.values() if isinstance(d, PotentiostatEntry)]
    poll_s = next((one for one in polls if one is not None), real.poll_period_s)
    folder = setting.data.resolve()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return Rehearsal(
        bench=real.bench,
        stand_in=recipe,
        stand_in_stated=stated,
        addresses=twin.addresses,
        replaced=twin.replaced,
        stop_reason=done.stop_reason,
        duration_s=course.duration_s,
        stopped_at_s=done.stopped_at_s,
        wall_s=done.wall_s,
        frames=frames,
        spectra=len(course.spectra),
        records=len(course.records["time_s"]),
        record_bytes=done.record_bytes,
        frame_bytes=done.frame_bytes,
        charge_mah=done.charge_mah,
        throughput_mah=done.throughput_mah,
        disk=Disk(max(needed, _with_reserve(done)), shutil.disk_usage(existing).free),
        loss=LossWindow(
            journal_every_s=journal_s,
            records=int(journal_s / record_s) + 1,
            charge_mah=latency_mah(course.records, journal_s),
            poll_period_s=poll_s,
            unseen_mah=latency_mah(course.records, poll_s),
        ),
        dead_times=dead_times(course, resting),
        exposing=exposing(course),
        timeline=timeline(course, resting),
        course=course,
        resting=resting,
        kept=setting.keep,
        interlocks=done.interlocks,
        **rest,
    )
