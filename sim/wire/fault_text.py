"""A fault as one word of a command line: ``KIND:DEVICE:START:END[:OPTION...]``.

``late:pstat:10:60:delay_s=3:match=:READ``: from 10 s to 60 s after the laboratory began, replies of
``pstat`` to messages that contain ``:READ`` come 3 s late. The end may be ``inf``: as long as the
laboratory lives. A ``match`` comes last, since a regular expression may contain colons.
"""

from __future__ import annotations

import math
import re
from typing import Any, get_args

from sim.wire.faults import Fault, FaultKind

FORM = "KIND:DEVICE:START:END[:OPTION]"
"""How a fault is written."""

_FEWEST_PARTS = 4
_ONLY_FOR = {"delay_s": "late", "seed": "garble"}
_LONGEST_DELAY_S = 3600.0


def read_fault(text: str) -> tuple[str, Fault]:
    """Read a fault; whether its device exists is the caller's to check.

    Returns:
        The device's name and the fault; times are seconds since the laboratory began.

    Raises:
        ValueError: It is no such word; the message has got and expected.
    """
    parts = text.split(":", _FEWEST_PARTS)
    if len(parts) < _FEWEST_PARTS:
        raise ValueError(f"got {len(parts)} parts, expected {FORM}")
    kind, device = parts[0], parts[1]
    if kind not in get_args(FaultKind):
        raise ValueError(f"got the kind {kind!r}, expected one of {', '.join(get_args(FaultKind))}")
    start_s = _number("a start", parts[2], least=0.0)
    end_s = math.inf if parts[3] == "inf" else _number("an end", parts[3], least=0.0)
    options = _options(kind, ":".join(parts[_FEWEST_PARTS:]))
    return device, Fault(kind, start_s, end_s, **options)  # type: ignore[arg-type]


def _options(kind: str, text: str) -> dict[str, Any]:
    """Options by name; ``match`` takes whatever follows it."""
    options: dict[str, Any] = {}
    while text:
        if text.startswith("match="):
            options["match"] = _pattern(kind, text.removeprefix("match="))
            break
        word, _, text = text.partition(":")
        name, _, value = word.partition("=")
        if _ONLY_FOR.get(name) != kind:
            known = [*(n for n, one in _ONLY_FOR.items() if one == kind)]
            known += [] if kind == "refuse" else ["match"]
            expected = " or ".join(f"{one}=..." for one in known) or "none"
            raise ValueError(f"got the option {word!r}, expected of {kind}: {expected}")
        number = _number(name, value, least=0.0, most=_LONGEST_DELAY_S)
        options[name] = number if name == "delay_s" else int(number)
    return options


def _pattern(kind: str, text: str) -> str:
    if kind == "refuse":
        raise ValueError("got a match, expected none: refuse acts on connections, not on messages")
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"got match={text}, expected a regular expression: {error}") from None
    return text


def _number(what: str, text: str, *, least: float, most: float = math.inf) -> float:
    """A finite number in a range."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and least <= value <= most):
        upper = f" to {most:g}" if math.isfinite(most) else " on"
        raise ValueError(f"got {text!r} as {what}, expected a number from {least:g}{upper}")
    return value
