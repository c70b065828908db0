"""Heads of audit logs that have left this machine in a message: what a chain alone cannot show.

A chain shows that a line was changed, put in or taken out. That its end was cut off, or that it
was written anew from the beginning, shows only against a head that is kept elsewhere: in the mail
that people were sent, and in ``anchors.jsonl`` of the state directory.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from orchestrator.errors import RecordError
from orchestrator.records.audit import chain_of, head_of
from orchestrator.records.directory import DataDirectory
from orchestrator.state import state_directory


@dataclass(frozen=True)
class Anchor:
    """A head that was sent.

    Attributes:
        data: The data directory, as an absolute path.
        chain: Hash of the first line of its log: what the log is known by when it was moved.
        seq: Number of the line that was the last.
        hash: Its hash.
        time: When it was sent, Unix s; 0 before.
        channel: Who was sent it.
    """

    data: str
    chain: str
    seq: int
    hash: str
    time: float = 0.0
    channel: str = ""

    @property
    def said(self) -> str:
        """When and to whom it was sent."""
        return f"sent {datetime.fromtimestamp(self.time, UTC):%Y-%m-%d %H:%M}Z by {self.channel}"


def anchors_file() -> Path:
    """Where the anchors of this machine are."""
    return state_directory() / "alerts" / "anchors.jsonl"


def present_head(data: Path | str) -> Anchor | None:
    """The head of a data directory's audit log now; None where there is no line."""
    if not data:
        return None
    path = DataDirectory(Path(data)).audit
    head, chain = head_of(path), chain_of(path)
    if head is None or chain is None:
        return None
    return Anchor(str(Path(data).resolve()), chain, *head)


def keep(anchor: Anchor) -> None:
    """Note an anchor that was sent.

    Raises:
        OSError: It cannot be written.
    """
    path = anchors_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, orjson.dumps(asdict(anchor)) + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def anchors_of(data: Path, path: Path, *, must_exist: bool = False) -> list[Anchor]:
    """Anchors of a data directory's log: by its path, and by its first line where it was moved.

    Args:
        data: The data directory.
        path: File with the anchors.
        must_exist: Whether it is an error that there is no such file.

    Raises:
        RecordError: The file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not must_exist:
            return []
        what = f"cannot be read: {error.strerror}"
        raise RecordError(str(path), what, remedy="check path and owner") from None
    chain, where = chain_of(DataDirectory(data).audit), str(data.resolve())
    found = [anchor for line in lines if (anchor := _anchor(line)) is not None]
    return [one for one in found if one.data == where or (chain and one.chain == chain)]


def _anchor(line: bytes) -> Anchor | None:
    """An anchor; None for a line that was torn."""
    try:
        said: dict[str, Any] = orjson.loads(line)
        return Anchor(**said)
    except (ValueError, TypeError):
        return None
