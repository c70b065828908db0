"""What people are told of a job of the queue."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import ProfileError
from orchestrator.outcomes import job_key
from orchestrator.profile.loading import load_profile
from orchestrator.schedule.job import Job, State
from orchestrator.telling import Severity, Tell, Telling, tell

_SEVERITIES = {
    State.DONE: Severity.NOTICE,
    State.SKIPPED: Severity.NOTICE,
    State.INTERRUPTED: Severity.DECISION,
    State.MISSED: Severity.DECISION,
    State.CHANGED: Severity.DECISION,
    State.FAILED: Severity.FAILURE,
}
_CELLS = {
    State.DONE: "off, verified at the end of the run",
    State.FAILED: "off, verified at the end of the run, unless another message says UNSAFE",
    State.INTERRUPTED: "switched off by the watchdog, where the bench has one; look at it",
}
_UNTOUCHED = "nothing was energised for this job"


def telling_of(job: Job, data: Path) -> Telling | None:
    """What is told of a job where it stands now; None where nobody has to know.

    Said again of the same job in the same state it has the same key.
    """
    severity = _SEVERITIES.get(job.state)
    if severity is None:
        return None
    if _goes_on(job):
        severity = Severity.FAILURE  # nobody has to decide anything
    run = job.runs[-1] if job.runs else ""
    since_s = job.began_s if job.began_s is not None else job.request.not_before_s
    cell = _CELLS.get(job.state, _UNTOUCHED)
    return Telling(
        "job",
        severity,
        f"job {job.id[:8]} ({Path(job.request.experiment).name}) is {job.state}: {job.message}",
        bench=job.request.bench,
        run=run,
        cell=cell if job.runs or job.state in ASKED_AFTER_START else _UNTOUCHED,
        remedy=_remedy(job),
        data=str(data.resolve()),
        simulated=_simulated(job.request.profile),
        key=job_key(job.id, str(job.state), run or f"{since_s:.3f}"),
    )


def tell_of(job: Job, data: Path, tell: Tell = tell) -> None:
    """Tell people of a job where somebody has to know."""
    telling = telling_of(job, data)
    if telling is not None:
        tell(telling)


ASKED_AFTER_START = frozenset({State.INTERRUPTED})
"""States of a job that may have energised something though it has no run."""


def _remedy(job: Job) -> str:
    begin = f"operando schedule ack {job.id[:8]}"
    if _goes_on(job):
        return "nothing: it goes on by itself, and asks if it cannot"
    if job.state is State.INTERRUPTED:
        return (
            f"look at the cell; then `{begin} resume` goes on where it stood; or `again`, `done`, "
            "`failed`. Nothing else begins on this bench before"
        )
    if job.state is State.CHANGED:
        return f"`{begin} again` agrees to what is there now; or `operando schedule remove`"
    if job.state is State.MISSED:
        return f"`{begin} again` begins it now; or `operando schedule remove`"
    if job.state is State.FAILED:
        return f"`operando schedule show {job.id[:8]}` and its log, jobs/{job.id}.log"
    return "nothing"


def _goes_on(job: Job) -> bool:
    """Whether a job that was cut off is to be resumed by itself."""
    wanted = job.request.on_interruption == "resume" and job.resumes != "refused"
    return job.state is State.INTERRUPTED and wanted and not job.held and bool(job.runs)


def _simulated(profile: str) -> bool:
    """Whether the bench has something simulated, as far as its profile can still be read."""
    try:
        return load_profile(profile).any_simulated
    except ProfileError:
        return False
