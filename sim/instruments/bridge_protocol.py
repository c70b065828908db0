"""The bridge's line protocol as a simulated instrument speaks it.

`docs/reference/bridge-protocol.md` is the definition; the agent for vendor PCs implements it a
second time, on its own, and one contract suite runs against both. An instrument declares its
commands and hands every line to `CommandSet.answer`::

    commands = CommandSet(identity="Operando,MRI console,SIM-MRI-1,1")
    commands.add("ACQuire:STATe?", self._state)                      # takes nothing
    commands.add("ACQuire:CONFigure", self._configure, takes=dict)   # takes a JSON object
    commands.answer(b'ACQ:CONF {"averages": 4}')

Headers are SCPI-like (long or short form of each keyword, any case), one command to a line, at
most one JSON argument after one space. A query always answers: a line, a block (IEEE 488.2,
8.7.9 definite length arbitrary block response data) or, where it fails, its error after a ``!``.
Errors are also queued as in SCPI-99 volume 2, 21.8 and read with ``SYSTem:ERRor?``.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sim.errors import UnknownCommand

MAX_LINE_BYTES = 65_536
MAX_QUEUE = 20

ERROR_TEXTS: Mapping[int, str] = {
    0: "No error",
    -101: "Invalid character",
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -203: "Command protected",
    -213: "Init ignored",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -350: "Queue overflow",
}
"""SCPI-99 volume 2, chapter 21.8: the numbers used here and their texts."""


class CommandError(Exception):
    """A command that is refused.

    Args:
        code: SCPI error number.
        detail: What is wrong, with got and expected.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        self.code = code
        self.detail = detail
        super().__init__(self.entry())

    def entry(self) -> str:
        """The queue entry, ``-222,"Data out of range;tr_s: got 0, ..."``."""
        text = ERROR_TEXTS[self.code] + (f";{self.detail}" if self.detail else "")
        printable = text.replace('"', "'").encode("ascii", "backslashreplace").decode()
        return f'{self.code},"{"".join(c if c.isprintable() else " " for c in printable)}"'


@dataclass(frozen=True)
class Command:
    """One header: what runs and which JSON type it takes (None: nothing)."""

    run: Callable[..., str | bytes | None]
    takes: type | None
    query: bool


def header_forms(header: str) -> list[str]:
    """Every spelling of a header such as ``ACQuire:STATe?``, in capitals.

    Example:
        >>> header_forms("SYSTem:TIME?")
        ['SYST:TIME?', 'SYSTEM:TIME?']
    """
    mark = "?" if header.endswith("?") else ""
    keywords = []
    for keyword in header.rstrip("?").split(":"):
        short = "".join(letter for letter in keyword if not letter.islower())
        keywords.append(sorted({short, keyword.upper()}, key=len))
    return [":".join(parts) + mark for parts in itertools.product(*keywords)]


def block(payload: bytes) -> bytes:
    """A definite length block: ``#``, number of digits, length, payload."""
    length = str(len(payload))
    return f"#{len(length)}{length}".encode() + payload


def json_line(value: object) -> str:
    """JSON on one line of ASCII; NaN is not allowed to pass."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


class CommandSet:
    """The commands of one instrument, its error queue and the common commands.

    Args:
        identity: Reply to ``*IDN?``: manufacturer, model, serial, firmware.
        strict: Raise `UnknownCommand` at an undefined header, so that a test fails.
    """

    def __init__(self, *, identity: str, strict: bool = True) -> None:
        self.strict = strict
        self._commands: dict[str, Command] = {}
        self._errors: deque[CommandError] = deque()
        self.add("*IDN?", lambda: identity)
        self.add("*OPC?", lambda: "1")
        self.add("*CLS", self.clear)
        self.add("SYSTem:ERRor?", self.next_error)
        self.add("AUTHenticate:CHALlenge?", lambda: json_line({"required": False}))

    def add(
        self, header: str, run: Callable[..., str | bytes | None], *, takes: type | None = None
    ) -> None:
        """Declare a command; `takes` is the JSON type of its argument."""
        command = Command(run, takes, header.endswith("?"))
        for form in header_forms(header):
            self._commands[form] = command

    def headers(self) -> list[str]:
        """Every header that it knows, in every spelling; for whoever tests it."""
        return list(self._commands)

    def clear(self) -> None:
        """Empty the error queue."""
        self._errors.clear()

    def next_error(self) -> str:
        """Take the oldest error from the queue."""
        return self._errors.popleft().entry() if self._errors else '0,"No error"'

    def record(self, error: CommandError) -> None:
        """Queue an error; the last place is kept for ``Queue overflow`` (SCPI-99 21.8.1)."""
        if len(self._errors) >= MAX_QUEUE:
            self._errors[-1] = CommandError(-350)
        else:
            self._errors.append(error)

    def answer(self, message: bytes) -> bytes | None:
        """Run one line, without its terminator; the reply comes without one, too."""
        query = False
        try:
            header, argument = _split(message)
            query = header.endswith("?")
            command = self._find(header)
            reply = command.run(*_arguments(command, argument))
        except CommandError as error:
            if query:
                return b"!" + error.entry().encode()
            self.record(error)
            return None
        return reply.encode("ascii") if isinstance(reply, str) else reply

    def _find(self, header: str) -> Command:
        try:
            return self._commands[header.upper()]
        except KeyError:
            if self.strict:
                raise UnknownCommand(f"bridge: undefined header {header!r}") from None
            raise CommandError(-113, header[:64]) from None


def _split(message: bytes) -> tuple[str, str]:
    if len(message) > MAX_LINE_BYTES:
        raise CommandError(-223, f"line: got {len(message)} bytes, at most {MAX_LINE_BYTES}")
    if any(byte < 0x20 or byte > 0x7E for byte in message):
        raise CommandError(-101, "only printable ASCII")
    header, _, argument = message.decode("ascii").strip(" ").partition(" ")
    if not header:
        raise CommandError(-102, "empty line")
    return header, argument.strip(" ")


def _arguments(command: Command, text: str) -> tuple[Any, ...]:
    if command.takes is None:
        if text:
            raise CommandError(-108, text[:64])
        return ()
    if not text:
        raise CommandError(-109, f"expected a JSON {command.takes.__name__}")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CommandError(-102, f"JSON: {error}"[:200]) from None
    if not isinstance(value, command.takes):
        raise CommandError(-104, f"got {type(value).__name__}, expected {command.takes.__name__}")
    return (value,)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
