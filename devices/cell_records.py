"""Records of a cell as they come from a potentiostat, in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

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
    """

    t_s: Floats
    voltage_v: Floats
    current_ma: Floats
    charge_mah: Floats
    throughput_mah: Floats
    step_index: int
    cycle: int


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
