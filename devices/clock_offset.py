"""An instrument's clock against the host's: the offset, how well it is known, and its drift.

The instrument reads its clock somewhere between the question and the answer. One exchange thus
bounds the offset from both sides, as wide as the round trip, whatever the delays of the link were;
several exchanges bound it by what their intervals have in common. Sources: Cristian, Distributed
Computing 3, 146 (1989), for the bound of one exchange; Marzullo, thesis, Stanford (1984), for the
intersection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from devices.clock import Clock
from devices.errors import LinkError

EXCHANGES = 5
"""Exchanges of one estimate."""

FRESH_S = 60.0
"""An estimate so young is not made again, s: at 100 ppm the clocks move 6 ms apart meanwhile."""

DRIFT = 1e-4
"""Largest drift of a computer's clock that runs free [A]: 100 ppm, twice what is usual."""

_BUDGET_S = 0.25
_RESOLUTION_S = 2.4e-7
"""Unix time as a float has steps of this."""


@dataclass(frozen=True)
class Offset:
    """An estimate.

    Attributes:
        seconds: The instrument's clock less the host's, s.
        error_s: The true offset lies within plus and minus this, s.
        at_s: When it was made, on the host's clock, Unix s.
    """

    seconds: float
    error_s: float
    at_s: float

    def aged(self, t_s: float) -> Offset:
        """The same at another time: known less well, since the clocks drift."""
        return Offset(self.seconds, self.error_s + DRIFT * abs(t_s - self.at_s), t_s)


class ClockOffset:
    """The offset of one instrument's clock during a run.

    Args:
        clock: The host's.
        ask: Asks the instrument for its time, Unix s; raises `LinkError`.
    """

    def __init__(self, clock: Clock, ask: Callable[[], float]) -> None:
        self._clock, self._ask = clock, ask
        self._last: Offset | None = None

    def measure(self) -> Offset:
        """Estimate the offset now; takes 0.25 s and one exchange more at most.

        Raises:
            LinkError: The instrument did not answer.
        """
        bounds = [self._exchange()]
        while len(bounds) < EXCHANGES and self._clock.time() - bounds[0][2] < _BUDGET_S:
            bounds.append(self._exchange())
        low, high = max(one[0] for one in bounds), min(one[1] for one in bounds)
        if low > high:  # a clock was set meanwhile: the exchange that says most
            low, high, _ = min(bounds, key=lambda one: one[1] - one[0])
        middle_s, half_s = 0.5 * (low + high), 0.5 * (high - low) + _RESOLUTION_S
        self._last = Offset(round(middle_s, 6), half_s, self._clock.time())
        return self._last

    def now(self) -> Offset:
        """The offset now: a fresh estimate; the last one where the instrument does not answer."""
        t_s = self._clock.time()
        if self._last is not None and t_s - self._last.at_s < FRESH_S:
            return self._last.aged(t_s)
        try:
            return self.measure()
        except LinkError:
            if self._last is None:
                raise
            return self._last.aged(t_s)

    def _exchange(self) -> tuple[float, float, float]:
        """Lowest and highest offset that one exchange allows, and when it was made."""
        asked_s = self._clock.time()
        theirs_s = self._ask()
        answered_s = self._clock.time()
        return theirs_s - answered_s, theirs_s - asked_s, asked_s
