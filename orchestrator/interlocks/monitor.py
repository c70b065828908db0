"""One interlock at work: counts bad readings in a row, and says once when there are enough."""

from __future__ import annotations

from orchestrator.interlocks.rules import Sample, rule_of
from orchestrator.profile.interlocks import InterlockEntry
from plans.trip import Trip


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

    @property
    def name(self) -> str:
        """Name of the interlock."""
        return self.entry.label

    def take(self, sample: Sample) -> Trip | None:
        """Judge a reading; the trip, the first time that enough in a row were bad."""
        self.last, self.wrong = sample, self._rule.wrong(sample)
        self.bad = self.bad + 1 if self.wrong else 0
        if self.tripped is not None or self.bad < self.entry.confirm:
            return None
        row = f" ({self.bad} readings in a row)" if self.bad > 1 else ""
        text, wanted = f"{self.wrong}{row}", tuple(self.entry.evidence)
        self.tripped = Trip(self.name, text, sample.value, sample.t_s, wanted)
        return self.tripped

    def reset(self, *, forget: bool = True) -> None:
        """A run begins, or goes on: nothing is wrong yet.

        Args:
            forget: The last reading is forgotten too.
        """
        self._rule.reset()
        self.tripped, self.bad = None, 0
        if forget:
            self.last, self.wrong = None, ""
