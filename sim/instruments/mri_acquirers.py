"""What a simulated console receives from a pellet cell, for each of its methods.

An acquirer stands between the console, which knows settings and times, and the images, which know
amounts: it asks the sample what it held on average while data were taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sim.images.mri import OVERSAMPLING, FlashImager
from sim.images.mri_volume import VolumeImager
from sim.images.nmr import NUCLEI, SpectrumImager, rotor_content
from sim.instruments.mri_settings import flash_settings, pulse_settings
from sim.samples.geometry import PelletGeometry

Frame = npt.NDArray[np.float32]
Axis = dict[str, Any]

_MEAN_OF = 8


class Acquirer(Protocol):
    """Makes the frames of a sample with one set of settings."""

    @property
    def axes(self) -> list[Axis]:
        """The array's axes in order: name, units, first and step, or labels."""
        ...

    def acquire(self, sample: Any, t0_s: float, t1_s: float, frame_index: int) -> Frame:
        """What data taken from `t0_s` to `t1_s` give, with the noise of one frame."""
        ...


AcquirerFactory = Callable[[Mapping[str, Any]], Acquirer]
"""Makes the acquirer for the settings as the console reads them back.

Raises `SimulationError` where they do not suit the sample.
"""


def pellet_acquirers(geometry: PelletGeometry, seed: int) -> AcquirerFactory:
    """Acquirers of one pellet cell; `seed` is the sample's, for places, speckle and noise."""

    def make(settings: Mapping[str, Any]) -> Acquirer:
        if settings["method"] == "single_pulse":
            return _Spectra(SpectrumImager(pulse_settings(settings), seed))
        if settings["method"] == "gradient_echo_3d":
            return _Volume(VolumeImager(geometry, flash_settings(settings), seed))
        return _Flash(FlashImager(geometry, flash_settings(settings), seed))

    return make


class _Flash:
    """Frames of the projected disc; (lines z, columns x)."""

    def __init__(self, imager: FlashImager) -> None:
        self._imager = imager

    @property
    def axes(self) -> list[Axis]:
        """Pixel m shows fine voxel m times the oversampling."""
        settings = self._imager.settings
        return [
            _length(name, settings.fov_mm[k], settings.matrix[k], within=0.5 / OVERSAMPLING[k])
            for k, name in ((1, "z"), (0, "x"))
        ]

    def acquire(self, sample: Any, t0_s: float, t1_s: float, frame_index: int) -> Frame:
        layers = sample.mean_layers_umol_per_cm2(t0_s, t1_s)
        return self._imager.frame(layers, frame_index)


class _Volume:
    """Volumes; (slices z, lines y, columns x)."""

    def __init__(self, imager: VolumeImager) -> None:
        self._imager = imager

    @property
    def axes(self) -> list[Axis]:
        """Centres of the voxels."""
        settings = self._imager.settings
        return [
            _length(name, settings.fov_mm[k], settings.matrix[k], within=0.5)
            for k, name in ((2, "z"), (1, "y"), (0, "x"))
        ]

    def acquire(self, sample: Any, t0_s: float, t1_s: float, frame_index: int) -> Frame:
        layers = sample.mean_layers_umol_per_cm2(t0_s, t1_s)
        times_s = t0_s + (np.arange(_MEAN_OF) + 0.5) / _MEAN_OF * (t1_s - t0_s)
        crystalline = float(np.mean([sample.crystalline_fraction(float(t)) for t in times_s]))
        return self._imager.frame(layers, crystalline, frame_index)


class _Spectra:
    """Pairs of spectra; (nuclei, points)."""

    def __init__(self, imager: SpectrumImager) -> None:
        self._imager = imager

    @property
    def axes(self) -> list[Axis]:
        """Nuclei, and chemical shift ascending."""
        settings = self._imager.settings
        first_ppm = float(settings.shift_ppm()[0])
        shift = {"name": "shift", "units": "ppm", "first": first_ppm, "step": settings.step_ppm}
        return [{"name": "nucleus", "labels": list(NUCLEI)}, shift]

    def acquire(self, sample: Any, t0_s: float, t1_s: float, frame_index: int) -> Frame:
        between_s = t0_s + self._imager.settings.durations_s[0]
        during = rotor_content(sample, t0_s, between_s), rotor_content(sample, between_s, t1_s)
        return self._imager.frame(during, frame_index)


def _length(name: str, fov_mm: float, points: int, *, within: float) -> Axis:
    """An axis of places from the middle of the field of view, mm; `within` its pixel, 0 to 1."""
    step_mm = fov_mm / points
    first_mm = (within - 0.5 * points) * step_mm
    return {"name": name, "units": "mm", "first": first_mm, "step": step_mm}
