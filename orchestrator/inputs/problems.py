"""What is wrong with a file that a person wrote, and where.

A `Finding` says what is wrong at a path of keys; a `Problem` is a finding at a line and column of
a file. Validation collects findings, never stops at the first.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Keys and list indices from the top of a file."""

_SHOWN = 60

UNIT_FACTORS: dict[tuple[str, str], float] = {
    ("A", "mA"): 1e3,
    ("uA", "mA"): 1e-3,
    ("nA", "mA"): 1e-6,
    ("mV", "V"): 1e-3,
    ("Ah", "mAh"): 1e3,
    ("uAh", "mAh"): 1e-3,
    ("ah", "mah"): 1e3,
    ("uah", "mah"): 1e-3,
    ("h", "s"): 3600.0,
    ("min", "s"): 60.0,
    ("d", "s"): 86400.0,
    ("ms", "s"): 1e-3,
    ("us", "s"): 1e-6,
    ("mm2", "cm2"): 1e-2,
    ("m2", "cm2"): 1e4,
    ("mm", "cm"): 0.1,
    ("um", "cm"): 1e-4,
    ("cm", "mm"): 10.0,
    ("um", "mm"): 1e-3,
    ("kHz", "Hz"): 1e3,
    ("MHz", "Hz"): 1e6,
    ("Hz", "mhz"): 1e-6,
    ("kHz", "mhz"): 1e-3,
    ("g", "mg"): 1e3,
    ("a", "ma"): 1e3,
    ("ua", "ma"): 1e-3,
    ("mv", "v"): 1e-3,
    ("pa", "mpa"): 1e-6,
    ("kpa", "mpa"): 1e-3,
    ("bar", "mpa"): 0.1,
    ("rad", "deg"): 57.29577951308232,
}
"""(unit written, unit of our key): factor for the value."""


@dataclass(frozen=True)
class Finding:
    """Something wrong at a path of keys.

    Attributes:
        path: Keys and indices from the top of the file.
        what: What was found and what was expected, with units.
        remedy: What the author can do about it.
        at_key: Whether to point at the key rather than at its value.
    """

    path: Path
    what: str
    remedy: str
    at_key: bool = False


@dataclass(frozen=True)
class Problem:
    """A finding at its place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    finding: Finding

    def __str__(self) -> str:
        """``file:line:column: path: what (remedy)``, the form that editors can jump to."""
        found = self.finding
        where = f"{dotted(found.path)}: " if found.path else ""
        return f"{self.file}:{self.line}:{self.column}: {where}{found.what} ({found.remedy})"


class InvalidInput(Exception):  # noqa: N818 - it is caught and becomes the caller's error
    """A file cannot be used; carries every problem found, in order of position."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted_problems(problems)
        super().__init__("\n".join(map(str, self.problems)))


def sorted_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Without repetition, in order of file and position."""
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda p: (p.file, p.line, p.column)))


def dotted(path: Path) -> str:
    """``protocol.method[1].current_mA`` for a path of keys and indices."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{printable(part)}"
    return text.removeprefix(".")


def printable(text: str) -> str:
    """Text safe for a terminal and of bounded length."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: _SHOWN + 1])
    return shown if len(text) <= _SHOWN else shown[:_SHOWN] + "..."


def described(value: Any) -> str:
    """A value as an error message shows it."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"'{printable(value)}'" if value else "an empty text"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    return printable(str(value))


def listed(names: Iterable[str]) -> str:
    """``a, b or c``."""
    words = list(names)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that was probably meant, None if nothing is close."""
    same = [k for k in known if _plain(k) == _plain(word)]
    close = same or difflib.get_close_matches(word[:_SHOWN], list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def key_remedy(key: str, known: Collection[str]) -> str:
    """Sentence that leads from an unknown key to the right one, unit included."""
    for right in known:
        factor = _unit_factor(key, right)
        if factor is not None:
            return f"the key is {right}: write it and multiply the value by {factor:g}"
    close = nearest(key, known)
    if close is not None:
        return f"did you mean {close}?"
    return f"known keys: {', '.join(sorted(known))}"


def name_remedy(name: str, known: Collection[str]) -> str:
    """Sentence that leads from an unknown name to the right one."""
    if not known:
        return "there is none to choose from"
    close = nearest(name, known)
    if close is None or len(known) == 1:
        return f"choose {listed(sorted(known))}"
    return f"did you mean {close}? Known are {', '.join(sorted(known))}"


def _plain(word: str) -> str:
    return "".join(c for c in word.casefold() if c.isalnum())


def _unit_factor(key: str, right: str) -> float | None:
    """Factor between two keys that differ in nothing but one unit."""
    got, want = key.split("_"), right.split("_")
    if len(got) != len(want):
        return None
    different = [pair for pair in zip(got, want, strict=True) if pair[0] != pair[1]]
    return UNIT_FACTORS.get(different[0]) if len(different) == 1 else None
