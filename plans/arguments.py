"""What an argument of a named plan may be, said by its annotation and checked by it.

A plan with ``half_cycle_s: Positive`` refuses 0, a text or NaN before it yields its first message.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

from devices.roles import CellLimits
from plans.conditions import Condition
from plans.errors import PlanError


@dataclass(frozen=True)
class Bound:
    """What a number must be.

    Attributes:
        words: For messages and documentation.
        holds: Whether a finite number satisfies it.
        whole: Whether it must be a whole number.
    """

    words: str
    holds: Callable[[float], bool]
    whole: bool = False

    def accepts(self, value: Any) -> bool:
        """Whether a value is such a number; NaN, infinity and truth values never are."""
        kind = Integral if self.whole else Real
        if isinstance(value, bool) or not isinstance(value, kind):
            return False
        return math.isfinite(float(value)) and self.holds(float(value))


Number = Annotated[float, Bound("a number", lambda _: True)]
Positive = Annotated[float, Bound("a number above 0", lambda value: value > 0)]
NotNegative = Annotated[float, Bound("a number, 0 or more", lambda value: value >= 0)]
NotZero = Annotated[float, Bound("a number other than 0", lambda value: value != 0)]
Count = Annotated[int, Bound("a whole number, 1 or more", lambda value: value >= 1, whole=True)]

Limits = CellLimits | Mapping[str, float]
"""Limits at the cell: `devices.CellLimits`, or a mapping with its four keys as JSON has it."""

Stop = str | Mapping[str, float] | Condition
"""A condition as an experiment file names it, ``"hard_short"`` or ``{"duration_s": 3600}``, or one
made for this run with `plans.condition`, which may look at any device."""

Metadata = dict[str, Any]


def check(hint: Any, value: Any, who: str) -> None:
    """See that a value is what an annotation says.

    Args:
        hint: The annotation.
        value: What was given.
        who: Plan and argument, for the message.

    Raises:
        PlanError: It is not.
    """
    members = get_args(hint)
    optional = NoneType in members
    if value is None and optional:
        return
    if hint == Limits:
        limits_of(value, who)
    elif _is_list(hint):
        _check_each(members[0], value, who)
    elif optional:
        check(next(one for one in members if one is not NoneType), value, who)
    elif expected := _unmet(hint, value):
        raise refusal(who, value, expected)


def limits_of(limits: Limits, who: str = "limits") -> CellLimits:
    """Limits as given to a plan; every one must be there.

    Raises:
        PlanError: One is missing, unknown or not a number; or the lower is not below the upper.
    """
    keys = [field.name for field in fields(CellLimits)]
    given: Any = limits
    if isinstance(limits, CellLimits):
        given = {key: getattr(limits, key) for key in keys}
    if not isinstance(given, Mapping) or set(given) != set(keys):
        got = ", ".join(map(str, given)) if isinstance(given, Mapping) else repr(given)
        what = f"got {got or 'none'}, expected {', '.join(keys)}"
        raise PlanError(who, what, remedy="give every limit: none has a default")
    for key, value in given.items():
        check(Number, value, f"{who}.{key}")
    for low, high in (keys[:2], keys[2:]):
        if given[low] >= given[high]:
            what = f"got {low} {given[low]:g} and {high} {given[high]:g}, expected the first lower"
            raise PlanError(who, what, remedy="are they exchanged, or is a sign missing?")
    return CellLimits(**{key: float(given[key]) for key in keys})


def refusal(who: str, value: Any, expected: str) -> PlanError:
    """The error for a value that is not what is expected."""
    shown = repr(value) if len(repr(value)) <= 60 else f"a {type(value).__name__}"
    remedy = f"see help(plans.{who.split(':', maxsplit=1)[0]})" if ":" in who else "correct it"
    return PlanError(who, f"got {shown}, expected {expected}", remedy=remedy)


def _unmet(hint: Any, value: Any) -> str:
    """What an annotation expects where a value is not that; else empty."""
    members = get_args(hint)
    bound = next((one for one in members if isinstance(one, Bound)), None)
    if bound is not None:
        return "" if bound.accepts(value) else bound.words
    if get_origin(hint) is Literal:
        return "" if value in members else f"one of {', '.join(map(str, members))}"
    kind = get_origin(hint) or hint
    if not isinstance(kind, type) or kind is UnionType or isinstance(value, kind):
        return ""
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    return "a mapping" if issubclass(kind, Mapping) else f"{article} {kind.__name__}"


def _is_list(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Sequence)


def _check_each(hint: Any, values: Any, who: str) -> None:
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
        raise refusal(who, values, "a list")
    for index, value in enumerate(values):
        check(hint, value, f"{who}[{index}]")
