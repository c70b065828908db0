"""Building blocks and timers of the 2450's trigger model.

Pages are those of the 2450 reference manual, 2450-901-01 Rev. B; its trigger model begins on page
3-95.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

LimitKind = Literal["ABOV", "BEL", "IN", "OUT"]


@dataclass(frozen=True)
class BufferClear:
    """Empty a reading buffer (BUFFer:CLEar; 2461 manual, page 6-195)."""

    buffer: str


@dataclass(frozen=True)
class SourceState:
    """Switch the output (page 6-147)."""

    on: bool


@dataclass(frozen=True)
class Notify:
    """Generate the event NOTIFY<n> and go on (page 6-146)."""

    event: int


@dataclass(frozen=True)
class Wait:
    """Wait for any, or for all, of the events (page 6-148); only timers are simulated."""

    timers: tuple[int, ...]
    need_all: bool = False


@dataclass(frozen=True)
class Measure:
    """Make `count` measurements (page 6-144)."""

    buffer: str
    count: int = 1


@dataclass(frozen=True)
class Delay:
    """Wait a constant time (DELay:CONStant), s."""

    seconds: float


@dataclass(frozen=True)
class Always:
    """Go to a block (BRANch:ALWays)."""

    target: int


@dataclass(frozen=True)
class Counter:
    """Go to a block until it was reached `count` times (BRANch:COUNter)."""

    count: int
    target: int


@dataclass(frozen=True)
class LimitBranch:
    """Go to a block if the last reading meets the criterion (page 6-132)."""

    kind: LimitKind
    low: float
    high: float
    target: int


@dataclass(frozen=True)
class LogEvent:
    """Put an entry into the event log (LOG:EVENt)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Nop:
    """Placeholder."""


Block = (
    BufferClear
    | SourceState
    | Notify
    | Wait
    | Measure
    | Delay
    | Always
    | Counter
    | LimitBranch
    | LogEvent
    | Nop
)


@dataclass
class Timer:
    """A trigger timer: events at a period after its stimulus.

    Attributes:
        delay_s: Period, s.
        count: Events to generate each time it is started; 0 without end.
        generate_at_start: Whether starting it is an event, too (STARt:GENerate).
        stimulus: Number of the NOTIFY event that starts it; 0 for none.
        enabled: STATe.
    """

    delay_s: float = 10e-6
    count: int = 1
    generate_at_start: bool = False
    stimulus: int = 0
    enabled: bool = False
    _started_s: float = math.nan
    _taken: int = -1

    def enable(self, *, on: bool) -> None:
        """Enable or disable; a disabled timer stops."""
        self.enabled = on
        self.stop()

    def start(self, t_s: float) -> None:
        """The stimulus occurred."""
        if self.enabled:
            self._started_s = t_s
            self._taken = -1 if self.generate_at_start else 0

    def stop(self) -> None:
        """Forget that it was started."""
        self._started_s = math.nan

    def due(self, until_s: float) -> tuple[int, int]:
        """Numbers (first, one past the last) of the events not taken until `until_s`.

        Event `k` falls at `time_of(k)`; times are multiples of the delay from the start, so that
        the period is exact over any number of events.
        """
        if math.isnan(self._started_s):
            return 0, 0
        last = math.floor((until_s - self._started_s) / self.delay_s)
        if self.time_of(last + 1) <= until_s:
            last += 1
        if self.count:
            last = min(last, self.count)
        return self._taken + 1, last + 1

    def next_s(self) -> float:
        """Time of the first event that was not taken; infinite if none will come."""
        if math.isnan(self._started_s) or (self.count and self._taken >= self.count):
            return math.inf
        return self.time_of(self._taken + 1)

    def time_of(self, number: int) -> float:
        """When event `number` falls, s."""
        return self._started_s + number * self.delay_s

    def take(self, number: int) -> None:
        """A wait block used up the events until `number`."""
        self._taken = max(self._taken, number)
