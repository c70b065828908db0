"""Messages out of a stream of bytes."""

from __future__ import annotations

import re

from sim.errors import SimulationError

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""A longer message is refused before it fills memory."""

_TOKEN = re.compile(rb'\n|"[^"\n]*"|\'[^\'\n]*\'|#([1-9])')
"""What matters when looking for the end of a message: a newline, a quoted string, the start of
an IEEE 488.2 definite-length block (`#`, number of digits, length, bytes)."""


class MessageTooLong(SimulationError):  # noqa: N818 - it says what the client did
    """A client sent more than `MAX_MESSAGE_BYTES` without ending its message."""


class Lines:
    """Cuts a stream into lines, none longer than a bound.

    Args:
        max_bytes: The bound.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes as they arrive; returns every line now complete, without terminators.

        Raises:
            MessageTooLong: A line is longer than the bound.
        """
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        if any(len(line) > self._max_bytes for line in (*lines, rest)):
            raise MessageTooLong(f"wire: line of more than {self._max_bytes} bytes")
        self._buffer = rest
        return [bytes(line) for line in lines]


class Framing:
    """Cuts a stream into messages at newlines that are not inside a binary block."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes as they arrive; returns every message now complete, without terminators.

        Raises:
            MessageTooLong: A message, or the block it announces, exceeds `MAX_MESSAGE_BYTES`.
        """
        if not self._buffer and data.count(b"\n") == 1 and data[-1] == 10 and b"#" not in data:
            return [data[:-1].rstrip(b"\r")]
        self._buffer += data
        messages = []
        while (end := self._end_of_message()) is not None:
            messages.append(bytes(self._buffer[:end]).rstrip(b"\r"))
            del self._buffer[: end + 1]
        return messages

    def _end_of_message(self) -> int | None:
        """Index of the newline that ends the first message; None while it is incomplete."""
        position = 0
        while (token := _TOKEN.search(self._buffer, position)) is not None:
            if token.group() == b"\n":
                return token.start()
            position = token.end()
            if token.group(1):
                after = self._after_block(token.end(), int(token.group(1)))
                if after is None:
                    return None
                position = after
        if len(self._buffer) > MAX_MESSAGE_BYTES:
            raise MessageTooLong(f"wire: message of more than {MAX_MESSAGE_BYTES} bytes")
        return None

    def _after_block(self, start: int, digits: int) -> int | None:
        """Index after the block whose length field begins at `start`; None while incomplete."""
        field = bytes(self._buffer[start : start + digits])
        if not field.isdigit():
            return start if b"\n" in field or len(field) == digits else None
        if len(field) < digits:
            return None
        length = int(field)
        if length > MAX_MESSAGE_BYTES:
            raise MessageTooLong(f"wire: block of {length} bytes, at most {MAX_MESSAGE_BYTES}")
        after = start + digits + length
        return after if after <= len(self._buffer) else None
