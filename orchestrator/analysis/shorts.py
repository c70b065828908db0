"""When a cell runs away and when it shorts, from its records.

What counts as a short is said once, in `plans.shorts`; here its criterion is only led over
the columns of a finished run, in batches of the length in which a running plan sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.cycles import flowing

Floats = npt.NDArray[np.float64]

BATCH_S = 900.0
RUN_AWAY_RATIO = 2.0

T_co = TypeVar("T_co", covariant=True)


class ColumnCriterion(Protocol[T_co]):
    """A criterion that looks at columns of new records and keeps its memory between batches."""

    def look(self, t_s: Floats, voltage_v: Floats, current_ma: Floats) -> Sequence[T_co]:
        """Returns what was met, in order."""
        ...


@dataclass(frozen=True)
class RunAway:
    """The beginning of the polarisation that precedes a short.

    Attributes:
        time_s: First record whose |V| exceeds twice the typical one, s; NaN without one.
        error_s: Time from the record with current before it, s.
        typical_v: Median of |V| with current on, V.
        peak_v: Largest |V| with current on, V.
        quality: ``ok`` or a reason.
    """

    time_s: float
    error_s: float
    typical_v: float
    peak_v: float
    quality: str


def first_met(
    make: Callable[[], ColumnCriterion[T_co]],
    time_s: Floats,
    voltage_v: Floats,
    current_ma: Floats,
    *,
    batch_s: float = BATCH_S,
) -> T_co | None:
    """Lead a criterion over the columns of a run.

    Args:
        make: Makes the criterion, for example `plans.shorts.hard_short`.
        time_s: Times of the records, s, ascending.
        voltage_v: Voltages, V.
        current_ma: Currents, mA.
        batch_s: Length of a batch, s.

    Returns:
        What the criterion said when it was first met, or None.
    """
    if not len(time_s):
        return None
    criterion = make()
    edges = np.arange(time_s[0] + batch_s, time_s[-1] + batch_s, batch_s)
    starts = np.unique(np.concatenate([[0], np.searchsorted(time_s, edges), [len(time_s)]]))
    for first, last in pairwise(starts):
        batch = slice(int(first), int(last))
        found = criterion.look(time_s[batch], voltage_v[batch], current_ma[batch])
        if found:
            return found[0]
    return None


def run_away(time_s: Floats, voltage_v: Floats, current_ma: Floats) -> RunAway:
    """Find where |V| first exceeds twice its typical value while current flows.

    Args:
        time_s: Times of the records, s, ascending.
        voltage_v: Voltages, V; records that are not finite are left out.
        current_ma: Currents, mA; at rest only noise.
    """
    on = flowing(current_ma) & np.isfinite(voltage_v)
    if not on.any():
        return RunAway(np.nan, np.nan, np.nan, np.nan, "no record with current")
    at_s, size_v = time_s[on], np.abs(voltage_v[on])
    typical_v = float(np.median(size_v))
    beyond = np.flatnonzero(size_v > RUN_AWAY_RATIO * typical_v)
    peak_v = float(size_v.max())
    if not len(beyond) or typical_v == 0:
        return RunAway(np.nan, np.nan, typical_v, peak_v, "no run-away")
    first = int(beyond[0])
    error_s = float(at_s[first] - at_s[first - 1]) if first else 0.0
    return RunAway(float(at_s[first]), error_s, typical_v, peak_v, "ok")
