"""Going on with an interrupted run at the prompt and in scripts, as ``bench.resume_run``."""

from __future__ import annotations

import sys

from orchestrator.bench import Bench
from orchestrator.errors import ResumeError
from orchestrator.resuming.interrupted import find_interrupted
from orchestrator.resuming.resume import Answer, Ask, changes, resume_run
from orchestrator.running import RunResult

_ANSWERS: dict[str, Answer] = {"continue": "continue", "skip": "skip"}


def resume(bench: Bench, reference: str, *, answer: str | None, accept: bool) -> RunResult:
    """Go on with an interrupted run; see `orchestrator.verbs.Verbs.resume_run`."""
    if answer is not None and answer not in _ANSWERS:
        what = f"got the answer {answer!r}, expected continue or skip"
        raise ResumeError("resume_run", what, remedy="leave it out to be asked")
    run = find_interrupted(bench.data, reference)
    changed = changes(run, bench)
    if changed and not accept:
        what = f"since it was cut off: {'; '.join(changed)}"
        raise ResumeError(run.who, what, remedy="look at it, then say accept=True")
    return resume_run(run, bench, ask=None if answer is None else _always(answer), speak=sys.stdout)


def _always(answer: str) -> Ask:
    """Somebody who has decided."""
    return lambda _text: _ANSWERS[answer]
