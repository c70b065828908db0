"""Records of a cell as they come from a potentiostat, in columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.charge import ChargeCounter
from devices.roles import Floats

COLUMNS = ("voltage_v", "current_ma", "charge_mah", "throughput_mah", "step_index", "cycle")
"""Columns of a page, as attributes of `Records` and as signals of the device."""


@dataclass(frozen=True)
class Records:
    """Records just read, for conditions and live views; arrays of equal length.

    Attributes:
        t_s: Experiment time of each record, Unix s.
        voltage_v: Voltage, V.
        current_ma: Current A -> B, mA.
        charge_mah: Net charge since the run began, mAh.
        throughput_mah: Charge moved in either direction since the run began, mAh.
        step_index: Index of the step in the method.
        cycle: Number of the cycle.
        connected_s: Experiment time at which the cell was connected for this program, Unix s:
            its capacitances charge from then on.
    """

    t_s: Floats
    voltage_v: Floats
    current_ma: Floats
    charge_mah: Floats
    throughput_mah: Floats
    step_index: int
    cycle: int
    connected_s: float = -math.inf


def joined(batches: Sequence[Records]) -> tuple[list[float], dict[str, npt.NDArray[Any]]]:
    """Times of all records, Unix s, and the columns that belong to them, in order.

    Args:
        batches: At least one, ascending in time.
    """
    columns: dict[str, npt.NDArray[Any]] = {
        name: np.concatenate([getattr(batch, name) for batch in batches]) for name in COLUMNS[:4]
    }
    lengths = [len(batch.t_s) for batch in batches]
    for name in COLUMNS[4:]:
        columns[name] = np.repeat([getattr(batch, name) for batch in batches], lengths)
    stamps: list[float] = np.concatenate([batch.t_s for batch in batches]).tolist()
    return stamps, columns


class CellLog:
    """What a run knows of a cell: charge, records that wait to become a page, who watches.

    Attributes:
        charge: Integrates the records' current.
    """

    def __init__(self) -> None:
        self.charge = ChargeCounter()
        self._listeners: list[Callable[[Records], None]] = []
        self._waiting: list[Records] = []

    def reset(self) -> None:
        """A run begins: charge counts from zero, nothing waits."""
        self.charge.reset()
        self._waiting.clear()

    def subscribe(self, listener: Callable[[Records], None]) -> Callable[[], None]:
        """Show every batch of new records to `listener`; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def add(
        self, columns: tuple[Floats, Floats, Floats], place: tuple[int, int], connected_s: float
    ) -> Records:
        """Take new records; `tell` shows them to who watches.

        Args:
            columns: Time (Unix s), current (mA) and voltage (V) of each.
            place: Index of the step, and number of the cycle.
            connected_s: When the cell was connected for this program, Unix s.
        """
        t_s, current_ma, voltage_v = columns
        net, through = self.charge.add(t_s, current_ma)
        records = Records(t_s, voltage_v, current_ma, net, through, *place, connected_s)
        self._waiting.append(records)
        return records

    def tell(self, records: Records) -> None:
        """Show records to everybody who watches."""
        for listener in list(self._listeners):
            listener(records)

    def take_page(self) -> Iterator[tuple[list[float], dict[str, npt.NDArray[Any]]]]:
        """Times and columns of everything that waits; nothing if nothing does."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            yield joined(waiting)
