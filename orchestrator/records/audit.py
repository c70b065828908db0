"""`audit.jsonl`: who decided what and when; append-only, each line sealed to the one before.

A line is one JSON object. `hash` is the SHA-256 of the line without it; `prev` is the hash of the
line before, so that nothing can be changed, put in or taken out of the middle unnoticed. A chain
alone cannot show that its end was cut off: keep its `AuditCheck.head` elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from devices.clock import wall_time
from orchestrator.errors import RecordError
from orchestrator.records.directory import sync_directory
from orchestrator.records.locks import FileLock

GENESIS = "0" * 64
"""What the first line names as the one before."""

MAX_LINE_BYTES = 16_384
_LOCK_TIMEOUT_S = 5.0


@dataclass
class AuditCheck:
    """What `verify` found.

    Attributes:
        lines: Lines that are whole and in the chain.
        head: Hash of the last of them.
        problems: What is not as it was written, one sentence each, in order.
        first_broken: Number of the first line of the file, from 1, that is not; None where every
            line is.
    """

    lines: int = 0
    head: str = GENESIS
    first_broken: int | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every line is as it was written."""
        return not self.problems


class AuditLog:
    """Appends decisions; several processes may.

    Args:
        path: The file.
        now: Real time, Unix s.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = wall_time) -> None:
        self.path, self._now = path, now

    def append(self, kind: str, who: str, **what: Any) -> dict[str, Any]:
        """Write one line; after this returns it survives a power loss.

        Args:
            kind: What was decided, for example ``stop``.
            who: Who did, and from where.
            **what: What belongs to it, as JSON takes it.

        Returns:
            The line.

        Raises:
            RecordError: It cannot be written.
        """
        lock = FileLock(self.path.with_suffix(".lock"))
        try:
            lock.acquire(_LOCK_TIMEOUT_S)
            return self._append(kind, who, what)
        except (OSError, TypeError) as error:
            raise RecordError(
                f"audit {self.path.name}",
                f"cannot be written: {error}",
                remedy="check the disk; a stop and a pause are carried out all the same",
            ) from error
        finally:
            lock.release()

    def _append(self, kind: str, who: str, what: Mapping[str, Any]) -> dict[str, Any]:
        new = not self.path.exists()
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            seq, prev, torn = _end_of(fd)
            time = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
            line = {"seq": seq + 1, "time": time, "kind": kind, "who": who, "what": dict(what)}
            line |= {"prev": prev}
            sealed = {**line, "hash": _hash(line)}
            data = orjson.dumps(sealed)
            if len(data) > MAX_LINE_BYTES:
                raise OSError(f"the line has {len(data)} bytes, at most {MAX_LINE_BYTES}")
            os.write(fd, (b"\n" if torn else b"") + data + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        if new:
            sync_directory(self.path.parent)
        return sealed


def _end_of(fd: int) -> tuple[int, str, bool]:
    """Number and hash of the last whole line, and whether an unfinished one comes after it."""
    size = os.lseek(fd, 0, io.SEEK_END)
    begin = max(0, size - 4 * MAX_LINE_BYTES)
    tail = os.pread(fd, size - begin, begin)
    for raw in reversed(tail.split(b"\n")):
        line = _sealed(raw)
        if line is not None:
            return int(line["seq"]), str(line["hash"]), not tail.endswith(b"\n")
    return -1, GENESIS, bool(tail) and not tail.endswith(b"\n")


def _hash(line: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(line, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _sealed(raw: bytes) -> dict[str, Any] | None:
    """A line whose hash is right; None if it is not one."""
    try:
        line = orjson.loads(raw)
        body = {key: value for key, value in line.items() if key != "hash"}
        right = line["hash"] == _hash(body) and isinstance(line["seq"], int) and "prev" in line
    except (ValueError, AttributeError, KeyError, TypeError):
        return None
    return line if right else None


def head_of(path: Path) -> tuple[int, str] | None:
    """Number and hash of the last whole line; None where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        seq, head, _ = _end_of(fd)
    finally:
        os.close(fd)
    return None if seq < 0 else (seq, head)


def chain_of(path: Path) -> str | None:
    """Hash of the first line, which tells one log from another; None where there is none."""
    try:
        with path.open("rb") as file:
            line = _sealed(file.readline(MAX_LINE_BYTES + 1).rstrip(b"\n"))
    except OSError:
        return None
    return None if line is None else str(line["hash"])


def read_audit(path: Path) -> list[dict[str, Any]]:
    """Every whole line in order; empty where there is no file."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return [line for raw in lines if (line := _sealed(raw)) is not None]


@dataclass(frozen=True)
class Kept:
    """A head that was kept elsewhere.

    Attributes:
        hash: The hash, or its beginning of at least `SHORTEST_HASH` characters.
        where: Where it was kept, for messages.
    """

    hash: str
    where: str = "kept elsewhere"


SHORTEST_HASH = 16
"""Characters of a hash that tell it from any other."""


def verify(path: Path, *, head: str | None = None, kept: Sequence[Kept] = ()) -> AuditCheck:
    """Follow the chain from its first line.

    Args:
        path: The file; none is an empty chain.
        head: A hash that was noted elsewhere: the line with it must still be there.
        kept: More of them.
    """
    check = AuditCheck()
    seen = {GENESIS}
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        lines = []
    for number, raw in enumerate(lines, 1):
        if not raw:
            continue
        line = _sealed(raw)
        if line is None:
            _broken(check, number, f"line {number} is not as it was written, or unfinished")
            continue
        if line["prev"] != check.head:
            _broken(check, number, f"line {number} does not follow the line before it")
        check.lines, check.head = check.lines + 1, str(line["hash"])
        seen.add(check.head)
    for one in [*([Kept(head)] if head is not None else []), *kept]:
        if not any(_names(one.hash, known) for known in seen):
            shown = one.hash[:SHORTEST_HASH]
            check.problems.append(
                f"no line has the hash {shown}... ({one.where}): its end was cut off, or it was "
                "written anew"
            )
    return check


def _broken(check: AuditCheck, number: int, problem: str) -> None:
    check.problems.append(problem)
    check.first_broken = check.first_broken or number


def _names(kept: str, known: str) -> bool:
    """Whether what was kept is a hash, or enough of its beginning."""
    return len(kept) >= SHORTEST_HASH and known.startswith(kept)
