"""What went over a wire, as JSON lines that can be replayed as a test.

Each line holds `t_s` (monotonic host seconds), `bench_s` (experiment time, Unix s; null without a
clock), `what` (open, write, read, bytes, error, close, full) and `data`, the bytes as Latin-1 text:
that is exact for any byte and readable for most instruments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from devices.clock import monotonic

MAX_TRANSCRIPT_BYTES = 256 * 1024 * 1024
"""A transcript stops here, and says so, rather than fill the disk of a long run."""


class Transcript:
    """Writes what a link sends and receives.

    Args:
        path: File of JSON lines; appended to. Readable by its owner only.
        bench_time: Experiment time, Unix s.
        max_bytes: The transcript ends with a line `full` at this size.
    """

    def __init__(
        self,
        path: Path,
        bench_time: Callable[[], float] | None = None,
        *,
        max_bytes: int = MAX_TRANSCRIPT_BYTES,
    ) -> None:
        path.touch(mode=0o600)
        self._file: TextIO | None = path.open("a", encoding="utf-8", buffering=1)
        self._bench_time, self._left = bench_time, max_bytes - path.stat().st_size

    def record(self, what: str, data: bytes = b"") -> None:
        """Append one line."""
        if self._file is None:
            return
        bench_s = self._bench_time() if self._bench_time is not None else None
        line = {
            "t_s": monotonic(),
            "bench_s": bench_s,
            "what": what,
            "data": data.decode("latin-1"),
        }
        text = json.dumps(line) + "\n"
        self._left -= len(text)
        if self._left < 0:
            self._file.write(json.dumps({**line, "what": "full", "data": ""}) + "\n")
            self.close()
            return
        self._file.write(text)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None


class ReplayMismatchError(AssertionError):
    """A replayed client sent something else than the transcript has next."""


class ReplayInstrument:
    """An instrument that answers exactly what a transcript recorded, in the same order.

    Where the recorded instrument did not answer, this one does not either.

    Args:
        path: A transcript written by `Transcript`.
    """

    def __init__(self, path: Path) -> None:
        self._exchanges: list[tuple[bytes, bytes | None]] = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            self._add(json.loads(line), number)
        self._next = 0

    def _add(self, record: dict[str, Any], number: int) -> None:
        data = record["data"].encode("latin-1")
        if record["what"] == "write":
            self._exchanges.append((data, None))
        elif record["what"] in ("read", "bytes"):
            if not self._exchanges:
                raise ReplayMismatchError(f"transcript: line {number} reads before any write")
            message, reply = self._exchanges[-1]
            end = b"\n" if record["what"] == "read" and reply is not None else b""
            self._exchanges[-1] = (message, (reply or b"") + end + data)

    def answer(self, message: bytes) -> bytes | None:
        """Recorded reply to the next recorded message.

        Raises:
            ReplayMismatchError: `message` is not the next one.
        """
        if self._next >= len(self._exchanges):
            raise ReplayMismatchError(f"transcript: got {message!r} after its end")
        expected, reply = self._exchanges[self._next]
        if message != expected:
            raise ReplayMismatchError(
                f"transcript: exchange {self._next + 1}: got {message!r}, expected {expected!r}"
            )
        self._next += 1
        return None if reply is None else _without_terminator(reply)

    @property
    def remaining(self) -> int:
        """Number of recorded messages not yet replayed."""
        return len(self._exchanges) - self._next


_BLOCK = re.compile(rb"#([1-9])")


def _without_terminator(reply: bytes) -> bytes:
    """Reply without the newline behind it, where a driver has read that too.

    A newline that is the last byte of a binary block stays.
    """
    block = _BLOCK.match(reply)
    if block is None:
        return reply.removesuffix(b"\n")
    start = 2 + int(block.group(1))
    return reply[: start + int(reply[2:start])]
