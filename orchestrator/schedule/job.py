"""A job of the queue: what was asked for, and where it stands."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestrator.errors import ScheduleError


class State(StrEnum):
    """Where a job stands.

    WAITING for its time, its bench or other jobs; RUNNING; DONE; FAILED; INTERRUPTED: its runner
    died; MISSED: its time passed while nobody served; CHANGED: its files or the software are not
    those it was asked for with: a person must decide about these three. SKIPPED: its time passed
    and it was to be left out then; REMOVED by a person.
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    MISSED = "missed"
    CHANGED = "changed"
    SKIPPED = "skipped"
    REMOVED = "removed"


ENDED = frozenset({State.DONE, State.FAILED, State.SKIPPED, State.REMOVED})
"""States that a job does not leave."""

ASKING = frozenset({State.INTERRUPTED, State.MISSED, State.CHANGED})
"""States in which a person must decide."""


AUTOMATIC = "auto:"
"""Beginning of a key that nobody chose: it holds only until its job has ended."""


@dataclass(frozen=True)
class Request:
    """What is asked for; it does not change.

    Attributes:
        experiment: Path of the experiment file.
        bench: Name of the bench.
        profile: Path or name of its profile, as given.
        start: Start time as written; empty for as soon as possible.
        not_before_s: Start time, Unix s.
        after: Jobs that must be done before.
        priority: Larger ones go first on the same bench.
        missed: What to do when its time passed while nobody served: ``ask``, ``start`` or
            ``skip``.
        grace_s: How late it may begin without being missed, s.
        on_interruption: What becomes of it when its runner dies: ``ask`` a person, or ``resume``
            its run by itself, inside the step where it stood.
        key: Idempotency key: a second request with it is the same job.
        hashes: SHA-256 of ``experiment``, ``profile`` and ``software`` when it was asked for.
        md: More metadata of its runs.
        by: Who asked.
    """

    experiment: str
    bench: str
    profile: str
    key: str
    start: str = ""
    not_before_s: float = 0.0
    after: Sequence[str] = ()
    priority: int = 0
    missed: str = "ask"
    grace_s: float = 3600.0
    on_interruption: str = "ask"
    hashes: Mapping[str, str] = field(default_factory=dict)
    md: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""


@dataclass(frozen=True)
class Job:
    """One job as the queue has it.

    Attributes:
        id: Its uid.
        request: What was asked for.
        state: Where it stands.
        held: Whether a person holds it back.
        created_s: When it was asked for, Unix s.
        began_s: When it began, Unix s; None before.
        ended_s: When it ended, Unix s; None before.
        boot_id: Boot of the machine in which it began.
        runner: Who ran it.
        message: Why it stands there.
        runs: Uids of its runs.
        resumes: Who lets its last run go on when it begins: ``policy``, ``person``; ``refused``
            where only a person can; empty where it begins anew.
    """

    id: str
    request: Request
    state: State
    held: bool
    created_s: float
    began_s: float | None
    ended_s: float | None
    boot_id: str
    runner: str
    message: str
    runs: Sequence[str]
    resumes: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "state": str(self.state),
            "runs": list(self.runs),
            "request": request_document(self.request),
        }


def job_of(row: sqlite3.Row) -> Job:
    """A job from its row in the queue."""
    asked = json.loads(row["request"])
    return Job(
        id=row["id"],
        request=Request(**asked),
        state=State(row["state"]),
        held=bool(row["held"]),
        created_s=row["created_s"],
        began_s=row["began_s"],
        ended_s=row["ended_s"],
        boot_id=row["boot_id"],
        runner=row["runner"],
        message=row["message"],
        runs=tuple(json.loads(row["runs"])),
        resumes=row["resumes"],
    )


def request_document(request: Request) -> dict[str, Any]:
    """A request as JSON-able values; `Request` takes them back."""
    asked = {name: getattr(request, name) for name in request.__dataclass_fields__}
    return asked | {
        "after": list(request.after), "hashes": dict(request.hashes), "md": dict(request.md)
    }  # fmt: skip


def same_job(job: Job, request: Request) -> Job:
    """The job, if it is what is asked for once more."""
    for name in ("experiment", "bench", "start", "hashes"):
        had, got = getattr(job.request, name), getattr(request, name)
        if had != got:
            what = f"got the key {request.key!r} with another {name} than job {job.id[:8]}"
            raise ScheduleError("--key", what, remedy="choose another key, or remove that job")
    return job


def require(job: Job, states: Collection[State], what: str) -> None:
    """Refuse to do something with a job in another state."""
    if job.state not in states:
        raise ScheduleError(
            f"job {job.id[:8]}",
            f"is {job.state}, expected {' or '.join(sorted(states))} to {what}",
            remedy="see `operando schedule show`",
        )
