"""Variables of an experiment file: ``$j``, ``-$j``, ``3600 * $q / $j``; nothing is executed.

A text is a reference if all of it is a product or quotient of numbers and names with at least
one ``$name`` in it; every other text, ``costs $5`` for one, is a text. ``$$name`` is the text
``$name``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from orchestrator.inputs.problems import Finding, Path, described, name_remedy
from orchestrator.inputs.source import Source, scalar

NAME = "[A-Za-z][A-Za-z0-9_]{0,49}"
"""What a variable may be called."""

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FACTOR = rf"(?:\${NAME}|{_NUMBER})"
REFERENCE = rf"\s*-?\s*{_FACTOR}(?:\s*[*/]\s*{_FACTOR})*\s*"
"""A product; it is a reference if it holds a ``$``."""

_REFERENCE = re.compile(REFERENCE)
_TOKEN = re.compile(rf"\${NAME}|{_NUMBER}|[*/]")
_LONGEST = 200
_DIGITS = 12
"""Digits kept of a product: 3 * 0.1 is 0.3."""

OWN_KEYS = ("variables", "sweep")
"""Keys of a file that say what the references stand for."""

FIXED_KEYS = ("experiment", "bench")
"""Keys that all runs of a campaign share, so that no variable stands in them."""

_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {"*": operator.mul, "/": operator.truediv}


@dataclass(frozen=True)
class Variable:
    """What a name stands for.

    Attributes:
        value: Its value: a number, a text, a list or a mapping.
        path: Where that value stands in the file, for messages.
    """

    value: Any
    path: Path


Scope = Mapping[str, Variable]


class NoValue(ValueError):  # noqa: N818 - it becomes a finding
    """A reference cannot be worked out; says what is wrong and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


def names_in(text: str) -> tuple[str, ...]:
    """Names of the variables in a text; none where it is a plain text."""
    if "$" not in text or len(text) > _LONGEST or _REFERENCE.fullmatch(text) is None:
        return ()
    return tuple(token[1:] for token in _TOKEN.findall(text) if token.startswith("$"))


def evaluated(text: str, scope: Scope) -> Any:
    """Value of a reference.

    Args:
        text: For which `names_in` gives at least one name.
        scope: What the names stand for.

    Raises:
        NoValue: A name is unknown, what it stands for is no number where one is needed, or the
            quotient is by 0.
    """
    known = ", ".join(sorted(scope))
    tokens = _TOKEN.findall(text)
    values = [_factor(token, scope, known) for token in tokens[::2]]
    negative = text.lstrip().startswith("-")
    if len(values) == 1 and not negative:
        return values[0]
    for token, value in zip(tokens[::2], values, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float):
            what = f"got {text.strip()}, where {token} is {described(value)}, expected a number"
            raise NoValue(what, f"write {token} alone, or give it a number")
    result = values[0]
    try:
        for sign, value in zip(tokens[1::2], values[1:], strict=True):
            result = _OPERATIONS[sign](result, value)
    except ArithmeticError:
        what = f"got {text.strip()}, a quotient that has no value"
        raise NoValue(what, "give its variables values that are not 0") from None
    result = -result if negative else result
    return float(f"{result:.{_DIGITS}g}") if isinstance(result, float) else result


def _factor(token: str, scope: Scope, known: str) -> Any:
    if not token.startswith("$"):
        return scalar(token)
    name = token[1:]
    if name in scope:
        return scope[name].value
    remedy = name_remedy(name, list(scope)) if known else f"add `variables: {{{name}: ...}}`"
    raise NoValue(
        f"got {token}, expected a variable of this file", f"{remedy}; the text itself is ${token}"
    )


def references(data: Any, path: Path = ()) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Every reference in a value with the names in it."""
    if isinstance(data, dict):
        for key, inner in data.items():
            yield from references(inner, (*path, key))
    elif isinstance(data, list):
        for index, inner in enumerate(data):
            yield from references(inner, (*path, index))
    elif isinstance(data, str) and (names := names_in(data)):
        yield path, names


class Substitution:
    """One file's content with every reference replaced.

    The places of what a variable brings in are those of the variable's value: there it is wrong.

    Args:
        source: The file; it is not changed.

    Attributes:
        source: A copy without `OWN_KEYS`, with values for references.
        findings: What could not be worked out.
        unknown: Where a reference has no value; what is said of such a place is no news.
    """

    def __init__(self, source: Source) -> None:
        self._from = source
        self._broken: set[str] = set()
        self.unknown: set[Path] = set()
        content = {key: value for key, value in source.data.items() if key not in OWN_KEYS}
        self.source = Source(source.file, content, dict(source.values), dict(source.keys))
        self.findings: list[Finding] = []

    def variable(self, name: str, value: Any, scope: Scope) -> Variable:
        """What a name of `variables` stands for, which may use those in `scope`."""
        path, found = ("variables", name), len(self.findings)
        variable = Variable(self.replaced(value, path, scope), path)
        if len(self.findings) > found:
            self._broken.add(name)
        return variable

    def replace(self, scope: Scope) -> None:
        """Put values in the place of references."""
        for key in FIXED_KEYS:
            text = self.source.data.get(key)
            if isinstance(text, str) and names_in(text):
                what = f"got {text.strip()}, expected the text itself: every run shares it"
                self.findings.append(Finding((key,), what, "write it out"))
        self.source.data = {
            key: inner if key in FIXED_KEYS else self.replaced(inner, (key,), scope)
            for key, inner in self.source.data.items()
        }

    def replaced(self, value: Any, path: Path, scope: Scope) -> Any:
        """One value with what its references stand for."""
        if isinstance(value, dict):
            return {key: self.replaced(v, (*path, key), scope) for key, v in value.items()}
        if isinstance(value, list):
            return [self.replaced(v, (*path, i), scope) for i, v in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value
        names = names_in(value)
        if not names:
            return value[1:] if value.startswith("$$") and names_in(value[1:]) else value
        if self._broken.intersection(names):
            self.unknown.add(path)
            return value
        try:
            found = evaluated(value, scope)
        except NoValue as error:
            self.findings.append(Finding(path, error.what, self._remedy(names, scope, error)))
            self.unknown.add(path)
            return value
        if len(set(names)) == 1:
            self._move(scope[names[0]].path, path, whole=isinstance(found, dict | list))
        return deepcopy(found)

    def _remedy(self, names: Iterable[str], scope: Scope, error: NoValue) -> str:
        given = self._from.data.get("variables")
        if any(name not in scope and name in (given or ()) for name in names):
            return "a variable may use those before it: move it down"
        return error.remedy

    def _move(self, origin: Path, path: Path, *, whole: bool) -> None:
        """Give what stands at `path` now the places of what stands at `origin`."""
        depth = len(origin)
        if origin in self._from.values:
            self.source.values[path] = self._from.values[origin]
        if not whole:
            return
        for mine, theirs in (
            (self.source.values, self._from.values),
            (self.source.keys, self._from.keys),
        ):
            inner = {at: place for at, place in theirs.items() if len(at) > depth}
            mine.update({path + k[depth:]: p for k, p in inner.items() if k[:depth] == origin})
