"""Capacity, coulombic efficiency and retention of a battery, from the records of a run.

A cycle is a charge and the discharge that follows it, found from the sign of the current: a
program without loops has cycles too, and rests and holds belong to the half they follow. Positive
current charges the working electrode at terminal A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from orchestrator.analysis.cycles import Floats, Ints, Records, flowing

OK = "ok"


@dataclass(frozen=True)
class CapacityTable:
    """One row per cycle; all arrays of shape (m,), NaN where there is nothing to say.

    The error of a capacity is that of the moment at which the limit was passed: somewhere between
    the last record within it and the first beyond, so one interval's charge over the square root
    of 12. Where a half ends by time or at a small current that is an upper bound.

    Attributes:
        cycle: Number of the cycle, from 1.
        first_row: Index of its first record; its time may be that of the record before.
        start_s: Time of its first record, s.
        charge_mah: Charge A -> B, mAh.
        charge_error_mah: Its standard error, mAh.
        discharge_mah: Charge B -> A, mAh.
        discharge_error_mah: Its standard error, mAh.
        efficiency: Coulombic efficiency, discharge over the charge before it.
        efficiency_error: Its standard error.
        retention: Discharge over that of the reference cycle.
        retention_error: Its standard error; 0 for the reference itself.
        charge_v: Mean voltage of the charge, weighted by charge, V.
        discharge_v: Mean voltage of the discharge, weighted by charge, V.
        discharge_ma: Mean size of the current of the discharge, weighted by charge, mA.
        quality: ``ok`` or a reason per cycle.
    """

    cycle: Ints
    first_row: Ints
    start_s: Floats
    charge_mah: Floats
    charge_error_mah: Floats
    discharge_mah: Floats
    discharge_error_mah: Floats
    efficiency: Floats
    efficiency_error: Floats
    retention: Floats
    retention_error: Floats
    charge_v: Floats
    discharge_v: Floats
    discharge_ma: Floats
    quality: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.cycle)


class _Half(NamedTuple):
    """Charge or discharge of every cycle."""

    mah: Floats
    error_mah: Floats
    volts: Floats
    milliampere: Floats


def capacity_table(records: Records, *, reference: int | None = None) -> CapacityTable:
    """Summarise each cycle of a battery.

    Args:
        records: Columns of the run; the charge between two records counts for the later one.
            Their cycle numbers are not used.
        reference: Number of the cycle that retention refers to; None for the first with a
            discharge.

    Raises:
        ValueError: There is no record, no current flows, or there is no such reference.
    """
    if not len(records.time_s) or not flowing(records.current_ma).any():
        raise ValueError(
            f"capacity: got {len(records.time_s)} records without current, expected a charge or a "
            "discharge (is this the run of a battery?)"
        )
    sign = direction(records.current_ma)
    starts = np.flatnonzero(np.concatenate([[True], (sign[1:] > 0) & (sign[:-1] < 0)]))
    moved = np.diff(records.charge_mah, prepend=0.0)
    cycle = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(sign))))
    # an interval that ends with the first record of the other half still belongs to its own
    owner = cycle[np.maximum(np.arange(len(sign)) - (moved * sign < 0.0), 0)]
    charge, discharge = (_half(records, side * moved, owner, len(starts)) for side in (1, -1))
    at = _reference(discharge.mah, reference)
    efficiency, efficiency_error = _ratio(discharge, charge.mah, charge.error_mah)
    first, first_error = discharge.mah[at], discharge.error_mah[at]
    retention, retention_error = _ratio(discharge, first, first_error)
    retention_error[at] = 0.0
    return CapacityTable(
        cycle=np.arange(1, len(starts) + 1),
        first_row=starts,
        start_s=records.time_s[starts],
        charge_mah=charge.mah,
        charge_error_mah=charge.error_mah,
        discharge_mah=discharge.mah,
        discharge_error_mah=discharge.error_mah,
        efficiency=efficiency,
        efficiency_error=efficiency_error,
        retention=retention,
        retention_error=retention_error,
        charge_v=charge.volts,
        discharge_v=discharge.volts,
        discharge_ma=discharge.milliampere,
        quality=_quality(charge, discharge),
    )


def is_battery(records: Records) -> bool:
    """Whether the voltage keeps its sign when the current reverses; no symmetric cell's does."""
    on = flowing(records.current_ma) & np.isfinite(records.voltage_v)
    if not on.any():
        return False
    volts, sign = records.voltage_v[on], np.sign(records.current_ma[on])
    both = bool((sign > 0).any() and (sign < 0).any())
    return both and bool((volts > 0.0).mean() > 0.99)


def direction(current_ma: Floats) -> Floats:
    """1 from a charge on, -1 from a discharge on, until the other begins; shape (n,).

    Args:
        current_ma: Currents, mA, shape (n,), of which some flow.
    """
    sign = np.where(flowing(current_ma), np.sign(current_ma), 0.0)
    known = np.flatnonzero(sign)
    last = np.searchsorted(known, np.arange(len(sign)), side="right") - 1
    return np.asarray(sign[known[np.maximum(last, 0)]])


def _half(records: Records, moved: Floats, cycle: Ints, count: int) -> _Half:
    """One direction of every cycle.

    Args:
        records: Columns of the run.
        moved: Charge of each record in this direction, mAh; negative in the other.
        cycle: Index of the cycle that each record's charge belongs to.
        count: Number of cycles.
    """
    passed = np.clip(moved, 0.0, None)
    total = np.bincount(cycle, passed, count)
    last = np.zeros(count)
    some = np.flatnonzero(passed > 0.0)
    last[cycle[some]] = passed[some]
    volts = np.where(np.isfinite(records.voltage_v), records.voltage_v, 0.0)
    size_ma = np.where(np.isfinite(records.current_ma), np.abs(records.current_ma), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_v = np.bincount(cycle, passed * volts, count) / total
        mean_ma = np.bincount(cycle, passed * size_ma, count) / total
    return _Half(np.asarray(total, np.float64), last / np.sqrt(12.0), mean_v, mean_ma)


def _reference(discharge_mah: Floats, reference: int | None) -> int:
    """Index of the cycle that retention refers to; the first where there is no discharge."""
    if reference is None:
        return int(np.argmax(discharge_mah > 0.0))
    if not 1 <= reference <= len(discharge_mah):
        raise ValueError(
            f"capacity: got reference cycle {reference}, expected 1 to {len(discharge_mah)} "
            "(name a cycle of this run)"
        )
    return reference - 1


def _ratio(half: _Half, below: Floats, below_error: Floats) -> tuple[Floats, Floats]:
    """Quotient of charges and its standard error; NaN where nothing stands below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(below > 0.0, half.mah / below, np.nan)
        relative = np.hypot(half.error_mah / half.mah, below_error / below)
        error = np.where(half.mah > 0.0, ratio * relative, np.nan)
    return np.asarray(ratio), np.asarray(error)


def _quality(charge: _Half, discharge: _Half) -> tuple[str, ...]:
    """Name cycles that lack a half, and those whose voltage is no battery's."""
    flags = []
    for k in range(len(charge.mah)):
        if not charge.mah[k] > 0.0:
            flags.append("no charge")
        elif not discharge.mah[k] > 0.0:
            flags.append("no discharge")
        else:
            flags.append(OK if discharge.volts[k] > 0.0 else "voltage follows the current")
    return tuple(flags)
