"""Runs of a data directory: summaries, and where those stand that are under way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.errors import RecordError
from orchestrator.records.directory import DataDirectory
from orchestrator.records.live import read_live
from orchestrator.records.locks import is_live
from orchestrator.records.reading import Entry, scan
from orchestrator.records.summary import summarise
from orchestrator.remote import RunStatus, recorded_status, status_of, under_way

_ENDED = ("success", "abort", "fail")
_SHOWN_LIVE = ("temperature_celsius", "heading_celsius", "pressure_mpa", "block", "time_s")


class RunBook:
    """Looks runs up; what has ended is read once.

    Args:
        directory: The data directory.
    """

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self._ended: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._benches: dict[str, str] = {}

    def summaries(self, last: int) -> list[dict[str, Any]]:
        """The last runs, the latest first."""
        uids = list(self._directory.runs())[-last:]
        found = (self.summary(uid) for uid in reversed(uids))
        return [one for one in found if one is not None]

    def summary(self, uid: str) -> dict[str, Any] | None:
        """What a run was; None where its journal cannot be read."""
        journal = self._directory.journal(uid)
        try:
            stat = journal.stat()
            seen = (stat.st_mtime_ns, stat.st_size)
            known = self._ended.get(uid)
            if known is not None and known[0] == seen:
                return known[1]
            said = {**summarise(journal).as_dict(), "bench": self.bench(uid)}
        except (RecordError, OSError):
            return None
        if said["state"] in _ENDED:
            self._ended[uid] = (seen, said)
        return said

    def bench(self, uid: str) -> str:
        """Bench of a run; empty where its start document does not say."""
        if uid not in self._benches:
            first = next(iter(scan(self._directory.journal(uid))), None)
            start = first.doc if isinstance(first, Entry) and first.name == "start" else {}
            self._benches[uid] = str(start.get("bench", ""))
        return self._benches[uid]

    def under_way(self) -> list[dict[str, Any]]:
        """Where each run stands whose process lives, without asking more of it than needed."""
        return [self._status(journal) for journal in under_way(self._directory.root)]

    def status(self, uid: str) -> dict[str, Any]:
        """Where a run stands; its process is asked if it lives.

        Raises:
            RecordError: There is no such run.
        """
        journal = self._directory.journal(uid)
        told = status_of(journal) if is_live(journal) else recorded_status(journal)
        return {**told.as_dict(), "bench": self.bench(uid)}

    def _status(self, journal: Path) -> dict[str, Any]:
        """From ``live.json`` if it tells of this run, else, or if it is paused, from its process.

        Only the process knows who has paused it.
        """
        live = read_live(self._directory.live)
        mine = live.get("run") == journal.stem
        asked = not mine or live.get("state") == "paused"
        told: RunStatus = status_of(journal) if asked else recorded_status(journal, live)
        more = {name: live.get(name) for name in _SHOWN_LIVE} if mine else {}
        return {**told.as_dict(), **more, "bench": self.bench(journal.stem)}
