"""What a start document may carry: everything wrong with it at once, before anything is energised.

Stores differ in what they lose: Tiled turns NaN into null, clips integers above 2^53 and fails
late on sets and paths; searches address keys by ``.`` and ``/``. A journal would keep most of it,
but a run that cannot be found by its metadata is half lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from orchestrator.errors import RecordError

MAX_INTEGER = 2**53
"""Largest whole number that every JSON reader keeps."""

MAX_BYTES = 2**20
"""Largest start document, as JSON."""

MAX_DEPTH = 20
"""Deepest nesting."""

_MAX_SHOWN = 20


def problems(md: Mapping[str, Any]) -> list[str]:
    """Everything in metadata that some store would lose, as ``path: what (remedy)``.

    Args:
        md: A start document or a part of one, already normalised.
    """
    found = list(_problems(md, "", 0))
    if not found:
        size_bytes = len(orjson.dumps(md))
        if size_bytes > MAX_BYTES:
            found.append(
                f"metadata: {size_bytes} bytes, expected at most {MAX_BYTES} "
                "(keep large texts in files and name them here)"
            )
    return found


def normalised(md: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with tuples as lists and NumPy's scalars and arrays as numbers and lists.

    Raises:
        RecordError: With every problem of the result.
    """
    plain = {key: _plain(value) for key, value in md.items()}
    check_start(plain)
    return plain


def check_start(doc: Mapping[str, Any]) -> None:
    """Refuse a start document that some store would not keep.

    Raises:
        RecordError: With every problem at once.
    """
    found = problems({key: _plain(value) for key, value in doc.items()})
    if found:
        shown = found[:_MAX_SHOWN]
        more = f"; and {len(found) - _MAX_SHOWN} more" if len(found) > _MAX_SHOWN else ""
        raise RecordError(
            "start document",
            "; ".join(shown) + more,
            remedy="nothing was energised; correct the metadata and run again",
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value


def _problems(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        yield f"{path}: nested deeper than {MAX_DEPTH} (flatten it)"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            at = f"{path}.{key}" if path else str(key)
            if wrong := _key_problem(key):
                yield f"{at[:200]}: {wrong}"
            yield from _problems(inner, at, depth + 1)
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            yield from _problems(inner, f"{path}[{k}]", depth + 1)
    elif wrong := _scalar_problem(value):
        yield f"{path}: {wrong}"


def _key_problem(key: Any) -> str:
    if not isinstance(key, str) or not key:
        return f"got the key {key!r}, expected a text (rename it)"
    if any(c in key for c in "./\0") or key.startswith("$"):
        return "got a key with '.', '/', NUL or a leading '$', expected none (use '_')"
    return "" if _is_unicode(key) else "got a key that is not Unicode (rename it)"


def _scalar_problem(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"got {value}, expected a finite number (leave out)"
    if isinstance(value, int):
        fits = abs(value) <= MAX_INTEGER
        return "" if fits else f"got {str(value)[:40]}, expected at most 2^53 (quote it)"
    if isinstance(value, str):
        return "" if _is_unicode(value) else "got a text that is not Unicode (re-encode it)"
    return f"got a {type(value).__name__}, expected text, number, list or mapping (convert it)"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
