"""A time that passes, as something that a plan can wait for."""

from __future__ import annotations

from ophyd.status import Status

from devices.clock import Clock


class Timer:
    """Movable: its status is done after the seconds that it is set to.

    Args:
        clock: The experiment's clock.
        name: Name for messages.
    """

    parent = None

    def __init__(self, clock: Clock, name: str = "timer") -> None:
        self.clock, self.name = clock, name

    def set(self, seconds: float) -> Status:
        """Let so much experiment time pass, s."""
        passed = Status(obj=self, timeout=None)
        self.clock.call_later(seconds, passed.set_finished, owner=self)
        return passed

    def callback_failed(self, error: BaseException) -> None:
        """Never called: nothing that it schedules can fail."""
