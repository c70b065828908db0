"""A stretch of laboratory time in which something is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timed:
    """A fault, present from `start_s` until just before `end_s`.

    Attributes:
        kind: What goes wrong.
        start_s: Laboratory time at which it begins, s.
        end_s: Laboratory time at which it ends, s; infinite where it does not.

    Raises:
        ValueError: The end is not after the start.
    """

    kind: str
    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not self.start_s < self.end_s:
            raise ValueError(
                f"{self.kind}: got start {self.start_s:g} s and end {self.end_s:g} s, expected "
                "the end after the start"
            )

    def holds_at(self, t_s: float) -> bool:
        """Whether the fault is present at `t_s`."""
        return self.start_s <= t_s < self.end_s

    def first_within(self, t0_s: float, t1_s: float) -> float | None:
        """First time in [t0, t1) at which the fault is present; None where it is not."""
        first_s = max(self.start_s, t0_s)
        return first_s if first_s < min(self.end_s, t1_s) else None
