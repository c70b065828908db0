"""The scanning electron microscope of an experiment: scans a frame, delivers it with its dose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from ophyd import Component as Cpt

from devices.at_prompt import frames_said, taking_said
from devices.errors import InstrumentFault
from devices.frame_adopting import AdoptableFrames
from devices.imaging_roles import Imager
from devices.sem_settings import SETTINGS, frame_axes, frame_shape, judge_channels, setting
from devices.signals import ReadbackSignal


class Sem(AdoptableFrames):
    """A scanning electron microscope; Triggerable, stageable, Pausable.

    A frame is (lines, columns) of secondary electrons, with a second channel (channels, lines,
    columns), the induced current in nA; an EDS line scan is (elements, points) of counts. With
    `blank_between_frames` the beam is off the specimen outside of frames. Each event has the
    dose of its frame and the dose that the microscope has counted since it was switched on, over
    whatever it scanned: the beam changes lithium.

    Arguments as of `FrameDevice`; verified on hardware: no.
    """

    EXAMPLES = (
        "{name}.configure(dict(dwell_time_s=1e-6, hfw_um=160))",
        "{name}.expected_duration_s.get()     # of one frame, s",
        "%ct {name}                           # one frame, recorded as a run",
        "RE(bp.count([{name}], num=3))        # three frames, the cell off",
    )
    FREE = frozenset({"idle", "blanked"})

    dose_uc_per_cm2 = Cpt(ReadbackSignal, value=np.nan, units="uC/cm2", precision=4)
    accumulated_dose_uc_per_cm2 = Cpt(ReadbackSignal, value=np.nan, units="uC/cm2", precision=4)

    method = setting("method")
    resolution_px = setting("resolution_px")
    dwell_time_s = setting("dwell_time_s")
    hfw_um = setting("hfw_um")
    frame_integration = setting("frame_integration")
    line_integration = setting("line_integration")
    autocontrast = setting("autocontrast")
    reduced_area = setting("reduced_area")
    detector = setting("detector")
    channels = setting("channels")
    voltage_kv = setting("voltage_kv")
    current_na = setting("current_na")
    working_distance_mm = setting("working_distance_mm")
    stage_um = setting("stage_um")
    ebic_gain_v_per_a = setting("ebic_gain_v_per_a")
    ebic_time_constant_s = setting("ebic_time_constant_s")
    line_points = setting("line_points")
    line_length_um = setting("line_length_um")
    blank_between_frames = setting("blank_between_frames")

    def __repr__(self) -> str:
        """What a person at the prompt wants to know."""
        size = " x ".join(str(side) for side in self.image_shape())
        return (
            f"<{type(self).__name__} {self.name}: {self._scan}, {self.method.get()} {size}, "
            f"{taking_said(self.expected_duration_s.get())}, {frames_said(self.frame.get())}>"
        )

    def configure_imager(self, imager: Imager, settings: Mapping[str, Any]) -> None:
        """Set parameters on the microscope and keep what it reads back.

        Raises:
            InstrumentFault: A parameter is not one of `SETTINGS`; nothing was set.
        """
        unknown = sorted(set(settings) - set(SETTINGS))
        if unknown:
            raise InstrumentFault(
                self.name,
                f"unknown settings {', '.join(unknown)}",
                remedy=f"use some of {', '.join(SETTINGS)}",
            )
        self.take_held(imager.configure(settings))

    def take_held(self, held: Mapping[str, Any]) -> None:
        """Keep what the microscope reads back."""
        for name, value in held.items():
            if name in SETTINGS:
                getattr(self, name).update(value)

    def held_settings(self) -> dict[str, Any]:
        """Settings as last read back."""
        return self._held()

    def image_shape(self) -> tuple[int, ...]:
        """Shape of a frame with the settings as read back."""
        shape = frame_shape(self._held())
        if shape is None:
            raise InstrumentFault(
                self.name,
                f"settings {self._held()} give no frame",
                remedy="compare the agent's version with the driver's",
            )
        return shape

    def image_axes(self) -> tuple[tuple[str, ...], str]:
        """Names of a frame's axes, and its unit."""
        return frame_axes(self._held())

    def judged(self, image: npt.NDArray[Any]) -> str:
        """``ok``, or what is wrong with a frame."""
        return judge_channels(image)

    def make_safe(self, action: str) -> None:
        """End what is acquired and take the beam off the specimen until the next frame, verified.

        Args:
            action: ``blank``, the only one beside aborting.
        """
        del action
        self.stop()
        microscope: Any = self._imager
        microscope.blank()

    def header_scalars(self, header: Mapping[str, Any]) -> dict[str, float]:
        """The dose of the frame, and the microscope's whole dose at its end, uC/cm2."""
        names = ("dose_uc_per_cm2", "accumulated_dose_uc_per_cm2")
        return {name: float(header.get(name, np.nan)) for name in names}

    def _held(self) -> dict[str, Any]:
        """Settings as read back."""
        return {name: getattr(self, name).get() for name in SETTINGS}
