"""One table for every kind of cell: charge, efficiency, polarisation and resistance of each cycle.

Definitions. A cycle of a battery is a charge and the discharge that follows it, found from the sign
of the current (`orchestrator.analysis.capacity`); of any other cell what the program counts. With V
and I averaged by charge over all that flowed A -> B (index 1) and over all that flowed B -> A
(index 2),

    efficiency    = charge B -> A / charge A -> B
    polarisation  = (V1 - V2) / 2
    resistance    = (V1 - V2) / (|I1| + |I2|) x area

An electromotive force is in V1 and V2 alike and cancels, so that one definition serves batteries
and symmetric cells; of a symmetric cell the polarisation is the mean |V|. In a cycle with current
in one direction only it is |V| of a cell that has no electromotive force, as its voltage at rest or
after a reversal shows, and unknown of any other.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from orchestrator.analysis.capacity import capacity_table, direction, is_battery
from orchestrator.analysis.cycles import Floats, Ints, Records, flowing

OK = "ok"

_EMF_V = 0.05
"""Voltage at rest from which a cell has an electromotive force, V [A]; as `plans.collapse`."""

_WHOLE = 0.98
"""Part of the charge of the cycle before below which the last one counts as incomplete [A]."""


@dataclass(frozen=True)
class PerCycle:
    """One row per cycle; all arrays of shape (m,), NaN where there is nothing to say.

    Attributes:
        cycle: Number of the cycle, from 1.
        start_s: Time of its first record, s.
        duration_s: Time to the first record of the next cycle, or to the last record, s.
        forward_mah: Charge A -> B, mAh: the charge of a battery.
        backward_mah: Charge B -> A, mAh: its discharge.
        efficiency: Charge B -> A over charge A -> B: the coulombic efficiency of a battery. Of a
            symmetric cell it only says how well the program reverses.
        efficiency_error: Standard error of that: of a battery by the moments at which limits were
            passed between two records; 0 where steps end by time.
        polarisation_v: Half the difference of the mean voltages of both directions, V.
        polarisation_sd_v: Standard deviation of the voltage within the directions, V.
        resistance_ohm_cm2: Area-specific resistance, ohm cm2.
        resistance_sd_ohm_cm2: That of `polarisation_sd_v`, ohm cm2.
        quality: ``ok`` or a reason per cycle.
    """

    cycle: Ints
    start_s: Floats
    duration_s: Floats
    forward_mah: Floats
    backward_mah: Floats
    efficiency: Floats
    efficiency_error: Floats
    polarisation_v: Floats
    polarisation_sd_v: Floats
    resistance_ohm_cm2: Floats
    resistance_sd_ohm_cm2: Floats
    quality: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.cycle)

    def columns(self) -> dict[str, list[object]]:
        """Every column by its name, as plain values; None where there is nothing to say."""
        return {
            one.name: [_plain(value) for value in getattr(self, one.name)] for one in fields(self)
        }


@dataclass(frozen=True)
class _Way:
    """What flowed in one direction in each cycle: charge, and means weighted by it."""

    mah: Floats
    volts: Floats
    sd_v: Floats
    milliampere: Floats


def per_cycle(records: Records, *, area_cm2: float) -> PerCycle:
    """Summarise each cycle.

    Args:
        records: Columns of the run; the charge between two records counts for the later one.
            Records before the first cycle (number 0 or less) are left out.
        area_cm2: Electrode area, cm2; NaN where it is not known: then so is the resistance.

    Raises:
        ValueError: There is no record.
    """
    if not len(records.time_s):
        raise ValueError("cycles: got no record, expected at least one (has the run begun?)")
    battery = is_battery(records)
    owner, numbers, first = _battery_cycles(records) if battery else _program_cycles(records)
    moved = np.diff(records.charge_mah, prepend=0.0)
    ways = [_way(records, moved, owner, (side, len(numbers))) for side in (1.0, -1.0)]
    forward, backward = ways
    start_s = records.time_s[first]
    with np.errstate(divide="ignore", invalid="ignore"):
        efficiency = np.where(forward.mah > 0, backward.mah / forward.mah, np.nan)
    alone = not battery and _without_emf(records)
    swing_v, sum_ma = _swing(forward, backward, alone=alone)
    sd_v = np.sqrt(0.5 * (np.nan_to_num(forward.sd_v) ** 2 + np.nan_to_num(backward.sd_v) ** 2))
    sd_v = np.where(np.isnan(swing_v), np.nan, sd_v)
    with np.errstate(divide="ignore", invalid="ignore"):
        ohm_cm2 = swing_v / (sum_ma * 1e-3) * area_cm2
        sd_ohm_cm2 = 2.0 * sd_v / (sum_ma * 1e-3) * area_cm2
    return PerCycle(
        cycle=numbers,
        start_s=start_s,
        duration_s=np.diff(np.append(start_s, records.time_s[-1])),
        forward_mah=forward.mah,
        backward_mah=backward.mah,
        efficiency=efficiency,
        efficiency_error=(
            capacity_table(records).efficiency_error if battery else 0.0 * efficiency
        ),
        polarisation_v=0.5 * swing_v,
        polarisation_sd_v=sd_v,
        resistance_ohm_cm2=ohm_cm2,
        resistance_sd_ohm_cm2=sd_ohm_cm2,
        quality=_quality(forward.mah, backward.mah),
    )


def _program_cycles(records: Records) -> tuple[Ints, Ints, Ints]:
    """Index of each record's cycle (-1 before the first), numbers, and first records."""
    known = np.flatnonzero(records.cycle > 0)
    if not len(known):
        return np.zeros(len(records.cycle), np.int64), np.ones(1, np.int64), np.zeros(1, np.int64)
    begins = np.flatnonzero(np.diff(records.cycle[known], prepend=0))
    owner = np.full(len(records.cycle), -1, np.int64)
    owner[known] = np.cumsum(np.diff(records.cycle[known], prepend=0) != 0) - 1
    first = known[begins]
    return owner, records.cycle[first], first


def _battery_cycles(records: Records) -> tuple[Ints, Ints, Ints]:
    """The same, where a charge after a discharge begins a cycle."""
    first = capacity_table(records).first_row
    counts = np.diff(np.append(first, len(records.cycle)))
    index = np.repeat(np.arange(len(first)), counts)
    moved, sign = np.diff(records.charge_mah, prepend=0.0), direction(records.current_ma)
    # an interval that ends with the first record of the other half still belongs to its own
    owner = index[np.maximum(np.arange(len(index)) - (moved * sign < 0.0), 0)]
    return owner, np.arange(1, len(first) + 1), first


def _way(records: Records, moved: Floats, owner: Ints, way: tuple[float, int]) -> _Way:
    """What flowed in one direction.

    Args:
        records: Columns of the run.
        moved: Charge of each record, mAh.
        owner: Index of each record's cycle; negative ones are left out.
        way: 1 for A -> B or -1 for B -> A, and the number of cycles.
    """
    side, count = way
    passed = np.where(owner >= 0, np.clip(side * moved, 0.0, None), 0.0)
    place = np.where(owner >= 0, owner, 0)
    total = np.bincount(place, passed, count)
    # an ammeter's noise at rest moves a little charge, and tells nothing of the polarisation; nor
    # does the first record after a reversal of the charge that came before
    seen = flowing(records.current_ma) & np.isfinite(records.voltage_v)
    seen &= side * np.nan_to_num(records.current_ma) > 0.0
    weight = np.where(seen, passed, 0.0)
    volts = np.where(seen, records.voltage_v, 0.0)
    size_ma = np.where(seen, np.abs(records.current_ma), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.bincount(place, weight, count)
        mean_v = np.bincount(place, weight * volts, count) / whole
        offset_v = volts - np.nan_to_num(mean_v)[place]
        sd_v = np.sqrt(np.bincount(place, weight * offset_v**2, count) / whole)
        mean_ma = np.bincount(place, weight * size_ma, count) / whole
    return _Way(np.asarray(total, np.float64), mean_v, sd_v, mean_ma)


def _without_emf(records: Records) -> bool:
    """Whether a cell that is no battery shows that it has no electromotive force."""
    on, known = flowing(records.current_ma), np.isfinite(records.voltage_v)
    sign = np.sign(records.current_ma[on & known])
    if (sign > 0).any() and (sign < 0).any():
        return True  # its voltage turns with the current, or it would be a battery
    rest_v = np.abs(records.voltage_v[~on & known])
    return bool(len(rest_v)) and float(np.median(rest_v)) <= _EMF_V


def _swing(forward: _Way, backward: _Way, *, alone: bool) -> tuple[Floats, Floats]:
    """Difference of the mean voltages, V, and sum of the mean sizes of the currents, mA.

    Args:
        forward: What flowed A -> B.
        backward: What flowed B -> A.
        alone: Whether one direction tells for both.
    """
    swing_v, sum_ma = forward.volts - backward.volts, forward.milliampere + backward.milliampere
    for way in (forward, backward) if alone else ():
        single = np.isnan(swing_v) & np.isfinite(way.volts)
        swing_v = np.where(single, 2.0 * np.abs(way.volts), swing_v)
        sum_ma = np.where(single, 2.0 * way.milliampere, sum_ma)
    return swing_v, sum_ma


def _quality(forward_mah: Floats, backward_mah: Floats) -> tuple[str, ...]:
    """Name cycles in which nothing flowed, or one way only, and a last one that is cut short."""
    total = forward_mah + backward_mah
    usual = float(total.max(initial=0.0))
    flags = []
    for one, other in zip(forward_mah, backward_mah, strict=True):
        least = 1e-4 * usual
        if one <= least and other <= least:
            flags.append("no current")
        elif one <= least or other <= least:
            flags.append("one direction")
        else:
            flags.append(OK)
    if len(flags) > 1 and flags[-1] != "no current" and total[-1] < _WHOLE * total[-2]:
        flags[-1] = "incomplete"
    return tuple(flags)


def _plain(value: object) -> object:
    """A number or text without NumPy; None for what is not finite."""
    if isinstance(value, str):
        return value
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, float) and not np.isfinite(number):
        return None
    return number
