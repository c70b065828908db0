"""What a simulated instrument behind the bridge checks of a setting: type, range, words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sim.instruments.bridge_protocol import CommandError

Check = Callable[[str, object], Any]
"""Takes a setting's name and value, returns what is held; raises `CommandError`."""


def number(low: float, high: float) -> Check:
    """A number within bounds."""

    def check(name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CommandError(-104, f"{name}: got {value!r:.60}, expected a number")
        if not low <= value <= high:
            raise CommandError(-222, f"{name}: got {value!r:.40}, expected {low:g} to {high:g}")
        return float(value)

    return check


def integer(low: int, high: int) -> Check:
    """A whole number within bounds."""

    def check(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise CommandError(-104, f"{name}: got {value!r:.60}, expected an integer")
        if not low <= value <= high:
            raise CommandError(-222, f"{name}: got {value!r:.40}, expected {low} to {high}")
        return value

    return check


def choice(*words: str) -> Check:
    """One of some words."""

    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise CommandError(
                -224, f"{name}: got {value!r:.60}, expected one of {', '.join(words)}"
            )
        return value

    return check


def text(longest: int) -> Check:
    """Any text up to a length."""

    def check(name: str, value: object) -> str:
        if not isinstance(value, str):
            raise CommandError(-104, f"{name}: got {value!r:.60}, expected a text")
        if len(value) > longest:
            raise CommandError(-222, f"{name}: got {len(value)} characters, at most {longest}")
        return value

    return check


def switch(name: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise CommandError(-104, f"{name}: got {value!r:.60}, expected true or false")
    return value


def several(count: int, each: Check, words: str) -> Check:
    """A list of so many values; `words` says what, for the message."""

    def check(name: str, value: object) -> list[Any]:
        if not isinstance(value, list) or len(value) != count:
            raise CommandError(-104, f"{name}: got {value!r:.60}, expected {words}")
        return [each(name, item) for item in value]

    return check


def changed(
    settings: Mapping[str, Any], changes: Mapping[str, Any], checks: Mapping[str, Check]
) -> dict[str, Any]:
    """Settings with some values changed, each checked.

    Raises:
        CommandError: -224 for an unknown name or word, -104 for a wrong type, -222 for a value
            out of range.
    """
    result = dict(settings)
    for name, value in changes.items():
        if name not in checks:
            raise CommandError(-224, f"{name[:60]}: unknown, expected one of {', '.join(checks)}")
        result[name] = checks[name](name, value)
    return result
