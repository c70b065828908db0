"""What a request changes: a run, the queue, whether a bench is on. Each may block for seconds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import ControlError, ExperimentError, OrchestratorError, RecordError
from orchestrator.http.bodies import WAIT_S, NewJob
from orchestrator.http.places import HttpFiles
from orchestrator.http.runs import RunBook
from orchestrator.http.tokens import Caller
from orchestrator.interlocks import Latches
from orchestrator.profile.loading import load_profile
from orchestrator.records.audit import AuditLog
from orchestrator.records.directory import DataDirectory, replace_durably
from orchestrator.remote import Message, ask, under_way
from orchestrator.safe_off import energisers, switch_off
from orchestrator.schedule.asking import Added, Wish, acknowledge, add_job, written
from orchestrator.schedule.job import Job
from orchestrator.schedule.jobs import JobStore

_BENCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_OFF_WAITS_S = 5.0


@dataclass(frozen=True)
class Asker:
    """Who asks for what is done here.

    Attributes:
        caller: The token's.
        request_id: Of the request; the same one is done once.
    """

    caller: Caller
    request_id: str

    @property
    def who(self) -> str:
        """For the records."""
        return f"{self.caller.name} over http"


class Acting:
    """Does what is asked for.

    Args:
        directory: The data directory.
        store: The queue.
        runs: Looks runs up.
        experiments: Folders whose experiment files may be queued.
    """

    def __init__(
        self,
        directory: DataDirectory,
        store: JobStore,
        runs: RunBook,
        experiments: Sequence[Path],
    ) -> None:
        self._directory, self._store, self._runs = directory, store, runs
        self._folders = [one.resolve() for one in experiments]
        self._files = HttpFiles(directory.root)
        self._audit = AuditLog(directory.audit)

    def run(
        self, uid: str, verb: str, arguments: Mapping[str, Any], asker: Asker
    ) -> dict[str, Any]:
        """Ask the process of a run.

        Raises:
            ControlError: The run refuses, or is over.
            NoAnswerError: Its process does not answer.
        """
        message = Message(verb, dict(arguments), asker.request_id, WAIT_S, asker.who)
        answer = ask(self._directory.journal(uid), message)
        said = {"resume": "resume-now"}.get(verb, verb.replace("_", "-"))
        if answer.standing == "refused":
            raise ControlError(f"run {uid[:8]}", f"{said}: {answer.text}", remedy="see its status")
        return {
            "run": uid,
            "verb": said,
            "id": message.id,
            "standing": answer.standing,
            "text": answer.text,
        }

    def off(self, bench: str, asker: Asker) -> dict[str, Any]:
        """Switch a bench off with connections of its own, and end its runs; both at once.

        An engine that goes on would find its output off and count that as a fault; one that is
        dead keeps nothing on. What simply lives in a run's process is switched off by that.

        Raises:
            ProfileError: There is no such bench.
        """
        profile = load_profile(self._profile_of(_checked_bench(bench)))
        journals = [one for one in under_way(self._directory.root) if self._is_on(one, bench)]
        with ThreadPoolExecutor(4, "http-off") as pool:
            ending = [pool.submit(self._end, journal, asker) for journal in journals]
            report = switch_off(profile)
            runs = [one.result() for one in ending]
        if not report.ok and any(one["ended"] for one in runs):
            report = switch_off(profile)  # the engine has let go of the only connection
        seen = bool(energisers(profile))  # what lives in a run's process is off when that says so
        said = {
            "bench": bench,
            "ok": report.ok and (seen or all(run["ended"] for run in runs)),
            "off": list(report.off),
            "unsafe": dict(report.unsafe),
            "runs": runs,
            "took_s": round(report.took_s, 3),
            "simulated_in_process": not seen,
        }
        self._written_off(asker, said)
        return said

    def acknowledge(self, bench: str, interlock: str, asker: Asker) -> dict[str, Any]:
        """Somebody has seen to a latched interlock: written down, then the bench may be used.

        Raises:
            ControlError: It is not latched.
            RecordError: It cannot be written down.
        """
        latches = Latches(_checked_bench(bench))
        marks = latches.read()
        if interlock not in marks:
            known = ", ".join(sorted(marks)) or "nothing"
            what = f"{interlock[:60]!r} is not latched"
            raise ControlError(bench, what, remedy=f"latched is {known}")
        said = {"bench": bench, "interlock": interlock, "text": marks[interlock].text}
        self._audit.append("acknowledge", asker.who, **said)
        latches.clear([interlock])
        return {**said, "latched": sorted(latches.read())}

    def add(self, wish: NewJob, asker: Asker) -> Added:
        """Queue an experiment.

        Raises:
            ControlError: The file is not one that may be queued.
            ExperimentError: It cannot be run.
            ScheduleError: It cannot be asked for like this.
        """
        bench = None if wish.bench is None else _checked_bench(wish.bench)
        with self._file(wish) as file:
            added = self._added(wish, file, bench, asker)
        if added.new:
            self._written("job-added", asker, added.job)
        return added

    def change(self, job: str, action: str, asker: Asker, decision: str = "") -> Job:
        """Hold, release, remove or acknowledge a job.

        Raises:
            ScheduleError: It does not stand where that can be done.
        """
        if action == "remove":
            changed = self._store.remove(job, by=asker.who)
        elif action == "ack":
            changed = acknowledge(self._store, job, decision, by=asker.who)
        else:
            changed = self._store.hold(job, held=action == "hold", by=asker.who)
        self._written(
            f"job-{action}", asker, changed, **({"decision": decision} if decision else {})
        )
        return changed

    # --- inside ---------------------------------------------------------------------------------

    def _added(self, wish: NewJob, file: Path, bench: str | None, asker: Asker) -> Added:
        return add_job(
            self._store,
            self._directory.root,
            Wish(
                experiment=file,
                bench=bench,
                at=wish.at,
                zone=wish.zone,
                after=tuple(wish.after),
                priority=wish.priority,
                missed=wish.missed,
                grace_s=wish.grace_s,
                on_interruption=wish.on_interruption,
                key=f"http:{asker.request_id}",
                by=asker.who,
            ),
        )

    def _end(self, journal: Path, asker: Asker) -> dict[str, Any]:
        """Ask a run to end now; whatever becomes of it is said, never raised."""
        message = Message(
            "stop", {"after": "now"}, asker.request_id, _OFF_WAITS_S, f"{asker.who}, bench off"
        )
        try:
            answer = ask(journal, message)
        except OrchestratorError as error:
            return {"run": journal.stem, "ended": False, "text": error.what}
        ended = answer.standing in {"done", "accepted"}
        return {"run": journal.stem, "ended": ended, "text": answer.text}

    def _is_on(self, journal: Path, bench: str) -> bool:
        try:
            return self._runs.bench(journal.stem) == bench
        except RecordError:
            return False

    def _profile_of(self, bench: str) -> str:
        """Profile of a bench: as its last job was asked for, else by its name."""
        jobs = [job for job in self._store.jobs() if job.request.bench == bench]
        return max(jobs, key=lambda job: job.created_s).request.profile if jobs else bench

    def _written_off(self, asker: Asker, said: Mapping[str, Any]) -> None:
        try:
            self._audit.append(
                "off", asker.who, bench=said["bench"], off=said["off"], unsafe=said["unsafe"]
            )
        except RecordError:
            return  # it is off all the same, and the log of the server says so

    def _written(self, kind: str, asker: Asker, job: Job, **more: str) -> None:
        written(self._directory.root, kind, asker.who, job, **more)

    @contextmanager
    def _file(self, wish: NewJob) -> Iterator[Path]:
        """The experiment file that is meant.

        One that came as text is kept under its hash, unless the ``with`` block finds it wrong.
        """
        if (wish.experiment is None) == (wish.text is None):
            raise ControlError("job", "got both or neither of experiment and text", remedy="one")
        if wish.text is not None:
            path, new = self._kept(wish.text.encode())
            try:
                yield path
            except BaseException:
                if new and not self._is_queued(path):
                    path.unlink(missing_ok=True)
                raise
            return
        try:
            path = Path(str(wish.experiment)).resolve()
            allowed = any(path.is_relative_to(folder) for folder in self._folders)
        except (OSError, ValueError):
            allowed = False
        if not allowed:
            raise ExperimentError(
                "job",
                f"{str(wish.experiment)[:80]!r} is not in a folder whose files may be queued",
                remedy="start `operando serve` with --experiments, or send its text",
            )
        yield path

    def _is_queued(self, path: Path) -> bool:
        file = str(path.resolve())
        return any(job.request.experiment == file for job in self._store.jobs())

    def _kept(self, text: bytes) -> tuple[Path, bool]:
        self._files.make()
        folder = self._files.submitted
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{hashlib.sha256(text).hexdigest()}.yaml"
        new = not path.exists()
        if new:
            temporary = path.with_suffix(".new")
            temporary.write_bytes(text)
            replace_durably(temporary, path)
        return path, new


def _checked_bench(name: str) -> str:
    """The name, if it is one and no path.

    Raises:
        ControlError: It is none.
    """
    if _BENCH.fullmatch(name) is None:
        raise ControlError("bench", f"got {name[:60]!r}", remedy="give the name of a bench")
    return name
