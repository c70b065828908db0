"""Conditions on what a run measures: the triggerable things plans wait for.

A `Condition` connects a criterion (`plans.criteria`, `plans.shorts`) to what it looks at: the
records of a potentiostat, the readings of a sensor, or a number out of images and spectra
(`devices.roles.Derived`). Once triggered it looks at everything new until it is stopped, and its
status is done when the criterion is met.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from ophyd.status import Status

from devices.cell_records import Records
from devices.clock import Clock
from devices.roles import Derived, RecordSource
from plans.criteria import Criterion, Level, Met, State
from plans.evidence import (
    SETTLE_S,
    Column,
    Evidence,
    LostPart,
    Overpotential,
    SinceFirst,
    Value,
    VoltageChange,
    VoltageSlope,
)
from plans.shorts import hard_short, soft_short

JUMP_WITHIN_S = 30.0
"""Time within which a voltage jumps, s, where nobody says otherwise: three records of 10 s."""

SLOPE_WITHIN_S = 300.0
"""Window of dV/dt, s, where nobody says otherwise."""


class Condition:
    """A criterion on what one source shows, that a plan can trigger and wait for.

    Args:
        name: Its name in the experiment file; also the stop reason it gives.
        criterion: Decides; it remembers, so make a new one for each run.
        source: The potentiostat, the sensor or the derived number that it looks at.
        repeat: Whether it can be met again and again, each time that the criterion begins to hold
            anew; otherwise it is met once and looks no more.

    Attributes:
        met: When and how it was first met; None before.
    """

    parent = None

    def __init__(
        self, name: str, criterion: Criterion, source: RecordSource, *, repeat: bool = False
    ) -> None:
        self.name, self.met, self.repeat = name, None, repeat
        self.source = source
        self._criterion = criterion
        self._waiting: list[Met] = []
        self._status: Status | None = None
        self._detach: Callable[[], Any] | None = None
        self._seen: tuple[float, float] = (-math.inf, -math.inf)
        self._again = False

    met: Met | None

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        seen = "not met" if self.met is None else self.met.text
        return f"<{type(self).__name__} {self.name} on {self.source.name}: {seen}>"

    @property
    def clock(self) -> Clock:
        """The experiment's clock, that of the source."""
        source: Any = self.source
        clock: Clock = source.clock
        return clock

    @property
    def holding(self) -> bool:
        """Whether the criterion holds now."""
        return self._criterion.holding

    @property
    def derived(self) -> tuple[Derived, ...]:
        """The derived numbers that must be staged for it, and recorded."""
        source: Any = self.source
        return (source,) if hasattr(source, "latest") else ()

    def trigger(self) -> Status:
        """Begin to look, or go on; the status is done when there is something to `take`.

        Idempotent: nothing is lost between one status and the next, since it looks all the time.
        """
        if self._status is None or (self._status.done and self.repeat and not self._waiting):
            self._status = Status(obj=self, timeout=None)
        if self._waiting and not self._status.done:
            self._status.set_finished()
        if self._detach is None and (self.repeat or self.met is None):
            self._detach = self.source.subscribe_records(self._look)
        return self._status

    def take(self) -> list[Met]:
        """Every time that it was met and nobody has taken yet, in order; each is given once."""
        taken, self._waiting = self._waiting, []
        return taken

    def stop(self, *, success: bool = True) -> None:
        """Stop looking; what it remembers it keeps."""
        del success
        if self._detach is not None:
            self._detach()
            self._detach = None

    def state(self) -> State:
        """What it remembers, JSON-able: what was met, what waits to be taken, the criterion's."""
        return {
            "met": None if self.met is None else asdict(self.met),
            "waiting": [asdict(met) for met in self._waiting],
            "criterion": self._criterion.state(),
            "seen": list(self._seen),
        }

    def restore(self, state: State) -> None:
        """Remember what the same condition of an earlier run remembered; before `trigger`.

        What it has seen then and is shown again, read once more from an instrument, is left out.
        """
        first, last = state.get("seen", self._seen)
        self._seen, self._again = (float(first), float(last)), True
        self.met = None if state["met"] is None else Met(**state["met"])
        self._waiting = [Met(**met) for met in state["waiting"]]
        self._criterion.restore(state["criterion"])

    def _look(self, records: Any) -> None:
        if self._again:
            records = _after(records, self._seen)
            if records is None:
                return
            self._again = False
        self._seen = _last(records)
        found = self._criterion.update(records)
        if not found or self._status is None:
            return
        self.met = self.met or found[0]
        self._waiting += found if self.repeat else found[:1]
        if not self.repeat:
            self.stop()
        if not self._status.done:
            self._status.set_finished()


def _last(records: Any) -> tuple[float, float]:
    """Which records or reading these are: when the cell was connected, and the last time, s."""
    if isinstance(records, Records):
        return float(records.connected_s), float(records.t_s[-1])
    return 0.0, float(records.t_s)


def _after(records: Any, seen: tuple[float, float]) -> Any:
    """Those that come after what was seen; None where none do."""
    if _last(records) <= seen:
        return None
    if not isinstance(records, Records) or records.connected_s > seen[0]:
        return records
    new = records.t_s > seen[1]
    names = ("t_s", "voltage_v", "current_ma", "charge_mah", "throughput_mah")
    columns: dict[str, Any] = {name: np.asarray(getattr(records, name))[new] for name in names}
    return replace(records, **columns)


def derived_of(conditions: Iterable[Condition]) -> list[Derived]:
    """The derived numbers that some conditions look at, each once."""
    found = {id(one): one for condition in conditions for one in condition.derived}
    return list(found.values())


@dataclass(frozen=True)
class Terms:
    """What a condition is made with, beside its name.

    Attributes:
        value: The threshold, in the unit that the name ends with; 0 where it takes none.
        area_cm2: Electrode area, cm2.
        confirm: Consecutive records or frames that meet it; None as the condition has it.
        hysteresis: How far the number must go back before it can be met again, in the unit of
            the value; None as `plans.criteria.HYSTERESIS` has it.
        within_s: Time that a jump takes, or window of a slope, s; None as the condition has it.
        settle_s: Time after a change of current that is not looked at, s.
    """

    value: float = 0.0
    area_cm2: float = 1.0
    confirm: int | None = None
    hysteresis: float | None = None
    within_s: float | None = None
    settle_s: float = SETTLE_S

    def level(
        self,
        evidence: Evidence,
        label: str,
        *,
        above: bool = True,
        inclusive: bool = False,
        scale: float = 1.0,
    ) -> Level:
        """The number rises above, or falls below, the value (times `scale`)."""
        hysteresis = self.hysteresis
        return Level(
            evidence,
            self.value * scale,
            above=above,
            inclusive=inclusive,
            confirm=self.confirm or 1,
            hysteresis=None if hysteresis is None else hysteresis * scale,
            label=label,
        )

    def slope(self) -> VoltageSlope:
        """dV/dt over the window."""
        return VoltageSlope(self.within_s or SLOPE_WITHIN_S, self.settle_s)


CRITERIA: dict[str, Callable[[Terms], Criterion]] = {
    "hard_short": lambda t: hard_short(**_confirmed(t)),
    "soft_short": lambda t: soft_short(**_confirmed(t)),
    "voltage_above_v": lambda t: t.level(Column("voltage_v", magnitude=True), "voltage / V"),
    "voltage_jump_v": lambda t: t.level(
        VoltageChange(t.within_s or JUMP_WITHIN_S, t.settle_s), "voltage change / V"
    ),
    "dv_dt_above_v_per_h": lambda t: t.level(t.slope(), "|dV/dt| / V/h"),
    "dv_dt_below_v_per_h": lambda t: t.level(t.slope(), "|dV/dt| / V/h", above=False),
    "overpotential_above_v": lambda t: t.level(Overpotential(t.settle_s), "overpotential / V"),
    "charge_mah_per_cm2": lambda t: t.level(
        Column("charge_mah", magnitude=True), "net charge / mAh", scale=t.area_cm2
    ),
    "throughput_mah_per_cm2": lambda t: t.level(
        Column("throughput_mah"), "charge throughput / mAh", scale=t.area_cm2
    ),
    "duration_s": lambda t: t.level(SinceFirst(), "time / s", inclusive=True),
    "cycle_number": lambda t: t.level(Column("cycle"), "cycle", inclusive=True),
    "contact_loss_above": lambda t: t.level(Value(), "contact loss"),
    "lithium_above_umol_per_cm2": lambda t: t.level(Value(), "lithium / umol/cm2"),
    "bulk_resistance_drop": lambda t: t.level(LostPart(), "bulk resistance lost, part"),
    "interface_above_ohm_cm2": lambda t: t.level(Value(), "interfacial resistance / ohm cm2"),
    "temperature_above_celsius": lambda t: t.level(Value(), "temperature / degC"),
    "temperature_below_celsius": lambda t: t.level(Value(), "temperature / degC", above=False),
    "pressure_above_mpa": lambda t: t.level(Value(), "stack pressure / MPa"),
    "pressure_below_mpa": lambda t: t.level(Value(), "stack pressure / MPa", above=False),
}
"""Conditions by their name in the experiment file. All voltages and charges are magnitudes."""


def condition(
    name: str,
    source: RecordSource,
    *,
    value: float = 0.0,
    area_cm2: float = 1.0,
    repeat: bool = False,
    confirm: int | None = None,
    hysteresis: float | None = None,
    within_s: float | None = None,
    settle_s: float = SETTLE_S,
) -> Condition:
    """Make a condition by its name in the experiment file.

    Args:
        name: One of `CRITERIA`.
        source: What it looks at: the potentiostat, a chamber or load cell, or the derived number
            of a device, as the condition needs it.
        value: The threshold, in the unit that the name ends with.
        area_cm2: Electrode area, cm2.
        repeat: Whether it can be met again; see `Condition`.
        confirm: As of `Terms`.
        hysteresis: As of `Terms`.
        within_s: As of `Terms`, s.
        settle_s: As of `Terms`, s.

    Raises:
        ValueError: There is no such condition.
    """
    if name not in CRITERIA:
        known = ", ".join(CRITERIA)
        raise ValueError(f"stop_when: no condition {name!r} (use one of {known})")
    terms = Terms(value, area_cm2, confirm, hysteresis, within_s, settle_s=settle_s)
    return Condition(name, CRITERIA[name](terms), source, repeat=repeat)


def _confirmed(terms: Terms) -> dict[str, int]:
    return {} if terms.confirm is None else {"confirm": terms.confirm}
