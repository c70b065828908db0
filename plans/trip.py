"""That an interlock has tripped, as plans hear of it."""

from __future__ import annotations

from dataclasses import dataclass

INTERLOCK = "interlock"
"""Stop reason of a run that an interlock has ended, and the kind of its event."""


@dataclass(frozen=True)
class Trip:
    """An interlock has tripped: the cell is off before anybody hears of it.

    Attributes:
        name: The interlock.
        text: What was found and what was expected.
        value: The last reading, in the unit of what is looked at; NaN where there is none.
        t_s: Experiment time of that reading, Unix s.
        evidence: What is to be taken after it: ``frame``, ``spectrum``.
    """

    name: str
    text: str
    value: float = float("nan")
    t_s: float = float("nan")
    evidence: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """For people and for the records."""
        return f"interlock {self.name}: {self.text}"
