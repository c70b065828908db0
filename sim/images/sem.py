"""Secondary-electron images of the polished edge of a metal | sulfide cell, in operando.

A frame shows the metal above, the electrolyte below and the interface between them, 160 x 60
micrometres. A void is half an ellipse in the metal that rests on the interface; a filament is a
strip of metal from the interface into the electrolyte. The order of image formation is object,
blur, drift, counting statistics, grey scale.

Microscope and protocol: Zhao et al., Nature Communications 2025 (doi 10.1038/s41467-025-59567-8),
Methods and Fig. 1 [P]: an image every 15 min of the same place, analysed width 160 micrometres.
Tags of sources as in `sim.samples.llzo_parameters`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sim.errors import SimulationError
from sim.images.scanning import (
    ELECTROLYTE_GREY,
    Series,
    drawn_shape,
    margin_px,
    seen,
    unit_noise,
)

Floats = npt.NDArray[np.float64]
Frame = npt.NDArray[np.float32]

METAL_GREY = 70.0
"""Mean grey value of lithium and of Li0.97Mg0.03 [A]."""
VOID_GREY = 12.0
"""Grey value inside a void [A]."""
ELECTROLYTE_TEXTURE = 6.0
"""Standard deviation of the electrolyte's texture, grey values [A]."""
METAL_TEXTURE = 3.0
"""Standard deviation of the metal's texture, grey values [A]."""
TEXTURE_CORRELATION_UM = 0.4
"""Standard deviation of the Gaussian that makes the texture out of white noise, um [A]."""
ROUGHNESS_UM = 0.12
"""Root-mean-square roughness of the interface, um [A]."""
ROUGHNESS_CORRELATION_UM = 2.0
"""Standard deviation of the Gaussian that makes the roughness out of white noise, um [A]."""
_TEXTURE_STREAM = 1
_TEXTURE_INDEX, _ROUGHNESS_INDEX = 0, 1
_SUBCOLUMNS = 4


@dataclass(frozen=True)
class VoidOutline:
    """Half an ellipse in the metal with its flat side on the interface.

    Attributes:
        left_um: Left end of the interval without contact, um.
        right_um: Right end, um.
        height_um: Depth into the metal in the middle, um; 4 area / (pi width).
    """

    left_um: float
    right_um: float
    height_um: float


@dataclass(frozen=True)
class FilamentOutline:
    """A strip of metal that stands on the interface and grows into the electrolyte.

    Attributes:
        x_um: Its axis, um.
        diameter_um: Its width, um.
        length_um: Its length from the interface, um; what leaves the frame is not seen.
    """

    x_um: float
    diameter_um: float
    length_um: float


@dataclass(frozen=True)
class SemSettings:
    """How frames are taken; the defaults are those of the operando series.

    Attributes:
        matrix: Pixels of a frame (columns, lines).
        pixel_um: Size of a pixel, um.
        dwell_us: Time per pixel, microseconds.
        interface_um: Depth of the interface below the upper border of frame 0, um.
    """

    matrix: tuple[int, int] = (1600, 600)
    pixel_um: float = 0.10
    dwell_us: float = 1.0
    interface_um: float = 30.0

    def __post_init__(self) -> None:
        positive = min(*self.matrix, self.pixel_um, self.dwell_us) > 0
        if not positive or not 0 < self.interface_um < self.matrix[1] * self.pixel_um:
            raise SimulationError(
                f"SEM settings: got {self}, expected positive numbers and an interface within the"
                " frame (correct the acquisition's settings)"
            )

    @property
    def field_um(self) -> tuple[float, float]:
        """Width and height of the field of view, um."""
        return self.matrix[0] * self.pixel_um, self.matrix[1] * self.pixel_um

    @property
    def frame_time_s(self) -> float:
        """Pixels x dwell, s; 0.96 s at 1 microsecond. Flyback is not counted."""
        return math.prod(self.matrix) * self.dwell_us * 1e-6


PUBLISHED_OPERANDO = SemSettings()
"""Field of view of the published series [P]; pixel size and dwell time [A]."""


class SemImager:
    """Makes the frames of one sample at one magnification.

    Texture and roughness belong to the sample and the settings' grid; a frame's noise and its
    step of the drift to its number, whatever frames were made before.

    Args:
        seed: Seed of the sample.
        settings: Field of view, pixel and dwell time.

    Attributes:
        settings: As given.
    """

    def __init__(self, seed: int, settings: SemSettings = PUBLISHED_OPERANDO) -> None:
        self.settings, self._seed = settings, seed
        self._series = Series(seed)

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and columns of a frame."""
        return self.settings.matrix[1], self.settings.matrix[0]

    def interface_um(self) -> Floats:
        """Depth of the rough interface in each column of an undrifted frame, um."""
        margin = margin_px(self.settings.pixel_um)
        profile = self._section().interface_um
        return np.asarray(profile[margin : margin + self.settings.matrix[0]])

    def drift_um(self, frame_index: int) -> tuple[float, float]:
        """How far the object appears to the right and down in a frame, (x, y), um.

        A random walk that begins at 0 in frame 0.

        Args:
            frame_index: Number of the frame, from 0.
        """
        return self._series.drift_um(frame_index)

    def noise_free(
        self,
        voids: Sequence[VoidOutline],
        filaments: Sequence[FilamentOutline] = (),
        *,
        drift_um: tuple[float, float] = (0.0, 0.0),
    ) -> Frame:
        """Blurred and drifted image in grey values without noise, shape (lines, columns).

        Args:
            voids: Outlines in the metal; disjoint.
            filaments: Strips of metal in the electrolyte.
            drift_um: Displacement of the object to the right and down, um.

        Raises:
            SimulationError: The object has drifted out of what is drawn.
        """
        section = self._section()
        grey = section.grey.copy()
        for void in voids:
            section.draw_void(grey, void)
        for filament in filaments:
            section.draw_filament(grey, filament)
        return seen(grey, self.settings.matrix, self.settings.pixel_um, drift_um)

    def frame(
        self,
        voids: Sequence[VoidOutline],
        frame_index: int,
        filaments: Sequence[FilamentOutline] = (),
        *,
        offset_um: tuple[float, float] = (0.0, 0.0),
    ) -> Frame:
        """One frame in grey values with its drift and its noise, shape (lines, columns).

        Args:
            voids: Outlines in the metal; disjoint.
            frame_index: Number of the frame in its series, from 0; picks drift and noise.
            filaments: Strips of metal in the electrolyte.
            offset_um: Displacement of the object to the right and down beside the drift, um.

        Raises:
            SimulationError: The object has drifted out of what is drawn.
        """
        drift_um = self.drift_um(frame_index)
        at_um = (drift_um[0] + offset_um[0], drift_um[1] + offset_um[1])
        expected = self.noise_free(voids, filaments, drift_um=at_um)
        return self._series.counted(expected, frame_index, dwell_us=self.settings.dwell_us)

    def _section(self) -> _Section:
        return _section(self._seed, replace(self.settings, dwell_us=1.0))  # whatever the dwell


@dataclass(frozen=True)
class _Section:
    """The polished face without voids, on a grid that reaches beyond the frame."""

    texture: Frame
    grey: Frame
    interface_um: Floats
    pixel_um: float
    margin_px: int

    def draw_void(self, grey: Frame, void: VoidOutline) -> None:
        """Replace metal by void, weighted by the area that it covers of each pixel."""
        half_um = 0.5 * (void.right_um - void.left_um)
        if half_um <= 0 or void.height_um <= 0:
            return
        columns = self._columns(void.left_um, void.right_um)
        from_centre = (
            self._subcolumns_um(columns) - 0.5 * (void.left_um + void.right_um)
        ) / half_um
        rise_um = void.height_um * np.sqrt(np.clip(1.0 - from_centre**2, 0.0, None))
        floor_um = np.repeat(self.interface_um[columns], _SUBCOLUMNS)
        lines, covered = self._covered(floor_um - rise_um, floor_um)
        metal = METAL_GREY + METAL_TEXTURE * self.texture[lines, columns]
        grey[lines, columns] += covered * (VOID_GREY - metal)

    def draw_filament(self, grey: Frame, filament: FilamentOutline) -> None:
        """Replace electrolyte by metal, weighted by the area that it covers of each pixel."""
        if filament.diameter_um <= 0 or filament.length_um <= 0:
            return
        half_um = 0.5 * filament.diameter_um
        columns = self._columns(filament.x_um - half_um, filament.x_um + half_um)
        edges_um = self._subcolumns_um(columns)
        inside = half_um - np.abs(edges_um - filament.x_um)
        share = np.clip(inside * _SUBCOLUMNS / self.pixel_um + 0.5, 0.0, 1.0)
        top_um = np.repeat(self.interface_um[columns], _SUBCOLUMNS)
        lines, covered = self._covered(top_um, top_um + filament.length_um, share)
        exchange = METAL_GREY - ELECTROLYTE_GREY
        texture = (METAL_TEXTURE - ELECTROLYTE_TEXTURE) * self.texture[lines, columns]
        grey[lines, columns] += covered * (exchange + texture)

    def _columns(self, left_um: float, right_um: float) -> slice:
        limits = (self.margin_px, self.texture.shape[1] - self.margin_px)
        first = math.floor(left_um / self.pixel_um) + self.margin_px
        last = math.ceil(right_um / self.pixel_um) + self.margin_px
        return slice(max(first, limits[0]), max(min(last, limits[1]), limits[0]))

    def _subcolumns_um(self, columns: slice) -> Floats:
        """Centres of the parts of the columns, um from the left border of frame 0."""
        count = (columns.stop - columns.start) * _SUBCOLUMNS
        parts = (np.arange(count) + 0.5) / _SUBCOLUMNS
        return np.asarray((parts + columns.start - self.margin_px) * self.pixel_um)

    def _covered(
        self, top_um: Floats, bottom_um: Floats, share: Floats | None = None
    ) -> tuple[slice, Frame]:
        """Lines that a shape touches and its share of each of their pixels.

        Args:
            top_um: Upper border in each part of a column, um.
            bottom_um: Lower border, um.
            share: Part of each part's width that counts; all of it if None.
        """
        if not len(top_um):
            return slice(0, 0), np.zeros((0, 0), dtype=np.float32)
        first = max(math.floor(top_um.min() / self.pixel_um) + self.margin_px, 0)
        last = min(math.ceil(bottom_um.max() / self.pixel_um) + self.margin_px, len(self.texture))
        line = np.arange(first, last)[:, None] - self.margin_px
        top, bottom = top_um / self.pixel_um, bottom_um / self.pixel_um
        parts = np.clip(np.minimum(line + 1, bottom) - np.maximum(line, top), 0.0, 1.0)
        if share is not None:
            parts *= share
        by_column = parts.reshape(len(line), -1, _SUBCOLUMNS).mean(axis=2)
        return slice(first, last), by_column.astype(np.float32)


@lru_cache(maxsize=4)
def _section(seed: int, settings: SemSettings) -> _Section:
    """The face of a sample, made once: texture, interface and their grey values."""
    margin = margin_px(settings.pixel_um)
    lines, columns = drawn_shape(settings.matrix, settings.pixel_um)
    texture = unit_noise(
        np.random.default_rng([seed, _TEXTURE_STREAM, _TEXTURE_INDEX]),
        (lines, columns),
        TEXTURE_CORRELATION_UM / settings.pixel_um,
    )
    roughness = unit_noise(
        np.random.default_rng([seed, _TEXTURE_STREAM, _ROUGHNESS_INDEX]),
        (columns,),
        ROUGHNESS_CORRELATION_UM / settings.pixel_um,
    )
    interface_um = settings.interface_um + ROUGHNESS_UM * roughness.astype(np.float64)
    line = np.arange(lines)[:, None] - margin
    electrolyte = np.clip(line + 1 - interface_um / settings.pixel_um, 0.0, 1.0)
    mean = METAL_GREY + electrolyte * (ELECTROLYTE_GREY - METAL_GREY)
    contrast = METAL_TEXTURE + electrolyte * (ELECTROLYTE_TEXTURE - METAL_TEXTURE)
    grey = (mean + contrast * texture).astype(np.float32)
    for cached in (texture, grey, interface_um):
        cached.setflags(write=False)
    return _Section(texture, grey, interface_um, settings.pixel_um, margin)
