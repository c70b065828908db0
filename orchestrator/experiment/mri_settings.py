"""How an MR image is acquired, as the experiment file says it."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field
from pydantic import model_validator as _model_validator

from orchestrator.inputs.fields import Choice, Count, Quantity, problem
from orchestrator.inputs.models import StrictModel

MAX_VOXELS = 2**24
"""Largest image, voxels: 64 MiB of float32, the most that is read from a console."""

MRI_METHODS: dict[str, int] = {"flash2d": 2, "gradient_echo_3d": 3}
"""Imaging methods and the number of axes of their matrix."""


_MOST_LOST = 0.5
"""Part of the signal that a flip angle may cost without a warning; 30 degrees of Liu et al. cost
44 %, which the report says."""


class MriSettings(StrictModel):
    """How an MR image is acquired.

    Attributes:
        method: Imaging method.
        tr_s: Repetition time, s.
        te_s: Echo time, s; shorter than the repetition time.
        flip_angle_deg: Flip angle, degree.
        averages: Acquisitions averaged into one image.
        repetitions: Images acquired at one trigger.
        dummy_scans: Excitations without acquisition before the first line.
        matrix: Voxels along x and z (columns, lines); of a volume along x, y and z.
        fov_mm: Field of view along the same axes, mm.
        slice_thickness_mm: Thickness of the slice of an image, mm; None takes the whole sample.
        frequency_mhz: Frequency of the nucleus in the magnet, MHz.
        nucleus: Nucleus that is excited.
        line: Which of the two lithium lines is selected: metal 264.5 ppm, LLZO 1.2 ppm
            (Liu et al. 2025).
    """

    device_kind: ClassVar[str] = "mri"
    method: Annotated[str, Choice("an imaging method", tuple(MRI_METHODS))]
    tr_s: Annotated[float, Quantity("a repetition time", "s", gt=0, le=3600)]
    te_s: Annotated[float, Quantity("an echo time", "s", gt=0, le=3600)]
    flip_angle_deg: Annotated[float, Quantity("a flip angle", "degree", gt=0, le=180)]
    averages: Annotated[int, Count("a number of averages", ge=1, le=1_000_000)] = 1
    repetitions: Annotated[int, Count("a number of images per trigger", ge=1, le=1)] = 1
    dummy_scans: Annotated[int, Count("a number of dummy scans", ge=0, le=1_000_000)] = 0
    matrix: tuple[Annotated[int, Count("a number of voxels", ge=1, le=65_536)], ...] = Field(
        description="voxels along x and z: [81, 52]; of a volume along x, y and z: [100, 100, 32]"
    )
    fov_mm: tuple[Annotated[float, Quantity("a field of view", "mm", gt=0, le=1e3)], ...] = Field(
        description="the field of view along the same axes in mm: [17, 11] or [10, 10, 3.2]"
    )
    slice_thickness_mm: Annotated[float, Quantity("a thickness", "mm", gt=0, le=1e3)] | None = None
    frequency_mhz: Annotated[float, Quantity("a frequency", "MHz", gt=0, le=2000)] | None = None
    nucleus: Annotated[str, Choice("a nucleus", ("7Li", "6Li"))] | None = None
    line: Annotated[str, Choice("a line", ("metal", "LLZO"))] | None = None

    @_model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.te_s >= self.tr_s:
            what = f"got te_s {self.te_s:g} and tr_s {self.tr_s:g}, expected the echo within TR"
            raise problem(what, "is one of them in ms?")
        axes = MRI_METHODS[self.method]
        for name, values in (("matrix", self.matrix), ("fov_mm", self.fov_mm)):
            if len(values) != axes:
                what = f"got {len(values)} values for {name}, expected {axes} for {self.method}"
                raise problem(what, "give one value per axis, x first")
        if axes > 2 and self.slice_thickness_mm is not None:
            what = f"got slice_thickness_mm for {self.method}, expected none"
            raise problem(what, "remove it: a volume is encoded along every axis")
        if math.prod(self.matrix) > MAX_VOXELS:
            what = f"got {math.prod(self.matrix)} voxels, expected at most {MAX_VOXELS}"
            raise problem(what, "choose a smaller matrix")
        return self

    def to_device(self) -> dict[str, Any]:
        """What was set, as the device is configured with it."""
        return self.model_dump(mode="json", exclude_none=True)

    def warnings(self) -> list[str]:
        """What is allowed and probably not meant: a flip angle that costs most of the signal."""
        from orchestrator.analysis.flash import ernst_angle_deg, signal_lost

        best_deg, lost = ernst_angle_deg(self.tr_s), signal_lost(self.tr_s, self.flip_angle_deg)
        if self.line == "LLZO" or lost <= _MOST_LOST:
            return []
        return [
            f"a flip angle of {self.flip_angle_deg:g} degree gives up {100 * lost:.0f} % of the "
            f"metal's signal at TR {self.tr_s:g} s (the most is at {best_deg:.0f} degree)"
        ]

    @property
    def exposure_s(self) -> float:
        """Time that one acquisition takes: TR x (phase lines x averages + dummy scans), s."""
        lines = math.prod(self.matrix[1:]) * self.averages * self.repetitions
        return self.tr_s * (lines + self.dummy_scans)

    @property
    def values(self) -> int:
        """Numbers in one frame."""
        return math.prod(self.matrix)
