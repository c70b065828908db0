"""Everything a page shows, as it is now; looked up anew each time, in a worker thread."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from orchestrator.alerts.anchors import anchors_file, anchors_of
from orchestrator.alerts.outbox import Outbox
from orchestrator.http.benches import bench_states, interlocks_seen
from orchestrator.http.runs import RunBook
from orchestrator.records.audit import GENESIS, AuditCheck, Kept, read_audit, verify
from orchestrator.records.directory import DataDirectory
from orchestrator.schedule.job import ASKING, ENDED, Job
from orchestrator.schedule.jobs import JobStore
from orchestrator.telling import spool_directory

_LOW_BYTES = 2 * 10**9
_LAST_RUNS = 20
_LAST_TOLD = 20
_LAST_ENDED = 50
_TAIL_BYTES = 2**18
_GRAIN_BYTES = 2**26

Part = dict[str, Any]


class State:
    """Looks everything up.

    Args:
        directory: The data directory.
        store: The queue.

    Attributes:
        runs: Runs of the directory.
    """

    def __init__(self, directory: DataDirectory, store: JobStore) -> None:
        self._directory, self._store = directory, store
        self.runs = RunBook(directory)
        self._outbox: Outbox | None = None
        self._audit: tuple[tuple[int, int], list[dict[str, Any]]] = ((0, 0), [])

    def everything(self) -> dict[str, Part]:
        """By kind (``bench``, ``job``, ``run``, ``live``, ...), each thing by its name."""
        jobs, under_way = self._last_jobs(), self.runs.under_way()
        benches = bench_states(jobs, under_way)
        runs = {one["uid"]: one for one in self.runs.summaries(_LAST_RUNS)}
        found: dict[str, Part] = {
            "bench": benches,
            "job": {job.id: self.job(job) for job in jobs},
            "run": runs,
            "live": {one["run"]: one for one in under_way},
            "interlock": interlocks_seen(benches),
            "watchdog": self.watchdogs(),
            "disk": {"data": self.disk()},
            "told": {one["uid"]: one for one in self.told(_LAST_TOLD)},
        }
        found["alert"] = alerts(found, jobs)
        return found

    def _last_jobs(self) -> list[Job]:
        """What has not ended, and what ended last."""
        jobs = self._store.jobs()
        ended = [job for job in jobs if job.state in ENDED]
        old = sorted(ended, key=lambda job: job.ended_s or 0.0)[:-_LAST_ENDED]
        known = {job.id for job in old}
        return [job for job in jobs if job.id not in known]

    def job(self, job: Job) -> dict[str, Any]:
        """A job, with why it waits."""
        waits = self._store.waits_for(job) if str(job.state) == "waiting" else ""
        return {**job.as_dict(), "waits_for": waits}

    def watchdogs(self) -> Part:
        """What the last watchdog of each bench did last."""
        return {str(line.get("bench", "")): line for line in self.watchdog_log(1000)}

    def watchdog_log(self, last: int) -> list[dict[str, Any]]:
        """The last lines of the watchdogs' log, oldest first."""
        return json_lines(self._directory.root / "watchdog.jsonl")[-last:]

    def told(self, last: int) -> list[dict[str, Any]]:
        """What people were told of this data directory, and whether it has reached them."""
        if self._outbox is None:
            if not (spool_directory().parent / "outbox.sqlite").exists():
                return []
            self._outbox = Outbox()
        own = ("", str(self._directory.root.resolve()), str(self._directory.root))
        return [one for one in self._outbox.listed(last) if one.get("data", "") in own]

    def checked(self, head: str | None) -> AuditCheck:
        """Whether the audit log is as it was written, compared with the heads that were sent."""
        anchors = anchors_of(self._directory.root, anchors_file())
        kept = [Kept(one.hash, f"{one.said}, line {one.seq}") for one in anchors]
        return verify(self._directory.audit, head=head, kept=kept)

    def disk(self) -> dict[str, Any]:
        """Room on the disk of the data directory, in steps of 64 MiB: it is not to flicker."""
        usage = shutil.disk_usage(self._directory.root)
        return {
            "free_bytes": usage.free // _GRAIN_BYTES * _GRAIN_BYTES,
            "total_bytes": usage.total,
            "low": usage.free < _LOW_BYTES,
        }

    def audit(self) -> Sequence[dict[str, Any]]:
        """Every whole line of the audit log, read again when it has changed."""
        try:
            stat = self._directory.audit.stat()
        except OSError:
            return []
        seen = (stat.st_mtime_ns, stat.st_size)
        if self._audit[0] != seen:
            self._audit = (seen, read_audit(self._directory.audit))
        return self._audit[1]

    def audit_head(self) -> str:
        """Hash of the audit log's last line."""
        lines = self.audit()
        return str(lines[-1]["hash"]) if lines else GENESIS


def alerts(found: Mapping[str, Part], jobs: Sequence[Job]) -> Part:
    """What needs a person, from everything else; by what it is about."""
    said = [
        *_unsafe(found["bench"]), *_undecided(jobs), *_cut_off(found["run"]),
        *_paused(found["live"]), *_disks(found["disk"]),
    ]  # fmt: skip
    return {about: {"about": about, "level": level, "text": text} for about, level, text in said}


Alert = tuple[str, str, str]
"""What it is about; ``unsafe``, ``decide``, ``warning`` or ``notice``; a sentence."""


def _unsafe(benches: Part) -> Iterator[Alert]:
    for name, bench in benches.items():
        if bench["unsafe"] is not None:
            reason = bench["unsafe"].get("reason", "")
            yield f"bench/{name}", "unsafe", f"{name} is UNSAFE, not known to be off: {reason}"
        for lock, trip in bench["latched"].items():
            yield f"interlock/{name}/{lock}", "decide", f"{name}: {lock} tripped: {trip['text']}"


def _undecided(jobs: Sequence[Job]) -> Iterator[Alert]:
    for job in jobs:
        if job.state in ASKING:
            text = f"job {job.id[:8]} on {job.request.bench} is {job.state}: {job.message}"
            yield f"job/{job.id}", "decide", text


def _cut_off(runs: Part) -> Iterator[Alert]:
    for uid, run in runs.items():
        if run["state"] == "interrupted":
            yield f"run/{uid}", "decide", f"run {uid[:8]} was cut off; `operando recover` closes it"


def _paused(live: Part) -> Iterator[Alert]:
    for uid, run in live.items():
        if run["state"] == "paused":
            yield f"live/{uid}", "notice", f"run {uid[:8]} is paused: {run['reason']}"


def _disks(disks: Part) -> Iterator[Alert]:
    for disk in disks.values():
        if disk["low"]:
            yield "disk", "warning", f"{disk['free_bytes'] / 1e9:.1f} GB are left on the disk"


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines near the end of a file of JSON objects; empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            raw = file.read().split(b"\n")
    except OSError:
        return []
    found = []
    for line in raw[1:] if size > _TAIL_BYTES else raw:
        try:
            value = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
