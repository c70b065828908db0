"""Something that is set and has to be reached: that it is not is an answer, not the run's end."""

from __future__ import annotations

from typing import Any

from ophyd.status import Status

from devices.errors import DeviceError
from devices.technique import OnPause


class Reach:
    """Sets a device and waits; the status always succeeds, and `error` says how it went.

    Movable, Pausable, Stoppable. A pause leaves the device as it is. What happens then to the
    wait says `on_pause`: it goes on, begins again (soak time and deadline anew), or is dropped.

    Args:
        device: Movable; its status is done when what was set is reached.
        on_pause: What happens to the wait after a pause.

    Attributes:
        reached: Whether the last wait ended with what was wanted.
        error: Why the last wait failed; None if it did not.
    """

    parent = None

    def __init__(self, device: Any, on_pause: OnPause = "continue") -> None:
        self.name, self.device = f"{device.name}_reach", device
        self.reached = False
        self.error: BaseException | None = None
        self._on_pause = on_pause
        self._wanted: tuple[Any, ...] = ()
        self._wait = 0
        self._outer: Status | None = None

    def set(self, *wanted: Any) -> Status:
        """Begin to wait; asked again before it is over, returns the same status."""
        if self._outer is not None and not self._outer.done:
            return self._outer
        self._wanted = wanted
        outer = self._outer = Status(obj=self, timeout=None)
        self._begin()
        return outer

    def pause(self) -> None:
        """The device stays as it is, and goes on."""

    def resume(self) -> None:
        """Go on waiting, wait from the beginning, or wait no more."""
        waits = self._outer is not None and not self._outer.done
        if waits and self._on_pause == "restart":
            self._begin()
        elif waits and self._on_pause == "drop":
            self._end(None, reached=False)

    def stop(self, *, success: bool = False) -> None:
        """As the device stops."""
        self.device.stop(success=success)

    def _begin(self) -> None:
        self._wait += 1
        number, self.error, self.reached = self._wait, None, False
        try:
            inner = self.device.set(*self._wanted)
        except DeviceError as error:
            self._end(error, reached=False)
            return
        inner.add_callback(lambda status: self._ended(status, number))

    def _ended(self, inner: Status, number: int) -> None:
        if number == self._wait:  # not one that was begun before
            error = inner.exception(timeout=0)
            self._end(error, reached=error is None)

    def _end(self, error: BaseException | None, *, reached: bool) -> None:
        self._wait += 1
        self.error, self.reached = error, reached
        if self._outer is not None and not self._outer.done:
            self._outer.set_finished()
