"""Runs that are killed and resumed, on a laboratory in a process of its own."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.bench import Bench, open_bench
from orchestrator.experiment.loading import load_experiment
from orchestrator.resuming.interrupted import find_interrupted
from orchestrator.resuming.resume import resume_run
from orchestrator.running import RunResult, run_experiment

Kill = Callable[[int, str, dict[str, Any]], bool] | float
"""Whether to die after a document: how many came before it, its name, the document. Or when, s of
experiment time after now."""


def in_child(work: Callable[[], None]) -> int:
    """Do something in a forked process; returns the signal that ended it, 0 if none did."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - it ends here whatever it is
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed"
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def die_at(bench: Bench, kill: Kill) -> None:
    """Let this process die by SIGKILL as soon as a document was recorded, or at a time."""
    if isinstance(kill, float):
        bench.clock.call_later(kill, _die, owner=bench.pstat)
        return
    record, seen = bench.RE._record, [0]

    def recorded(name: str, doc: dict[str, Any]) -> None:
        record(name, doc)
        seen[0] += 1
        if kill(seen[0] - 1, name, doc):
            _die()

    bench.RE._record = recorded


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def begin(file: Path, data: Path, experiment: Path, kill: Kill | None = None) -> int:
    """Run an experiment in a child, which dies when it is told to; returns the signal."""

    def work() -> None:
        chosen = load_experiment(experiment)
        with open_bench("sim-mri", data=data, laboratory=file) as bench:
            bench.RE.attended = False
            if kill is not None:
                die_at(bench, kill)
            run_experiment(chosen, bench, speak=io.StringIO())

    return in_child(work)


def go_on(file: Path, data: Path, ask: Any = None, kill: Kill | None = None) -> RunResult:
    """Resume the latest run in this process."""
    with open_bench("sim-mri", data=data, laboratory=file) as bench:
        bench.RE.attended = False
        if kill is not None:
            die_at(bench, kill)
        run = find_interrupted(data, "-1")
        return resume_run(run, bench, ask=ask, speak=io.StringIO())
