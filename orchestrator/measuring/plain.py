"""Values of the analysis as plain ones for JSON, and its refusals as errors that name the file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.errors import DataFileError


def plain(value: Any) -> Any:
    """Dataclasses, arrays and numbers as JSON knows them; what is not finite as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def number(value: float, error: float, quality: str = "ok") -> dict[str, Any]:
    """A number with its standard error."""
    return {"value": plain(float(value)), "error": plain(float(error)), "quality": quality}


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Refusals of the analysis, which knows arrays only, say whose data was refused."""
    try:
        yield
    except ValueError as error:
        raise DataFileError(
            str(path), str(error), remedy="give data of the kind that this analysis takes"
        ) from error


def worst(qualities: list[str]) -> str:
    """`ok`, or the first reason with how many share it."""
    wrong = [quality for quality in qualities if quality != "ok"]
    if not wrong:
        return "ok"
    return wrong[0] if len(qualities) == 1 else f"{len(wrong)} of {len(qualities)}: {wrong[0]}"
