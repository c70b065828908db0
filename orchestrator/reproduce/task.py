"""One run of a protocol through the full stack, and what is kept of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from orchestrator.bench import open_bench
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.laboratory import Surroundings
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import Run, load_run
from orchestrator.running import RunResult, run_experiment

Observation: TypeAlias = dict[str, Any]
"""What was measured in one run: numbers, and arrays for figures; picklable."""

Observe: TypeAlias = Callable[[Run, RunResult], Observation]
"""Looks at a recorded run; a function of a module, since it goes to another process."""


_LONGEST_PAGE_S = 3600.0


@dataclass(frozen=True)
class Task:
    """A protocol with what is varied of it.

    Attributes:
        example: The experiment file in ``examples``, without suffix.
        observe: Measures the run.
        changes: New values by dotted path in the file, ``protocol.method.1.current_mA``.
        label: Distinguishes variations of one protocol.
        poll_period_s: Time between polls of the potentiostat where the bench's own is finer than
            this protocol needs, s; pages are journaled each hour then. What is recorded does not
            depend on either.
        keep: Whether the run stays in the data directory.
        weight: About how long it takes, s of CPU; the longest begin first.
    """

    example: str
    observe: Observe
    changes: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    poll_period_s: float | None = None
    keep: bool = False
    weight: float = 1.0

    @property
    def key(self) -> tuple[str, str]:
        """By which its observation is found."""
        return self.example, self.label


def carry_out(task: Task, data: Path) -> Observation:
    """Run a task: experiment file -> plan -> engine -> devices -> drivers -> wire -> sample.

    Args:
        task: What to run.
        data: The data directory of the runs that are kept.

    Returns:
        What was observed, with the run's uid under ``uid`` and its stop reason under
        ``stop_reason``.
    """
    profile, experiment = _prepared(task)
    with tempfile.TemporaryDirectory(prefix="operando-") as folder:
        where = data if task.keep else Path(folder)
        result = _run(experiment, profile, where)
        run = load_run(DataDirectory(where).journal(result.uid))
        seen = task.observe(run, result)
    return {**seen, "uid": result.uid, "stop_reason": result.stop_reason}


def _prepared(task: Task) -> tuple[BenchProfile, Experiment]:
    base = load_experiment(example_path(task.example), environ={})
    profile = load_profile(base.bench or "")
    if task.poll_period_s is not None:
        seldom = {"poll_period_s": task.poll_period_s, "journal_every_s": _LONGEST_PAGE_S}
        profile = profile.model_copy(update=seldom)
    document = base.to_document()
    for path, value in task.changes.items():
        _put(document, path.split("."), value)
    experiment = Experiment.model_validate(document).bound_to(profile)
    found = experiment.check(profile)
    if found:
        raise ValueError(f"reproduce: {task.example} {task.label}: {found[0].what}")
    return profile, experiment


def _put(document: Any, path: list[str], value: Any) -> None:
    first, *rest = path
    at: Any = int(first) if isinstance(document, list) else first
    if not rest:
        document[at] = value
        return
    if isinstance(document, dict):
        document.setdefault(at, {})
    _put(document[at], rest, value)


def _run(experiment: Experiment, profile: BenchProfile, data: Path) -> RunResult:
    recipe = experiment.sample.simulate_as
    sample = recipe.model_dump(exclude_none=True) if recipe else None
    around = Surroundings(**experiment.environment.model_dump())
    with (
        open_bench(profile, data=data, sample=sample, surroundings=around) as bench,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
    ):
        return run_experiment(experiment, bench, speak=nowhere)
