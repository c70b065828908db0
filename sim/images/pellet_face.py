"""Secondary-electron images of an LLZTO face from which the electrode was peeled.

A spallation is a disc of lithium in the electrolyte, dark, with a bright rim where its edge lets
more electrons out. Sizes and places are the sample's; Siniscalchi et al., Energy Environ. Sci.
2024 (doi 10.1039/d3ee03916a) show 5 to 100 um [P], every grey value is [A].
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sim.images.scanning import (
    ELECTROLYTE_GREY,
    Series,
    drawn_shape,
    seen,
    unit_noise,
)
from sim.samples.llzto_pores import Spallation

Floats = npt.NDArray[np.float64]
Frame = npt.NDArray[np.float32]

CRATER_GREY = 70.0
"""Mean grey value of a spallation: that of lithium [A]."""
RIM_GREY = 60.0
"""How much brighter the rim is at its top [A]."""
RIM_UM = 0.7
"""Standard deviation of the rim's width, um [A]."""
TEXTURE_GREY = 6.0
"""Standard deviation of the texture, grey values [A]."""
TEXTURE_CORRELATION_UM = 0.4
"""Standard deviation of the Gaussian that makes the texture out of white noise, um [A]."""
_TEXTURE_STREAM, _TEXTURE_INDEX = 1, 2
_REACH_RIMS = 6.0


class PelletImager:
    """Makes the frames of one face at one magnification.

    Texture belongs to the sample and the settings' grid; a frame's noise and its drift to its
    number.

    Args:
        seed: Seed of the sample.
        matrix: Pixels of a frame (columns, lines).
        pixel_um: Size of a pixel, um.
        dwell_us: Time per pixel at the reference current, us.
    """

    def __init__(
        self, seed: int, matrix: tuple[int, int], pixel_um: float, *, dwell_us: float = 1.0
    ) -> None:
        self._seed, self._matrix, self._pixel_um = seed, matrix, pixel_um
        self._dwell_us = dwell_us
        self._series = Series(seed)
        drawn_shape(matrix, pixel_um)

    def drift_um(self, frame_index: int) -> tuple[float, float]:
        """How far the object appears to the right and down in a frame, (x, y), um."""
        return self._series.drift_um(frame_index)

    def noise_free(
        self,
        spallations: Iterable[Spallation],
        *,
        centre_um: tuple[float, float] = (0.0, 0.0),
        drift_um: tuple[float, float] = (0.0, 0.0),
    ) -> Frame:
        """Grey values without noise, shape (lines, columns).

        Args:
            spallations: Those of the face that is imaged.
            centre_um: Place on the face in the middle of an undrifted frame, um from the
                electrode's centre, x to the right and y down.
            drift_um: Displacement of the object to the right and down, um.
        """
        grey = _texture(self._seed, self._matrix, self._pixel_um).copy()
        edge_um = np.full(grey.shape, -np.inf, dtype=np.float32)
        x_um, y_um = self._axes(grey.shape, centre_um)
        for each in spallations:
            reach_um = 0.5 * each.diameter_um + _REACH_RIMS * RIM_UM
            area = _near(y_um, each.y_um, reach_um), _near(x_um, each.x_um, reach_um)
            r_um = np.hypot(x_um[area[1]] - each.x_um, y_um[area[0], None] - each.y_um)
            # where spallations overlap there is one crater, with one edge
            edge_um[area] = np.maximum(edge_um[area], 0.5 * each.diameter_um - r_um)
        grey += np.clip(edge_um / self._pixel_um + 0.5, 0.0, 1.0) * (CRATER_GREY - ELECTROLYTE_GREY)
        grey += RIM_GREY * np.exp(-0.5 * (edge_um / RIM_UM) ** 2)
        return seen(grey, self._matrix, self._pixel_um, drift_um)

    def frame(
        self,
        spallations: Iterable[Spallation],
        frame_index: int,
        *,
        centre_um: tuple[float, float] = (0.0, 0.0),
    ) -> Frame:
        """One frame in grey values with its drift and its noise; arguments as of `noise_free`."""
        drift_um = self.drift_um(frame_index)
        expected = self.noise_free(spallations, centre_um=centre_um, drift_um=drift_um)
        return self._series.counted(expected, frame_index, dwell_us=self._dwell_us)

    def axes_um(
        self, frame_index: int, centre_um: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[Floats, Floats]:
        """Places on the face of a frame's columns and lines, um; the drift is in them."""
        columns, lines = self._matrix
        drift_um = self.drift_um(frame_index)
        x_um, y_um = self._axes((lines, columns), centre_um)
        return x_um - drift_um[0], y_um - drift_um[1]

    def _axes(
        self, shape: tuple[int, ...], centre_um: tuple[float, float]
    ) -> tuple[Floats, Floats]:
        lines, columns = shape
        x_um = centre_um[0] + (np.arange(columns) + 0.5 - 0.5 * columns) * self._pixel_um
        y_um = centre_um[1] + (np.arange(lines) + 0.5 - 0.5 * lines) * self._pixel_um
        return np.asarray(x_um, dtype=np.float64), np.asarray(y_um, dtype=np.float64)


@lru_cache(maxsize=2)
def _texture(seed: int, matrix: tuple[int, int], pixel_um: float) -> Frame:
    """The face without spallations, on a grid that reaches beyond the frame."""
    stream = np.random.default_rng([seed, _TEXTURE_STREAM, _TEXTURE_INDEX])
    shape = drawn_shape(matrix, pixel_um)
    noise = unit_noise(stream, shape, TEXTURE_CORRELATION_UM / pixel_um)
    grey = (ELECTROLYTE_GREY + TEXTURE_GREY * noise).astype(np.float32)
    grey.setflags(write=False)
    return grey


def _near(axis_um: Floats, centre_um: float, reach_um: float) -> slice:
    begin, end = np.searchsorted(axis_um, [centre_um - reach_um, centre_um + reach_um])
    return slice(int(begin), int(end))
