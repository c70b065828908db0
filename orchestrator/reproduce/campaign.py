"""Runs every protocol of the papers on a few processes and makes the table."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from devices.clock import monotonic
from orchestrator.reproduce import arithmetic, liu, siniscalchi, zhao
from orchestrator.reproduce.row import Row
from orchestrator.reproduce.task import Observation, Task, carry_out

Observations: TypeAlias = Mapping[tuple[str, str], Observation]

PAPERS = ("liu", "zhao", "siniscalchi")
"""Liu et al. 2025, Zhao et al. 2025, Siniscalchi et al. 2024; see `docs/explanation`."""

MOST_SEEDS = 20
"""Samples that fix the median of the most scattered outcome, lithium's loss of contact."""

_LONGEST_TASK_S = 600.0
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_TASKS: Mapping[str, Callable[[int], list[Task]]] = {
    "liu": liu.tasks,
    "zhao": zhao.tasks,
    "siniscalchi": siniscalchi.tasks,
}
_ROWS: Mapping[str, Callable[[Observations], list[Row]]] = {
    "liu": liu.rows,
    "zhao": zhao.rows,
    "siniscalchi": siniscalchi.rows,
}


@dataclass(frozen=True)
class Campaign:
    """What was run and what came of it.

    Attributes:
        rows: The table.
        observations: What was seen, by protocol and variation.
        wall_s: Real time, s.
        runs: Number of runs through the stack.
    """

    rows: tuple[Row, ...]
    observations: Observations
    wall_s: float
    runs: int


def reproduce(
    papers: Sequence[str],
    data: Path,
    *,
    seeds: int = MOST_SEEDS,
    jobs: int = 2,
    told: Callable[[Task, int, int], None] = lambda _task, _done, _all: None,
) -> Campaign:
    """Run the protocols of some papers and compare.

    Args:
        papers: Some of `PAPERS`.
        data: The data directory; the first sample's run of each protocol stays in it.
        seeds: Most samples of a protocol whose outcome is random; each takes as many as its
            tolerance needs.
        jobs: Processes beside this one; 1 runs everything here.
        told: Hears of each finished run: the task, how many are done, how many there are.

    Raises:
        DeviceError: An instrument failed.
        RecordError: The disk is full.
        TimeoutError: A run took longer than ten minutes.
    """
    began_s = monotonic()
    tasks = [task for paper in papers for task in _TASKS[paper](seeds)]
    observations: dict[tuple[str, str], Observation] = {}
    for task, seen in _carried_out(_longest_first(tasks), data, jobs):
        observations[task.key] = seen
        told(task, len(observations), len(tasks))
    rows = [
        row for paper in papers for row in (*_ROWS[paper](observations), *arithmetic.rows(paper))
    ]
    return Campaign(tuple(rows), observations, monotonic() - began_s, len(tasks))


def _longest_first(tasks: Sequence[Task]) -> list[Task]:
    """So that no long run is left to one process at the end."""
    return sorted(tasks, key=lambda task: -task.weight)


def _carried_out(
    tasks: Sequence[Task], data: Path, jobs: int
) -> Iterator[tuple[Task, Observation]]:
    if jobs <= 1:
        for task in tasks:
            yield task, carry_out(task, data)
        return
    with _pool(jobs) as pool:
        futures = {pool.submit(carry_out, task, data): task for task in tasks}
        for future in _as_they_end(futures):
            yield futures[future], future.result()


def _as_they_end(futures: Iterable[Future[Observation]]) -> Iterator[Future[Observation]]:
    left = set(futures)
    while left:
        done, left = wait(left, timeout=_LONGEST_TASK_S, return_when=FIRST_COMPLETED)
        if not done:
            raise TimeoutError(
                f"reproduce: no run ended within {_LONGEST_TASK_S:g} s, expected each to take "
                "less (look at the machine's load, or use --jobs 1)"
            )
        yield from done


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes begun afresh: those forked from a process with threads may hang.

    Each keeps to one thread of linear algebra: together they fill the processors already.
    """
    former = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in former.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
