"""A SQLite file that several processes use at once, and that keeps what it has acknowledged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
