"""Failures on the clock that somebody takes as an answer instead of the end of the run."""

from __future__ import annotations

from collections.abc import Callable

from devices.clock import Clock, Handle, Owner
from devices.errors import DeviceError, IdentityError, LimitError, OutputFault, PreflightError

NEVER_AN_ANSWER = (LimitError, IdentityError, OutputFault, PreflightError)
"""Errors that no policy of a step overrules: something other than what was asked for may happen."""


class AnsweringClock:
    """A clock whose callbacks' device errors are first offered as an answer.

    Args:
        clock: The experiment's clock.
        answer: Is told of the error; whether it took it. If not, the callback fails as always.
    """

    def __init__(self, clock: Clock, answer: Callable[[DeviceError], bool]) -> None:
        self._clock, self._answer = clock, answer

    @property
    def simulated(self) -> bool:
        """True where hours may pass in microseconds."""
        return self._clock.simulated

    def time(self) -> float:
        """Seconds since the Unix epoch, in experiment time."""
        return self._clock.time()

    def call_later(self, delay_s: float, callback: Callable[[], None], *, owner: Owner) -> Handle:
        """Call back once after `delay_s` seconds; see `devices.clock.Clock.call_later`."""
        return self._clock.call_later(delay_s, lambda: self.attempt(callback), owner=owner)

    def cancel_all(self, owner: Owner) -> None:
        """Cancel every pending callback of one owner."""
        self._clock.cancel_all(owner)

    def attempt(self, action: Callable[[], None]) -> None:
        """Do something now; a device's error is offered as an answer."""
        try:
            action()
        except DeviceError as error:
            if isinstance(error, NEVER_AN_ANSWER) or not self._answer(error):
                raise
