"""A cell as a plan needs to know it: its area, and what must never be exceeded there.

Named plans and experiment files both make it first, and everything that depends on it from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aurora_unicycler import ConstantCurrent

from devices.errors import LimitError
from devices.impedance import SpectrumSeries
from devices.potentiostat import Potentiostat
from devices.roles import CellLimits, Sweep
from devices.technique import CellStep, Technique
from plans.arguments import Limits, Number, Stop, check, limits_of, refusal
from plans.conditions import CRITERIA, Condition, Terms, condition
from plans.criteria import Level
from plans.errors import PlanError
from plans.evidence import LostPart, Value
from plans.protocol import Cycling
from plans.schedule import RUNNABLE

_DIGITS = 12
"""Digits kept of a product, mA: 0.1 mA/cm2 x 0.1257 cm2 is 0.01257 mA and not 0.012570000000001."""

_SECONDS_PER_HOUR = 3600.0

_WIDER = "change the step, or widen the limits if the cell allows it"


@dataclass(frozen=True)
class Cell:
    """What is on the bench, to a plan.

    Attributes:
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell; exceeding one ends the run with the cell off.
        max_capacity_mah: Largest net charge in either direction, mAh.
    """

    area_cm2: float
    limits: CellLimits
    max_capacity_mah: float

    @classmethod
    def of(cls, area_cm2: float, limits: Limits, max_capacity_mah: float) -> Cell:
        """The cell that a plan's arguments describe."""
        return cls(float(area_cm2), limits_of(limits), float(max_capacity_mah))

    def current_ma(self, density_ma_per_cm2: float) -> float:
        """Current of a current density, mA."""
        return round(density_ma_per_cm2 * self.area_cm2, _DIGITS)

    def charge_mah(self, density_mah_per_cm2: float) -> float:
        """Charge of a charge per area, mAh."""
        return density_mah_per_cm2 * self.area_cm2

    def passing(
        self, current_ma_per_cm2: float, charge_mah_per_cm2: float, *, until_v: float | None = None
    ) -> ConstantCurrent:
        """A step that passes a charge per area with a current density, whose sign it has.

        Args:
            current_ma_per_cm2: Current density, mA/cm2; positive from A to B.
            charge_mah_per_cm2: Charge to pass, mAh/cm2.
            until_v: Voltage that ends the step before, V.
        """
        duration_s = charge_mah_per_cm2 / abs(current_ma_per_cm2) * _SECONDS_PER_HOUR
        return ConstantCurrent(
            current_mA=self.current_ma(current_ma_per_cm2),
            until_time_s=round(duration_s, 6),
            until_voltage_V=until_v,
        )

    def cycling(
        self, potentiostat: Potentiostat, method: Sequence[Any], record_s: float
    ) -> Cycling:
        """What is done to the cell, with its limits and the journal period of its potentiostat.

        Args:
            potentiostat: The device that does it.
            method: Steps with absolute currents in mA, with loops and tags.
            record_s: Time between records, s.

        Raises:
            LimitError: A step lies outside the limits.
            PlanError: There is no step.
        """
        if not any(isinstance(step, RUNNABLE) for step in method):
            raise PlanError("method", "got no step, expected one", remedy="give it something to do")
        for index, step in enumerate(method):
            self._check(index, step, record_s)
        return Cycling(
            potentiostat=potentiostat,
            method=method,
            period_s=record_s,
            limits=self.limits,
            max_capacity_mah=self.max_capacity_mah,
            journal_every_s=potentiostat.journal_every_s,
        )

    def condition(self, name: str, potentiostat: Potentiostat, value: float = 0.0) -> Condition:
        """A condition by its name in the experiment file, with its value per area."""
        return condition(name, potentiostat, value=value, area_cm2=self.area_cm2)

    def conditions(self, stop_when: Sequence[Stop], potentiostat: Potentiostat) -> list[Condition]:
        """Conditions as a plan is given them; fresh ones, for one run.

        Raises:
            ValueError: There is no such condition, its value is missing or no number, or it does
                not look at the potentiostat.
        """
        return [self._asked(one, potentiostat) for one in stop_when]

    def spectra(
        self, potentiostat: Potentiostat, sweep: Sweep, number: int = 0, *, at_rest: bool = False
    ) -> SpectrumSeries:
        """A series of spectra within the limits; raises `LimitError` where they cannot be."""
        return SpectrumSeries(
            potentiostat, sweep, limits=self.limits, number=number, at_rest=at_rest
        )

    def _asked(self, one: Stop, potentiostat: Potentiostat) -> Condition:
        if isinstance(one, Condition):
            return one
        if not isinstance(one, str | Mapping) or (isinstance(one, Mapping) and len(one) != 1):
            raise refusal("stop_when", one, "a condition such as {'duration_s': 3600}")
        name, value = (one, None) if isinstance(one, str) else next(iter(one.items()))
        if value is not None:
            check(Number, value, f"stop_when.{name}")
        _check_condition(name, value)
        return self.condition(name, potentiostat, value or 0.0)

    def _check(self, index: int, step: Any, record_s: float) -> None:
        """Refuse a step that would be refused, or would end the run, once it is its turn."""
        if not isinstance(step, CellStep):
            return  # rests, with the cell off or without a current
        Technique(step, self.limits, record_s, self.max_capacity_mah, step_index=index).program()
        if not isinstance(step, ConstantCurrent) or step.current_mA is None:
            return
        low, high = self.limits.min_voltage_v, self.limits.max_voltage_v
        end_v = step.until_voltage_V
        if end_v is not None and not low <= end_v <= high:
            what = f"ends at {end_v:g} V, outside the limits {low:g} to {high:g} V"
            raise LimitError(f"step {index}", what, remedy=_WIDER)
        if end_v is None and step.until_time_s is not None:
            passed_mah = abs(step.current_mA) * step.until_time_s / _SECONDS_PER_HOUR
            if passed_mah > self.max_capacity_mah:
                what = f"passes {passed_mah:g} mAh, expected at most {self.max_capacity_mah:g} mAh"
                raise LimitError(f"step {index}", what, remedy=_WIDER)


def _check_condition(name: str, value: float | None) -> None:
    """Refuse a threshold too few or too many, and what the potentiostat does not show."""
    make = CRITERIA.get(name)
    if make is None:
        return  # refused with the names that there are, when it is made
    criterion = make(Terms(value or 0.0))
    takes_value = isinstance(criterion, Level)
    if takes_value and value is None:
        remedy = f"write {{'{name}': ...}}"
        raise PlanError("stop_when", f"got {name} without its value, expected one", remedy=remedy)
    if not takes_value and value is not None:
        remedy = f"write '{name}' alone"
        raise PlanError("stop_when", f"got {value!r} for {name}, expected no value", remedy=remedy)
    if isinstance(criterion, Level) and isinstance(criterion.evidence, Value | LostPart):
        what = f"got {name}, which looks at another device than the potentiostat"
        remedy = f"make it for this run: plans.condition('{name}', source, value=...)"
        raise PlanError("stop_when", what, remedy=remedy)
