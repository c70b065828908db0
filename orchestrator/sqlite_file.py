"""A SQLite file that several processes use at once, and that keeps what it has acknowledged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import OrchestratorError

BUSY_S = 5.0
"""Longest wait for another process's transaction, s."""


@contextmanager
def reading(path: Path, *, busy_s: float = BUSY_S) -> Iterator[sqlite3.Connection]:
    """A connection of one's own, closed afterwards; rows are read by name or number.

    Args:
        path: The file; made if it is not there.
        busy_s: Longest wait for somebody else, s.

    Raises:
        sqlite3.Error: The file cannot be used.
    """
    db = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    try:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # acknowledged is on the disk
        yield db
    finally:
        db.close()


@contextmanager
def changing(path: Path, *, busy_s: float = BUSY_S) -> Iterator[sqlite3.Connection]:
    """As `reading`, in one transaction that nobody can come between; all of it holds or nothing.

    Raises:
        sqlite3.Error: The file cannot be used.
    """
    with reading(path, busy_s=busy_s) as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


class SqliteFile:
    """A file whose users are told in this program's words why it cannot be used.

    Args:
        path: The file; made if it is not there.
        error: What is raised then.
        busy_s: Longest wait for somebody else, s.
    """

    def __init__(
        self, path: Path, error: type[OrchestratorError], *, busy_s: float = BUSY_S
    ) -> None:
        self._path, self._error, self._busy_s = path, error, busy_s

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """As the function of that name."""
        with self._understood(), reading(self._path, busy_s=self._busy_s) as db:
            yield db

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """As the function of that name."""
        with self._understood(), changing(self._path, busy_s=self._busy_s) as db:
            yield db

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(
                str(self._path), f"cannot be used: {error}", remedy="check disk and file"
            ) from error
