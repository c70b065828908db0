"""What can be decided from a cell's records alone, and the criteria of one column.

A criterion looks at batches of records and says when it is met; it is the only implementation,
used by plans, interlocks and reports alike. Shorts have a module of their own, `plans.shorts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from devices.cell_records import Records

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Met:
    """When and how a condition was met.

    Attributes:
        t_s: Experiment time of the record that met it, Unix s.
        value: The number that was compared, in the unit that `text` names.
        text: A sentence for a person.
    """

    t_s: float
    value: float
    text: str


class Criterion(Protocol):
    """Decides from records; keeps what it must remember between batches."""

    def update(self, records: Records) -> Met | None:
        """Look at new records; returns when the criterion was first met, else None."""
        ...


@dataclass
class Threshold:
    """A column of the records rises above or falls below a value.

    Args:
        column: Attribute of `Records`.
        limit: Value to compare with.
        above: Whether rising above meets it; otherwise falling below.
        magnitude: Whether the absolute value is compared.
        confirm: Number of consecutive records that meet it.
        label: Name and unit for the text.
    """

    column: str
    limit: float
    above: bool = True
    magnitude: bool = False
    confirm: int = 1
    label: str = ""

    def __post_init__(self) -> None:
        self._met = 0

    def update(self, records: Records) -> Met | None:
        """Look at new records; see `Criterion.update`."""
        values = np.asarray(getattr(records, self.column), dtype=float)
        values = np.abs(values) if self.magnitude else values
        beyond = values > self.limit if self.above else values < self.limit
        if not beyond.any():
            self._met = 0
            return None
        for k in range(len(beyond)):
            self._met = self._met + 1 if beyond[k] else 0
            if self._met >= self.confirm:
                word = "above" if self.above else "below"
                text = f"{self.label} {values[k]:.6g}, {word} {self.limit:g}"
                return Met(float(records.t_s[k]), float(values[k]), text)
        return None


class Elapsed:
    """Time since the first record exceeds a duration.

    Args:
        duration_s: The duration, s.
    """

    def __init__(self, duration_s: float) -> None:
        self.duration_s = duration_s
        self._first_s: float | None = None

    def update(self, records: Records) -> Met | None:
        """Look at new records; see `Criterion.update`."""
        if self._first_s is None:
            self._first_s = float(records.t_s[0])
        late = np.nonzero(records.t_s - self._first_s >= self.duration_s)[0]
        if not len(late):
            return None
        t_s = float(records.t_s[late[0]])
        return Met(t_s, t_s - self._first_s, f"{t_s - self._first_s:.0f} s passed")
