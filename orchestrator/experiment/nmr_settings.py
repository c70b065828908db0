"""How spectra of lithium's two isotopes are acquired, as the experiment file says it."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field
from pydantic import model_validator as _model_validator

from orchestrator.inputs.fields import Choice, Count, Quantity, problem
from orchestrator.inputs.models import StrictModel

NMR_METHODS = ("single_pulse",)
"""Methods that give spectra."""

NUCLEI = ("6Li", "7Li")
"""Nuclei in the order in which their spectra are taken."""

_METAL_HALF_WIDTH_PPM = 7.0
"""Half of the range that the metal's line takes, ppm."""


class SpectrumSettings(StrictModel):
    """How a pair of spectra is acquired, one nucleus after the other; pairs are (6Li, 7Li).

    Attributes:
        method: Method.
        scans: Scans of each nucleus, averaged.
        recycle_delay_s: Time from scan to scan of each nucleus, s.
        mas_khz: Spinning rate of each nucleus' acquisition, kHz.
        frequencies_mhz: Frequency of each nucleus in the magnet, MHz.
        points: Points of each spectrum.
        centre_ppm: Shift in the middle of the axis, ppm; None leaves the console's.
        spectral_width_ppm: Length of the axis, ppm; None leaves the console's.
    """

    device_kind: ClassVar[str] = "mri"
    method: Annotated[str, Choice("a method of spectroscopy", NMR_METHODS)]
    scans: tuple[Annotated[int, Count("a number of scans", ge=1, le=1_000_000)], ...] = Field(
        description="scans of 6Li and 7Li: [1024, 256]"
    )
    recycle_delay_s: tuple[Annotated[float, Quantity("a delay", "s", gt=0, le=3600)], ...] = Field(
        description="the recycle delays of 6Li and 7Li in s: [10, 2]"
    )
    mas_khz: tuple[Annotated[float, Quantity("a spinning rate", "kHz", gt=0, le=250)], ...] = Field(
        description="the spinning rates of 6Li and 7Li in kHz: [14, 13]"
    )
    frequencies_mhz: (
        tuple[Annotated[float, Quantity("a frequency", "MHz", gt=0, le=2000)], ...] | None
    ) = Field(None, description="the frequencies of 6Li and 7Li in MHz: [122.14, 322.57]")
    points: Annotated[int, Count("a number of points", ge=64, le=65_536)] = 4096
    centre_ppm: Annotated[float, Quantity("a shift", "ppm", ge=-1e3, le=1e3)] | None = None
    spectral_width_ppm: Annotated[float, Quantity("a width", "ppm", gt=0, le=1e4)] | None = None

    @_model_validator(mode="after")
    def _one_for_each_nucleus(self) -> Self:
        for name in ("scans", "recycle_delay_s", "mas_khz", "frequencies_mhz"):
            values = getattr(self, name)
            if values is not None and len(values) != len(NUCLEI):
                what = f"got {len(values)} values for {name}, expected 2: {' and '.join(NUCLEI)}"
                raise problem(what, "give one value per nucleus, 6Li first")
        return self

    def to_device(self) -> dict[str, Any]:
        """What was set, as the device is configured with it."""
        return self.model_dump(mode="json", exclude_none=True)

    def warnings(self) -> list[str]:
        """What is allowed and probably not meant: sidebands of LLZO on the metal's line."""
        from orchestrator.analysis.nmr import ELECTROLYTE_PPM, METAL_PPM, Spinning

        found, delta_ppm = [], METAL_PPM - ELECTROLYTE_PPM
        for nucleus, mhz, khz in zip(
            NUCLEI, self.frequencies_mhz or (), self.mas_khz, strict=False
        ):
            rotor = Spinning(mhz, khz)
            if rotor.overlaps(delta_ppm, half_width_ppm=_METAL_HALF_WIDTH_PPM):
                found.append(
                    f"{nucleus} at {khz:g} kHz: metal and LLZO are {rotor.orders_to(delta_ppm):.2f}"
                    " spinning rates apart, so that a sideband of LLZO falls on the metal's line"
                    " (change mas_khz)"
                )
        return found

    @property
    def exposure_s(self) -> float:
        """Time that one pair takes: the sum over both nuclei of scans x recycle delay, s."""
        return math.fsum(n * d for n, d in zip(self.scans, self.recycle_delay_s, strict=True))

    @property
    def values(self) -> int:
        """Numbers in one frame."""
        return len(NUCLEI) * self.points
