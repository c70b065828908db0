"""The MRI scanner of an experiment: arms the console, triggers a scan, delivers a frame.

A frame is an image, a volume or a pair of spectra, as the configured method has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from devices.at_prompt import frames_said, taking_said
from devices.clock import Clock
from devices.errors import NotReachedError
from devices.frame_adopting import AdoptableFrames
from devices.frame_judgement import judge
from devices.imaging_roles import AcquisitionStatus, Imager
from devices.mri_configuration import MriConfiguration
from devices.mri_methods import frame_dims
from devices.roles import ChargeSource, ConsoleState, FrameSink, MriConsole, TriggerSource, Worker
from devices.technique import OnPause

_WAIT_FOR_TRIGGER_S = 5.0


class MriScanner(MriConfiguration, AdoptableFrames):
    """An MRI console with its TTL trigger; Triggerable, stageable, Pausable.

    `trigger` arms the console and sends the pulse; the frame is there when it is reconstructed,
    fetched and safely on disk. The rest is as of every `FrameDevice`.

    Args:
        prefix: Not used; ophyd passes it.
        name: Name of the device in documents.
        clock: The experiment's clock.
        console: The console behind its driver.
        ttl: What starts an armed scan; None where the console starts by itself.
        frames: Where frames are written.
        worker: Fetches and writes frames off the engine's loop.
        charge: What knows the charge through the cell; None leaves the charges NaN.
        on_pause: What a pause does to a frame.
        resource: The console's address, for the documents' `source`.
        **kwargs: As for `ophyd.Device`.
    """

    EXAMPLES = (
        "{name}.configure(dict(method='flash2d', averages=64))",
        "{name}.expected_duration_s.get()     # of one frame, s",
        "%ct {name}                           # one frame, recorded as a run",
        "RE(bp.count([{name}], num=3))        # three frames, the cell off",
    )
    FREE = frozenset({ConsoleState.IDLE})
    STAGEABLE = frozenset({ConsoleState.IDLE, ConsoleState.ARMED})

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        clock: Clock,
        console: MriConsole,
        ttl: TriggerSource | None,
        frames: FrameSink,
        worker: Worker,
        charge: ChargeSource | None = None,
        on_pause: OnPause = "continue",
        resource: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            prefix,
            name=name,
            clock=clock,
            imager=console,
            frames=frames,
            worker=worker,
            charge=charge,
            on_pause=on_pause,
            resource=resource,
            **kwargs,
        )
        self._ttl = ttl

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        return (
            f"<{type(self).__name__} {self.name}: {self._scan}, {self.in_short()}, "
            f"{taking_said(self.expected_duration_s.get())}, {frames_said(self.frame.get())}>"
        )

    def configure_imager(self, imager: Imager, settings: Mapping[str, Any]) -> None:
        """Set parameters on the console and keep what it reads back.

        Another `method` begins with the console's own settings of that method.

        Raises:
            InstrumentFault: A parameter is not one of the method's; nothing was set.
        """
        self.configure_console(imager, settings)

    def held_settings(self) -> dict[str, Any]:
        """The parameters of the present method, as last read back."""
        return self.settings

    def image_shape(self) -> tuple[int, ...]:
        """Shape of one frame with the present settings."""
        return self.frame_shape

    def image_axes(self) -> tuple[tuple[str, ...], str]:
        """Names of a frame's axes, and its unit."""
        return frame_dims(self.settings), "a.u."

    def judged(self, image: npt.NDArray[Any]) -> str:
        """``ok``, or what is wrong with a frame: ``nan``, ``black`` (all the same value)."""
        return judge(image)

    def start_scan(self) -> AcquisitionStatus:
        """Arm the console and send the pulse; returns what the console says then."""
        self._imager.arm()
        if self._ttl is not None:
            self._ttl.pulse()
        return self._imager.status()

    def make_safe(self, action: str) -> None:
        """Abort the scan and switch the trigger's output off until the next scan; idempotent.

        Args:
            action: ``trigger_off``, the only one beside aborting.
        """
        del action
        self.stop()
        if self._ttl is not None:
            self._ttl.off()

    def has_started(self, status: AcquisitionStatus) -> bool:
        """Whether the console acquires, or waits for its trigger."""
        return status.state is not ConsoleState.ARMED and super().has_started(status)

    def check_waiting(self, status: AcquisitionStatus, waited_s: float) -> None:
        """Raise if the trigger has not reached the console."""
        if status.state is ConsoleState.WAITING_TRIGGER and waited_s > _WAIT_FOR_TRIGGER_S:
            raise NotReachedError(
                self.name,
                f"no trigger reached the console in {waited_s:.1f} s",
                remedy="check the trigger cable and the generator's output",
            )
