"""Faults of the cell itself: an electronic short, and a contact that is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sim.faults.timed import Timed

CellFaultKind = Literal["short", "open"]


@dataclass(frozen=True)
class CellFault(Timed):
    """One fault of the cell; `sim.faults.faulty_sample` says what each kind does.

    Attributes:
        ohm: Resistance of a ``short``, ohm.

    Raises:
        ValueError: The end is not after the start, or the resistance is not above 0.
    """

    kind: CellFaultKind
    ohm: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ohm > 0.0:
            raise ValueError(f"{self.kind}: got {self.ohm} ohm, expected more than 0")


def parallel_ohm(one: float | None, other: float | None) -> float | None:
    """Resistance of two paths side by side, either of which may not be there, ohm."""
    if one is None or other is None:
        return other if one is None else one
    return one * other / (one + other)


def short_ohm(faults: tuple[CellFault, ...], t_s: float) -> float | None:
    """Resistance of every short that is present at `t_s` together, ohm; None without one."""
    ohm = None
    for one in faults:
        if one.kind == "short" and one.holds_at(t_s):
            ohm = parallel_ohm(ohm, one.ohm)
    return ohm


def is_open(faults: tuple[CellFault, ...], t_s: float) -> bool:
    """Whether the contact is lost at `t_s`."""
    return any(one.kind == "open" and one.holds_at(t_s) for one in faults)
