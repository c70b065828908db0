"""Constants of a sample with their units and sources, and what every lithium cell shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any

UM_PER_MAH_PER_CM2 = 4.839
"""Thickness of lithium that 1 mAh/cm2 moves, um; 12.97 cm3/mol [P, Zhao et al.]."""


def constant(value: Any, unit: str, source: str) -> Any:
    """A dataclass field that carries the unit and the source of its value."""
    return field(default=value, metadata={"unit": unit, "source": source})


def described(parameters: Any, sources: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Value, unit and source of every constant, JSON-able; an infinite value becomes None.

    Args:
        parameters: A dataclass whose fields were made with `constant`.
        sources: Sources of values that a preset changed, by field.
    """
    return {
        entry.name: {
            "value": _json_value(getattr(parameters, entry.name)),
            "unit": entry.metadata["unit"],
            "source": sources.get(entry.name, entry.metadata["source"]),
        }
        for entry in fields(parameters)
    }


def _json_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json_value(each) for each in value]
    return value if math.isfinite(value) else None
