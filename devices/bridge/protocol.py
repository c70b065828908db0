"""Lines in, lines and blocks out: the bridge protocol without a socket.

`docs/reference/bridge-protocol.md` is the definition. A plug-in supplies a table of commands; one
`Session` per connection parses its lines, keeps its error queue and its authentication.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from devices.bridge.authentication import Authentication
from devices.clock import wall_time

MAX_LINE_BYTES = 65_536
MAX_BLOCK_BYTES = 64 * 1024 * 1024
MAX_QUEUE = 20

ERROR_TEXTS: Mapping[int, str] = {
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
    -240: "Hardware error",
    -350: "Queue overflow",
}
"""SCPI-99 volume 2, chapter 21.8: the numbers used here and their texts."""


class Refusal(Exception):  # noqa: N818 - a refused command is an answer of the protocol, no fault
    """A command that the bridge or its plug-in refuses.

    Args:
        code: SCPI error number, one of `ERROR_TEXTS`.
        detail: What is wrong, with got and expected.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        self.code, self.detail = code, detail
        super().__init__(self.entry())

    def entry(self) -> str:
        """The queue entry, ``-222,"Data out of range;tr_s: got 0, ..."``."""
        text = ERROR_TEXTS[self.code] + (f";{self.detail}" if self.detail else "")
        printable = text.replace('"', "'").encode("ascii", "backslashreplace").decode()
        return f'{self.code},"{"".join(c if c.isprintable() else " " for c in printable)}"'


@dataclass(frozen=True)
class Command:
    """What runs at a header, and the JSON type of its argument (None: it takes nothing)."""

    run: Callable[..., object]
    takes: type | None = None


CommandTable = Mapping[str, Command]
"""Commands by header in SCPI notation, ``ACQuire:STATus?``.

A query's `run` returns a JSON-able value, text ready for the line (`Line`) or bytes for a block.
"""


@dataclass(frozen=True)
class Line:
    """Text that goes out as it is, not as JSON."""

    text: str


def header_forms(header: str) -> list[str]:
    """Every spelling of a header in capitals: long or short form of each keyword.

    Example:
        >>> header_forms("SYSTem:TIME?")
        ['SYST:TIME?', 'SYSTEM:TIME?']
    """
    mark = "?" if header.endswith("?") else ""
    forms = []
    for keyword in header.rstrip("?").split(":"):
        short = "".join(letter for letter in keyword if not letter.islower())
        forms.append(sorted({short, keyword.upper()}, key=len))
    return [":".join(parts) + mark for parts in itertools.product(*forms)]


def block(payload: bytes) -> bytes:
    """Definite length arbitrary block response data, IEEE 488.2, 8.7.9."""
    length = str(len(payload))
    return f"#{len(length)}{length}".encode() + payload


def parse_json(text: str, takes: type) -> Any:
    """A JSON argument of one type; no NaN, no repeated keys.

    Raises:
        Refusal: -102 where it is not JSON, -104 where it is of another type.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(-102, f"JSON: {error}"[:200]) from None
    if not isinstance(value, takes):
        raise Refusal(-104, f"got {type(value).__name__}, expected {takes.__name__}")
    return value


class Session:
    """One client's conversation.

    Args:
        identity: Reply to ``*IDN?``: manufacturer, model, serial, firmware.
        commands: The plug-in's commands.
        authentication: Challenge of this connection; None: none is required.
    """

    def __init__(
        self, identity: str, commands: CommandTable, authentication: Authentication | None = None
    ) -> None:
        self._authentication = authentication
        self._errors: deque[Refusal] = deque()
        self._open = _expand(
            {
                "*IDN?": Command(lambda: Line(identity)),
                "AUTHenticate:CHALlenge?": Command(self._challenge),
                "AUTHenticate:RESPonse?": Command(self._response, takes=dict),
                "SYSTem:ERRor?": Command(self._next_error),
                "*CLS": Command(self._errors.clear),
            }
        )
        self._protected = _expand(
            {
                "*OPC?": Command(lambda: 1),
                "SYSTem:TIME?": Command(wall_time),
                **commands,
            }
        )

    @property
    def authenticated(self) -> bool:
        """Whether the client may use the plug-in's commands."""
        return self._authentication is None or self._authentication.passed

    def answer(self, message: bytes) -> bytes | None:
        """Run one line, without its terminator; the reply comes without one, too."""
        query = False
        try:
            header, argument = _split(message)
            query = header.endswith("?")
            command = self._find(header.upper())
            reply = command.run(*_arguments(command, argument))
        except Refusal as refusal:
            return self._refused(refusal, query=query)
        return _encode(reply) if query else None

    def fail(self, message: bytes, refusal: Refusal) -> bytes | None:
        """Answer a line on which the plug-in itself failed."""
        header = message.strip(b" ").partition(b" ")[0]
        return self._refused(refusal, query=header.endswith(b"?"))

    def _refused(self, refusal: Refusal, *, query: bool) -> bytes | None:
        """A query is told at once; a command's error waits in the queue."""
        if query:
            return b"!" + refusal.entry().encode()
        self._record(refusal)
        return None

    def _find(self, header: str) -> Command:
        if header in self._open:
            return self._open[header]
        if not self.authenticated:
            raise Refusal(-203, "authenticate first")
        if header not in self._protected:
            raise Refusal(-113, header[:64])
        return self._protected[header]

    def _record(self, refusal: Refusal) -> None:
        if len(self._errors) >= MAX_QUEUE:
            self._errors[-1] = Refusal(-350)
        else:
            self._errors.append(refusal)

    def _next_error(self) -> Line:
        return Line(self._errors.popleft().entry() if self._errors else '0,"No error"')

    def _challenge(self) -> dict[str, object]:
        if self._authentication is None:
            return {"required": False}
        return {"required": True, "nonce": self._authentication.challenge()}

    def _response(self, response: dict[str, object]) -> dict[str, str]:
        if self._authentication is None:
            raise Refusal(-221, "no authentication is required")
        mac = self._authentication.respond(response.get("client_nonce"), response.get("mac"))
        if mac is None:
            raise Refusal(-203, "wrong response, or no open challenge")
        return {"mac": mac}


def _expand(commands: CommandTable) -> dict[str, Command]:
    return {form: command for header, command in commands.items() for form in header_forms(header)}


def _split(message: bytes) -> tuple[str, str]:
    if len(message) > MAX_LINE_BYTES:
        raise Refusal(-223, f"line: got {len(message)} bytes, at most {MAX_LINE_BYTES}")
    if any(byte < 0x20 or byte > 0x7E for byte in message):
        raise Refusal(-101, "only printable ASCII")
    header, _, argument = message.decode("ascii").strip(" ").partition(" ")
    if not header:
        raise Refusal(-102, "empty line")
    return header, argument.strip(" ")


def _arguments(command: Command, text: str) -> tuple[Any, ...]:
    if command.takes is None:
        if text:
            raise Refusal(-108, text[:64])
        return ()
    if not text:
        raise Refusal(-109, f"expected a JSON {command.takes.__name__}")
    return (parse_json(text, command.takes),)


def _encode(reply: object) -> bytes:
    if isinstance(reply, bytes):
        return block(reply)
    if isinstance(reply, Line):
        return reply.text.encode("ascii", "backslashreplace")
    return json.dumps(reply, allow_nan=False, separators=(",", ":")).encode("ascii")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
