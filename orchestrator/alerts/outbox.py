"""What was told and what became of it: one SQLite file for a machine, which outlives restarts.

A telling is taken up from the spool exactly once, however often the process dies on the way: it is
in this file before it leaves the spool. It is delivered at least once: a message that was sent
while the process died before it could say so is sent again, with the same id.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from devices.clock import wall_time
from orchestrator.errors import RecordError
from orchestrator.sqlite_file import SqliteFile
from orchestrator.telling import Severity, Telling, spool_directory

KEPT_S = 90 * 86_400.0
"""How long what was told is listed, s."""

_BUSY_S = 30.0
_HOUR_S = 3600.0
_LARGEST_BYTES = 100_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tellings (
    uid TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, time_s REAL NOT NULL,
    severity INTEGER NOT NULL, routed INTEGER NOT NULL DEFAULT 0, document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
    telling TEXT NOT NULL, channel TEXT NOT NULL, kind TEXT NOT NULL, bench TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, due_s REAL NOT NULL,
    ended_s REAL, note TEXT NOT NULL DEFAULT '', PRIMARY KEY (telling, channel)
);
CREATE INDEX IF NOT EXISTS waiting ON deliveries (state, due_s);
CREATE TABLE IF NOT EXISTS messages (
    channel TEXT NOT NULL, kind TEXT NOT NULL, bench TEXT NOT NULL, sent_s REAL NOT NULL
);
"""


@dataclass(frozen=True)
class Group:
    """Tellings of one kind about one bench that one channel is due to be sent.

    Attributes:
        channel: Name of the channel.
        kind: Their kind.
        bench: Their bench.
        tellings: The most severe first, then the oldest.
        attempts: How often sending them was tried.
    """

    channel: str
    kind: str
    bench: str
    tellings: Sequence[Telling]
    attempts: int

    @property
    def severity(self) -> Severity:
        """The largest of theirs."""
        return max(one.severity for one in self.tellings)


class Outbox:
    """The file.

    Args:
        path: Where it is.
        now: Unix s.

    Raises:
        RecordError: It cannot be used.
    """

    def __init__(self, path: Path | None = None, *, now: Callable[[], float] = wall_time) -> None:
        self.path = path if path is not None else spool_directory().parent / "outbox.sqlite"
        self.now = now
        self._file = SqliteFile(self.path, RecordError, busy_s=_BUSY_S)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._file.changing() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)

    def take_up(self, spool: Path | None = None) -> int:
        """Take tellings out of the spool; returns how many were new.

        What is none is put aside as ``.bad``. A telling whose key was told before is dropped.
        """
        folder = spool if spool is not None else spool_directory()
        found = sorted(folder.glob("*.json")) if folder.is_dir() else []
        read = [(path, read_telling(path)) for path in found]
        new = self.add([telling for _, telling in read if telling is not None])
        for path, telling in read:
            with contextlib.suppress(FileNotFoundError):
                path.unlink() if telling is not None else path.rename(path.with_suffix(".bad"))
        return new

    def add(self, tellings: Sequence[Telling]) -> int:
        """Take tellings in; returns how many were new."""
        if not tellings:
            return 0
        with self._file.changing() as db:
            before = db.total_changes
            for one in tellings:
                document = json.dumps(one.to_document())
                db.execute(
                    "INSERT OR IGNORE INTO tellings (uid, key, time_s, severity, document) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (one.uid, one.key or one.uid, one.time, int(one.severity), document),
                )
            return db.total_changes - before

    def unrouted(self) -> list[Telling]:
        """Tellings of which nobody has said yet who is told."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT document FROM tellings WHERE routed = 0 ORDER BY time_s"
            ).fetchall()
        return [_telling(row) for row in rows]

    def route(self, telling: Telling, channels: Sequence[str]) -> None:
        """Say who is told, by names of channels; none is a decision too."""
        with self._file.changing() as db:
            for channel in channels:
                db.execute(
                    "INSERT OR IGNORE INTO deliveries (telling, channel, kind, bench, state, due_s)"
                    " VALUES (?, ?, ?, ?, 'waiting', ?)",
                    (telling.uid, channel, telling.kind, telling.bench, telling.time),
                )
            db.execute("UPDATE tellings SET routed = 1 WHERE uid = ?", (telling.uid,))

    def due(self) -> list[Group]:
        """What is to be sent now, the most severe first."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT d.channel, d.kind, d.bench, d.attempts, t.document FROM deliveries d "
                "JOIN tellings t ON t.uid = d.telling WHERE d.state = 'waiting' AND d.due_s <= ? "
                "ORDER BY t.severity DESC, t.time_s",
                (self.now(),),
            ).fetchall()
        groups: dict[tuple[str, str, str], list[sqlite3.Row]] = {}
        for row in rows:
            groups.setdefault((row["channel"], row["kind"], row["bench"]), []).append(row)
        return [
            Group(*which, [_telling(row) for row in those], max(row["attempts"] for row in those))
            for which, those in groups.items()
        ]

    def next_due_s(self) -> float | None:
        """When the next is due, Unix s; None where nothing waits."""
        with self._file.reading() as db:
            waiting = "SELECT min(due_s) FROM deliveries WHERE state = 'waiting'"
            found: float | None = db.execute(waiting).fetchone()[0]
            unrouted = db.execute("SELECT count(*) FROM tellings WHERE routed = 0").fetchone()[0]
        return self.now() if unrouted else found

    def waiting_channels(self) -> set[str]:
        """Names of channels that something waits for."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT DISTINCT channel FROM deliveries WHERE state = 'waiting'"
            ).fetchall()
        return {row[0] for row in rows}

    def sent_within_hour(self, group: Group) -> list[float]:
        """When messages of this kind went this way in the last hour, Unix s."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT sent_s FROM messages WHERE channel = ? AND kind = ? AND bench = ? "
                "AND sent_s > ? ORDER BY sent_s",
                (group.channel, group.kind, group.bench, self.now() - _HOUR_S),
            ).fetchall()
        return [row[0] for row in rows]

    def begin(self, group: Group, until_s: float) -> None:
        """It is being sent; if nobody says what came of it, it is sent again, Unix s."""
        note = "being sent, or nobody knows whether it was"
        self._mark(group, "due_s = ?, note = ?, attempts = attempts + 1", (until_s, note))

    def put_off(self, group: Group, until_s: float, note: str) -> None:
        """Send later: Unix s, and why."""
        self._mark(group, "due_s = ?, note = ?", (until_s, note))

    def sent(self, group: Group, note: str = "") -> None:
        """It was sent."""
        now_s = self.now()
        self._mark(
            group,
            "state = 'sent', ended_s = ?, note = ?",
            (now_s, note),
            message=now_s,
        )

    def given_up(self, group: Group, note: str) -> None:
        """It will not be sent."""
        self._mark(group, "state = 'failed', ended_s = ?, note = ?", (self.now(), note))

    def listed(self, last: int = 50) -> list[dict[str, Any]]:
        """What was told last, the latest last, each with its ``deliveries``."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT uid, routed, document FROM tellings "
                "ORDER BY time_s DESC, rowid DESC LIMIT ?",
                (last,),
            ).fetchall()
            found = []
            for row in reversed(rows):
                ways = db.execute(
                    "SELECT channel, state, attempts, due_s, ended_s, note FROM deliveries "
                    "WHERE telling = ? ORDER BY channel",
                    (row["uid"],),
                ).fetchall()
                one = json.loads(row["document"]) | {"routed": bool(row["routed"])}
                found.append(one | {"deliveries": [dict(way) for way in ways]})
        return found

    def prune(self) -> None:
        """Forget what ended long ago."""
        before_s = self.now() - KEPT_S
        with self._file.changing() as db:
            db.execute("DELETE FROM messages WHERE sent_s < ?", (self.now() - _HOUR_S,))
            db.execute(
                "DELETE FROM tellings WHERE time_s < ? AND routed = 1 AND uid NOT IN "
                "(SELECT telling FROM deliveries WHERE state = 'waiting')",
                (before_s,),
            )
            db.execute("DELETE FROM deliveries WHERE telling NOT IN (SELECT uid FROM tellings)")

    # --- inside ---------------------------------------------------------------------------------

    def _mark(
        self, group: Group, changes: str, values: tuple[Any, ...], *, message: float | None = None
    ) -> None:
        with self._file.changing() as db:
            for one in group.tellings:
                db.execute(
                    f"UPDATE deliveries SET {changes} WHERE telling = ? AND channel = ?",  # noqa: S608 - ours
                    (*values, one.uid, group.channel),
                )
            if message is not None:
                db.execute(
                    "INSERT INTO messages VALUES (?, ?, ?, ?)",
                    (group.channel, group.kind, group.bench, message),
                )


def read_telling(path: Path) -> Telling | None:
    """What a file of the spool says; None where that is no telling."""
    try:
        with path.open("rb") as file:
            return Telling.from_document(orjson.loads(file.read(_LARGEST_BYTES)))
    except (OSError, ValueError):
        return None


def _telling(row: sqlite3.Row) -> Telling:
    return Telling.from_document(json.loads(row["document"]))
