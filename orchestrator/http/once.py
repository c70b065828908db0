"""What was asked for with which key: the same key again is answered, not done again.

The keys of a data directory outlive `operando serve`. One that was begun and never answered, since
the process died, is done again when it is asked for again: what stands behind each route is itself
done once (a run knows its requests by their id, the queue its jobs by their key).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devices.clock import wall_time
from orchestrator.sqlite_file import changing

KEPT_S = 86_400.0
"""How long a key is known, s: much longer than a request is fresh."""

_SCHEMA = """CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY, digest TEXT NOT NULL, time_s REAL NOT NULL, owner TEXT NOT NULL,
    status INTEGER, answer BLOB
)"""


class OtherRequest(Exception):  # noqa: N818 - what it is
    """The key was used for something else."""


class StillDone(Exception):  # noqa: N818 - what it is
    """The same request is being carried out."""


@dataclass(frozen=True)
class Given:
    """An answer that was given before.

    Attributes:
        status: HTTP status.
        answer: Body.
    """

    status: int
    answer: bytes


class Once:
    """The keys.

    Args:
        path: The SQLite file; made if it is not there.
        owner: Tells this process from one before it.
        now: Unix time, s.
    """

    def __init__(self, path: Path, owner: str, *, now: Callable[[], float] = wall_time) -> None:
        self._path, self._owner, self._now = path, owner, now

    def begin(self, key: str, digest: str) -> Given | None:
        """Begin a request, or get the answer that it was given before.

        Args:
            key: Who asks and their key.
            digest: Of what is asked for.

        Raises:
            OtherRequest: The key was used for something else.
            StillDone: It is being carried out.
            sqlite3.Error: Nothing can be written.
        """
        with self._changing() as db:
            db.execute("DELETE FROM requests WHERE time_s < ?", (self._now() - KEPT_S,))
            row = db.execute(
                "SELECT digest, owner, status, answer FROM requests WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                db.execute(
                    "INSERT INTO requests (key, digest, time_s, owner) VALUES (?, ?, ?, ?)",
                    (key, digest, self._now(), self._owner),
                )
                return None
            if row[0] != digest:
                raise OtherRequest
            if row[2] is not None:
                return Given(int(row[2]), bytes(row[3]))
            if row[1] == self._owner:
                raise StillDone
            db.execute("UPDATE requests SET owner = ? WHERE key = ?", (self._owner, key))
            return None

    def end(self, key: str, status: int, answer: bytes) -> None:
        """Keep an answer.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        with self._changing() as db:
            db.execute(
                "UPDATE requests SET status = ?, answer = ? WHERE key = ?", (status, answer, key)
            )

    def forget(self, key: str) -> None:
        """It was not carried out: asked for again it is new.

        Raises:
            sqlite3.Error: It cannot be written.
        """
        with self._changing() as db:
            db.execute("DELETE FROM requests WHERE key = ?", (key,))

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with changing(self._path) as db:
            db.execute(_SCHEMA)
            yield db
