"""Numbers out of replies: strictly, with the markers that instruments send for "no number"."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

NAN_MARKER = 9.91e37
"""Not a number (SCPI 1999 volume 1, 7.2.1.5)."""

INFINITY_MARKER = 9.9e37
"""Infinity, and an overflowed measurement (SCPI 1999 volume 1, 7.2.1.4; the Keithley 2450
returns it on overflow)."""

_RELATIVE = 1e-5
"""A marker may have passed through a 32-bit float, whose relative step is 6e-8, or through a
reply with six digits."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WORDS = {"NAN": math.nan, "INF": math.inf, "INFINITY": math.inf, "NINF": -math.inf}


class GarbledReplyError(ValueError):
    """A field of a reply is not what was asked for."""


def parse_float(field: str) -> float:
    """Number in one field of a reply.

    Stricter than `float`: no underscores, no other alphabets' digits, no text around it.
    9.91e37 gives NaN and ±9.9e37 give ±infinity.

    Raises:
        GarbledReplyError: The field is not a number.
    """
    text = field.strip()
    if _NUMBER.fullmatch(text) is None:
        word = _WORDS.get(text.upper())
        if word is None:
            raise GarbledReplyError(f"got {field!r}, expected a number")
        return word
    value = float(text)
    if -9e37 < value < 9e37:
        return value
    return _marker(value)


def _marker(value: float) -> float:
    if math.isclose(value, NAN_MARKER, rel_tol=_RELATIVE):
        return math.nan
    if math.isclose(abs(value), INFINITY_MARKER, rel_tol=_RELATIVE):
        return math.copysign(math.inf, value)
    return value


def parse_int(field: str) -> int:
    """Whole number in one field; ``+1.000E+00`` is one.

    Raises:
        GarbledReplyError: The field is not a whole number.
    """
    value = parse_float(field)
    if not math.isfinite(value) or value != int(value):
        raise GarbledReplyError(f"got {field!r}, expected a whole number")
    return int(value)


def parse_bool(field: str) -> bool:
    """Truth value in one field: 0, 1, ``OFF`` or ``ON``.

    Raises:
        GarbledReplyError: The field is none of these.
    """
    word = field.strip().upper()
    if word in ("ON", "OFF"):
        return word == "ON"
    value = parse_float(field)
    if value not in (0.0, 1.0):
        raise GarbledReplyError(f"got {field!r}, expected 0 or 1")
    return bool(value)


_STRICT: dict[Any, Callable[[str], Any]] = {
    float: parse_float,
    int: parse_int,
    bool: parse_bool,
    str: str,
}


def parse_field(field: str, cast: Callable[[str], Any]) -> Any:
    """Convert one field as `cast` says, strictly.

    Raises:
        GarbledReplyError: The field does not convert.
    """
    strict = _STRICT.get(cast)
    if strict is not None:
        return strict(field)
    try:
        return cast(field)
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        name = getattr(cast, "__name__", repr(cast))
        raise GarbledReplyError(f"got {field!r}, expected {name}") from error


def without_markers(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Copy with NaN and infinity where an array of floats holds the markers.

    Other arrays are returned as they are.
    """
    if values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore"):
        nan = np.isclose(values, NAN_MARKER, rtol=_RELATIVE, atol=0.0)
        infinite = np.isclose(np.abs(values), INFINITY_MARKER, rtol=_RELATIVE, atol=0.0)
    cleaned = values.copy()
    cleaned[nan] = np.nan
    cleaned[infinite] = np.copysign(np.inf, values[infinite])
    return cleaned
