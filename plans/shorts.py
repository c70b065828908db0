"""Short circuits of a cell, seen in its voltage and current: the one definition of each.

A symmetric cell that shorts loses its resistance: |V/I| collapses. A cell with an electromotive
force (a battery, or lithium against lithiated indium) loses its voltage instead: V goes to zero
whatever drives it, and |V/I| tells nothing, since V passes through zero by polarisation alone when
such a cell is discharged far enough. Which of the two a cell is shows at rest.
"""

from __future__ import annotations

from devices.cell_records import Records
from plans.collapse import ResistanceDrop, VoltageCollapse
from plans.criteria import Floats, Met, State
from plans.soft_shorts import SoftShort


class HardShort:
    """A hard short of any cell: resistance or voltage collapses, by what the cell shows at rest.

    Args:
        ratio: Part of the recent resistance, or of the voltage at rest, that is left.
        confirm: Number of consecutive records.
    """

    def __init__(self, ratio: float = 0.1, *, confirm: int = 2) -> None:
        self._resistance = ResistanceDrop(ratio, confirm=confirm, name="hard short")
        self._voltage = VoltageCollapse(ratio, confirm=confirm, name="hard short")

    @property
    def holding(self) -> bool:
        """Whether the cell is shorted now."""
        return self._voltage.holding if self._voltage.applies else self._resistance.holding

    def update(self, records: Records) -> list[Met]:
        """Look at new records; see `Criterion.update`."""
        return self._of(self._voltage.update(records), self._resistance.update(records))

    def look(self, t_s: Floats, voltage_v: Floats, current_ma: Floats) -> list[Met]:
        """Look at columns of equal length; each time that it was confirmed."""
        columns = (t_s, voltage_v, current_ma)
        return self._of(self._voltage.look(*columns), self._resistance.look(*columns))

    def state(self) -> State:
        """What it remembers."""
        return {"voltage": self._voltage.state(), "resistance": self._resistance.state()}

    def restore(self, state: State) -> None:
        """Remember it again."""
        self._voltage.restore(state["voltage"])
        self._resistance.restore(state["resistance"])

    def _of(self, collapses: list[Met], drops: list[Met]) -> list[Met]:
        return collapses if self._voltage.applies else drops


def hard_short(*, confirm: int = 2) -> HardShort:
    """The one definition of a hard short: a tenth of the resistance, or of the voltage, twice.

    Liu et al. 2025 see the voltage collapse to zero (their Fig. 4a) and Siniscalchi et al. 2024
    18 kohm fall to 0.5 kohm; both lie far below a tenth.

    Args:
        confirm: Number of consecutive records.
    """
    return HardShort(0.1, confirm=confirm)


def soft_short(*, confirm: int = 3) -> SoftShort:
    """The one definition of a soft short, of any cell; see `plans.soft_shorts`.

    Symmetric: the resistance is below 70 % of its recent value 3 times, or dips by 15 % 3 times
    within 10 min. With an electromotive force, while it is charged at one current: the voltage
    falls suddenly, by 10 % of that at rest and half of the distance from it, and stays 3 times, or
    dips 3 times by 2 % and 30 %; or a cycle gives back 10 % less than those before.

    Source: [A] a sudden drop that leaves a resistance, against the slow fall of a cell that
    conditions (which moves the recent value along).

    Args:
        confirm: Number of consecutive records of a fall that stays.
    """
    return SoftShort(confirm=confirm)
