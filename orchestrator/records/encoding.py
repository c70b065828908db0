"""Documents as lines of a journal and back, without loss.

A line is one JSON object and ends in the CRC-32 of everything before it::

    {"seq":3,"name":"event","doc":{...},"crc":"9ae0daaf"}

so that any JSON tool can read a journal, and a damaged line is known as one. What JSON cannot
say is written as an object with the one key ``$``:

- ``{"$":"nan"}``, ``{"$":"inf"}``, ``{"$":"-inf"}``: floats that are not finite (JSON has none,
  and writing null would make them the same as a missing value);
- ``{"$":"time"}``: in an event page's ``timestamps``, a column equal to the page's ``time``;
- ``{"$":"object","value":{...}}``: an object that itself has the key ``$``.

Arrays become lists and NumPy's scalars numbers; their types are in the descriptor
(``dtype_numpy``). Floats are written with the shortest digits that give the same double back.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import orjson

from orchestrator.errors import RecordError

MAX_LINE_BYTES = 32 * 2**20
"""Longest line: what a damaged journal can make its reader hold in memory."""

_NAN, _INF, _MINUS_INF = {"$": "nan"}, {"$": "inf"}, {"$": "-inf"}
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_TIME = {"$": "time"}
_TAIL = b',"crc":"%08x"}\n'
_TAIL_BYTES = len(_TAIL % 0)
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_EXACT = {int, bool, str, type(None)}
_NUMBERS = {int, bool, float, np.float64}


class UnreadableLine(ValueError):  # noqa: N818 - it names the line, and never leaves the package
    """A line of a journal that is not what was written; its text is the reason."""


def encode_line(seq: int, name: str, doc: dict[str, Any]) -> bytes:
    """One document as a line of a journal, newline included.

    Args:
        seq: Number of the line in its journal, from 0.
        name: Kind of document: ``start``, ``event_page``, ...
        doc: The document.

    Raises:
        RecordError: A value cannot be written as JSON without loss, or the line is too long.
    """
    shared = _sharing_times(doc) if name == "event_page" else doc
    try:
        body = orjson.dumps(
            {"seq": seq, "name": name, "doc": _finite(shared)}, default=_plain, option=_OPTIONS
        )[:-1]
    except (TypeError, RecursionError) as error:
        raise RecordError(
            f"{name} document",
            f"{_culprit(doc, name) or error}",
            remedy="use texts, numbers up to 2^63, lists and mappings with text keys",
        ) from error
    if len(body) + _TAIL_BYTES > MAX_LINE_BYTES:
        raise RecordError(
            f"{name} document",
            f"{len(body)} bytes long, expected at most {MAX_LINE_BYTES - _TAIL_BYTES}",
            remedy="collect pages more often; write arrays to files as frames",
        )
    return body + _TAIL % zlib.crc32(body)


def decode_line(line: bytes) -> tuple[int, str, dict[str, Any]]:
    """Sequence number, name and document of a line; the newline may be missing.

    Raises:
        UnreadableLine: The line was damaged or cut.
    """
    if not line.endswith(b"\n"):
        line += b"\n"
    body = line[:-_TAIL_BYTES]
    if line[-_TAIL_BYTES:] != _TAIL % zlib.crc32(body):
        raise UnreadableLine(_why_not(line))
    try:
        record = orjson.loads(line)
        seq, name, doc = record["seq"], record["name"], record["doc"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableLine(f"not a journal's line: {error}") from error
    if b'{"$":' in body:
        times = doc.get("time") if name == "event_page" else None
        doc = _restored(doc, times)
    return int(seq), str(name), doc


def _why_not(line: bytes) -> str:
    if not line.strip(b"\0\n"):
        return "empty or zeros"
    if line[-_TAIL_BYTES : -_TAIL_BYTES + 8] == _TAIL[:8]:
        return "checksum does not match"
    return "no checksum at its end"


def _sharing_times(page: dict[str, Any]) -> dict[str, Any]:
    """The page with each column of timestamps that equals its times said in one word."""
    times = page.get("time")
    stamps = page.get("timestamps")
    if not isinstance(times, list) or not isinstance(stamps, dict) or "$" in stamps:
        return page
    said = {
        key: _TIME if column is times or _same(column, times) else _finite(column)
        for key, column in stamps.items()
    }
    return {**page, "timestamps": _Encoded(said)}


class _Encoded(dict[str, Any]):
    """Already encoded: not to be escaped again."""


def _same(column: Any, times: list[Any]) -> bool:
    return isinstance(column, list) and len(column) == len(times) and column == times


def _finite(value: Any) -> Any:
    """The value with everything said in JSON's words; shared, not copied, where it already is."""
    if isinstance(value, float):
        return value if math.isfinite(value) else _word(value)
    if isinstance(value, dict):
        if isinstance(value, _Encoded):
            return dict(value)
        plain = {key: _finite(inner) for key, inner in value.items()}
        return {"$": "object", "value": plain} if "$" in plain else plain
    if isinstance(value, list | tuple):
        return value if _all_finite(value) else [_finite(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return _finite(value.tolist())
    return value


def _all_finite(values: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a list needs no words; False also where only looking at each value can tell."""
    kinds = set(map(type, values))
    if kinds <= _EXACT:
        return True
    try:
        return kinds <= _NUMBERS and math.isfinite(sum(values))
    except OverflowError:
        return False


def _word(value: float) -> dict[str, str]:
    if math.isnan(value):
        return _NAN
    return _INF if value > 0 else _MINUS_INF


def _plain(value: Any) -> Any:
    """What orjson asks about: NumPy's numbers and arrays, and nothing else."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} has no place in JSON")


def _culprit(value: Any, path: str) -> str:
    """Path and type of the first value that cannot be written, empty if there is none."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                return f"{path} has the key {key!r}, expected a text"
            if found := _culprit(inner, f"{path}.{key}"):
                return found
        return ""
    if isinstance(value, list | tuple):
        parts = (_culprit(inner, f"{path}[{k}]") for k, inner in enumerate(value))
        return next(filter(None, parts), "")
    try:
        orjson.dumps(value, default=_plain, option=_OPTIONS)
    except TypeError as error:
        return f"{path} is {str(value)[:80]!r}, expected a value that JSON has: {error}"
    return ""


def _restored(value: Any, times: Any) -> Any:
    if isinstance(value, dict):
        word = value.get("$")
        if word is None:
            return {key: _restored(inner, times) for key, inner in value.items()}
        if word == "object":
            return {key: _restored(inner, times) for key, inner in value["value"].items()}
        return list(times) if word == "time" else _FLOATS[word]
    if isinstance(value, list):
        return value if _all_finite(value) else [_restored(inner, times) for inner in value]
    return value
