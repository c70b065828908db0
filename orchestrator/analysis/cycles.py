"""Charge, polarisation and resistance of each cycle, from the records of a run."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


_SHARE_OF_USUAL, _SHARE_OF_LARGEST = 1e-3, 1e-5


def flowing(current_ma: Floats) -> npt.NDArray[np.bool_]:
    """Records with current; an ammeter's noise at rest is none.

    More than a thousandth of the usual current (the 95th percentile of |I|), or, in a run that
    rests nearly always, more than 1e-5 of the largest.

    Args:
        current_ma: Currents, mA, shape (n,).
    """
    size_ma = np.where(np.isfinite(current_ma), np.abs(current_ma), 0.0)
    if not len(size_ma):
        return np.zeros(0, dtype=bool)
    usual_ma = float(np.percentile(size_ma, 95))
    least_ma = max(_SHARE_OF_USUAL * usual_ma, _SHARE_OF_LARGEST * float(size_ma.max()))
    return np.asarray((size_ma > 0) & (size_ma >= least_ma))


@dataclass(frozen=True)
class Records:
    """Columns of a potentiostat, one row per record, all of shape (n,).

    Attributes:
        time_s: Ascending, s.
        voltage_v: V(A) - V(B), V.
        current_ma: A -> B, mA; at rest only noise.
        charge_mah: Net charge A -> B since the run began, mAh.
        throughput_mah: Charge in either direction since the run began, mAh.
        cycle: Number of the cycle, from 1; 0 before the first and after the last.
    """

    time_s: Floats
    voltage_v: Floats
    current_ma: Floats
    charge_mah: Floats
    throughput_mah: Floats
    cycle: Ints

    def of_cycles(self) -> Records:
        """Those that belong to a cycle; all where none does."""
        kept = self.cycle > 0
        if kept.all() or not kept.any():
            return self
        return Records(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})


@dataclass(frozen=True)
class CycleTable:
    """One row per cycle; all arrays of shape (m,).

    Attributes:
        cycle: Number of the cycle.
        start_s: Time of its first record, s.
        duration_s: Time to the first record of the next cycle, s.
        forward_mah: Charge A -> B, mAh.
        backward_mah: Charge B -> A, mAh.
        returned: Charge B -> A over charge A -> B. It is a coulombic efficiency for a cell that
            is charged first and gives its charge back; in a symmetric cell it only says how well
            the program reverses. NaN where nothing flowed forward.
        polarisation_v: Mean of |V| while current flows, V.
        polarisation_sd_v: Standard deviation of |V| while current flows, V.
        resistance_ohm_cm2: Mean of |V| over mean of |I|, times the area, ohm cm2.
        resistance_sd_ohm_cm2: Standard deviation of |V/I| within the cycle, times the area.
        quality: ``ok`` or a reason per cycle.
    """

    cycle: Ints
    start_s: Floats
    duration_s: Floats
    forward_mah: Floats
    backward_mah: Floats
    returned: Floats
    polarisation_v: Floats
    polarisation_sd_v: Floats
    resistance_ohm_cm2: Floats
    resistance_sd_ohm_cm2: Floats
    quality: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.cycle)


def cycle_table(records: Records, *, area_cm2: float) -> CycleTable:
    """Summarise each cycle.

    Args:
        records: Columns of the run; the charge between two records counts for the later one.
        area_cm2: Electrode area, cm2.

    Raises:
        ValueError: If there is no record or the area is not positive.
    """
    if not len(records.time_s) or not area_cm2 > 0:
        raise ValueError(
            f"cycles: got {len(records.time_s)} records and area {area_cm2} cm2, expected at "
            "least one record and a positive area (correct `sample.area_cm2`)"
        )
    starts = np.concatenate([[0], np.flatnonzero(np.diff(records.cycle)) + 1])
    counts = np.diff(np.append(starts, len(records.cycle)))
    moved = np.diff(records.charge_mah, prepend=0.0)
    forward = np.add.reduceat(np.clip(moved, 0.0, None), starts)
    backward = np.add.reduceat(np.clip(-moved, 0.0, None), starts)
    start_s = records.time_s[starts]
    mean_v, sd_v, mean_ma, resistance_sd = _polarisation(records, starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        returned = np.where(forward > 0, backward / forward, np.nan)
        area_resistance = mean_v / (mean_ma * 1e-3) * area_cm2
    return CycleTable(
        cycle=records.cycle[starts],
        start_s=start_s,
        duration_s=np.diff(np.append(start_s, records.time_s[-1])),
        forward_mah=forward,
        backward_mah=backward,
        returned=returned,
        polarisation_v=mean_v,
        polarisation_sd_v=sd_v,
        resistance_ohm_cm2=area_resistance,
        resistance_sd_ohm_cm2=resistance_sd * area_cm2,
        quality=_quality(mean_v, sd_v, counts),
    )


def _polarisation(records: Records, starts: npt.NDArray[np.intp]) -> tuple[Floats, ...]:
    """Means and deviations of |V|, |I| and |V/I| per cycle, over records with current."""
    on = flowing(records.current_ma) & np.isfinite(records.voltage_v)
    volt = np.where(on, np.abs(records.voltage_v), 0.0)
    milliampere = np.where(on, np.abs(records.current_ma), 0.0)
    ohm = np.divide(volt, milliampere * 1e-3, out=np.zeros_like(volt), where=on)
    count = np.add.reduceat(on.astype(float), starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_v, sd_v = _moments(volt, on, starts, count)
        mean_ma, _ = _moments(milliampere, on, starts, count)
        _, sd_ohm = _moments(ohm, on, starts, count)
    return mean_v, sd_v, mean_ma, sd_ohm


def _moments(
    values: Floats, on: npt.NDArray[np.bool_], starts: npt.NDArray[np.intp], count: Floats
) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the counted values per group; NaN for empty groups."""
    mean = np.add.reduceat(values, starts) / count
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))
    offset = np.where(on, values - mean[group], 0.0)
    return mean, np.sqrt(np.add.reduceat(offset**2, starts) / count)


def _quality(mean_v: Floats, sd_v: Floats, counts: npt.NDArray[np.intp]) -> tuple[str, ...]:
    """Flag the last, incomplete cycle, cycles without current and unsteady ones."""
    flags = ["ok"] * len(counts)
    for index, (mean, sd) in enumerate(zip(mean_v, sd_v, strict=True)):
        if np.isnan(mean):
            flags[index] = "no current"
        elif sd > 0.5 * mean:
            flags[index] = "voltage unsteady"
    if len(counts) > 1 and counts[-1] < 0.98 * counts[-2] and flags[-1] == "ok":
        flags[-1] = "incomplete"
    return tuple(flags)
