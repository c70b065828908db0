"""Named plans: their arguments are checked before the first message, and recorded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache, wraps
from numbers import Integral, Real
from typing import Any, ParamSpec, get_args, get_type_hints

from bluesky.utils import MsgGenerator
from ophyd import Device

from plans.arguments import Metadata, check

P = ParamSpec("P")

_JSON = str | bool | int | float | None


def named(plan: Callable[P, MsgGenerator[Any]]) -> Callable[P, MsgGenerator[Any]]:
    """Make a plan check its arguments before its first message, and record them.

    The start document of its run says `plan_name` and `plan_args` (devices by name, everything
    else as JSON has it), and of the `sample` at least the area; the caller's `md` comes first. An
    argument of which JSON does not say everything, such as a `Condition`, is named in
    `plan_args_lost`: an interrupted run of it cannot be resumed.

    Raises:
        PlanError: An argument is not what its annotation says; when the plan is first iterated.
    """

    @wraps(plan)
    def begun(*args: P.args, **kwargs: P.kwargs) -> MsgGenerator[Any]:
        given = inspect.signature(plan).bind(*args, **kwargs)
        given.apply_defaults()
        for name, value in given.arguments.items():
            check(_hints(plan).get(name, Any), value, f"{plan.__name__}: {name}")
        given.arguments["md"] = _start(plan.__name__, given.arguments)
        return (yield from plan(*given.args, **given.kwargs))

    return begun


def as_json(value: Any) -> Any:
    """An argument as the start document keeps it: a device by its name."""
    if isinstance(value, _JSON):
        return value
    if isinstance(value, Mapping):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Sequence):
        return [as_json(inner) for inner in value]
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    return str(getattr(value, "name", value))


def devices_in(plan: Callable[..., Any]) -> set[str]:
    """Names of the arguments of a named plan that are devices."""
    return {name for name, hint in _hints(plan).items() if _is_device(hint)}


def _is_device(hint: Any) -> bool:
    kinds = get_args(hint) or (hint,)
    return any(isinstance(kind, type) and issubclass(kind, Device) for kind in kinds)


def _is_lost(value: Any) -> bool:
    """Whether `as_json` does not say everything of a value."""
    if isinstance(value, Mapping):
        return any(_is_lost(inner) for inner in value.values())
    if is_dataclass(value):
        return any(_is_lost(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(_is_lost(inner) for inner in value)
    return not isinstance(value, _JSON | Real | Device)


@cache
def _hints(plan: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(plan, include_extras=True)


def _start(name: str, given: Mapping[str, Any]) -> Metadata:
    md = dict(given["md"] or {})
    told = {key: as_json(value) for key, value in given.items() if key != "md"}
    lost = [key for key, value in given.items() if key != "md" and _is_lost(value)]
    sample = md.get("sample", {})
    if isinstance(sample, Mapping) and "area_cm2" in given:
        md["sample"] = {"area_cm2": float(given["area_cm2"]), **sample}
    return {
        "plan_name": name,
        "plan_args": {key: value for key, value in told.items() if value is not None},
        **({"plan_args_lost": lost} if lost else {}),
        **md,
    }
