"""When a condition begins to hold: levels with confirmation and hysteresis.

A criterion looks at batches of records or at readings and says each time it begins to hold; it is
the only implementation, used by plans, interlocks and reports alike. It does not matter how
records fall into batches. What is compared comes from `plans.evidence`; shorts have a module of
their own, `plans.shorts`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from plans.evidence import Column, Evidence, Floats

Flags = npt.NDArray[np.bool_]

State = dict[str, Any]
"""What a criterion remembers, as JSON knows it."""

HYSTERESIS = 0.05
"""Part of its limit by which a value must go back before a condition can be met again, where
nobody says otherwise [A]: several times the noise of what is compared here."""


@dataclass(frozen=True)
class Met:
    """When and how a condition was met.

    Attributes:
        t_s: Experiment time of the record or frame that met it, Unix s.
        value: The number that was compared, in the unit that `text` names.
        text: A sentence for a person.
    """

    t_s: float
    value: float
    text: str


class Criterion(Protocol):
    """Decides from records or readings; keeps what it must remember between batches."""

    @property
    def holding(self) -> bool:
        """Whether it holds now: it was met, and what met it has not gone back since."""
        ...

    def update(self, records: Any) -> list[Met]:
        """Look at what is new; each time that the criterion began to hold, in order."""
        ...

    def state(self) -> State:
        """What it remembers, JSON-able."""
        ...

    def restore(self, state: State) -> None:
        """Remember what another of the same kind remembered."""
        ...


@dataclass
class Latch:
    """Begins to hold after some observations in a row; holds until one has gone back.

    Attributes:
        confirm: Number of consecutive observations beyond the limit that make it hold.
        count: How many there are so far.
        holding: Whether it holds.
    """

    confirm: int = 1
    count: int = 0
    holding: bool = False

    def begins(self, *, beyond: bool, back: bool) -> bool:
        """Take one observation; whether it begins to hold with this one."""
        if self.holding:
            self.holding = not back
            return False
        self.count = self.count + 1 if beyond else 0
        if self.count < self.confirm:
            return False
        self.holding, self.count = True, 0
        return True

    def beginnings(self, beyond: Flags, back: Flags) -> list[int]:
        """Take observations in order; indices of those with which it began to hold."""
        if not (back if self.holding else beyond).any():  # nearly always
            self.count = 0 if len(beyond) else self.count
            return []
        pairs = zip(beyond.tolist(), back.tolist(), strict=True)
        return [k for k, (far, near) in enumerate(pairs) if self.begins(beyond=far, back=near)]


class Level:
    """A number rises above, or falls below, a limit.

    Args:
        evidence: Gives the number; where it is NaN nothing is concluded.
        limit: Value to compare with.
        above: Whether rising above meets it; otherwise falling below.
        inclusive: Whether the limit itself meets it.
        confirm: Number of consecutive numbers that meet it.
        hysteresis: How far the number must go back beyond the limit before it can be met again;
            by default `HYSTERESIS` of the limit.
        label: Name and unit for the text.
    """

    def __init__(
        self,
        evidence: Evidence,
        limit: float,
        *,
        above: bool = True,
        inclusive: bool = False,
        confirm: int = 1,
        hysteresis: float | None = None,
        label: str = "",
    ) -> None:
        self.evidence, self.limit, self.above, self.label = evidence, limit, above, label
        self.inclusive = inclusive
        self.hysteresis = HYSTERESIS * abs(limit) if hysteresis is None else hysteresis
        self._latch = Latch(confirm)

    @property
    def holding(self) -> bool:
        """Whether it holds now."""
        return self._latch.holding

    def update(self, records: Any) -> list[Met]:
        """Look at what is new; see `Criterion.update`."""
        t_s, values = self.evidence.of(records)
        told = np.isfinite(values)
        if not told.all():
            t_s, values = t_s[told], values[told]
        sign = 1.0 if self.above else -1.0
        over = sign * (values - self.limit)
        beyond = over >= 0.0 if self.inclusive else over > 0.0
        back = ~beyond & (over <= -self.hysteresis)
        return [
            Met(float(t_s[k]), float(values[k]), self._text(float(values[k])))
            for k in self._latch.beginnings(beyond, back)
        ]

    def state(self) -> State:
        """What it remembers."""
        return {"latch": asdict(self._latch), "evidence": self.evidence.state()}

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._latch = Latch(**state["latch"])
        self.evidence.restore(state["evidence"])

    def _text(self, value: float) -> str:
        word = "reaches" if self.inclusive else "above" if self.above else "below"
        return f"{self.label} {value:.6g}, {word} {self.limit:g}"


class AnyOf:
    """Several criteria on the same records, of which one suffices.

    Args:
        criteria: The criteria.
    """

    def __init__(self, *criteria: Criterion) -> None:
        self._criteria = criteria

    @property
    def holding(self) -> bool:
        """Whether one of them holds now."""
        return any(one.holding for one in self._criteria)

    def update(self, records: Any) -> list[Met]:
        """Look at what is new; see `Criterion.update`."""
        found = [met for one in self._criteria for met in one.update(records)]
        return sorted(found, key=lambda met: met.t_s)

    def state(self) -> State:
        """What they remember."""
        return {"criteria": [one.state() for one in self._criteria]}

    def restore(self, state: State) -> None:
        """Remember it again."""
        for one, kept in zip(self._criteria, state["criteria"], strict=True):
            one.restore(kept)


class Repeated:
    """Another criterion begins to hold several times within a time: something comes and goes.

    Args:
        criterion: The other criterion.
        times: How often.
        within_s: Within which time, s.
        name: What it means, for the text.
    """

    def __init__(self, criterion: Criterion, times: int, within_s: float, *, name: str) -> None:
        self._criterion, self.times, self.within_s, self.name = criterion, times, within_s, name
        self._begun_s: list[float] = []

    @property
    def holding(self) -> bool:
        """Whether the other one holds now."""
        return self._criterion.holding

    def update(self, records: Any) -> list[Met]:
        """Look at what is new; see `Criterion.update`. Counts anew once it was met."""
        found = []
        for met in self._criterion.update(records):
            kept = [one for one in self._begun_s if one > met.t_s - self.within_s]
            self._begun_s = [*kept, met.t_s]
            if len(self._begun_s) >= self.times:
                self._begun_s = []
                text = f"{self.name}, {self.times} times within {self.within_s:g} s: {met.text}"
                found.append(Met(met.t_s, met.value, text))
        return found

    def state(self) -> State:
        """What it remembers."""
        return {"begun_s": list(self._begun_s), "criterion": self._criterion.state()}

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._begun_s = list(state["begun_s"])
        self._criterion.restore(state["criterion"])


def column(
    name: str, limit: float, *, magnitude: bool = False, label: str = "", confirm: int = 1
) -> Level:
    """A column of the records rises above a limit; the commonest criterion.

    Args:
        name: Attribute of `devices.cell_records.Records`.
        limit: Value to compare with.
        magnitude: Whether the absolute value is compared.
        label: Name and unit for the text.
        confirm: Number of consecutive records that meet it.
    """
    return Level(Column(name, magnitude=magnitude), limit, label=label, confirm=confirm)


__all__ = ["AnyOf", "Criterion", "Floats", "Latch", "Level", "Met", "Repeated", "State", "column"]
