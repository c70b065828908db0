"""Benches as a page shows them: which there are, and whether one may be touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.profile.loading import profile_names
from orchestrator.schedule.job import ASKING, ENDED, Job, State
from orchestrator.state import state_directory
from orchestrator.watchdog.latch import Latch

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def bench_states(jobs: Sequence[Job], runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """State of each bench by its name.

    A bench is ``unsafe`` (not known to be off: refused until a person has seen to it), else
    ``paused`` or ``running`` where a run is under way, else ``busy`` where a job runs between its
    runs, else ``waiting`` where a job of it needs a person, else ``idle``.

    Args:
        jobs: The queue.
        runs: Runs that are under way, as `runs.RunBook.under_way` has them.
    """
    by_bench: dict[str, list[Job]] = {}
    for job in jobs:
        if job.state not in ENDED:
            by_bench.setdefault(job.request.bench, []).append(job)
    running: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        running.setdefault(str(run["bench"]), []).append(run)
    marked = {path.stem for path in (state_directory() / "unsafe").glob("*.json")}
    names = {*profile_names(), *by_bench, *running, *marked}
    return {
        name: _state(name, by_bench.get(name, []), running.get(name, []))
        for name in sorted(names)
        if _NAME.fullmatch(name)
    }


def _state(name: str, jobs: Sequence[Job], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    unsafe = Latch(name).read()
    if unsafe is not None:
        state = "unsafe"
    elif runs:
        state = str(runs[-1]["state"])
    elif any(job.state is State.RUNNING for job in jobs):
        state = "busy"
    elif any(job.state in ASKING for job in jobs):
        state = "waiting"
    else:
        state = "idle"
    return {
        "bench": name,
        "state": state,
        "runs": [run["run"] for run in runs],
        "jobs": [job.id for job in jobs],
        "unsafe": unsafe,
    }
