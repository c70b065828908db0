"""Parameters, strings and errors of SCPI program messages (SCPI-1999 volume 1, chapter 7)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

ERRORS = {
    -100: "Command error",
    -101: "Invalid character",
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -151: "Invalid string data",
    -200: "Execution error",
    -213: "Init ignored",
    -221: "Settings conflict",
    -222: "Parameter data out of range",
    -224: "Illegal parameter value",
    -350: "Queue overflow",
    -420: "Query UNTERMINATED",
}
"""SCPI-1999 volume 2, section 21.8."""


_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\Z", re.ASCII)


class ScpiError(Exception):
    """What an instrument puts into its error queue instead of doing as told.

    Args:
        code: SCPI error number; negative numbers are SCPI's, positive ones the instrument's.
        text: The instrument's own text; by default SCPI's for this number.
    """

    def __init__(self, code: int, text: str = "") -> None:
        self.code = code
        self.text = text or ERRORS.get(code, "Device-specific error")
        super().__init__(f"{self.code}, {self.text}")


def number(
    text: str, low: float = -math.inf, high: float = math.inf, *, default: float | None = None
) -> float:
    """Numeric parameter; MIN, MAX and DEF stand for the ends of the range and the default.

    Args:
        text: Parameter as sent.
        low: Smallest value that is allowed.
        high: Largest value that is allowed.
        default: What DEF stands for.

    Raises:
        ScpiError: -104 for what is not a number, -222 outside the range.
    """
    special = {"MIN": low, "MINIMUM": low, "MAX": high, "MAXIMUM": high}
    if default is not None:
        special |= {"DEF": default, "DEFAULT": default}
    value = special.get(text.upper())
    if value is None:
        if not _DECIMAL.match(text):
            raise ScpiError(-104)
        value = float(text)
    if not low <= value <= high:
        raise ScpiError(-222)
    return value


def integer(text: str, low: int, high: int) -> int:
    """Whole number in a range; fractions are rounded (IEEE 488.2 section 7.7.2).

    Raises:
        ScpiError: -104 for what is not a number, -222 outside the range.
    """
    return round(number(text, low, high))


def boolean(text: str) -> bool:
    """ON, OFF, 1 or 0 (SCPI-1999 volume 1, section 7.3)."""
    word = text.upper()
    if word in {"ON", "OFF"}:
        return word == "ON"
    return bool(integer(text, 0, 1))


def choice(text: str, *names: str) -> str:
    """One of the names in short or long form; returns its short form in capitals.

    Args:
        text: Parameter as sent.
        names: As a manual prints them, the short form in capitals: ``HIMPedance``.
    """
    for name in names:
        short = short_form(name)
        if text.upper() in {short, name.upper()}:
            return short
    raise ScpiError(-224)


def string(text: str) -> str:
    """Quoted string (single or double quotes)."""
    if len(text) < 2 or text[0] not in "\"'" or text[-1] != text[0]:
        raise ScpiError(-151)
    return text[1:-1]


def block(data: bytes) -> bytes:
    """Definite-length block of IEEE 488.2, section 8.7.9: ``#<n><length><data>``."""
    length = str(len(data))
    return f"#{len(length)}{length}".encode() + data


def short_form(name: str) -> str:
    """Short form of a mnemonic as printed: its capitals and digits."""
    return "".join(letter for letter in name if not letter.islower())


def split(text: str, separator: str) -> list[str]:
    """Split outside quotes."""
    parts = text.split(separator)
    if len(parts) == 1 or not ('"' in text or "'" in text):
        return parts
    one_kind = not ('"' in text and "'" in text)
    mark = '"' if '"' in text else "'"
    if one_kind and not any(part.count(mark) % 2 for part in parts):
        return parts
    return list(_split_slowly(text, separator))


def _split_slowly(text: str, separator: str) -> Iterator[str]:
    """Letter by letter, for separators inside quotes."""
    quote, start = "", 0
    for index, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == separator:
            yield text[start:index]
            start = index + 1
    yield text[start:]


def parameters(text: str) -> list[str]:
    """Parameters of one unit, separated by commas."""
    stripped = text.strip()
    return [part.strip() for part in split(stripped, ",")] if stripped else []
