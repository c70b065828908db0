"""When a running program is looked at: at fixed times after its start, and when it should end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from devices.clock import Clock, Handle, Owner
from devices.errors import LinkError, NotReachedError

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_RETRIES = 3
_LATE_END_POLL_S = 0.2
_LATE_END_S = 60.0
_SAME_S = 1e-6
"""A moment this near has come: the clock's own steps are 0.24 us (Unix time as a float)."""


class Poller:
    """Polls a program that an instrument runs by itself.

    Polls come at multiples of a period after the start, at moments that are told, and exactly
    when the program should end; from then on every 0.2 s for at most a minute. A poll whose link
    fails is repeated after a second, three times at most.

    Args:
        owner: What the clock's callbacks belong to; named in errors.
        clock: The experiment's clock.
        poll: Looks at the program; returns whether it goes on.
    """

    def __init__(self, owner: Owner, clock: Clock, poll: Callable[[], bool]) -> None:
        self._owner, self._clock, self._poll = owner, clock, poll
        self._timer: Handle | None = None
        self._began_s = self._duration_s = self._period_s = 0.0
        self._marks: list[float] = []
        self._misses = 0

    def begin(
        self,
        period_s: float,
        duration_s: float,
        marks: Sequence[float] = (),
        *,
        elapsed_s: float = 0.0,
    ) -> None:
        """A program of `duration_s` has started now, or some time ago; poll it.

        Args:
            period_s: Longest time between polls, s.
            duration_s: When the program ends by itself, s after its start.
            marks: Other moments to look at it, s after its start, ascending.
            elapsed_s: How long ago it started, s.
        """
        self.cancel()
        self._began_s = self._clock.time() - elapsed_s
        self._duration_s, self._period_s = duration_s, period_s
        self._marks = list(marks)
        self._misses = 0
        self._schedule()

    def cancel(self) -> None:
        """Poll no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        """Multiples of the period count from the start: a late poll does not shift the next."""
        elapsed_s = self._clock.time() - self._began_s
        number = int((elapsed_s + _SAME_S) / self._period_s) + 1
        self._marks = [mark for mark in self._marks if mark > elapsed_s + _SAME_S]
        next_s = min(number * self._period_s, self._duration_s, *self._marks[:1])
        if next_s <= elapsed_s + _SAME_S:
            late_s = elapsed_s - self._duration_s
            if late_s > _LATE_END_S:
                raise NotReachedError(
                    self._owner.name,
                    f"the step should have ended {late_s:.0f} s ago and still runs",
                    remedy="check the instrument's trigger model and clock",
                )
            next_s = elapsed_s + _LATE_END_POLL_S
        self._timer = self._clock.call_later(next_s - elapsed_s, self._tick, owner=self._owner)

    def _tick(self) -> None:
        self._timer = None
        try:
            goes_on = self._poll()
        except LinkError as error:
            self._misses += 1
            name = self._owner.name
            log.warning("%s: poll %d of %d failed: %s", name, self._misses, _RETRIES, error)
            if self._misses >= _RETRIES:
                raise
            self._timer = self._clock.call_later(_RETRY_S, self._tick, owner=self._owner)
            return
        self._misses = 0
        if goes_on and self._timer is None:  # a poll may have begun something else
            self._schedule()
