"""Records of a cell as they come from a potentiostat, in columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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

    A run that goes on after a crash (`restore`) has records that its journal holds already: they
    count and are shown, and do not wait. What was read back before anybody could watch is shown
    to who begins to watch before the next page.

    Attributes:
        charge: Integrates the records' current.
    """

    def __init__(self) -> None:
        self.charge = ChargeCounter()
        self._listeners: list[Callable[[Records], None]] = []
        self._waiting: list[Records] = []
        self._read_back: list[Records] | None = None
        self._known_until_s = -math.inf
        self._known_place: tuple[int, int] | None = None

    def reset(self) -> None:
        """A run begins: charge counts from zero, nothing waits."""
        self.charge.reset()
        self._waiting.clear()
        self._read_back, self._known_until_s = None, -math.inf

    @property
    def waiting(self) -> Sequence[Records]:
        """Records that are no page yet."""
        return tuple(self._waiting)

    def restore(
        self,
        charge: Mapping[str, Any],
        waiting: Sequence[Records],
        known_until_s: float,
        known_place: tuple[int, int] | None = None,
    ) -> None:
        """Go on with what a checkpoint says.

        Args:
            charge: State of the charge counter.
            waiting: Records that were no page when it was written.
            known_until_s: Experiment time of the last record in the journal, Unix s.
            known_place: Step and cycle of that record.
        """
        self.reset()
        self.charge.restore(charge)
        self._known_until_s, self._known_place, self._read_back = known_until_s, known_place, []
        for records in waiting:
            self._wait(records)

    def subscribe(self, listener: Callable[[Records], None]) -> Callable[[], None]:
        """Show every batch of new records to `listener`; returns how to end that."""
        self._listeners.append(listener)
        for records in self._read_back or ():
            listener(records)
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
        self._wait(records)
        if self._read_back is not None:
            self._read_back.append(records)
        return records

    def _wait(self, records: Records) -> None:
        """Let records wait for their page, those that no journal has."""
        elsewhere = (records.step_index, records.cycle) != self._known_place
        new = records.t_s > self._known_until_s
        if self._known_place is not None and elsewhere:
            new |= records.t_s == self._known_until_s
        if new.all():
            self._waiting.append(records)
        elif new.any():
            columns = {name: getattr(records, name)[new] for name in ("t_s", *COLUMNS[:4])}
            self._waiting.append(replace(records, **columns))

    def tell(self, records: Records) -> None:
        """Show records to everybody who watches."""
        for listener in list(self._listeners):
            listener(records)

    def take_page(self) -> Iterator[tuple[list[float], dict[str, npt.NDArray[Any]]]]:
        """Times and columns of everything that waits; nothing if nothing does."""
        waiting, self._waiting = self._waiting, []
        self._read_back, self._known_until_s = None, -math.inf
        if waiting:
            yield joined(waiting)
