"""One interlock at work: counts bad readings in a row, and says once when there are enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

from orchestrator.interlocks.rules import Sample, rule_of
from orchestrator.profile.interlocks import InterlockEntry
from plans.trip import Trip


@dataclass(frozen=True)
class Account:
    """What an interlock has seen.

    Attributes:
        name: The interlock.
        expected: What must hold, in words.
        readings: Readings that were judged.
        low: Smallest reading, in the unit of what is looked at; None where there was none.
        high: Largest reading.
        tripped: Why it tripped; empty where it did not.
    """

    name: str
    expected: str
    readings: int
    low: float | None
    high: float | None
    tripped: str


class Monitor:
    """Judges one thing reading by reading, however they fall into batches.

    Args:
        entry: The interlock as the profile describes it.

    Attributes:
        entry: As given.
        last: The last reading; None before the first.
        bad: Bad readings in a row up to now.
        wrong: What is wrong with the last reading; empty where nothing is.
        tripped: The trip since the last reset; None where there is none.
    """

    def __init__(self, entry: InterlockEntry) -> None:
        self.entry, self._rule = entry, rule_of(entry)
        self.last: Sample | None = None
        self.bad = 0
        self.wrong = ""
        self.tripped: Trip | None = None
        self._readings = 0
        self._low, self._high = math.inf, -math.inf

    @property
    def name(self) -> str:
        """Name of the interlock."""
        return self.entry.label

    def take(self, sample: Sample) -> Trip | None:
        """Judge a reading; the trip, the first time that enough in a row were bad."""
        self.last, self.wrong = sample, self._rule.wrong(sample)
        self._readings += 1
        if math.isfinite(sample.value):
            self._low, self._high = min(self._low, sample.value), max(self._high, sample.value)
        self.bad = self.bad + 1 if self.wrong else 0
        if self.tripped is not None or self.bad < self.entry.confirm:
            return None
        row = f" ({self.bad} readings in a row)" if self.bad > 1 else ""
        text, wanted = f"{self.wrong}{row}", tuple(self.entry.evidence)
        self.tripped = Trip(self.name, text, sample.value, sample.t_s, wanted)
        return self.tripped

    def account(self) -> Account:
        """What it has seen in all."""
        seen = self._low <= self._high
        return Account(
            self.name,
            self.entry.expected,
            self._readings,
            self._low if seen else None,
            self._high if seen else None,
            "" if self.tripped is None else self.tripped.text,
        )

    def reset(self, *, forget: bool = True) -> None:
        """A run begins, or goes on: nothing is wrong yet.

        Args:
            forget: The last reading is forgotten too.
        """
        self._rule.reset()
        self.tripped, self.bad = None, 0
        if forget:
            self.last, self.wrong = None, ""
