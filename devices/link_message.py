"""Commands as bytes, and what a link may do with them."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from devices.link_numbers import GarbledReplyError
from devices.roles import Identity

_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")

_POPS = re.compile(
    r"\*ESR\?|:?SYST(?:EM)?:(?:ERR|EVEN)"
    r"|:?STAT(?:US)?(?::(?!COND|ENAB|PTR|NTR)\w+)*\?$",
    re.IGNORECASE,
)
"""Queries whose reply removes what it reports (IEEE 488.2 11.5.1.2.2; SCPI 1999 volume 2,
chapters 20 and 21): repeating one after its reply was lost would lose an error."""


@dataclass(frozen=True)
class Message:
    """One command.

    Attributes:
        data: Its bytes with terminator.
        asks: Whether a reply follows.
        repeatable: Whether sending it twice does the same as once: every part is a query, and
            none takes something out of a queue.
    """

    data: bytes
    asks: bool
    repeatable: bool


@functools.lru_cache(maxsize=1024)
def encode(command: str, termination: str) -> Message:
    """Message for one command.

    A trailing terminator is accepted, as PyVISA does.

    Raises:
        ValueError: The command holds a CR, LF or NUL, which would end or split it.
    """
    text = command.removesuffix(termination) if termination else command
    if any(character in text for character in "\r\n\0"):
        raise ValueError(f"command {command!r} holds CR, LF or NUL, expected one line")
    headers = [part.split(maxsplit=1)[0] for part in _parts(text)]
    queries = [header.endswith("?") for header in headers]
    pops = any(_POPS.match(header) for header in headers)
    repeatable = bool(queries) and all(queries) and not pops
    return Message((text + termination).encode("utf-8"), any(queries), repeatable)


def _parts(text: str) -> list[str]:
    """Non-empty parts between semicolons, quoted strings left out."""
    return [part for part in _QUOTED.sub("", text).split(";") if part.strip()]


def parse_identity(reply: str) -> Identity:
    """Fields of an ``*IDN?`` reply (IEEE 488.2 10.14: four, separated by commas).

    Raises:
        GarbledReplyError: The reply is empty or not printable.
    """
    if not reply.strip() or not reply.isprintable():
        raise GarbledReplyError(f"got {reply!r}, expected an identity")
    fields = [field.strip() for field in reply.split(",", 3)]
    return Identity(*(fields + [""] * (4 - len(fields))))
