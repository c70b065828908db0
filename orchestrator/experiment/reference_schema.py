"""Lets ``$name`` stand for any value in the JSON schema of an experiment file."""

from __future__ import annotations

from typing import Any

from orchestrator.experiment.variables import FIXED_KEYS, NAME, REFERENCE

_VALUES = ("items", "additionalProperties")
_BRANCHES = ("anyOf", "oneOf", "allOf")

_REFERENCE = {
    "type": "string",
    "pattern": rf"^(?=.*\${NAME})(?:{REFERENCE})$",
    "description": "A variable of the file, $name, or a product of numbers and variables.",
}


def with_references(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema with references wherever a variable may stand.

    Keys that choose a model (``step``, whose value is a constant) and those of `FIXED_KEYS` take
    none.

    Args:
        schema: Of a whole file, with ``properties`` and ``$defs``.
    """
    fixed = {key: schema["properties"][key] for key in FIXED_KEYS}
    found: dict[str, Any] = _inside(schema)
    found["properties"] |= fixed
    found["$defs"] = {name: _inside(one) for name, one in schema["$defs"].items()}
    found["$defs"]["Reference"] = _REFERENCE
    return found


def _inside(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose parts, but not itself, may be references."""
    found = dict(schema)
    for key, inner in schema.items():
        if key == "properties":
            found[key] = {name: _or_reference(one) for name, one in inner.items()}
        elif key in _VALUES and isinstance(inner, dict):
            found[key] = _or_reference(inner)
        elif key == "prefixItems":
            found[key] = [_or_reference(one) for one in inner]
        elif key in _BRANCHES:
            found[key] = [_inside(one) for one in inner]
    return found


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    if "const" in schema:
        return schema
    inner, reference = _inside(schema), {"$ref": "#/$defs/Reference"}
    if set(inner) <= {"anyOf", "description"} and "anyOf" in inner:
        return inner | {"anyOf": [*inner["anyOf"], reference]}
    return {"anyOf": [inner, reference]}
