"""Reading buffer of a Keithley 2450 (reference manual, section 3 "Reading buffers")."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_READING, _SOURCE, _TIME = 0, 1, 2
_FIRST_ROWS = 1024

Rows = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


class ReadingBuffer:
    """Readings with the source value and the time of each.

    Once full it drops new readings (fill mode ``ONCE``) or overwrites the oldest (``CONT``, the
    default of the default buffers, page 6-112). Rows are numbered from 1 in the order of storage
    places, as ``TRACe:DATA?`` does.

    Args:
        capacity: Rows it can hold.
    """

    def __init__(self, capacity: int) -> None:
        self.once = False
        self.resize(capacity)

    @property
    def capacity(self) -> int:
        """Rows it can hold."""
        return self._capacity

    @property
    def written(self) -> int:
        """Rows stored since the buffer was cleared, overwritten ones included."""
        return self._written

    @property
    def actual(self) -> int:
        """Rows it holds."""
        return min(self._written, self._capacity)

    @property
    def first(self) -> int:
        """Number of the oldest row (``TRACe:ACTual:STARt?``); 0 if empty."""
        if self._written <= self._capacity:
            return min(1, self._written)
        return self._written % self._capacity + 1

    @property
    def last(self) -> int:
        """Number of the newest row (``TRACe:ACTual:END?``); 0 if empty."""
        return (self._written - 1) % self._capacity + 1 if self._written else 0

    def resize(self, capacity: int) -> None:
        """Change the capacity; the readings are lost."""
        self._capacity = capacity
        self.clear()

    def clear(self) -> None:
        """Forget all readings."""
        self._written = 0
        self._t_first_s = 0.0
        self._rows = np.empty((min(self._capacity, _FIRST_ROWS), 3))

    def append(self, times_s: Rows, readings: Rows, sources: Rows) -> int:
        """Store rows and return how many found room."""
        count = len(times_s)
        if self.once:
            count = min(count, self._capacity - self._written)
        if count <= 0:
            return 0
        if self._written == 0:
            self._t_first_s = float(times_s[0])
        self._grow(min(self._written + count, self._capacity))
        start = self._written % self._capacity
        places: slice | Places = slice(start, start + count)
        if start + count > self._capacity:
            places = (start + np.arange(count)) % self._capacity
        self._rows[places, _READING] = readings[:count]
        self._rows[places, _SOURCE] = sources[:count]
        self._rows[places, _TIME] = times_s[:count] - self._t_first_s
        self._written += count
        return count

    def rows(self, first: int, last: int) -> Rows:
        """Rows `first` to `last` (numbered from 1): reading, source, relative time in s."""
        return self._rows[first - 1 : last]

    def readings(self) -> Rows:
        """All readings, for the statistics."""
        return self._rows[: self.actual, _READING]

    def _grow(self, rows: int) -> None:
        if rows > len(self._rows):
            grown = np.empty((min(self._capacity, max(rows, 2 * len(self._rows))), 3))
            grown[: self.actual] = self._rows[: self.actual]
            self._rows = grown
