"""A trigger whose failure is an answer, not the end of the run."""

from __future__ import annotations

from typing import Any

from ophyd.status import Status

from devices.technique import OnPause

DROPPED = "dropped by a pause"
"""What a device's `quality` says where a pause ended a frame for good."""


class Attempt:
    """Triggers a device; the status always succeeds, and `error` says how it went.

    bluesky throws a failed status into the plan at whatever message it happens to be. For an
    image beside a running cell the plan must decide calmly, so it triggers the attempt instead.

    Args:
        device: A Triggerable device.

    Attributes:
        error: Why the last attempt failed; None if it did not.
        taker: Who takes a frame with it now and has not stored it yet; None if nobody does.
        on_pause: What a pause does to the next frame; None: as the device has it.
        causes: What the next frame is wanted for, whoever takes it: what has triggered it.
    """

    parent = None

    def __init__(self, device: Any) -> None:
        self.device = device
        self.name = f"{device.name}_attempt"
        self.error: BaseException | None = None
        self.taker: object | None = None
        self.on_pause: OnPause | None = None
        self._usual: OnPause | None = getattr(device, "on_pause", None)
        self.causes: list[Any] = []
        self._inner: Status | None = None
        self._outer: Status | None = None

    def trigger(self) -> Status:
        """Trigger the device; asked again before it is done, returns the same status."""
        if self._outer is not None and not self._outer.done:
            return self._outer
        self.error = None
        outer = self._outer = Status(obj=self, timeout=None)
        if self._usual is not None:
            self.device.on_pause = self.on_pause or self._usual
        try:
            self._inner = self.device.trigger()
        except Exception as error:  # noqa: BLE001 - any failure of an image is an answer
            self.error = error
            outer.set_finished()
            return outer
        self._inner.add_callback(self._ended)
        return outer

    def _ended(self, inner: Status) -> None:
        self.error = inner.exception(timeout=0)
        if self._outer is not None and not self._outer.done:
            self._outer.set_finished()
