"""Starts a runner for each job whose time has come, and notices when one has died.

A runner is `operando run --job`: a process of its own session that outlives this one, holds the
job's lock while it lives, and writes what became of the job itself. A job that is running while
nobody holds its lock was cut off.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import BusyError
from orchestrator.locks import controlling
from orchestrator.schedule.job import Job, State
from orchestrator.schedule.jobs import JobStore
from orchestrator.state import boot_id

log = logging.getLogger(__name__)

MOST_RESUMPTIONS = 20
"""A job that was cut off more often than this waits for a person, whatever its policy [A]."""


@contextmanager
def running_job(data: Path, job: str) -> Iterator[None]:
    """Hold a job's lock for a ``with`` block.

    Raises:
        BusyError: Somebody else runs it.
    """
    with controlling([f"{data.resolve()}#{job}"], bench=f"job {job[:8]}"):
        yield


@contextmanager
def only_scheduler(data: Path) -> Iterator[None]:
    """Be the only scheduler of a data directory for a ``with`` block.

    Raises:
        BusyError: There is another one.
    """
    with controlling([f"{data.resolve()}#scheduler"], bench="scheduler"):
        yield


def run_command(job: Job, data: Path) -> Sequence[str]:
    """The command of a job's runner."""
    code = "import sys; from orchestrator.cli import main; sys.exit(main())"
    what = ["run", job.request.experiment]
    if job.resumes:
        what = ["resume", job.runs[-1]]
        if job.resumes == "person":  # who has looked at it
            what += ["--yes", "--accept-changes"]
    return (
        sys.executable, "-c", code, *what, "--bench", job.request.profile,
        "--data", str(data), "--job", job.id, "--no-progress", "--json",
    )  # fmt: skip


class Supervisor:
    """Looks after the queue of one data directory.

    Args:
        store: The queue.
        data: The data directory.
        tell: Told about jobs that need a person, or failed.
        command: The command of a job's runner.
    """

    def __init__(
        self,
        store: JobStore,
        data: Path,
        *,
        tell: Callable[[Job], None] = lambda _job: None,
        command: Callable[[Job, Path], Sequence[str]] = run_command,
    ) -> None:
        self._store, self._data, self._tell, self._command = store, data, tell, command
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._known: dict[str, State] = {}

    def tick(self) -> None:
        """Look once: end what was cut off, begin what is due, tell what changed."""
        self._go_on()
        self._bury()
        while job := self._store.claim(runner=f"scheduler {os.getpid()}", boot_id=boot_id()):
            self._begin(job)
        for job in self._store.jobs():
            if self._known.get(job.id) is not job.state:
                former, self._known[job.id] = self._known.get(job.id), job.state
                if former is not None or job.state not in (State.DONE, State.REMOVED):
                    self._tell(job)

    def due(self) -> bool:
        """Whether a job would begin now, if its bench were free, or go on."""
        now_s = self._store.now()
        return any(
            self._goes_on(job)
            or (
                job.state is State.WAITING
                and job.request.not_before_s <= now_s
                and not self._store.waits_for(job)
            )
            for job in self._store.jobs(ended=False)
        )

    def is_alive(self, job: Job) -> bool:
        """Whether somebody runs a job."""
        child = self._children.get(job.id)
        if child is not None and child.poll() is None:
            return True
        try:
            with running_job(self._data, job.id):
                return False
        except BusyError:
            return True

    # --- inside ---------------------------------------------------------------------------------

    def _begin(self, job: Job) -> None:
        folder = self._data / "jobs"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with (folder / f"{job.id}.log").open("ab") as said:
                self._children[job.id] = subprocess.Popen(  # noqa: S603 - our own command
                    list(self._command(job, self._data)),
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,  # what ends the scheduler does not end the run
                )
        except OSError as error:
            self._store.finish(job.id, State.FAILED, f"its runner could not be started: {error}")

    def _go_on(self) -> None:
        """Resume jobs that were cut off and asked for it, once everybody was told of it."""
        for job in self._store.jobs(ended=False):
            if self._known.get(job.id) is State.INTERRUPTED and self._goes_on(job):
                self._store.resume(job.id)

    def _goes_on(self, job: Job) -> bool:
        """Whether a job is to be resumed by itself.

        A bound keeps one whose runner dies again and again from going on for ever; one that needs
        a person's decision waits for it.
        """
        wanted = job.request.on_interruption == "resume" and job.resumes != "refused"
        if job.state is not State.INTERRUPTED or job.held or not (wanted and job.runs):
            return False
        return self._store.resumptions(job.id) < MOST_RESUMPTIONS

    def _bury(self) -> None:
        """Jobs that nobody runs any more, though nobody has said what became of them."""
        for job_id, child in list(self._children.items()):
            if child.poll() is not None and self._store.get(job_id).state is not State.RUNNING:
                del self._children[job_id]
        for job in self._store.jobs(ended=False):
            if job.state is State.RUNNING and not self.is_alive(job):
                ended = self._children.pop(job.id) if job.id in self._children else None
                code = "" if ended is None else f" with exit code {ended.returncode}"
                again = "" if job.boot_id == boot_id() else "; the machine has been started since"
                log.error("job %s: its runner ended%s without a word", job.id[:8], code)
                with contextlib.suppress(Exception):  # it may have said so just now
                    self._store.finish(
                        job.id, State.INTERRUPTED, f"its runner ended{code} without a word{again}"
                    )
