"""What has happened since the last look and must not be merged: audit lines, events of runs."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from orchestrator.errors import RecordError
from orchestrator.http.state import State
from orchestrator.records.directory import DataDirectory
from orchestrator.records.encoding import UnreadableLine, decode_line
from orchestrator.records.reading import Entry, Follower

Happened = list[tuple[str, dict[str, Any]]]

_AT_ONCE = 2000
_DESCRIPTOR = re.compile(rb'\{"seq":\d+,"name":"descriptor"')
_KEYS = ("event_kind", "event_text", "event_value", "event_origin")


class RunTail:
    """Follows the journal of one run from its end on: its events, and what else has come.

    Args:
        journal: The journal.
        whole: Whether to tell what is in it already.

    Raises:
        RecordError: The journal cannot be read.
    """

    def __init__(self, journal: Path, *, whole: bool) -> None:
        self._journal = journal
        self._streams, end = ({}, 0) if whole else described(journal)
        self._follower = Follower(journal, end)

    def news(self) -> Happened:
        """What has come since the last call."""
        found: Happened = []
        rows: dict[str, int] = {}
        try:
            while entries := self._follower.read(_AT_ONCE):
                for entry in entries:
                    self._take(entry, rows, found)
        except RecordError:
            return []  # it is being moved or repaired: the next look will tell
        uid = self._journal.stem
        return [*found, *(("rows", {"run": uid, "stream": s, "rows": n}) for s, n in rows.items())]

    def _take(self, entry: Entry, rows: dict[str, int], found: Happened) -> None:
        if entry.name == "descriptor":
            self._streams[entry.doc["uid"]] = str(entry.doc["name"])
        elif entry.name in {"event", "event_page"}:
            stream = self._streams.get(entry.doc["descriptor"], "")
            one = entry.name == "event"
            rows[stream] = rows.get(stream, 0) + (1 if one else len(entry.doc["time"]))
            if stream == "events" and one:
                found.append(("event", {"run": self._journal.stem, **event_row(entry.doc)}))


def described(journal: Path) -> tuple[dict[str, str], int]:
    """Streams of a journal by their descriptors' uids, and where its last whole line ends.

    Only lines that hold a descriptor are decoded: a week of records is passed over.

    Raises:
        RecordError: The file cannot be read.
    """
    streams: dict[str, str] = {}
    end = 0
    try:
        with journal.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                if _DESCRIPTOR.match(line):
                    with contextlib.suppress(UnreadableLine):
                        doc = decode_line(line)[2]
                        streams[doc["uid"]] = str(doc["name"])
    except OSError as error:
        raise RecordError(
            f"journal {journal.name}", f"cannot be read: {error}", remedy="check the disk"
        ) from error
    return streams, end


def event_row(doc: dict[str, Any]) -> dict[str, Any]:
    """One event of the stream ``events``."""
    said = {name.removeprefix("event_"): doc["data"].get(name) for name in _KEYS}
    return {"time": doc["time"], "seq_num": doc["seq_num"], **said}


class Tails:
    """Follows the audit log and every run that is under way.

    Args:
        directory: The data directory.
        state: Reads the audit log.
    """

    def __init__(self, directory: DataDirectory, state: State) -> None:
        self._directory, self._state = directory, state
        self._runs: dict[str, RunTail] = {}
        self._seq: int | None = None

    def news(self, under_way: list[str]) -> Happened:
        """What has happened since the last call; the first tells only of what comes after it.

        Args:
            under_way: Uids of the runs whose processes live.
        """
        found: Happened = []
        first, lines = self._seq is None, self._state.audit()
        since = -1 if self._seq is None else self._seq
        if not first:
            found += [("audit", line) for line in lines if line["seq"] > since]
        self._seq = int(lines[-1]["seq"]) if lines else -1
        for uid in under_way:
            if uid not in self._runs:
                with contextlib.suppress(RecordError):  # the next look will tell
                    self._runs[uid] = RunTail(self._directory.journal(uid), whole=not first)
        for uid, tail in list(self._runs.items()):
            found += tail.news()  # also once after its end
            if uid not in under_way:
                del self._runs[uid]
        return found
