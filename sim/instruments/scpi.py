"""A small, strict SCPI front end for simulated instruments.

It parses what SCPI-1999 volume 1 (chapters 5 to 7) and IEEE 488.2 (sections 7, 10 and 11) say of
program messages: short and long forms, optional nodes, numeric suffixes, compound messages with
relative and absolute headers, quoted strings, common commands, the status byte and the error
queue. It knows no I/O and no thread; an instrument adds its headers as its manual prints them::

    class Thermometer(ScpiInstrument):
        def __init__(self, world: World) -> None:
            super().__init__(world, "ACME,T1000,SIM-0001,1.0")
            self.unit = "C"
            self.on(":UNIT[:TEMPerature]", self._set_unit, lambda: self.unit)
            self.on(":MEASure[:TEMPerature]", query=lambda: f"{world.temperature_celsius:.3f}")
            self.on(":CHANnel<n>:LABel", self._label, self._label_query)

        def _set_unit(self, text: str) -> None:
            self.unit = choice(text, "Celsius", "Kelvin")

        def _label(self, channel: int, text: str) -> None: ...
        def _label_query(self, channel: int) -> str: ...

    Thermometer(world).answer(b":UNIT CEL;:MEAS?")  # -> b"25.000"

A handler takes the header's numeric suffixes (a missing one is 1) and then the parameters as
text, which `number`, `boolean`, `choice` and `string` convert; its signature says how many
parameters it accepts. It raises `ScpiError` for what the instrument would put into its error
queue. A header that the instrument does not have gives -113 and, while `strict`, raises
`sim.errors.UnknownCommand` so that a test fails where the real instrument would only complain.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sim.errors import UnknownCommand
from sim.instruments.scpi_text import (
    ERRORS,
    ScpiError,
    block,
    boolean,
    choice,
    integer,
    number,
    parameters,
    short_form,
    split,
    string,
)
from sim.world import World

__all__ = [
    "Handler",
    "Reply",
    "ScpiError",
    "ScpiInstrument",
    "block",
    "boolean",
    "choice",
    "integer",
    "number",
    "string",
]

Reply = str | bytes | None
Handler = Callable[..., Reply]

_QUEUE_LENGTH = 32
_REMEMBERED_MESSAGES = 512
_MOST_ARGUMENTS = 64
_OPERATION_COMPLETE, _QUERY_ERROR, _DEVICE_ERROR = 0x01, 0x04, 0x08
_EXECUTION_ERROR, _COMMAND_ERROR, _POWER_ON = 0x10, 0x20, 0x80


@dataclass(frozen=True)
class _Taught:
    """A handler and the number of arguments it accepts."""

    handler: Handler
    low: int
    high: int


@dataclass
class _Command:
    """What a header does as a command and as a query."""

    execute: _Taught | None = None
    query: _Taught | None = None


@dataclass
class _Node:
    """One level of the header tree."""

    children: dict[str, tuple[_Node, bool]] = field(default_factory=dict)
    command: _Command = field(default_factory=_Command)


@dataclass(frozen=True)
class _Unit:
    """One program message unit, ready to run."""

    handler: Handler
    arguments: tuple[Any, ...]
    query: bool


_GROUP = re.compile(r"\[([^\]]*)\]")
_MNEMONIC = re.compile(r"([A-Za-z*]+?)(\d*)\Z")
_UNIT = re.compile(r"\s*(:?\s*\*?[A-Za-z0-9_:]+)(\?)?(?:\s+(.*))?\Z", re.DOTALL)


class ScpiInstrument:
    """Base of simulated instruments that speak SCPI; see the module's text.

    Args:
        world: The sample and its surroundings; its lock is held while a message is answered.
        identity: Reply to ``*IDN?``; its serial number begins with ``SIM-``.
        strict: Raise `sim.errors.UnknownCommand` for a header that the instrument does not have.
    """

    def __init__(self, world: World, identity: str, *, strict: bool = True) -> None:
        self.world = world
        self.identity = identity
        self.strict = strict
        self._root = _Node()
        self._headers: dict[str, tuple[_Command, tuple[int, ...]]] = {}
        self._messages: dict[bytes, list[_Unit]] = {}
        self._errors: deque[tuple[int, str]] = deque()
        self._event_status = _POWER_ON
        self._enables = {"ESE": 0, "SRE": 0}
        self._add_common_commands()

    def on(self, header: str, execute: Handler | None = None, query: Handler | None = None) -> None:
        """Teach the instrument a header.

        Args:
            header: As the manual prints it, without ``?``: ``:OUTPut[1][:STATe]``,
                ``:TRIGger:TIMer<n>:DELay``.
            execute: Called for the command, None where the manual says "query only".
            query: Called for the query, None where the manual says "command only".
        """
        command = _Command(_taught(execute), _taught(query))
        for path in _expand(header):
            node = self._root
            for name in path:
                node = _child(node, name)
            node.command.execute = command.execute or node.command.execute
            node.command.query = command.query or node.command.query

    def headers(self) -> list[str]:
        """Every header that it knows, once and without suffixes; for whoever tests it."""
        return [f"{head}{mark}" for head, mark in _walk(self._root, "")]

    def answer(self, message: bytes) -> bytes | None:
        """Execute one program message (no terminator) and return its reply, or None.

        Raises:
            UnknownCommand: A header is unknown and the instrument is `strict`.
        """
        with self.world.lock:
            self.before_message()
            units = self._messages.get(message)
            if units is None:
                return self._interpret(message)
            return self._run(units)

    def before_message(self) -> None:
        """Bring the world to the present; called before each message."""
        self.world.catch_up()

    def reset(self) -> None:
        """Do what ``*RST`` does; instruments extend it."""

    def busy(self) -> bool:
        """Whether an overlapped operation is pending: ``*OPC?`` and ``*WAI`` wait for it."""
        return False

    def report(self, code: int, text: str = "") -> None:
        """Put an event into the error queue and its bit into the event status register."""
        if code:
            self._event_status |= _status_bit(code)
        if len(self._errors) >= _QUEUE_LENGTH:
            self._errors[-1] = (-350, ERRORS[-350])
        else:
            self._errors.append((code, text or ERRORS.get(code, "Device-specific error")))

    def format_error(self, code: int, text: str) -> str:
        """One entry of the error queue as the instrument prints it."""
        return f'{code},"{text}"'

    @property
    def errors(self) -> list[tuple[int, str]]:
        """Entries of the error queue, oldest first; looking does not remove them."""
        return list(self._errors)

    def _interpret(self, message: bytes) -> bytes | None:
        """Parse, remember if it may be repeated, run."""
        try:
            text = message.decode("ascii")
        except UnicodeDecodeError:
            self.report(-101)
            return None
        units: list[_Unit] = []
        failure: ScpiError | None = None
        unknown = ""
        try:
            for unit in self._units(text):
                units.append(unit)  # noqa: PERF402 - units before a faulty one still run
        except ScpiError as error:
            failure, unknown = error, text if error.code == -113 else ""
        if failure is None:
            if len(self._messages) >= _REMEMBERED_MESSAGES:
                self._messages.clear()
            self._messages[message] = units
        reply = self._run(units)
        if failure is not None:
            self.report(failure.code, failure.text)
        if unknown and self.strict:
            raise UnknownCommand(f"{self.identity}: no such command in {unknown!r}")
        return reply

    def _units(self, text: str) -> Iterator[_Unit]:
        """Program message units in order; SCPI-1999 volume 1, section 6.2.4 for relative ones."""
        path = ""
        for part in split(text, ";"):
            if not part.strip():
                continue
            match = _UNIT.match(part)
            if match is None:
                raise ScpiError(-101 if not part.isprintable() else -102)
            header, mark, rest = match[1].replace(" ", "").upper(), match[2], match[3]
            if "*" in header:
                header = header.lstrip(":")
            else:
                header = header if header.startswith(":") else f"{path}:{header}"
                path = header.rpartition(":")[0]
            yield self._unit(header, parameters(rest or ""), query=mark is not None)

    def _unit(self, header: str, arguments: list[str], *, query: bool) -> _Unit:
        found = self._headers.get(header)
        if found is None:
            found = self._headers[header] = self._look_up(header)
        command, suffixes = found
        taught = command.query if query else command.execute
        if taught is None:
            raise ScpiError(-113)
        given = len(suffixes) + len(arguments)
        if not taught.low <= given <= taught.high:
            raise ScpiError(-109 if given < taught.low else -108)
        return _Unit(taught.handler, (*suffixes, *arguments), query)

    def _look_up(self, header: str) -> tuple[_Command, tuple[int, ...]]:
        """Walk the tree; -113 where a node is missing."""
        node, suffixes = self._root, []
        for name in header.lstrip(":").split(":"):
            found = node.children.get(name)
            if found is None:
                match = _MNEMONIC.match(name)
                found = node.children.get(match[1]) if match is not None else None
                if match is None or found is None or not found[1]:
                    raise ScpiError(-113)
                suffixes.append(int(match[2]))
            elif found[1]:
                suffixes.append(1)
            node = found[0]
        if node.command.execute is None and node.command.query is None:
            raise ScpiError(-113)
        return node.command, tuple(suffixes)

    def _run(self, units: list[_Unit]) -> bytes | None:
        replies: list[bytes] = []
        for unit in units:
            try:
                reply = unit.handler(*unit.arguments)
            except ScpiError as error:
                self.report(error.code, error.text)
                continue
            if unit.query and reply is not None:
                replies.append(reply if isinstance(reply, bytes) else reply.encode("ascii"))
        return b";".join(replies) if replies else None

    def _add_common_commands(self) -> None:
        """IEEE 488.2 section 10 and SCPI-1999 volume 2, section 21.8."""
        self.on("*IDN", query=lambda: self.identity)
        self.on("*RST", lambda: self.reset())
        self.on("*CLS", self._clear_status)
        self.on("*OPC", self._operation_complete, lambda: None if self.busy() else "1")
        self.on("*WAI", lambda: None)
        self.on("*TST", query=lambda: "0")
        self.on("*ESR", query=self._read_event_status)
        self.on("*STB", query=lambda: str(self._status_byte()))
        self.on("*ESE", lambda text: self._enable("ESE", text), lambda: str(self._enables["ESE"]))
        self.on("*SRE", lambda text: self._enable("SRE", text), lambda: str(self._enables["SRE"]))
        self.on(":SYSTem:ERRor[:NEXT]", query=self._next_error)
        self.on(":SYSTem:ERRor:COUNt", query=lambda: str(len(self._errors)))
        self.on(":SYSTem:CLEar", lambda: self._errors.clear())

    def _clear_status(self) -> None:
        self._errors.clear()
        self._event_status = 0

    def _operation_complete(self) -> None:
        if not self.busy():
            self._event_status |= _OPERATION_COMPLETE

    def _read_event_status(self) -> str:
        value, self._event_status = self._event_status, 0
        return str(value)

    def _enable(self, register: str, text: str) -> None:
        self._enables[register] = integer(text, 0, 255)

    def _status_byte(self) -> int:
        """Bits 2 (error queue) and 5 (standard event summary) and the master summary 6."""
        byte = (0x04 if self._errors else 0) | (
            0x20 if self._event_status & self._enables["ESE"] else 0
        )
        return byte | (0x40 if byte & self._enables["SRE"] else 0)

    def _next_error(self) -> str:
        code, text = self._errors.popleft() if self._errors else (0, "No error")
        return self.format_error(code, text)


def _status_bit(code: int) -> int:
    """Bit of the standard event status register for an error (IEEE 488.2 section 11.5.1)."""
    if code > 0 or -400 < code <= -300:
        return _DEVICE_ERROR
    if code <= -400:
        return _QUERY_ERROR
    return _EXECUTION_ERROR if code <= -200 else _COMMAND_ERROR


def _expand(header: str) -> Iterator[list[str]]:
    """All paths that a printed header allows, with ``[1]`` and ``<n>`` marked by ``#``."""
    text = re.sub(r"<[a-zA-Z]>|\[<n>\]", "#", header).replace("[1]", "%")
    parts = _GROUP.split(text)
    for keep in itertools.product((True, False), repeat=len(parts) // 2):
        kept = [
            part if index % 2 == 0 or keep[index // 2] else "" for index, part in enumerate(parts)
        ]
        yield [name for name in "".join(kept).split(":") if name]


def _child(node: _Node, name: str) -> _Node:
    """Child under its short and long forms, made if missing.

    ``#`` marks a numeric suffix that goes to the handler, ``%`` one that may only be 1.
    """
    bare = name.rstrip("#%")
    suffixed = name.endswith("#")
    forms = {short_form(bare), bare.upper()}
    found = next((node.children[form] for form in forms if form in node.children), None)
    entry = found or (_Node(), suffixed)
    for form in forms:
        node.children[form] = entry
        if name.endswith("%"):
            node.children[f"{form}1"] = entry
    return entry[0]


def _walk(node: _Node, head: str) -> Iterator[tuple[str, str]]:
    """Headers below a node, by its children's shortest names, with ``?`` where it is a query."""
    if node.command.execute is not None:
        yield head, ""
    if node.command.query is not None:
        yield head, "?"
    shortest: dict[int, tuple[str, _Node]] = {}
    for name, (child, _) in node.children.items():
        known = shortest.get(id(child))
        if known is None or len(name) < len(known[0]):
            shortest[id(child)] = name, child
    for name, child in shortest.values():
        yield from _walk(child, name if name.startswith("*") else f"{head}:{name}")


def _taught(handler: Handler | None) -> _Taught | None:
    """A handler with the smallest and largest number of positional arguments it takes."""
    if handler is None:
        return None
    accepted = inspect.signature(handler).parameters.values()
    positional = [p for p in accepted if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    low = sum(p.default is p.empty for p in positional)
    endless = any(p.kind is p.VAR_POSITIONAL for p in accepted)
    return _Taught(handler, low, _MOST_ARGUMENTS if endless else len(positional))
