"""Images and spectra taken while the protocol runs: when, and with which settings."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidatorFunctionWrapHandler, WrapValidator
from pydantic import model_validator as _model_validator

from orchestrator.experiment.conditions import Condition
from orchestrator.experiment.protocol import Impedance
from orchestrator.inputs.fields import Choice, Count, Quantity, Text, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import described, key_remedy, listed

MAX_VOXELS = 2**24
"""Largest image, voxels: 64 MiB of float32, the most that is read from a console."""

CELL_DURING_EXPOSURE = ("keep",)
"""What the cell may do during an exposure; extend where the plans carry it out."""

MOMENTS = ("start", "step_start", "step_end", "cycle_end", "end")
"""Moments of a protocol at which an image or spectrum may be taken."""

MRI_METHODS: dict[str, int] = {"flash2d": 2}
"""Imaging methods and the number of axes of their matrix."""


class BackToBack(StrictModel):
    """One exposure after the other, from start to end."""

    back_to_back: Annotated[Literal[True], Choice("the word", (True,))]


class EverySeconds(StrictModel):
    """At multiples of a period since the start, s."""

    every_s: Annotated[float, Quantity("a period", "s", gt=0, le=1e8)]


class AtMoments(StrictModel):
    """At named moments of the protocol."""

    at: tuple[Annotated[str, Choice("a moment", MOMENTS)], ...] = Field(
        description=f"a list of moments: {listed(MOMENTS)}", min_length=1
    )

    @_model_validator(mode="after")
    def _once_each(self) -> Self:
        if len(set(self.at)) != len(self.at):
            raise problem(f"got {', '.join(self.at)}, expected each moment once", "remove one")
        return self


class EveryCharge(StrictModel):
    """Each time this much charge, both directions added, has passed, mAh/cm2."""

    every_mah_per_cm2: Annotated[float, Quantity("a charge", "mAh/cm2", gt=0)]


class OnCondition(StrictModel):
    """When a condition begins to hold."""

    on: Condition


WHENS: dict[str, type[StrictModel]] = {
    "back_to_back": BackToBack,
    "every_s": EverySeconds,
    "at": AtMoments,
    "every_mah_per_cm2": EveryCharge,
    "on": OnCondition,
}
"""Every form of `when`, by its only key."""


def _when_tag(value: Any) -> str:
    if isinstance(value, dict):
        return f"when:{next(iter(value))}"
    return next((f"when:{name}" for name, form in WHENS.items() if isinstance(value, form)), "")


def _one_form(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Refuse what is not exactly one known form."""
    if isinstance(value, StrictModel):
        return handler(value)
    if not isinstance(value, dict) or len(value) != 1:
        got = " and ".join(value) if isinstance(value, dict) and value else described(value)
        what = f"got {got}, expected exactly one of {listed(WHENS)}"
        raise problem(what, "write for example `when: {back_to_back: true}`")
    (name,) = value
    if name not in WHENS:
        what = f"got {described(name)}, expected {listed(WHENS)}"
        raise problem(what, key_remedy(name, WHENS))
    return handler(value)


When = Annotated[
    Annotated[BackToBack, Tag("when:back_to_back")]
    | Annotated[EverySeconds, Tag("when:every_s")]
    | Annotated[AtMoments, Tag("when:at")]
    | Annotated[EveryCharge, Tag("when:every_mah_per_cm2")]
    | Annotated[OnCondition, Tag("when:on")],
    Discriminator(_when_tag),
    WrapValidator(_one_form),
]


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
        matrix: Voxels along x and z (columns, lines).
        fov_mm: Field of view along x and z, mm.
        slice_thickness_mm: Thickness of the slice, mm; None takes the whole sample.
        frequency_mhz: Frequency of the nucleus in the magnet, MHz.
        nucleus: Nucleus that is excited.
        line: Which of the two lithium lines is selected: metal 264.5 ppm, LLZO 1.2 ppm
            (Liu et al. 2025).
    """

    method: Annotated[str, Choice("an imaging method", tuple(MRI_METHODS))]
    tr_s: Annotated[float, Quantity("a repetition time", "s", gt=0, le=3600)]
    te_s: Annotated[float, Quantity("an echo time", "s", gt=0, le=3600)]
    flip_angle_deg: Annotated[float, Quantity("a flip angle", "degree", gt=0, le=180)]
    averages: Annotated[int, Count("a number of averages", ge=1, le=1_000_000)] = 1
    repetitions: Annotated[int, Count("a number of images per trigger", ge=1, le=1)] = 1
    dummy_scans: Annotated[int, Count("a number of dummy scans", ge=0, le=1_000_000)] = 0
    matrix: tuple[Annotated[int, Count("a number of voxels", ge=1, le=65_536)], ...] = Field(
        description="voxels along x and z: [81, 52]"
    )
    fov_mm: tuple[Annotated[float, Quantity("a field of view", "mm", gt=0, le=1e3)], ...] = Field(
        description="the field of view along x and z in mm: [17, 11]"
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
        if math.prod(self.matrix) > MAX_VOXELS:
            what = f"got {math.prod(self.matrix)} voxels, expected at most {MAX_VOXELS}"
            raise problem(what, "choose a smaller matrix")
        return self

    def to_device(self) -> dict[str, Any]:
        """What was set, as the device is configured with it."""
        return self.model_dump(mode="json", exclude_none=True)


class ImageSeries(StrictModel):
    """Images of one device.

    Attributes:
        device: Role (`mri`) or name of an imaging device of the bench.
        when: When an exposure begins.
        settings: How it is acquired.
        cell: What the cell does during the exposure: `keep` goes on with the protocol.
    """

    device: Annotated[str, Text("the role or name of an imaging device")]
    when: When = Field(description="when to take them, for example {back_to_back: true}")
    settings: MriSettings = Field(description="the settings of the acquisition")
    cell: Annotated[str, Choice("what the cell does", CELL_DURING_EXPOSURE)] = "keep"


class SpectrumSeries(StrictModel):
    """Impedance spectra taken by the potentiostat between or within the steps.

    Attributes:
        when: When a spectrum begins.
        settings: Amplitude and frequencies.
    """

    when: When = Field(description="when to take them, for example {at: [start, end]}")
    settings: Impedance = Field(description="amplitude and frequencies")
