"""One question and one answer: a line of JSON each, small, and checked before anything is done."""

from __future__ import annotations

import math
import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from devices.clock import monotonic
from plans.control import LONGEST_TEXT, VERBS

MAX_BYTES = 65_536
"""Longest line that is read; more is refused before it is kept."""

LONGEST_WAIT_S = 300.0
"""Longest time for which an answer may be waited for, real s."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ARGUMENTS = {"after": 16, "device": 100, "text": LONGEST_TEXT, "path": 200, "value": 100}
"""Arguments that are known, with their longest text."""

_LONGEST_NAME = 200


class BadMessage(ValueError):  # noqa: N818 - what it is
    """A line is no message; says why."""


@dataclass(frozen=True)
class Message:
    """What is asked.

    Attributes:
        verb: One of `plans.control.VERBS`, or ``status``.
        arguments: As of `plans.control.Request`.
        id: Sent again with the same id it is the same request.
        wait_s: Longest wait for the answer, real s.
        on_behalf: Who asked the process that asks, for the records; empty for nobody else.
    """

    verb: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    wait_s: float = 30.0
    on_behalf: str = ""


@dataclass(frozen=True)
class Answer:
    """What came of it.

    Attributes:
        standing: ``waiting``, ``accepted``, ``done`` or ``refused``.
        text: A sentence.
        run: Uid of the run.
        pid: The process that answers.
        status: What goes on, where that was asked for.
    """

    standing: str
    text: str
    run: str = ""
    pid: int = 0
    status: Mapping[str, Any] | None = None


def encode(message: Message | Answer) -> bytes:
    """As one line."""
    return orjson.dumps(asdict(message), option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def decode_message(line: bytes) -> Message:
    """Read and check a question.

    Raises:
        BadMessage: It is none.
    """
    value = _object(line)
    verb, request_id = value.get("verb"), value.get("id")
    if verb not in (*VERBS, "status"):
        raise BadMessage(f"got the verb {str(verb)[:40]!r}")
    if not isinstance(request_id, str) or not _ID.fullmatch(request_id):
        raise BadMessage("the id is not 1 to 64 letters, digits, '-' and '_'")
    wait_s = value.get("wait_s", 30.0)
    if not isinstance(wait_s, int | float) or not math.isfinite(wait_s):
        raise BadMessage("wait_s is not a number")
    arguments = _checked(value.get("arguments", {}))
    on_behalf = value.get("on_behalf", "")
    if not isinstance(on_behalf, str) or len(on_behalf) > _LONGEST_NAME:
        raise BadMessage(f"on_behalf is not a text of at most {_LONGEST_NAME} characters")
    wait_s = min(max(float(wait_s), 0.0), LONGEST_WAIT_S)
    return Message(verb, arguments, request_id, wait_s, printable(on_behalf))


def _checked(arguments: Any) -> dict[str, Any]:
    if not isinstance(arguments, dict) or not set(arguments) <= set(_ARGUMENTS):
        raise BadMessage("got arguments that nothing takes")
    for name, value in arguments.items():
        if isinstance(value, str):
            if len(value) > _ARGUMENTS[name]:
                raise BadMessage(f"{name} is longer than {_ARGUMENTS[name]} characters")
        elif value is not None and not isinstance(value, int | float):
            raise BadMessage(f"{name} is neither a text nor a number")
    return {name: printable(v) if isinstance(v, str) else v for name, v in arguments.items()}


def printable(text: str) -> str:
    """A text without what a terminal would act on; line breaks become spaces."""
    spaced = text.replace("\n", " ").replace("\t", " ")
    return "".join(c if c.isprintable() else "?" for c in spaced).strip()


def decode_answer(line: bytes) -> Answer:
    """Read an answer.

    Raises:
        BadMessage: It is none.
    """
    value = _object(line)
    try:
        return Answer(**value)
    except TypeError as error:
        raise BadMessage(str(error)) from error


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except ValueError as error:
        raise BadMessage(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadMessage("not a JSON object")
    return value


def read_line(connection: socket.socket, timeout_s: float) -> bytes:
    """One line from a connection within so many real seconds.

    Raises:
        BadMessage: It is too long, or the other side closed before its end.
        TimeoutError: It did not come in time.
    """
    deadline_s, received = monotonic() + timeout_s, b""
    while not received.endswith(b"\n"):
        left_s = deadline_s - monotonic()
        if left_s <= 0.0:
            raise TimeoutError
        connection.settimeout(left_s)
        piece = connection.recv(4096)
        if not piece:
            raise BadMessage("closed before the end of the line")
        received += piece
        if len(received) > MAX_BYTES:
            raise BadMessage(f"longer than {MAX_BYTES} bytes")
    return received
