"""The file's own metadata: anything JSON can carry, under keys that every store keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import InitErrorDetails, ValidationError
from typing_extensions import override

from orchestrator.inputs.fields import Expected, problem
from orchestrator.inputs.problems import Finding, Path, described

RESERVED = frozenset({
    "uid", "time", "scan_id", "plan_name", "plan_type", "plan_args", "num_points",
    "num_intervals", "detectors", "motors", "hints", "sample", "instrument_name", "versions",
    "profile_hash", "experiment_hash", "experiment", "simulated", "simulation", "resumes",
    "data_groups", "group", "owner", "project", "data_session", "exit_status", "reason",
    "campaign", "resumes_first", "resumption", "plan_args_lost",
})  # fmt: skip
"""Keys of the start and stop documents that a file must not overwrite."""

MAX_INTEGER = 2**53
"""Largest whole number that survives JSON readers with double precision."""

_MAX_KEY = 100
_MAX_TEXT = 20_000


@dataclass(frozen=True)
class Metadata(Expected):
    """A mapping that can be stored as JSON and searched by key."""

    @property
    @override
    def words(self) -> str:
        return "a mapping of metadata"

    @override
    def check(self, value: Any) -> dict[str, Any]:
        found = list(_findings(value, ()))
        if found:
            raise ValidationError.from_exception_data(
                "Metadata",
                [
                    InitErrorDetails(
                        type=problem(one.what, one.remedy, at_key=one.at_key),
                        loc=one.path,
                        input=None,
                    )
                    for one in found
                ],
            )
        return _copy(value)  # type: ignore[no-any-return]

    @override
    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "propertyNames": {"pattern": "^[^./]+$", "not": {"enum": sorted(RESERVED)}},
            "description": "Metadata of your own: texts, numbers, lists and mappings.",
        }


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(inner) for inner in value]
    return value


def _findings(value: Any, path: Path) -> Iterator[Finding]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _key_findings(key, (*path, key))
            yield from _findings(inner, (*path, key))
    elif not path:
        what = f"got {described(value)}, expected a mapping"
        yield Finding(path, what, 'write `md: {operator: "..."}`')
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _findings(inner, (*path, index))
    else:
        yield from _scalar_findings(value, path)


def _key_findings(key: Any, path: Path) -> Iterator[Finding]:
    if not isinstance(key, str) or not key.strip() or len(key) > _MAX_KEY or not key.isprintable():
        what = f"got {described(key)} as a key, expected a short text"
        yield Finding(path, what, "rename it", at_key=True)
    elif any(c in key for c in "./") or key.startswith("$"):
        what = "has a key with '.', '/' or a leading '$', expected none: stores search by them"
        yield Finding(path, what, "use '_' instead", at_key=True)
    elif len(path) == 1 and key in RESERVED:
        what = "is a key that every run has by itself, expected one of your own"
        yield Finding(path, what, "rename it", at_key=True)


def _scalar_findings(value: Any, path: Path) -> Iterator[Finding]:
    if isinstance(value, float) and not math.isfinite(value):
        what = f"got {value}, expected a value that JSON has"
        yield Finding(path, what, "leave it out or write it as a quoted text")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        what = f"got {described(value)}, expected a whole number up to 2^53"
        yield Finding(path, what, "quote it")
    elif isinstance(value, str) and len(value) > _MAX_TEXT:
        what = f"got {len(value)} characters, expected at most {_MAX_TEXT}"
        yield Finding(path, what, "keep long texts in a file and name it here")
    elif value is not None and not isinstance(value, str | int | float | bool):
        what = f"got a {type(value).__name__}, expected text, number, list or mapping"
        yield Finding(path, what, "write it as a text")
