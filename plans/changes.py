"""What may be changed of a run while it goes on: `set`, checked before anything is touched.

A change never widens what the experiment allows: limits may be tightened, ends of steps moved
within them. Each function only computes; what it returns is then carried out by the plan.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from aurora_unicycler import ImpedanceSpectroscopy, Loop, Tag
from pydantic import ValidationError

from devices.errors import LimitError
from devices.roles import CellLimits
from devices.technique import Technique
from plans.cycling import Cycling

ENDS = ("until_time_s", "until_voltage_V", "until_current_mA")
"""Ends of a step that may be changed, by their names in the experiment file."""

LIMITS = {
    "max_voltage_V": ("max_voltage_v", 1.0),
    "min_voltage_V": ("min_voltage_v", -1.0),
    "max_current_mA": ("max_current_ma", 1.0),
    "min_current_mA": ("min_current_ma", -1.0),
}
"""Limits by their names in the experiment file, with the direction in which they are wider."""

PATHS = (
    "step.until_time_s", "method[3].until_voltage_V", "record.time_s",
    "safety.max_voltage_V", "images[mri].every_s",
)  # fmt: skip
"""An example of every kind of path."""

_PATH = re.compile(
    rf"(?:protocol\.)?(?:(?P<present>step)|method\[(?P<index>\d{{1,6}})\])\.(?P<end>{'|'.join(ENDS)})"
    r"|(?:protocol\.)?(?P<record>record\.time_s)"
    rf"|(?:protocol\.)?safety\.(?P<limit>{'|'.join(LIMITS)}|max_capacity_mAh)"
    r"|(?P<series>images|spectra)(?:\[(?P<which>\w{1,100})\])?(?:\.when)?\.every_s"
)


class Refused(Exception):  # noqa: N818 - it is an answer
    """A request cannot be carried out; says why. Nothing was changed."""


@dataclass(frozen=True)
class Path:
    """What a change is about; the attributes that do not apply are empty.

    Attributes:
        present: The step that runs now, this once.
        index: Index of a step in the method, from 0; -1 where it is none.
        end: Which of the step's `ENDS`.
        record: The time between records.
        limit: Which of the safety limits.
        series: ``images`` or ``spectra``.
        which: Device or index of the series; empty where there is only one.
    """

    present: bool = False
    index: int = -1
    end: str = ""
    record: bool = False
    limit: str = ""
    series: str = ""
    which: str = ""


def parse(path: str) -> Path:
    """Understand a path.

    Raises:
        Refused: Nothing that may be changed has this path.
    """
    found = _PATH.fullmatch(path.strip())
    if found is None:
        raise Refused(
            f"{path[:80]!r} cannot be changed while a run goes on (what can: {', '.join(PATHS)})"
        )
    index = found["index"]
    return Path(
        present=bool(found["present"]),
        index=-1 if index is None else int(index),
        end=found["end"] or "",
        record=bool(found["record"]),
        limit=found["limit"] or "",
        series=found["series"] or "",
        which=found["which"] or "",
    )


def number(value: Any) -> float:
    """The value of a change.

    Raises:
        Refused: It is not a finite number.
    """
    try:
        given = float(value)
    except (TypeError, ValueError):
        given = math.nan
    if isinstance(value, bool) or not math.isfinite(given):
        raise Refused(f"got {str(value)[:80]!r}, expected a number")
    return given


def step_with(step: Any, end: str, value: float, cycling: Cycling) -> Any:
    """A step with another end.

    Args:
        step: One of aurora-unicycler.
        end: One of `ENDS`.
        value: Its new value, s, V or mA.
        cycling: Whose limits hold.

    Raises:
        Refused: The step has no such end, or not with this value.
    """
    kind, fields = str(getattr(step, "step", type(step).__name__)), _fields(step)
    if end not in fields:
        ends = [one for one in ENDS if one in fields]
        raise Refused(f"{kind} has no {end} (it has {', '.join(ends) or 'no end to change'})")
    if end == "until_time_s" and value <= 0.0:
        raise Refused(f"until_time_s: got {value:g}, expected more than 0 s (or skip the step)")
    if end == "until_voltage_V":
        low, high = cycling.limits.min_voltage_v, cycling.limits.max_voltage_v
        if not low <= value <= high:
            raise Refused(f"until_voltage_V: got {value:g} V, limits {low:g} to {high:g} V")
    try:
        changed = type(step).model_validate({**step.model_dump(), end: value})
    except ValidationError as error:
        raise Refused(f"{kind}: {error.errors()[0]['msg']}") from error
    _check_runs(changed, cycling)
    return changed


def _fields(step: Any) -> Collection[str]:
    """What a step of aurora-unicycler consists of; nothing for others."""
    return getattr(type(step), "model_fields", {})


def with_period(cycling: Cycling, period_s: float) -> Cycling:
    """The same with another time between records, s.

    Raises:
        Refused: The potentiostat does not record as often.
    """
    least_s = cycling.potentiostat.least_period_s
    if period_s < least_s or period_s <= 0.0:
        raise Refused(f"got {period_s:g} s between records, expected {least_s:g} s or more")
    return replace(cycling, period_s=period_s)


def with_limit(cycling: Cycling, limit: str, value: float, left: Sequence[Any]) -> Cycling:
    """The same with one safety limit tightened.

    Args:
        cycling: What is done.
        limit: Name of the limit in the experiment file.
        value: Its new value, V, mA or mAh.
        left: Steps that may still run.

    Raises:
        Refused: The limit would be wider, the cell is beyond it already, or a step that may
            still run is.
    """
    if limit == "max_capacity_mAh":
        return _with_capacity(cycling, value)
    name, sign = LIMITS[limit]
    now = getattr(cycling.limits, name)
    if sign * (value - now) > 0.0:
        raise Refused(f"{limit} is {now:g} and can only be tightened, got {value:g}")
    limits: CellLimits = replace(cycling.limits, **{name: value})
    pstat = cycling.potentiostat
    measured = (pstat.voltage_v if "voltage" in name else pstat.current_ma).get()
    if sign * (measured - value) > 0.0:
        raise Refused(f"{limit}: got {value:g}, and the cell is at {measured:.4g} now")
    tightened = replace(cycling, limits=limits)
    for step in left:
        _check_runs(step, tightened)
    return tightened


def _with_capacity(cycling: Cycling, value: float) -> Cycling:
    now, passed = cycling.max_capacity_mah, abs(cycling.potentiostat.charge_mah.get())
    if value > now:
        raise Refused(f"max_capacity_mAh is {now:g} and can only be tightened, got {value:g}")
    if value <= passed:
        raise Refused(f"max_capacity_mAh: got {value:g}, and {passed:.4g} mAh have passed")
    return replace(cycling, max_capacity_mah=value)


def _check_runs(step: Any, cycling: Cycling) -> None:
    """See that a step lies inside the limits."""
    if isinstance(step, Tag | Loop) or not hasattr(step, "step"):
        return
    try:
        program = Technique(
            step, cycling.limits, cycling.period_s, cycling.max_capacity_mah
        ).program()
    except LimitError as error:
        raise Refused(f"{step.step}: {error.what}") from error
    limits = cycling.limits
    end_v = program.end_voltage_v
    if end_v is not None and not limits.min_voltage_v <= end_v <= limits.max_voltage_v:
        raise Refused(
            f"{step.step} until {end_v:g} V is outside the limits {limits.min_voltage_v:g} to "
            f"{limits.max_voltage_v:g} V"
        )


def may_still_run(method: Sequence[Any], step_index: int) -> list[Any]:
    """Steps of a method from an index on, and those that a loop behind it goes back to.

    Args:
        method: The method.
        step_index: Index of the step that runs now, from 0.
    """
    first = step_index
    tags = {step.tag: index for index, step in enumerate(method) if isinstance(step, Tag)}
    for loop in method[step_index:]:
        if isinstance(loop, Loop):
            named = isinstance(loop.loop_to, str)
            first = min(first, tags.get(loop.loop_to, 0) if named else int(loop.loop_to) - 1)
    return list(method[max(first, 0) :])


def amended(present: Technique, cycling: Cycling, step: Any | None = None) -> Technique:
    """The running step with other ends, limits or records.

    Args:
        present: The running step.
        cycling: Limits and time between records that hold from now on.
        step: The step with its new end; None leaves the ends.

    Raises:
        Refused: The step is a spectrum, which cannot be changed half-way.
    """
    if isinstance(present.step, ImpedanceSpectroscopy):
        raise Refused("a spectrum is being taken: it cannot be changed half-way")
    return replace(
        present,
        step=present.step if step is None else step,
        limits=cycling.limits,
        period_s=cycling.period_s,
        max_capacity_mah=cycling.max_capacity_mah,
    )


def changed(asked: Cycling, now: Cycling) -> dict[str, Any]:
    """What requests have changed of what is done to the cell, as JSON knows it."""
    steps = enumerate(zip(asked.method, now.method, strict=True))
    return {
        "steps": [[i, one.model_dump(mode="json")] for i, (was, one) in steps if one is not was],
        "period_s": now.period_s,
        "limits": asdict(now.limits),
        "max_capacity_mah": now.max_capacity_mah,
    }


def as_changed(cycling: Cycling, kept: Mapping[str, Any]) -> Cycling:
    """What is done to the cell, with what `changed` has written."""
    method = list(cycling.method)
    for index, values in kept["steps"]:
        method[index] = type(method[index]).model_validate(values)
    return replace(
        cycling,
        method=method,
        period_s=kept["period_s"],
        limits=CellLimits(**kept["limits"]),
        max_capacity_mah=kept["max_capacity_mah"],
    )
