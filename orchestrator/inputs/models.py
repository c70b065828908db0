"""The model every part of a file is built on, and its errors as findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError
from pydantic import model_validator as _model_validator
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from orchestrator.inputs.fields import PROBLEM, Expected, problem
from orchestrator.inputs.problems import Finding, Path, described, key_remedy

Model = TypeVar("Model", bound=BaseModel)

TAG = ":"
"""A union's branches are tagged ``kind:name``; no key of a file that we define holds a colon."""

KEY = "[key]"
"""Last part of pydantic's location where the key itself is wrong."""


class StrictModel(BaseModel):
    """Part of a file: frozen, no unknown keys, errors that say what to write instead."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @_model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Put pydantic's own errors into this project's words, with the nearest known key."""
        try:
            return handler(data)
        except ValidationError as error:
            raise explained(cls, error) from None


def explained(model: type[BaseModel], error: ValidationError) -> ValidationError:
    """The same errors with a text that names what was expected."""
    errors = error.errors(include_url=False)
    details = [
        InitErrorDetails(type=_reworded(model, one), loc=one["loc"], input=one["input"])
        for one in errors
        if one["type"] != "too_short" or not _has_inner(one["loc"], errors)
    ]
    return ValidationError.from_exception_data(error.title, details)


def _has_inner(loc: tuple[int | str, ...], errors: Iterable[Any]) -> bool:
    """Whether an item of a list is wrong: pydantic then also counts the list as too short."""
    return any(one["loc"][: len(loc)] == loc and one["loc"] != loc for one in errors)


def _reworded(model: type[BaseModel], one: Any) -> PydanticCustomError:
    kind, loc = one["type"], one["loc"]
    if kind == PROBLEM:
        context = one["ctx"]
        return problem(context["what"], context["remedy"], at_key=context["at_key"])
    if kind == "missing" and len(loc) == 1:
        what, remedy = missing(str(loc[0]), model.model_fields[str(loc[0])])
        return problem(what, remedy)
    if kind == "extra_forbidden" and len(loc) == 1:
        known = list(model.model_fields)
        return problem("is not a known key", key_remedy(str(loc[0]), known), at_key=True)
    return problem(f"got {described(one['input'])}, expected {_expected(model, one)}", _FIX)


_FIX = "see the tables in docs/reference"
_SHAPES = {
    "model_type": "a mapping with the keys {keys}",
    "dict_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "missing": "one value more",
    "string_type": "a text",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
}


def _expected(model: type[BaseModel], one: Any) -> str:
    template = _SHAPES.get(one["type"])
    if template is None:
        return str(one["msg"])
    keys = ", ".join(model.model_fields)
    field = model.model_fields.get(str(one["loc"][0])) if len(one["loc"]) == 1 else None
    if field is not None and field.description:
        return field.description
    return template.format(keys=keys, **one.get("ctx", {}))


def missing(name: str, field: FieldInfo) -> tuple[str, str]:
    """What a missing key is and how to add it."""
    expected = next((m.words for m in field.metadata if isinstance(m, Expected)), None)
    words = expected or field.description or "it"
    return f"is missing, expected {words}", f"add `{name}: ...`"


def findings(error: ValidationError, data: Any, at: Path = ()) -> list[Finding]:
    """Errors of a validated value as findings at paths of the file.

    Args:
        error: What pydantic raised.
        data: The value that was validated.
        at: Where that value stands in the file.
    """
    found = []
    for one in error.errors(include_url=False):
        context = one.get("ctx", {})
        at_key = bool(context.get("at_key")) or one["loc"][-1:] == (KEY,)
        what, remedy = str(one["msg"]), _FIX
        if one["type"] == PROBLEM:
            what, remedy = context["what"], context["remedy"]
        path = at + written_path(one["loc"], data)
        found.append(Finding(path, what, remedy, at_key=at_key))
    return found


def written_path(loc: tuple[str | int, ...], data: Any) -> Path:
    """The keys and indices of an error's location, without the tags of unions."""
    path: list[str | int] = []
    for part in loc:
        here = isinstance(data, dict) and part in data
        if here or (isinstance(data, list | tuple) and isinstance(part, int)):
            inside = here or (isinstance(part, int) and part < len(data))
            data = data[part] if inside else None
            path.append(part)
        elif part != KEY and not (isinstance(part, str) and TAG in part):
            path.append(part)
    return tuple(path)


def validated(model: type[Model], data: Any, at: Path = ()) -> tuple[Model | None, list[Finding]]:
    """A model, or None and everything that is wrong with it."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, findings(error, data, at)
    except RecursionError:
        return None, [Finding(at, "is nested too deeply", "flatten it")]
