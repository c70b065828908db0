"""A rehearsed run hour by hour: pure functions from its course to rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.rehearsal.watch import Course, Exposure

Floats = npt.NDArray[np.float64]

HOUR_S = 3600.0

_SHORTER_S = (1.0, 10.0, 60.0, 600.0)
"""Rows of runs that last only a few hours or less, s."""

_FEWEST_ROWS = 6
_COARSER_H = (1, 2, 4, 6, 12, 24, 48, 96, 168)


@dataclass(frozen=True)
class Row:
    """What happens between two times.

    Attributes:
        from_s: Beginning, seconds since the run began.
        to_s: End.
        first_cycle: Cycle at the beginning; 0 where no step runs.
        last_cycle: Cycle at the end.
        steps: Indices of the steps that run, ascending.
        min_current_ma: Most negative current, mA; None without records.
        max_current_ma: Most positive current, mA.
        min_voltage_v: Lowest voltage, V.
        max_voltage_v: Highest voltage, V.
        charge_mah: Net charge at the end, mAh.
        throughput_mah: Charge in both directions at the end, mAh.
        on_s: Time with current or a held voltage, s.
        rest_s: Time at rest because the protocol says so, s.
        idle_s: Time in which the protocol stands still: no step, or one that is suspended, s.
        records: Records.
        frames: Frames that end here, by device.
        exposing_s: Time that each device exposes, s.
        spectra: Spectra that end here.
        events: Kinds and texts of the events.
    """

    from_s: float
    to_s: float
    first_cycle: int
    last_cycle: int
    steps: tuple[int, ...]
    min_current_ma: float | None
    max_current_ma: float | None
    min_voltage_v: float | None
    max_voltage_v: float | None
    charge_mah: float
    throughput_mah: float
    on_s: float
    rest_s: float
    idle_s: float
    records: int
    frames: dict[str, int]
    exposing_s: dict[str, float]
    spectra: int
    events: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "steps": list(self.steps), "events": list(self.events)}


def row_length_s(duration_s: float) -> float:
    """Length of a row, s: an hour; less for runs that would have only a few."""
    fitting = [one for one in _SHORTER_S if duration_s / one >= _FEWEST_ROWS]
    return HOUR_S if duration_s >= _FEWEST_ROWS * HOUR_S else max(fitting, default=1.0)


def coarser_s(duration_s: float, most_rows: int) -> float:
    """Length of rows, s, of which there are no more than `most_rows`: whole hours, days, weeks."""
    fine_s = row_length_s(duration_s)
    if duration_s / fine_s <= most_rows:
        return fine_s
    if fine_s < HOUR_S:
        following = [one for one in (*_SHORTER_S, HOUR_S) if one > fine_s]
        return next((one for one in following if duration_s / one <= most_rows), HOUR_S)
    whole = (HOUR_S * one for one in _COARSER_H)
    return next((one for one in whole if duration_s / one <= most_rows), HOUR_S * _COARSER_H[-1])


def timeline(course: Course, resting: Iterable[int], length_s: float | None = None) -> list[Row]:
    """The run in rows of equal length; the last may be shorter.

    Args:
        course: The run.
        resting: Indices of the steps in which the cell rests.
        length_s: Length of a row, s; None: `row_length_s`.
    """
    length_s = row_length_s(course.duration_s) if length_s is None else length_s
    count = max(1, math.ceil(course.duration_s / length_s - 1e-9))
    edges = np.minimum(np.arange(count + 1) * length_s, course.duration_s)
    edges[-1] = course.duration_s
    rest = frozenset(resting)
    steps = [(s.began_s, s.ended_s) for s in course.steps]
    runs = covered(edges, steps)
    rest_spans = [t for t, s in zip(steps, course.steps, strict=True) if s.index in rest]
    still = merged([*course.off, *course.held])
    rests = covered(edges, rest_spans) - covered(edges, overlaps(rest_spans, still))
    still_in_steps = covered(edges, overlaps(steps, still))
    idle = np.diff(edges) - runs + still_in_steps
    devices = list(dict.fromkeys(one.device for one in course.exposures))
    exposing = {name: covered(edges, spans(course.exposures, name)) for name in devices}
    ends = {
        name: _placed([one.ended_s for one in course.exposures if one.device == name], edges)
        for name in devices
    }
    spectra = _placed([one.ended_s for one in course.spectra], edges)
    happened = _placed([one.time_s for one in course.events], edges)
    cells = _cells(course, edges)
    rows = []
    for k in range(count):
        inside = [s for s in course.steps if s.began_s < edges[k + 1] and s.ended_s > edges[k]]
        rows.append(
            Row(
                from_s=float(edges[k]),
                to_s=float(edges[k + 1]),
                first_cycle=min((s.cycle for s in inside if s.cycle), default=0),
                last_cycle=max((s.cycle for s in inside), default=0),
                steps=tuple(sorted({s.index for s in inside})),
                on_s=_time(runs[k] - rests[k] - still_in_steps[k]),
                rest_s=_time(rests[k]),
                idle_s=_time(idle[k]),
                frames={name: int(np.sum(ends[name] == k)) for name in devices},
                exposing_s={name: _time(exposing[name][k]) for name in devices},
                spectra=int(np.sum(spectra == k)),
                events=tuple(
                    f"{course.events[j].kind}: {course.events[j].text}"
                    for j in np.nonzero(happened == k)[0].tolist()
                ),
                **cells[k],
            )
        )
    return rows


def _time(seconds: float) -> float:
    return max(0.0, round(float(seconds), 6))


def spans(exposures: Sequence[Exposure], device: str) -> list[tuple[float, float]]:
    """Beginnings and ends of a device's exposures, s."""
    return [(one.began_s, one.ended_s) for one in exposures if one.device == device]


def covered(edges: Floats, parts: Sequence[tuple[float, float]]) -> Floats:
    """Time within each pair of edges that ascending spans without overlap cover, s."""
    if not parts:
        return np.zeros(len(edges) - 1)
    began, ended = (np.asarray(one, dtype=float) for one in zip(*parts, strict=True))
    ended = np.maximum(ended, began)
    whole = np.concatenate([[0.0], np.cumsum(ended - began)])
    index = np.searchsorted(began, edges, side="right") - 1
    inside = np.clip(
        edges - began[np.maximum(index, 0)], 0.0, (ended - began)[np.maximum(index, 0)]
    )
    upto = np.where(index >= 0, whole[np.maximum(index, 0)] + inside, 0.0)
    return np.asarray(np.diff(upto), dtype=float)


def merged(parts: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans in any order as ascending ones that do not overlap."""
    found: list[tuple[float, float]] = []
    for began, ended in sorted(parts):
        if found and began <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ended))
        elif ended > began:
            found.append((began, ended))
    return found


def overlaps(
    first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Where two ascending series of spans overlap."""
    found, k = [], 0
    for began, ended in second:
        while k and k < len(first) and first[k][0] > began:
            k -= 1
        while k < len(first) and first[k][1] <= began:
            k += 1
        j = k
        while j < len(first) and first[j][0] < ended:
            low, high = max(began, first[j][0]), min(ended, first[j][1])
            if high > low:
                found.append((low, high))
            j += 1
    return found


def _placed(times: Sequence[float], edges: Floats) -> npt.NDArray[np.int_]:
    """Row of each time."""
    rows = np.searchsorted(edges, np.asarray(times, dtype=float), side="left") - 1
    return np.clip(rows, 0, len(edges) - 2)


def _cells(course: Course, edges: Floats) -> list[dict[str, Any]]:
    """What the records show within each pair of edges."""
    records, found = course.records, []
    times = records["time_s"]
    at = np.searchsorted(times, edges)
    at[-1] = len(times)
    charge = throughput = 0.0
    for low, high in zip(at[:-1].tolist(), at[1:].tolist(), strict=True):
        row: dict[str, Any] = {"records": high - low}
        for name in ("current_ma", "voltage_v"):
            values = records[name][low:high] if high > low else np.empty(0)
            finite = values[np.isfinite(values)]
            row[f"min_{name}"] = float(finite.min()) if len(finite) else None
            row[f"max_{name}"] = float(finite.max()) if len(finite) else None
        if high > low:
            charge = float(records["charge_mah"][high - 1])
            throughput = float(records["throughput_mah"][high - 1])
        found.append({**row, "charge_mah": charge, "throughput_mah": throughput})
    return found
