"""Images and spectra beside a running cell: of which device, when, and what the cell does then.

A frame is whatever a device delivers at a trigger: an image, a micrograph, a spectrum.
`plans.track` takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from devices.cell_hold import CellState
from devices.technique import OnPause
from plans.conditions import Condition

Moment = Literal["start", "step_start", "step_end", "cycle_end", "end"]

SPECTRA = "eis"
"""Stream of the potentiostat's spectra, one row per frequency."""


@dataclass(frozen=True)
class Capture:
    """Frames of one device and when to take them.

    Exactly one of the five ways is used.

    Attributes:
        device: An image device (stage, trigger, read), or a series of spectra (trigger), whose
            attribute `collects` is the device from which its rows are collected.
        back_to_back: One frame after another.
        every_s: One frame each so many seconds, on a fixed schedule.
        every_mah: One frame each time so much charge has been moved in either direction, mAh.
        at: Moments of the protocol.
        on: One frame when this condition is met; of one that repeats, each time. Met while the
            device is busy, the next frame is taken for it, as soon as there can be one.
        settings: Acquisition parameters for the device.
        cell: What the cell does during an exposure. For frames that the potentiostat takes itself
            only ``keep``: it is their device that says what they are taken about.
        on_pause: What a pause does to a frame; None: as the device has it.
    """

    device: Any
    back_to_back: bool = False
    every_s: float | None = None
    every_mah: float | None = None
    at: tuple[Moment, ...] = ()
    on: Condition | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    cell: CellState = "keep"
    on_pause: OnPause | None = None

    @property
    def collects(self) -> Any:
        """The device whose pages hold what was taken; None where each frame is an event."""
        return getattr(self.device, "collects", None)
