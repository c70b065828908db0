"""Notices that the clock of the machine was set while a bench is open, and has it recorded.

Nothing that lasts depends on that clock: the experiment's time is the wall time at which the bench
was opened plus monotonic seconds (`devices.clock.SystemClock`). Times in the records therefore stay
a constant away from what the clock of the machine shows afterwards, and that constant is recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from devices.clock import Clock, Handle, wall_time
from plans.control import ClockJump, Request

log = logging.getLogger(__name__)

LOOK_EVERY_S = 10.0
"""Time between looks, s."""

LEAST_JUMP_S = 0.5
"""A smaller difference between two looks is no jump, s [A]: NTP slews by 500 ppm at most, 5 ms
between two looks, and steps from 0.128 s on."""

WHO = "the clock of this machine"
"""Who asks for the note, in the records."""


class ClockWatch:
    """Compares the clock of the machine with the experiment's while the engine's loop runs.

    A suspended machine looks the same: its monotonic clock stands still.

    Args:
        clock: The experiment's clock, on whose loop everything here runs.
        record: Has a jump recorded; as `orchestrator.desk.Desk.carry_out`.
        wall: What the clock of the machine shows, Unix s.

    Attributes:
        ahead_s: What that clock shows more than the experiment's, s, as seen last.
    """

    name = "clock_watch"

    def __init__(
        self,
        clock: Clock,
        record: Callable[[Request], object],
        wall: Callable[[], float] = wall_time,
    ) -> None:
        self._clock, self._record, self._wall = clock, record, wall
        self.ahead_s = wall() - clock.time()
        self._timer: Handle = clock.call_later(LOOK_EVERY_S, self._look, owner=self)

    def close(self) -> None:
        """Look no more; idempotent."""
        self._timer.cancel()

    def callback_failed(self, error: BaseException) -> None:
        """A look failed, which has no cause but a mistake here: there are no more."""
        log.error("%s: looks no more: %s", self.name, error)
        self.close()

    def _look(self) -> None:
        self._timer = self._clock.call_later(LOOK_EVERY_S, self._look, owner=self)
        ahead_s = self._wall() - self._clock.time()
        jump_s, self.ahead_s = ahead_s - self.ahead_s, ahead_s
        if abs(jump_s) >= LEAST_JUMP_S:
            text = said_of(jump_s, ahead_s)
            log.warning("%s %s", WHO, text)
            self._record(ClockJump("note", WHO, {"text": text}, seconds=jump_s))


def said_of(jump_s: float, ahead_s: float) -> str:
    """A sentence about a jump.

    Args:
        jump_s: By how much the clock was set, s.
        ahead_s: What it shows now more than the records, s.
    """
    way = "forward" if jump_s > 0 else "back"
    stood = ", or the machine stood still," if jump_s > 0 else ""
    return (
        f"was set {way} by {abs(jump_s):.3f} s{stood} and shows {ahead_s:+.3f} s against the times "
        "of these records; no duration has changed"
    )
