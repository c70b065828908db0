"""What a rehearsed run came to: limits and how near they were, dead times, steps, disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from orchestrator.rehearsal.timeline import covered, merged, overlaps, spans
from orchestrator.rehearsal.watch import Course

_NO_CURRENT = 1e-4
"""Part of the largest current of a run below which there is none."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Margin:
    """How near the run came to a limit.

    Attributes:
        key: The limit, as the file or the profile names it.
        limit: Its value.
        reached: The value nearest to it.
        at_s: When, seconds since the run began.
        unit: Of both.
    """

    key: str
    limit: float
    reached: float
    at_s: float
    unit: str

    @property
    def used(self) -> float:
        """Part of the limit that was used; 1 is at the limit. Negative on its other side."""
        return self.reached / self.limit if self.limit else float(self.reached != 0.0)


@dataclass(frozen=True)
class DeadTime:
    """Time in which the cell did nothing.

    Attributes:
        kind: Short name.
        seconds: In all.
        count: Of separate spans.
        text: What it is.
    """

    kind: str
    seconds: float
    count: int
    text: str


@dataclass(frozen=True)
class StepSummary:
    """What became of one step of the method.

    Attributes:
        index: In the method, from 0.
        passes: Times that it ran.
        seconds: In all.
        shortest_s: Shortest pass.
        longest_s: Longest pass.
        ended_by: Number of passes by the reason of their end.
    """

    index: int
    passes: int
    seconds: float
    shortest_s: float
    longest_s: float
    ended_by: Mapping[str, int]


def margins(records: Mapping[str, Floats], limits: Mapping[str, float]) -> list[Margin]:
    """How near the records came to each limit; nothing without records.

    Args:
        records: Columns of records.
        limits: By key: ``max_voltage_V``, ``min_voltage_V``, ``max_current_mA``,
            ``min_current_mA``, ``max_capacity_mAh``.
    """
    columns = {
        "max_voltage_V": ("voltage_v", np.nanargmax, "V"),
        "min_voltage_V": ("voltage_v", np.nanargmin, "V"),
        "max_current_mA": ("current_ma", np.nanargmax, "mA"),
        "min_current_mA": ("current_ma", np.nanargmin, "mA"),
    }
    found = []
    for key, (name, extreme, unit) in columns.items():
        values = records.get(name, np.empty(0))
        if key in limits and np.isfinite(values).any():
            at = int(extreme(values))
            time_s = float(records["time_s"][at])
            found.append(Margin(key, limits[key], float(values[at]), time_s, unit))
    charge = np.abs(records.get("charge_mah", np.empty(0)))
    if "max_capacity_mAh" in limits and len(charge):
        at = int(np.argmax(charge))
        time_s = float(records["time_s"][at])
        limit = limits["max_capacity_mAh"]
        found.append(Margin("max_capacity_mAh", limit, float(charge[at]), time_s, "mAh"))
    return found


def dead_times(course: Course, resting: frozenset[int]) -> list[DeadTime]:
    """Where the time went in which no current flowed."""
    steps = [(one.began_s, one.ended_s) for one in course.steps]
    rests = [span for span, one in zip(steps, course.steps, strict=True) if one.index in resting]
    if not steps:
        return [DeadTime("no_step", course.duration_s, 1, "no step ran")]
    first_s, last_s = steps[0][0], max(end for _, end in steps)
    between = [(a, b) for (_, a), (b, _) in pairwise(steps) if b - a > 1e-6]
    still = [one for one in merged([*course.off, *course.held]) if one[1] - one[0] > 1e-6]
    within = overlaps(steps, still)
    found = [
        DeadTime(
            "rest",
            _sum(rests) - _sum(overlaps(rests, still)),
            len(rests),
            "at rest because the protocol says so",
        ),
        DeadTime("before", first_s, 1, "before the first step: settling, first frames"),
        DeadTime(
            "between", _sum(between), len(between), "between steps: exposures, spectra, settling"
        ),
        DeadTime(
            "within",
            _sum(within),
            len(within),
            "within steps, which stand still: exposures, pauses",
        ),
        DeadTime("after", course.duration_s - last_s, 1, "after the last step: last frames"),
    ]
    return [one for one in found if one.seconds > 1e-6]


def _sum(parts: Sequence[tuple[float, float]]) -> float:
    return float(sum(ended - began for began, ended in parts))


def exposing(course: Course) -> dict[str, float]:
    """Part of the run's time that each imaging device exposes."""
    edges = np.array([0.0, max(course.duration_s, 1e-9)])
    devices = dict.fromkeys(one.device for one in course.exposures)
    return {
        name: float(covered(edges, spans(course.exposures, name))[0] / edges[1]) for name in devices
    }


def step_summaries(course: Course) -> list[StepSummary]:
    """What became of each step, in the order of the method."""
    found = []
    for index in sorted({one.index for one in course.steps}):
        passes = [one for one in course.steps if one.index == index]
        lengths = [one.ended_s - one.began_s for one in passes]
        reasons = [one.reason for one in passes]
        found.append(
            StepSummary(
                index=index,
                passes=len(passes),
                seconds=float(sum(lengths)),
                shortest_s=min(lengths),
                longest_s=max(lengths),
                ended_by={one: reasons.count(one) for one in dict.fromkeys(reasons)},
            )
        )
    return found


def without_current(course: Course) -> frozenset[int]:
    """Steps in all of whose records next to no current flows: where only the course is known."""
    current = np.abs(course.records["current_ma"])
    largest = float(np.max(current[np.isfinite(current)], initial=0.0))
    index = course.records["step_index"]
    return frozenset(
        one
        for one in {step.index for step in course.steps}
        if (current[index == one] <= _NO_CURRENT * largest).all()
    )
