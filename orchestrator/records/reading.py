"""Reading journals: whole, torn, damaged or growing; never more than a line in memory."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.errors import RecordError
from orchestrator.records.encoding import MAX_LINE_BYTES, UnreadableLine, decode_line

_END_BYTES = 2**16
"""A stop document is shorter."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A document of a journal.

    Attributes:
        seq: Its number in the journal, from 0.
        name: Kind of document.
        doc: The document.
        offset: Where its line begins, bytes.
        end: Where the next line begins, bytes.
    """

    seq: int
    name: str
    doc: dict[str, Any]
    offset: int
    end: int


@dataclass(frozen=True, slots=True)
class BadLine:
    """A piece of a journal that is not a document.

    Attributes:
        number: Line number, from 1.
        offset: Where it begins, bytes.
        reason: Why it is not a document.
        raw: Its bytes, without the newline.
        torn: It is the last one and has no newline: writing was cut short.
    """

    number: int
    offset: int
    reason: str
    raw: bytes
    torn: bool = False

    def as_json(self) -> dict[str, Any]:
        """For the quarantine: everything, the bytes in base64."""
        return {
            "line": self.number,
            "offset": self.offset,
            "reason": self.reason,
            "torn": self.torn,
            "base64": base64.b64encode(self.raw).decode(),
        }


@dataclass
class JournalContent:
    """A journal in memory.

    Attributes:
        documents: (name, document) in order, without repetition.
        bad: Pieces that could not be read, in order; the last may be a torn tail.
        missing: How many documents are missing by the numbers of their neighbours, those that
            a bad line held included.
    """

    documents: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    missing: int = 0

    @property
    def torn(self) -> BadLine | None:
        """The torn tail, if there is one."""
        return self.bad[-1] if self.bad and self.bad[-1].torn else None

    @property
    def complete(self) -> bool:
        """Whether the run was closed and nothing of it is damaged or missing."""
        closed = bool(self.documents) and self.documents[-1][0] == "stop"
        return closed and not self.bad and not self.missing


def scan(path: Path, *, offset: int = 0, number: int = 0) -> Iterator[Entry | BadLine]:
    """Everything in a journal in order, one line in memory at a time.

    A repeated document (the same sequence number again) is a bad line. A last line without its
    newline is a document if its checksum is right.

    Args:
        path: The journal.
        offset: Where to begin: an `Entry.end`.
        number: How many lines lie before the offset.

    Raises:
        RecordError: The file cannot be opened or read.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            yield from _entries(file, offset, number)
    except OSError as error:
        raise _unreadable(path, error) from error


def _entries(file: BinaryIO, offset: int, number: int) -> Iterator[Entry | BadLine]:
    last = -1
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        begin, offset = offset, offset + len(line)
        torn = not line.endswith(b"\n")
        try:
            if len(line) > MAX_LINE_BYTES:
                raise UnreadableLine(f"longer than {MAX_LINE_BYTES} bytes")  # noqa: TRY301 - one way
            seq, name, doc = decode_line(line)
            if seq <= last:
                raise UnreadableLine(f"sequence number {seq} after {last}")  # noqa: TRY301 - one way
        except UnreadableLine as error:
            torn = torn and len(line) <= MAX_LINE_BYTES
            yield BadLine(number, begin, str(error), line.rstrip(b"\n"), torn)
        else:
            last = seq
            yield Entry(seq, name, doc, begin, offset)


def read_journal(path: Path) -> JournalContent:
    """A journal's documents in order, with what is damaged and missing.

    Raises:
        RecordError: The file cannot be opened or read.
    """
    content = JournalContent()
    expected = 0
    for piece in scan(path):
        if isinstance(piece, BadLine):
            content.bad.append(piece)
        else:
            content.missing += piece.seq - expected
            expected = piece.seq + 1
            content.documents.append((piece.name, piece.doc))
    return content


def last_document(path: Path) -> tuple[str, dict[str, Any]] | None:
    """Name and document of a journal's last line; looks at the file's end only.

    Returns:
        None if the last line is unfinished or damaged, or longer than a stop document can be.

    Raises:
        RecordError: The file cannot be opened or read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, io.SEEK_END) - _END_BYTES))
            *_, last = [b"", *file.read().splitlines(keepends=True)]
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return decode_line(last)[1:] if last.endswith(b"\n") else None
    except UnreadableLine:
        return None


def is_closed(path: Path) -> bool:
    """Whether a journal's last line is an undamaged stop document.

    Raises:
        RecordError: The file cannot be opened or read.
    """
    last = last_document(path)
    return last is not None and last[0] == "stop"


@dataclass
class Follower:
    """Reads a journal as it grows; a line that is not finished is left for the next time.

    Args:
        path: The journal.
        offset: Where to begin, bytes.

    Attributes:
        bad: Damaged lines seen so far.
        finished: Whether the stop document has been read.
    """

    path: Path
    offset: int = 0
    bad: list[BadLine] = field(default_factory=list)
    finished: bool = False
    _lines: int = 0

    def read(self, max_entries: int = 1000) -> list[Entry]:
        """New documents since the last call, at most `max_entries`.

        Raises:
            RecordError: The file cannot be opened or read.
        """
        found: list[Entry] = []
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                while len(found) < max_entries and (line := file.readline(MAX_LINE_BYTES)):
                    if not line.endswith(b"\n"):
                        break
                    self._take(line, found)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        return found

    def _take(self, line: bytes, found: list[Entry]) -> None:
        begin, self.offset = self.offset, self.offset + len(line)
        self._lines += 1
        try:
            seq, name, doc = decode_line(line)
        except UnreadableLine as error:
            self.bad.append(BadLine(self._lines, begin, str(error), line.rstrip(b"\n")))
            return
        found.append(Entry(seq, name, doc, begin, self.offset))
        self.finished = self.finished or name == "stop"


def follow(path: Path, offset: int = 0) -> Follower:
    """Follow a journal that may still be written; see `Follower`."""
    return Follower(path, offset)


def _unreadable(path: Path, error: OSError) -> RecordError:
    return RecordError(
        f"journal {path.name}",
        f"cannot be read: {error.strerror or error}",
        remedy="check the path and the disk; `operando runs` lists the journals",
    )
