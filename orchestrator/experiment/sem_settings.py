"""How a frame or a line scan of a scanning electron microscope is taken, as a file says it."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field
from pydantic import model_validator as _model_validator

from orchestrator.inputs.fields import Choice, Count, Quantity, problem
from orchestrator.inputs.models import StrictModel

SEM_METHODS = ("image", "eds_line")
"""What a microscope does: a frame, or counts of X-rays along a line."""

MAX_PIXELS = 2**24
"""Largest frame, pixels of all channels: 64 MiB of float32, the most that is read."""

TIME_CONSTANTS_PER_DWELL = 3.0
"""Dwell time over the preamplifier's time constant from which edges are not smeared: 95 %."""

HIGH_DOSE_UC_PER_CM2 = 1000.0
"""Dose of one frame from which it is worth a word, uC/cm2 ([A]: the beam changes lithium, and how
much it takes depends on the sample)."""

_UC_PER_CM2 = 1e-3 / 1e-8
_FLYBACK_S = 2e-5


class SemSettings(StrictModel):
    """How a frame or a line scan is taken.

    Names follow OpenFIBSEM's image and beam settings, each with its unit.

    Attributes:
        method: `image`, or `eds_line` for X-ray counts along a line into the metal.
        resolution_px: Pixels of the whole frame (columns, lines).
        dwell_time_s: Time per pixel, or per point of a line scan, s.
        hfw_um: Horizontal field width, um.
        frame_integration: Frames that are averaged.
        line_integration: Times that each line is scanned before the next.
        autocontrast: Let the microscope stretch the grey values of each frame.
        reduced_area: Part of the frame that is scanned: left, top, width, height as shares.
        detector: Detector of the secondary electrons.
        channels: `[SE]`, or `[SE, EBIC]` with the induced current on the same raster.
        voltage_kv: Accelerating voltage, kV; None leaves it.
        current_na: Beam current, nA; None leaves it.
        working_distance_mm: Working distance, mm; None leaves it.
        stage_um: Place in the middle of the frame (x, y), um; None leaves it.
        ebic_gain_v_per_a: Gain of the EBIC preamplifier, V/A; None leaves it.
        ebic_time_constant_s: Time constant of the EBIC preamplifier, s; None leaves it.
        line_points: Points of a line scan.
        line_length_um: Length of a line scan, um from the electrolyte into the metal.
        blank_between_frames: Keep the beam off the specimen outside of frames.
    """

    device_kind: ClassVar[str] = "sem"
    method: Annotated[Literal["image", "eds_line"], Choice("an imaging method", SEM_METHODS)]
    resolution_px: tuple[
        Annotated[int, Count("a number of pixels", ge=16, le=65_536)],
        Annotated[int, Count("a number of pixels", ge=16, le=65_536)],
    ] = Field(default=(1600, 600), description="columns and lines: [1600, 600]")
    dwell_time_s: Annotated[float, Quantity("a dwell time", "s", gt=0, le=3600)] = 1e-6
    hfw_um: Annotated[float, Quantity("a field width", "um", gt=0, le=1e5)] = 160.0
    frame_integration: Annotated[int, Count("a number of frames", ge=1, le=4096)] = 1
    line_integration: Annotated[int, Count("a number of scans", ge=1, le=4096)] = 1
    autocontrast: bool = False
    reduced_area: tuple[
        Annotated[float, Quantity("a share", "", ge=0, le=1)],
        Annotated[float, Quantity("a share", "", ge=0, le=1)],
        Annotated[float, Quantity("a share", "", gt=0, le=1)],
        Annotated[float, Quantity("a share", "", gt=0, le=1)],
    ] = Field(default=(0.0, 0.0, 1.0, 1.0), description="left, top, width, height as shares")
    detector: Annotated[str, Choice("a detector", ("ETD",))] | None = None
    channels: tuple[Annotated[str, Choice("a channel", ("SE", "EBIC"))], ...] = Field(
        default=("SE",), description="[SE] or [SE, EBIC]"
    )
    voltage_kv: Annotated[float, Quantity("a voltage", "kV", gt=0, le=300)] | None = None
    current_na: Annotated[float, Quantity("a beam current", "nA", gt=0, le=1e4)] | None = None
    working_distance_mm: Annotated[float, Quantity("a distance", "mm", gt=0, le=100)] | None = None
    stage_um: (
        tuple[
            Annotated[float, Quantity("a position", "um", ge=-1e5, le=1e5)],
            Annotated[float, Quantity("a position", "um", ge=-1e5, le=1e5)],
        ]
        | None
    ) = None
    ebic_gain_v_per_a: Annotated[float, Quantity("a gain", "V/A", gt=0, le=1e15)] | None = None
    ebic_time_constant_s: Annotated[float, Quantity("a time", "s", gt=0, le=3600)] | None = None
    line_points: Annotated[int, Count("a number of points", ge=2, le=65_536)] = 100
    line_length_um: Annotated[float, Quantity("a length", "um", gt=0, le=1e5)] = 40.0
    blank_between_frames: bool = True

    @_model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.channels not in (("SE",), ("SE", "EBIC")):
            what = f"got channels {list(self.channels)}, expected [SE] or [SE, EBIC]"
            raise problem(what, "secondary electrons come first")
        left, top, width, height = self.reduced_area
        if left + width > 1.0 or top + height > 1.0:
            what = f"got a reduced_area of {list(self.reduced_area)}, expected it within the frame"
            raise problem(what, "it is [left, top, width, height], each a share of the frame")
        if self.values > MAX_PIXELS:
            what = f"got {self.values} pixels, expected at most {MAX_PIXELS}"
            raise problem(what, "choose a smaller resolution_px")
        return self

    def to_device(self) -> dict[str, Any]:
        """What was set, as the device is configured with it."""
        return self.model_dump(mode="json", exclude_none=True)

    def warnings(self) -> list[str]:
        """What is allowed and probably not meant."""
        return sem_warnings(self)

    @property
    def size_px(self) -> tuple[int, int]:
        """Columns and lines of the reduced area."""
        columns, lines = self.resolution_px
        left, top, width, height = self.reduced_area
        across = min(round((left + width) * columns), columns) - round(left * columns)
        down = min(round((top + height) * lines), lines) - round(top * lines)
        return across, down

    @property
    def exposure_s(self) -> float:
        """Pixels x dwell x integrations + flyback, s; of a line scan points x dwell."""
        if self.method == "eds_line":
            return self.line_points * self.dwell_time_s
        columns, lines = self.size_px
        visits = self.frame_integration * self.line_integration
        return lines * visits * (columns * self.dwell_time_s + _FLYBACK_S)

    @property
    def values(self) -> int:
        """Numbers in one frame."""
        if self.method == "eds_line":
            return self.line_points
        return math.prod(self.size_px) * len(self.channels)


def frame_dose_uc_per_cm2(settings: SemSettings) -> float | None:
    """Dose of one frame, uC/cm2: current x dwell x integrations over the area of a pixel.

    None where the current is left as the microscope has it. 1 uC/cm2 is 6.24e4 electrons per um2.
    """
    if settings.current_na is None:
        return None
    pixel_um = settings.hfw_um / settings.resolution_px[0]
    visits = settings.frame_integration * settings.line_integration
    if settings.method == "eds_line":
        spot_um2 = settings.line_length_um / settings.line_points * pixel_um
        visits = 1
    else:
        spot_um2 = pixel_um**2
    return settings.current_na * settings.dwell_time_s * visits / spot_um2 * _UC_PER_CM2


def sem_warnings(settings: SemSettings) -> list[str]:
    """What is allowed and probably not meant; each a sentence with what to do."""
    found = []
    time_s = settings.ebic_time_constant_s
    if "EBIC" in settings.channels and time_s is not None:
        ratio = settings.dwell_time_s / time_s
        if ratio < TIME_CONSTANTS_PER_DWELL:
            found.append(
                f"dwell_time_s is {ratio:.2g} time constants of the EBIC preamplifier, expected at"
                f" least {TIME_CONSTANTS_PER_DWELL:g}: edges trail to the right by {1 / ratio:.2g}"
                " pixels (dwell longer, or use a faster preamplifier)"
            )
    dose = frame_dose_uc_per_cm2(settings)
    if dose is not None and dose > HIGH_DOSE_UC_PER_CM2:
        found.append(
            f"each frame puts {dose:.3g} uC/cm2 on the specimen, expected at most"
            f" {HIGH_DOSE_UC_PER_CM2:g}: the beam changes lithium (use less current, a shorter"
            " dwell time or larger pixels)"
        )
    if settings.autocontrast:
        found.append(
            "autocontrast stretches each frame by itself: grey values cannot be compared between"
            " frames, nor with a threshold (write `autocontrast: false`)"
        )
    if not settings.blank_between_frames:
        found.append(
            "the beam stays on the specimen between frames: its dose goes on"
            " (write `blank_between_frames: true`)"
        )
    return found
