"""Asks for a job: the whole file is checked against its bench before it waits for its time."""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import RecordError, ScheduleError
from orchestrator.estimate import check_disk
from orchestrator.experiment import bench_of, load_campaign
from orchestrator.records.audit import AuditLog
from orchestrator.records.directory import DataDirectory
from orchestrator.schedule.hashes import hashes_of
from orchestrator.schedule.job import AUTOMATIC, Job, Request
from orchestrator.schedule.jobs import JobStore
from orchestrator.schedule.times import Start, start_time

log = logging.getLogger(__name__)

JOBS = "jobs.sqlite"
"""The queue's file in a data directory."""

_PAST_S = 60.0
"""A start as long ago as this is still now: it takes time to type, s."""


@dataclass(frozen=True)
class Wish:
    """A job as somebody asks for it.

    Attributes:
        experiment: The experiment file.
        bench: Name or path of the profile; None leaves it to the file.
        at: Start time; empty for as soon as possible.
        zone: Zone of a start time without offset.
        after: Jobs that must be done before.
        priority: Larger ones go first.
        missed: ``ask``, ``start`` or ``skip``.
        grace_s: How late is not missed, s.
        on_interruption: If its process dies: ``ask`` or ``resume``.
        key: Idempotency key; empty for one of the content.
        by: Who asks.
    """

    experiment: Path
    bench: str | None = None
    at: str = ""
    zone: str | None = None
    after: tuple[str, ...] = ()
    priority: int = 0
    missed: str = "ask"
    grace_s: float = 3600.0
    on_interruption: str = "ask"
    key: str = ""
    by: str = ""


@dataclass(frozen=True)
class Added:
    """What came of it.

    Attributes:
        job: The job.
        new: Whether it was not there before.
        name: Name of the experiment.
        runs: Number of its runs.
    """

    job: Job
    new: bool
    name: str
    runs: int


def queue(data: Path) -> JobStore:
    """The queue of a data directory."""
    return JobStore(data / JOBS)


def add_job(store: JobStore, data: Path, wish: Wish) -> Added:
    """Check an experiment and put it into the queue.

    Raises:
        ExperimentError: The file cannot be run on that bench.
        ProfileError: The profile cannot be used.
        RecordError: The disk is too full for it.
        ScheduleError: It cannot be asked for like this.
    """
    campaign = load_campaign(wish.experiment, bench=wish.bench)
    profile = bench_of(wish.experiment, bench=wish.bench)
    check_disk((point.experiment for point in campaign.points), data)
    start = start_time(wish.at, wish.zone) if wish.at else None
    _check_times(wish, start, store.now())
    hashes = hashes_of(wish.experiment, wish.bench)
    file = str(wish.experiment.resolve())
    said = "" if start is None else start.said
    same = hashlib.sha256(repr((file, said, sorted(hashes.items()))).encode()).hexdigest()
    bench = wish.bench or campaign.points[0].experiment.bench or profile.bench
    job, new = store.add(
        Request(
            experiment=file,
            bench=profile.bench,
            profile=str(Path(bench).resolve()) if Path(bench).exists() else str(bench),
            key=wish.key or f"{AUTOMATIC}{same}",
            start=said,
            not_before_s=0.0 if start is None else start.utc_s,
            after=wish.after,
            priority=wish.priority,
            missed=wish.missed,
            grace_s=wish.grace_s,
            on_interruption=wish.on_interruption,
            hashes=hashes,
            by=wish.by,
        )
    )
    return Added(job, new, campaign.name, len(campaign.points))


def _check_times(wish: Wish, start: Start | None, now_s: float) -> None:
    if start is not None and start.utc_s < now_s - _PAST_S and wish.missed != "start":
        raise ScheduleError(
            "--at", f"got {start.said}, which is past", remedy="or say --missed start"
        )
    if not math.isfinite(wish.grace_s) or wish.grace_s < 0:
        raise ScheduleError(
            "--grace", f"got {wish.grace_s} s, expected 0 or more", remedy="raise it"
        )


def acknowledge(store: JobStore, job: str, decision: str, *, by: str) -> Job:
    """Decide about a job; to run it again is to agree to its files as they are now.

    Raises:
        ScheduleError: Nothing is to be decided.
    """
    found = store.get(job)
    again = decision == "again"
    hashes = hashes_of(found.request.experiment, found.request.profile) if again else None
    return store.acknowledge(found.id, decision, by=by, hashes=hashes)


def written(data: Path, kind: str, who: str, job: Job, **more: str) -> None:
    """Write down that somebody changed the queue; the job's own history has it too.

    Args:
        data: The data directory.
        kind: ``job-added``, ``job-hold`` and the like.
        who: Who did.
        job: The job as it is now.
        **more: What belongs to it.
    """
    try:
        AuditLog(DataDirectory(data).audit).append(
            kind, who, job=job.id, bench=job.request.bench, state=str(job.state), **more
        )
    except RecordError as error:
        log.warning("%s", error)
