"""The queue of jobs: one SQLite file, safe for any number of processes at once.

Every change is one transaction with a line in the job's history. A job that was running when its
runner died is *interrupted* and stays so until a person decides: it is never run again by itself.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from devices.clock import wall_time
from orchestrator.errors import ScheduleError
from orchestrator.schedule.job import (
    ASKING,
    AUTOMATIC,
    ENDED,
    Job,
    Request,
    State,
    job_of,
    request_document,
    require,
    same_job,
)
from orchestrator.sqlite_file import SqliteFile

DECISIONS = ("again", "resume", "done", "failed")
"""What may become of a job that asks."""

_BY_POLICY = "resumed by its policy"
_BUSY_S = 30.0
_SHORTEST_PREFIX = 4

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    bench TEXT NOT NULL,
    state TEXT NOT NULL,
    held INTEGER NOT NULL DEFAULT 0,
    not_before_s REAL NOT NULL,
    priority INTEGER NOT NULL,
    created_s REAL NOT NULL,
    began_s REAL,
    ended_s REAL,
    boot_id TEXT NOT NULL DEFAULT '',
    runner TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    request TEXT NOT NULL,
    runs TEXT NOT NULL DEFAULT '[]',
    resumes TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS due ON jobs (state, bench, not_before_s);
CREATE TABLE IF NOT EXISTS history (
    job TEXT NOT NULL, time_s REAL NOT NULL, what TEXT NOT NULL, by TEXT NOT NULL
);
"""


class JobStore:
    """The queue.

    Args:
        path: The SQLite file; made if it is not there.
        now: Unix time, s.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = wall_time) -> None:
        self.path, self.now = path, now
        self._file = SqliteFile(path, ScheduleError, busy_s=_BUSY_S)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._file.changing() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            columns = [row["name"] for row in db.execute("PRAGMA table_info(jobs)")]
            if "resumes" not in columns:  # a queue of before
                db.execute("ALTER TABLE jobs ADD COLUMN resumes TEXT NOT NULL DEFAULT ''")

    # --- what people do -------------------------------------------------------------------------

    def add(self, request: Request) -> tuple[Job, bool]:
        """Ask for a job.

        Returns:
            The job, and whether it is new: a second request with the same key is the same job.

        Raises:
            ScheduleError: The key was used for something else, or a job that it waits for is not
                known.
        """
        with self._file.changing() as db:
            row = db.execute("SELECT * FROM jobs WHERE key = ?", (request.key,)).fetchone()
            if row is not None:
                return same_job(job_of(row), request), False
            after = [self._find(db, one).id for one in request.after]
            job = str(uuid.uuid4())
            asked = request_document(request) | {"after": after}
            db.execute(
                "INSERT INTO jobs (id, key, bench, state, not_before_s, priority, created_s, "
                "request) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (job, request.key, request.bench, State.WAITING, request.not_before_s,
                 request.priority, self.now(), json.dumps(asked)),
            )  # fmt: skip
            self._note(db, job, "added", request.by)
            return self._find(db, job), True

    def jobs(self, *, ended: bool = True) -> list[Job]:
        """Every job in the order of their start times; without the ended ones where asked."""
        with self._file.reading() as db:
            rows = db.execute("SELECT * FROM jobs ORDER BY not_before_s, created_s").fetchall()
        found = [job_of(row) for row in rows]
        return found if ended else [one for one in found if one.state not in ENDED]

    def get(self, prefix: str) -> Job:
        """One job by its uid or the beginning of it.

        Raises:
            ScheduleError: There is none, or more than one.
        """
        with self._file.reading() as db:
            return self._find(db, prefix)

    def history(self, job: str) -> list[tuple[float, str, str]]:
        """What happened to a job: (Unix s, what, who)."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT time_s, what, by FROM history WHERE job = ? ORDER BY rowid", (job,)
            ).fetchall()
        return [(row["time_s"], row["what"], row["by"]) for row in rows]

    def hold(self, prefix: str, *, held: bool, by: str = "") -> Job:
        """Hold a job back, or let it go; idempotent.

        Raises:
            ScheduleError: It is running or has ended.
        """
        with self._file.changing() as db:
            job = self._find(db, prefix)
            require(job, {State.WAITING, *ASKING}, "hold it back" if held else "let it go")
            self._update(db, job.id, held=int(held))
            self._note(db, job.id, "held" if held else "let go", by)
            return self._find(db, job.id)

    def remove(self, prefix: str, *, by: str = "") -> Job:
        """Take a job out of the queue; it stays listed as removed.

        Raises:
            ScheduleError: It is running or has ended.
        """
        with self._file.changing() as db:
            job = self._find(db, prefix)
            require(job, {State.WAITING, *ASKING}, "remove it")
            self._end(db, job.id, State.REMOVED, "removed by a person")
            self._note(db, job.id, "removed", by)
            return self._find(db, job.id)

    def acknowledge(
        self, prefix: str, decision: str, *, by: str = "", hashes: Mapping[str, str] | None = None
    ) -> Job:
        """Decide about a job that was interrupted or missed, or whose files changed.

        Args:
            prefix: The job.
            decision: ``again`` puts it back into the queue, to begin as soon as it can; ``resume``
                so too, to go on with its last run where that was cut off; ``done`` counts what
                there is as done; ``failed`` as failed.
            by: Who decided.
            hashes: What its files and the software are now, if that is agreed to.

        Raises:
            ScheduleError: Nothing is to be decided, or the decision is not known.
        """
        if decision not in DECISIONS:
            what = f"got {decision!r}, expected one of {', '.join(DECISIONS)}"
            raise ScheduleError("ack", what, remedy="say what is to become of it")
        with self._file.changing() as db:
            job = self._find(db, prefix)
            require(job, ASKING, "acknowledge it")
            if decision == "resume":
                self._resume(db, job, "person")
            elif decision == "again":
                asked = request_document(job.request) | ({"hashes": dict(hashes)} if hashes else {})
                self._update(db, job.id, request=json.dumps(asked))
                self._update(
                    db, job.id, state=State.WAITING, not_before_s=self.now(), message="",
                    began_s=None, held=0, resumes="",
                )  # fmt: skip
            else:
                self._end(db, job.id, State(decision), f"{job.state}, then {decision} by a person")
            self._note(db, job.id, f"acknowledged: {decision}", by)
            return self._find(db, job.id)

    def resume(self, job: str) -> Job:
        """Let the last run of an interrupted job go on, as it was asked for with.

        Raises:
            ScheduleError: It is not interrupted, or has no run.
        """
        with self._file.changing() as db:
            found = self._find(db, job)
            self._resume(db, found, "policy")
            self._note(db, found.id, _BY_POLICY, "")
            return self._find(db, found.id)

    def resumptions(self, job: str) -> int:
        """How often a job was resumed by its policy."""
        return sum(what == _BY_POLICY for _, what, _ in self.history(job))

    # --- what the scheduler and its runners do --------------------------------------------------

    def claim(self, *, runner: str, boot_id: str) -> Job | None:
        """Take the next job whose time has come; None where there is none.

        At most one job runs on a bench. Among those due the one with the largest priority goes
        first, then the one with the earliest start. One whose time passed too long ago is missed.
        """
        with self._file.changing() as db:
            now_s = self.now()
            busy = {
                row["bench"]
                for row in db.execute(
                    "SELECT bench FROM jobs WHERE state IN (?, ?)",
                    (State.RUNNING, State.INTERRUPTED),
                )
            }
            rows = db.execute(
                "SELECT * FROM jobs WHERE state = ? AND held = 0 AND not_before_s <= ? "
                "ORDER BY priority DESC, not_before_s, created_s",
                (State.WAITING, now_s),
            ).fetchall()
            for job in map(job_of, rows):
                if job.request.bench in busy or self._waits_for(db, job):
                    continue
                if not self._missed(db, job, now_s):
                    self._update(
                        db, job.id, state=State.RUNNING, began_s=now_s, runner=runner,
                        boot_id=boot_id, message="",
                    )  # fmt: skip
                    self._note(db, job.id, "began", runner)
                    return self._find(db, job.id)
        return None

    def began_run(self, job: str, run: str) -> None:
        """A run of a job has begun: its uid is kept before anything else can happen to it."""
        with self._file.changing() as db:
            runs = [*self._find(db, job).runs, run]
            self._update(db, job, runs=json.dumps(runs))
            self._note(db, job, f"run {run}", "")

    def finish(self, job: str, state: State, message: str, *, refused: bool = False) -> Job:
        """A running job has ended.

        Args:
            job: Its uid.
            state: What became of it.
            message: Why.
            refused: It cannot be resumed without a person's decision.

        Raises:
            ScheduleError: It was not running.
        """
        with self._file.changing() as db:
            found = self._find(db, job)
            require(found, {State.RUNNING}, "end it")
            if refused:
                self._update(db, found.id, resumes="refused")
            if state in ASKING:
                self._update(db, found.id, state=state, message=message, ended_s=self.now())
            else:
                self._end(db, found.id, state, message)
            self._note(db, found.id, f"{state}: {message}", found.runner)
            return self._find(db, found.id)

    def waits_for(self, job: Job) -> str:
        """Why a job that waits does not begin; empty where only its time has not come."""
        if job.held:
            return "held back"
        with self._file.reading() as db:
            return self._waits_for(db, job) or self._bench_is_busy(db, job)

    # --- inside ---------------------------------------------------------------------------------

    def _waits_for(self, db: sqlite3.Connection, job: Job) -> str:
        for other in (self._find(db, one) for one in job.request.after):
            if other.state is State.DONE:
                continue
            if other.state in ENDED:
                return f"{other.id[:8]} is {other.state}: hold, remove or add it anew"
            return f"waits for {other.id[:8]}"
        return ""

    def _bench_is_busy(self, db: sqlite3.Connection, job: Job) -> str:
        row = db.execute(
            "SELECT id, state FROM jobs WHERE bench = ? AND state IN (?, ?)",
            (job.request.bench, State.RUNNING, State.INTERRUPTED),
        ).fetchone()
        if row is None:
            return ""
        return f"{job.request.bench} has {row['id'][:8]}, which is {row['state']}"

    def _missed(self, db: sqlite3.Connection, job: Job, now_s: float) -> bool:
        """Apply a job's policy where its time passed too long ago; whether it does not begin."""
        asked = job.request
        late_s = now_s - asked.not_before_s
        history = self._history(db, job.id)
        again = job.resumes or any("acknowledged: again" in what for _, what, _ in history)
        if not asked.start or late_s <= asked.grace_s or asked.missed == "start" or again:
            return False
        message = f"its time passed {late_s / 60:.0f} min ago while it could not begin"
        if asked.missed == "skip":
            self._end(db, job.id, State.SKIPPED, message)
        else:
            self._update(db, job.id, state=State.MISSED, message=message)
        self._note(db, job.id, f"missed: {message}", "")
        return True

    def _history(self, db: sqlite3.Connection, job: str) -> list[tuple[float, str, str]]:
        rows = db.execute("SELECT time_s, what, by FROM history WHERE job = ?", (job,)).fetchall()
        return [tuple(row) for row in rows]

    def _resume(self, db: sqlite3.Connection, job: Job, who: str) -> None:
        require(job, {State.INTERRUPTED}, "go on with it")
        if not job.runs:
            what = "was cut off before it had a run, expected one that can go on"
            raise ScheduleError(f"job {job.id[:8]}", what, remedy="acknowledge it: again")
        self._update(
            db, job.id, state=State.WAITING, not_before_s=self.now(), message="", held=0,
            resumes=who,
        )  # fmt: skip

    def _end(self, db: sqlite3.Connection, job: str, state: State, message: str) -> None:
        self._update(db, job, state=state, message=message, ended_s=self.now())
        if state in ENDED:  # what was asked for without a key may be asked for again
            db.execute(
                "UPDATE jobs SET key = key || '#' || id WHERE id = ? AND substr(key, 1, ?) = ?",
                (job, len(AUTOMATIC), AUTOMATIC),
            )

    def _update(self, db: sqlite3.Connection, job: str, **columns: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)  # names are ours, values are bound
        db.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*columns.values(), job))  # noqa: S608

    def _note(self, db: sqlite3.Connection, job: str, what: str, by: str) -> None:
        db.execute("INSERT INTO history VALUES (?, ?, ?, ?)", (job, self.now(), what, by))

    def _find(self, db: sqlite3.Connection, prefix: str) -> Job:
        rows = db.execute(
            "SELECT * FROM jobs WHERE substr(id, 1, ?) = ?", (len(prefix), prefix)
        ).fetchall()
        if len(rows) != 1 or len(prefix) < _SHORTEST_PREFIX:
            what = f"got {prefix!r}, expected the beginning of one job's uid ({len(rows)} match)"
            raise ScheduleError("job", what, remedy="see `operando schedule list`")
        return job_of(rows[0])
