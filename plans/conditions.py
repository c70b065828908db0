"""Conditions on what a run measures: the triggerable things plans wait for.

A `Condition` connects a criterion (`plans.criteria`, `plans.shorts`) to a potentiostat and can be
triggered: its status is done when the criterion is met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ophyd.status import Status

from devices.cell_records import Records
from devices.potentiostat import Potentiostat
from plans.criteria import Criterion, Elapsed, Met, Threshold
from plans.shorts import hard_short, soft_short


class Condition:
    """A criterion on a potentiostat's records that a plan can trigger and wait for.

    Args:
        name: Its name in the experiment file; also the stop reason it gives.
        criterion: Decides; it remembers, so make a new one for each run.
        source: The potentiostat whose records it sees.

    Attributes:
        met: When and how it was met; None before.
    """

    parent = None

    def __init__(self, name: str, criterion: Criterion, source: Potentiostat) -> None:
        self.name, self.met = name, None
        self._criterion, self._source = criterion, source
        self._status: Status | None = None
        self._detach: Callable[[], Any] | None = None

    met: Met | None

    def trigger(self) -> Status:
        """Begin to look; the status is done when the criterion is met. Idempotent."""
        if self._status is None:
            self._status = Status(obj=self, timeout=None)
            self._detach = self._source.subscribe_records(self._look)
        return self._status

    def stop(self, *, success: bool = True) -> None:
        """Stop looking."""
        del success
        if self._detach is not None:
            self._detach()
            self._detach = None

    def _look(self, records: Records) -> None:
        met = self._criterion.update(records)
        if met is not None and self._status is not None and not self._status.done:
            self.met = met
            self.stop()
            self._status.set_finished()


Parameters = Mapping[str, float]

CRITERIA: dict[str, Callable[[float, float], Criterion]] = {
    "hard_short": lambda _value, _area: hard_short(),
    "soft_short": lambda _value, _area: soft_short(),
    "voltage_above_v": lambda value, _area: Threshold(
        "voltage_v", value, magnitude=True, label="voltage / V"
    ),
    "charge_mah_per_cm2": lambda value, area: Threshold(
        "charge_mah", value * area, magnitude=True, label="net charge / mAh"
    ),
    "throughput_mah_per_cm2": lambda value, area: Threshold(
        "throughput_mah", value * area, label="charge throughput / mAh"
    ),
    "duration_s": lambda value, _area: Elapsed(value),
}
"""Conditions by their name in the experiment file; called with the value given there (0 where
none is given) and the electrode area in cm2. All voltages and charges are magnitudes."""


def condition(
    name: str, source: Potentiostat, *, value: float = 0.0, area_cm2: float = 1.0
) -> Condition:
    """Make a condition by its name in the experiment file.

    Args:
        name: One of `CRITERIA`.
        source: The potentiostat whose records it sees.
        value: The threshold, in the unit that the name ends with.
        area_cm2: Electrode area, cm2.

    Raises:
        ValueError: There is no such condition.
    """
    if name not in CRITERIA:
        known = ", ".join(CRITERIA)
        raise ValueError(f"stop_when: no condition {name!r} (use one of {known})")
    return Condition(name, CRITERIA[name](value, area_cm2), source)
