"""Where a data directory keeps what; file names come from uids, never from what people typed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import RecordError

_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_STREAM = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")


@dataclass(frozen=True)
class DataDirectory:
    """The layout of a data directory.

    Args:
        root: The directory that ``--data`` names; it need not exist.
    """

    root: Path

    @property
    def journals(self) -> Path:
        """One ``<uid>.jsonl`` per run: the truth."""
        return self.root / "journals"

    @property
    def store(self) -> Path:
        """Tiled's catalogue and tables, rebuilt from the journals."""
        return self.root / "store"

    @property
    def reports(self) -> Path:
        """One directory per run with its report and figures."""
        return self.root / "reports"

    @property
    def rehearsals(self) -> Path:
        """One directory per rehearsal, with its page; nothing in it was measured."""
        return self.root / "rehearsals"

    @property
    def live(self) -> Path:
        """State of what runs now, replaced about once a second."""
        return self.root / "live.json"

    def bench(self, name: str) -> Path:
        """Standing metadata of a bench and the number of its last run."""
        return self.root / "benches" / f"{_NOT_IN_NAMES.sub('_', name)[:100] or '_'}.yaml"

    @property
    def checkpoints(self) -> Path:
        """One ``<uid>.json`` per run that is under way or was cut off: what it goes on from."""
        return self.root / "checkpoints"

    def checkpoint(self, uid: str) -> Path:
        """Checkpoint of a run."""
        return self.checkpoints / f"{checked_uid(uid)}.json"

    @property
    def audit(self) -> Path:
        """Who decided what and when; each line sealed to the one before."""
        return self.root / "audit.jsonl"

    def control(self, uid: str) -> Path:
        """Where the process of a run listens, while it goes on."""
        return self.root / "control" / f"{checked_uid(uid)}.json"

    def journal(self, uid: str) -> Path:
        """Journal of a run."""
        return self.journals / f"{checked_uid(uid)}.jsonl"

    def quarantine(self, uid: str) -> Path:
        """Lines of a run's journal that could not be read."""
        return self.journals / f"{checked_uid(uid)}.bad.jsonl"

    def frames(self, uid: str, stream: str) -> Path:
        """Frames of a stream of a run."""
        return self.root / "frames" / checked_uid(uid) / f"{checked_stream(stream)}.h5"

    def report(self, uid: str) -> Path:
        """Report of a run."""
        return self.reports / checked_uid(uid) / "index.html"

    def runs(self) -> Iterator[str]:
        """Uids of every run that has a journal, the one begun or changed last at the end."""
        found = [
            (path.stat().st_mtime_ns, uid)
            for path in self.journals.glob("*.jsonl")
            if _UID.fullmatch(uid := path.name.removesuffix(".jsonl"))
        ]
        yield from (uid for _, uid in sorted(found))


def checked_uid(uid: str) -> str:
    """The uid, if it can be a file's name.

    Raises:
        RecordError: It has other characters than letters, digits, ``-`` and ``_``.
    """
    if not _UID.fullmatch(uid):
        raise RecordError(
            "records",
            f"got {uid[:80]!r} as a run's uid, expected letters, digits, '-' and '_'",
            remedy="let the engine make the uid",
        )
    return uid


def checked_stream(stream: str) -> str:
    """The stream's name, if it can be a file's name and a data key.

    Raises:
        RecordError: It does not match ``[A-Za-z][A-Za-z0-9_]*``.
    """
    if not _STREAM.fullmatch(stream):
        raise RecordError(
            "records",
            f"got {stream[:80]!r} as a stream's name, expected a letter, then letters, "
            "digits and '_'",
            remedy="rename the device",
        )
    return stream


def sync_directory(path: Path) -> None:
    """Make a directory's entries (new and renamed files) survive a power loss."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_durably(temporary: Path, final: Path) -> None:
    """Rename a finished file over another; after this returns a power loss keeps it."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(final)
    sync_directory(final.parent)
