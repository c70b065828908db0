"""The journal of a run: append-only, one checked line per document, fsynced: the truth.

Everything else (the catalogue, reports, exports) is derived from journals and can be rebuilt.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devices.clock import monotonic
from orchestrator.errors import RecordError
from orchestrator.records.ballast import SIZE_BYTES, Ballast
from orchestrator.records.directory import DataDirectory, checked_uid, sync_directory
from orchestrator.records.encoding import encode_line

SYNC_EVERY_S = 1.0
"""Real seconds after which events and pages are fsynced at the latest with the next document."""

_MAY_WAIT = frozenset({"event", "event_page"})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Journal:
    """One open journal; use `create`.

    The file is locked while it is open, so that recovery leaves it alone. The engine's loop is its
    only writer; `sync` may be called from another thread meanwhile.

    Args:
        path: The file, which must be new.
        write: Writes bytes to a descriptor and returns how many; `os.write` but in tests.
        fsync: Makes a descriptor durable; `os.fsync` but in tests.
        now: Monotonic real seconds.
        ballast_bytes: Space kept back for the last documents; 0 keeps none.

    Attributes:
        due: Something was written that is to be acknowledged before anything else happens.
    """

    def __init__(
        self,
        path: Path,
        *,
        write: Callable[[int, bytes], int] = os.write,
        fsync: Callable[[int], None] = lambda descriptor: os.fsync(descriptor),
        now: Callable[[], float] = monotonic,
        ballast_bytes: int = SIZE_BYTES,
    ) -> None:
        self.path = path
        self._write, self._fsync, self._now = write, fsync, now
        self._durable = threading.Lock()
        self.due = False
        self._ballast: Ballast | None = None
        self._fd = -1
        self._seq = self._size = 0
        self._acknowledged = -1
        self._full = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = _new_locked(path)
            if ballast_bytes:
                self._ballast = Ballast(path.with_suffix(".ballast"), ballast_bytes)
            sync_directory(path.parent)
        except OSError as error:
            self._give_up()
            raise self._failed("cannot be begun", error) from error
        self._synced_s = now()

    @classmethod
    def create(cls, directory: Path, uid: str, **kwargs: Any) -> Journal:
        """Begin the journal of a run.

        Args:
            directory: Where journals are; made if it does not exist.
            uid: The run's uid, which names the file.
            **kwargs: As for the class.

        Raises:
            RecordError: The uid cannot name a file, the run has a journal, or the disk refuses.
        """
        return cls(directory / f"{checked_uid(uid)}.jsonl", **kwargs)

    @property
    def uid(self) -> str:
        """Uid of the run."""
        return self.path.stem

    @property
    def acknowledged(self) -> int:
        """Sequence number of the last fsynced document, -1 before the first."""
        return self._acknowledged

    @property
    def written(self) -> int:
        """Sequence number of the last written document, -1 before the first."""
        return self._seq - 1

    def append(self, name: str, doc: dict[str, Any], *, defer: bool = False) -> int:
        """Write a document; returns its sequence number.

        Events and pages are fsynced when the last fsync is a second of real time ago, every
        other document at once; with `defer` the caller does that, where `due` says so. When the
        disk is full the document is written in the space of the ballast and the first such time
        raises, so that the run ends; the documents of its end then go the same way.

        Raises:
            RecordError: The document cannot be encoded, or the disk refuses it.
        """
        if self._fd < 0:
            raise RecordError(
                self._who, f"is closed, got a {name} document", remedy="begin another run"
            )
        line = encode_line(self._seq, name, doc)
        full = self._put(line)
        self._size += len(line)
        self._seq += 1
        if name not in _MAY_WAIT or self._now() - self._synced_s >= SYNC_EVERY_S:
            self.due = True
            if not defer:
                self.sync()
        if full is not None and not self._full:
            self._full = True
            self.sync()
            raise self._failed(f"the disk is full; the {name} document is safe", full) from full
        return self._seq - 1

    def sync(self) -> None:
        """Acknowledge everything written so far: it survives a power loss.

        Raises:
            RecordError: The disk refuses.
        """
        written, self.due = self.written, False  # what is written meanwhile is due again
        with self._durable:
            if self._fd < 0 or self._acknowledged >= written:
                return
            try:
                self._fsync(self._fd)
            except OSError as error:
                raise self._failed("cannot be fsynced", error) from error
            self._acknowledged = written
            self._synced_s = self._now()

    def close(self) -> None:
        """Fsync and close; idempotent."""
        if self._fd >= 0:
            try:
                self.sync()
            finally:
                self._give_up()

    @property
    def _who(self) -> str:
        return f"journal {self.path.name}"

    def _put(self, line: bytes) -> OSError | None:
        """Write a whole line or nothing; returns why the ballast had to give, if it had."""
        try:
            self._write_all(line)
        except OSError as error:
            self._cut_back(error)
            gives = error.errno in _FULL and self._ballast is not None
            if not gives or not self._ballast_gives(len(line)):
                raise self._failed("cannot be written", error) from error
            try:
                self._write_all(line)
            except OSError as again:
                self._cut_back(again)
                raise self._failed("cannot be written", again) from again
            return error
        return None

    def _ballast_gives(self, size_bytes: int) -> bool:
        return self._ballast is not None and self._ballast.give(size_bytes)

    def _write_all(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[self._write(self._fd, rest) :]  # type: ignore[arg-type]

    def _cut_back(self, cause: OSError) -> None:
        """Take a half-written line back, so that the next one begins on a line of its own."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            raise self._failed("holds half a line", error) from cause

    def _give_up(self) -> None:
        with self._durable:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
        if self._ballast is not None:
            self._ballast.drop()

    def _failed(self, what: str, error: OSError) -> RecordError:
        return RecordError(
            self._who,
            f"{what}: {error.strerror or error}",
            remedy=f"free space on, or replace, the disk of {self.path.parent}",
        )


def _new_locked(path: Path) -> int:
    """Make a file that is locked from the moment it has its name."""
    unnamed = path.with_suffix(".new")
    fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.link(unnamed, path)  # unlike a rename it fails if the run has a journal
    except OSError:
        os.close(fd)
        raise
    finally:
        unnamed.unlink()
    return fd


class JournalWriter:
    """The engine's first consumer: a journal for each run, from its start to its stop document.

    Args:
        directory: The data directory.
        now: Monotonic real seconds.
        **kwargs: As for `Journal`.

    Attributes:
        defers: Whoever writes calls `sync` after each document where `due` says so; a start and
            a stop are acknowledged at once in any case.
    """

    def __init__(
        self, directory: DataDirectory, *, now: Callable[[], float] = monotonic, **kwargs: Any
    ) -> None:
        self.directory = directory
        self._options: dict[str, Any] = {"now": now, **kwargs}
        self.defers = False
        self._open: dict[str, Journal] = {}
        self._run_of: dict[str, str] = {}
        self._last: Journal | None = None

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Append a document to its run's journal.

        Raises:
            RecordError: The document belongs to no open run, or cannot be recorded.
        """
        if name == "start":
            uid = doc["uid"]
            journal = Journal.create(self.directory.journals, uid, **self._options)
            self._open[uid] = self._last = journal
        else:
            uid = self._run(name, doc)
        self._open[uid].append(name, doc, defer=self.defers and name not in ("start", "stop"))
        if name == "stop":
            self._open.pop(uid).close()
            self._run_of = {key: run for key, run in self._run_of.items() if run != uid}

    @property
    def journal(self) -> Journal | None:
        """The journal of the run begun last; None before the first."""
        return self._last

    @property
    def written(self) -> int:
        """Sequence number of the last written document of the run begun last; -1 before it."""
        return -1 if self._last is None else self._last.written

    @property
    def acknowledged(self) -> int:
        """Sequence number of the last fsynced document of the run begun last; -1 if none is."""
        return -1 if self._last is None else self._last.acknowledged

    @property
    def due(self) -> bool:
        """Whether something is to be acknowledged before anything else happens."""
        return any(journal.due for journal in self._open.values())

    def sync(self) -> None:
        """Acknowledge everything written so far, of every open run; from any thread."""
        for journal in list(self._open.values()):
            journal.sync()

    def close(self) -> None:
        """Close every journal as it stands; a run without a stop document is for recovery."""
        for journal in self._open.values():
            journal.close()
        self._open.clear()
        self._run_of.clear()

    def _run(self, name: str, doc: dict[str, Any]) -> str:
        """Uid of the open run that a document belongs to."""
        run = doc.get("run_start")
        for parent in ("descriptor", "stream_resource", "resource"):
            run = run or self._run_of.get(str(doc.get(parent)))
        if run is None and "run_start" not in doc and len(self._open) == 1:
            run = next(iter(self._open))
        if run not in self._open:
            raise RecordError(
                f"{name} document",
                f"belongs to run {run}, expected one of {sorted(self._open) or 'no'} open runs",
                remedy="emit documents between the run's start and stop",
            )
        if name in ("descriptor", "stream_resource", "resource"):
            self._run_of[doc["uid"]] = str(run)
        return str(run)
