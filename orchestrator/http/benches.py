"""Benches as a page shows them: which there are, and whether one may be touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.interlocks import Latches
from orchestrator.profile.loading import profile_names
from orchestrator.schedule.job import ASKING, ENDED, Job, State
from orchestrator.state import state_directory
from orchestrator.watchdog.latch import Latch

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def bench_states(jobs: Sequence[Job], runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """State of each bench by its name.

    A bench is ``unsafe`` (not known to be off: refused until a person has seen to it), else
    ``interlocked`` (an interlock tripped and nobody has acknowledged it), else
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
    names = {*profile_names(), *by_bench, *running, *_marked()}
    return {
        name: _state(name, by_bench.get(name, []), running.get(name, []))
        for name in sorted(names)
        if _NAME.fullmatch(name)
    }


def interlocks_seen(names: Iterable[str]) -> dict[str, Any]:
    """What the interlocks of each bench last saw, where one has some."""
    seen = {name: Latches(name).seen() for name in names}
    return {name: said for name, said in seen.items() if said}


def _marked() -> set[str]:
    """Benches that are UNSAFE or have a latched interlock."""
    folders = [state_directory() / kind for kind in ("unsafe", "interlocks")]
    names = {path.stem for one in folders for path in one.glob("*.json")}
    return {name for name in names if not name.endswith(".seen")}


def _state(name: str, jobs: Sequence[Job], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    unsafe, latched = Latch(name).read(), Latches(name).read()
    words = (
        ("unsafe", unsafe is not None),
        ("interlocked", bool(latched)),
        (str(runs[-1]["state"]) if runs else "", bool(runs)),
        ("busy", any(job.state is State.RUNNING for job in jobs)),
        ("waiting", any(job.state in ASKING for job in jobs)),
        ("idle", True),
    )
    return {
        "bench": name,
        "state": next(word for word, so in words if so),
        "latched": {lock: asdict(one) for lock, one in latched.items()},
        "runs": [run["run"] for run in runs],
        "jobs": [job.id for job in jobs],
        "unsafe": unsafe,
    }
