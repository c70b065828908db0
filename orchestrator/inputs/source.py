"""Reads YAML and JSON files with the position of every key and value, within strict caps.

YAML 1.2's core schema decides what a plain scalar is, so `on`, `no` and `yes` stay words and
`7e6` is a number. Refused: tags, duplicate keys, several documents, undefined or recursive
aliases, control characters, other encodings than UTF-8, and anything above the caps below,
before it costs memory or time. JSON is read the same way: it is a subset of YAML 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from orchestrator.inputs.problems import (
    Finding,
    InvalidInput,
    Problem,
    described,
    printable,
    sorted_problems,
)
from orchestrator.inputs.problems import Path as KeyPath

MAX_BYTES = 256 * 1024
"""Largest file; a day-long protocol with every step written out has 10 kB."""
MAX_DEPTH = 24
"""Deepest nesting."""
MAX_NODES = 50_000
"""Most keys and values after aliases are expanded."""
_MAX_NUMBER_LENGTH = 64

_FORBIDDEN = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}


@dataclass(frozen=True)
class Place:
    """A position in a file, from 1."""

    file: str
    line: int
    column: int


@dataclass
class Source:
    """A file's content and where each part of it stands.

    Attributes:
        file: Name for messages.
        data: Plain dictionaries, lists and scalars.
        values: Place of every value by its path of keys.
        keys: Place of every mapping key by its path.
    """

    file: str
    data: Any
    values: dict[KeyPath, Place] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)

    def place(self, finding: Finding) -> Problem:
        """Put a finding at its line and column; the nearest known parent where it has none."""
        path = finding.path
        own = self.keys.get(path) if finding.at_key else self.values.get(path)
        while own is None and path:
            path = path[:-1]
            own = self.keys.get(path) or self.values.get(path)
        own = own or Place(self.file, 1, 1)
        return Problem(own.file, own.line, own.column, finding)

    def graft(self, path: KeyPath, other: Source) -> None:
        """Put another file's content at a key of this one; its places stay its own."""
        target = self.data
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = other.data
        for mine, theirs in ((self.values, other.values), (self.keys, other.keys)):
            mine.update({path + at: place for at, place in theirs.items()})


def read_source(path: Path) -> Source:
    """Read one YAML or JSON file.

    Raises:
        InvalidInput: With every problem that reading alone can find.
    """
    name = printable_path(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _invalid(name, f"cannot be read: {reason}", "check the path") from None
    return parse_source(raw, name)


def parse_source(raw: bytes, file: str) -> Source:
    """Parse the bytes of a YAML or JSON file; see `read_source`."""
    return _Parser(file).parse(_text(raw, file))


def is_readable_file(path: Path) -> bool:
    """Whether a path names a file; False for any text that cannot be a path."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def printable_path(path: Path) -> str:
    """A path as messages show it."""
    return "".join(c if c.isprintable() else "?" for c in str(path)[-400:])


def _invalid(file: str, what: str, remedy: str, line: int = 1, column: int = 1) -> InvalidInput:
    return InvalidInput([Problem(file, line, column, Finding((), what, remedy))])


def _text(raw: bytes, file: str) -> str:
    if len(raw) > MAX_BYTES:
        raise _invalid(
            file,
            f"got more than {MAX_BYTES // 1024} KiB, expected a file that a person wrote",
            "is this the right file? Use loops instead of repeated steps",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        got = f"got byte 0x{raw[error.start]:02x}, expected UTF-8 text"
        raise _invalid(file, got, "save the file as UTF-8", line, column) from None
    found = _FORBIDDEN.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1
        got = f"got the control character 0x{ord(found[0]):02x}, expected text"
        raise _invalid(file, got, "remove it", line, column)
    if not text.strip():
        raise _invalid(
            file, "is empty", "`operando new --like in_situ_mri` writes a file to start from"
        )
    return text


@dataclass
class _Node:
    """One value of the file; aliases share it."""

    place: Place
    value: Any
    keys: dict[str, Place] = field(default_factory=dict)
    complete: bool = False


class _Parser:
    """Builds the tree of one file and collects what reading alone can find."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []
        self._anchors: dict[str, _Node] = {}
        self._count = 0

    def parse(self, text: str) -> Source:
        """Build the source, or raise every problem."""
        try:
            root = self._document(YAML(typ="safe", pure=True).parse(text))
        except MarkedYAMLError as error:
            raise self._syntax(error) from None
        except (YAMLError, ValueError, IndexError, KeyError, RecursionError) as error:
            # ruamel.yaml's scanner raises these bare on some malformed directives and escapes
            what = f"is not YAML: {printable(str(error))}"
            raise _invalid(self._file, what, "check quotes, brackets and indentation") from None
        source = Source(self._file, None)
        if not self._problems:
            source.data = self._expand(root, (), source)
        if self._problems:
            raise InvalidInput(self._problems)
        return source

    def _syntax(self, error: MarkedYAMLError) -> InvalidInput:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        what = printable(f"is not YAML: {error.problem or error.context}")
        finding = Finding((), what, "check quotes, brackets, indentation and the line above")
        problem = Problem(self._file, line, column, finding)
        return InvalidInput(sorted_problems([*self._problems, problem]))

    def _document(self, events: Iterable[Event]) -> _Node:
        """Build the only document."""
        stream = iter(events)
        root: _Node | None = None
        for event in stream:
            if isinstance(event, DocumentStartEvent) and root is not None:
                self._note(event, "got a second document (---)", "keep one experiment per file")
                break
            if isinstance(event, ScalarEvent | AliasEvent | MappingStartEvent | SequenceStartEvent):
                root = self._node(event, stream, 0)
        return root or _Node(Place(self._file, 1, 1), None)

    def _place(self, event: Event) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _note(self, event: Event, what: str, remedy: str) -> None:
        place = self._place(event)
        finding = Finding((), what, remedy)
        self._problems.append(Problem(self._file, place.line, place.column, finding))

    def _node(self, event: Event, stream: Iterator[Event], depth: int) -> _Node:
        if depth > MAX_DEPTH:
            place = self._place(event)
            raise _invalid(
                self._file,
                f"is nested deeper than {MAX_DEPTH} levels",
                "check brackets and indentation",
                place.line,
                place.column,
            )
        if isinstance(event, AliasEvent):
            return self._alias(event)
        node = _Node(self._place(event), None)
        self._label(event, node)
        if isinstance(event, ScalarEvent):
            node.value = scalar(event.value) if event.style is None else event.value
        elif isinstance(event, MappingStartEvent):
            self._mapping(node, stream, depth)
        else:
            self._sequence(node, stream, depth)
        node.complete = True
        return node

    def _label(self, event: Any, node: _Node) -> None:
        """Remember an anchor; refuse a tag."""
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if event.tag is not None:
            tag = printable(str(event.tag))
            self._note(event, f"got the tag {tag}, expected none", "write the value plainly")

    def _sequence(self, node: _Node, stream: Iterator[Event], depth: int) -> None:
        node.value = []
        for item in stream:
            if isinstance(item, CollectionEndEvent):
                break
            node.value.append(self._node(item, stream, depth + 1))

    def _alias(self, event: AliasEvent) -> _Node:
        target = self._anchors.get(event.anchor)
        if target is None or not target.complete:
            what = f"got the alias *{printable(str(event.anchor))}"
            expected = "an anchor defined before it" if target is None else "no anchor around it"
            self._note(event, f"{what}, expected {expected}", "write the value out")
            return _Node(self._place(event), None, complete=True)
        return _Node(self._place(event), target.value, target.keys, complete=True)

    def _mapping(self, node: _Node, stream: Iterator[Event], depth: int) -> None:
        node.value = {}
        for event in stream:
            if isinstance(event, CollectionEndEvent):
                break
            key = self._key(event, stream, depth)
            value = self._node(next(stream), stream, depth + 1)
            if key is None:
                continue
            if key in node.keys:
                first = node.keys[key].line
                what = f"got the key {printable(key)} twice, first in line {first}"
                self._note(event, what, "keep one of them")
                continue
            node.keys[key] = self._place(event)
            node.value[key] = value

    def _key(self, event: Event, stream: Iterator[Event], depth: int) -> str | None:
        """A key's text, whatever it looks like: `on`, `1` and `null` are keys, not values."""
        if isinstance(event, ScalarEvent) and event.tag is None and event.anchor is None:
            return str(event.value)
        if not isinstance(event, ScalarEvent):
            self._node(event, stream, depth + 1)
        self._note(event, "got a key that is not a plain word", "write the key as a word")
        return None

    def _expand(self, node: _Node, path: KeyPath, source: Source) -> Any:
        """Plain data with places; counts what aliases multiply before it costs memory."""
        self._count += 1
        if self._count > MAX_NODES or len(path) > MAX_DEPTH:
            raise _invalid(
                self._file,
                f"has more than {MAX_NODES} values or {MAX_DEPTH} levels once aliases are expanded",
                "write loops instead of aliases",
            )
        source.values[path] = node.place
        if isinstance(node.value, dict):
            source.keys.update({(*path, key): place for key, place in node.keys.items()})
            return {k: self._expand(v, (*path, k), source) for k, v in node.value.items()}
        if isinstance(node.value, list):
            return [self._expand(v, (*path, i), source) for i, v in enumerate(node.value)]
        return node.value


def scalar(text: str) -> Any:
    """Value of a plain scalar in YAML 1.2's core schema (yaml.org/spec/1.2.2, section 10.3)."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MAX_NUMBER_LENGTH:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def top_mapping(source: Source, meaning: str) -> dict[str, Any]:
    """The file's mapping.

    Raises:
        InvalidInput: The file holds something else.
    """
    if isinstance(source.data, dict):
        return source.data
    what = f"got {described(source.data)}, expected the keys of {meaning}"
    raise InvalidInput([source.place(Finding((), what, "write `key: value` lines"))])
