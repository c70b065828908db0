"""What every frame of a scanning electron microscope goes through: blur, drift, counting.

The object is drawn on a grid that reaches beyond the frame, so that it may drift. Blur and drift
are one convolution with a displaced Gaussian, sampled per pixel; its aliasing is
exp(-2 pi^2 sigma^2) = 3e-6 at 0.8 px, so that fractions of a pixel are exact.

Constants and their sources are those of `sim.images.sem`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from sim.errors import SimulationError

Floats = npt.NDArray[np.float64]
Frame = npt.NDArray[np.float32]

ELECTROLYTE_GREY = 150.0
"""Mean grey value of the electrolyte [A]."""
BLUR_PX = 0.8
"""Standard deviation of the beam's point spread, pixels [A]."""
DRIFT_UM = 0.25
"""Standard deviation of a step of the drift per axis and frame, um [A], 15 min apart [P]."""
COUNTS_PER_US = 40.0
"""Electrons counted per microsecond and pixel at the grey value of the electrolyte [A]."""
MAX_DRIFT_UM = 20.0
"""How far the object is drawn beyond the frame, um [A]."""
MAX_DRAWN_PX = 2**24
"""Most pixels that are drawn for one frame, its margin included."""
FRAME_STREAM = 3
_KERNEL_RADIUS_PX = 5


class Series:
    """Drift and noise of one series of frames, each frame's by its number.

    Args:
        seed: The sample's seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._steps_um: list[tuple[float, float]] = [(0.0, 0.0)]

    def drift_um(self, frame_index: int) -> tuple[float, float]:
        """How far the object appears to the right and down in a frame, (x, y), um.

        A random walk that begins at 0 in frame 0.

        Args:
            frame_index: Number of the frame, from 0.
        """
        while len(self._steps_um) <= frame_index:
            x_um, y_um = DRIFT_UM * self._stream(len(self._steps_um)).standard_normal(2)
            self._steps_um.append((float(x_um), float(y_um)))
        walked = np.sum(self._steps_um[: frame_index + 1], axis=0)
        return float(walked[0]), float(walked[1])

    def counted(self, expected: Frame, frame_index: int, *, dwell_us: float) -> Frame:
        """Grey values as counted electrons, with the noise of one frame.

        Args:
            expected: Grey values without noise; negative ones count nothing.
            frame_index: Number of the frame.
            dwell_us: Time per pixel at the reference current, us.
        """
        counts_per_grey = COUNTS_PER_US * dwell_us / ELECTROLYTE_GREY
        stream = self._stream(frame_index)
        stream.standard_normal(2)  # the step of the drift comes first
        counts = stream.poisson(np.maximum(expected, 0.0) * counts_per_grey)
        return (counts / counts_per_grey).astype(np.float32)

    def _stream(self, frame_index: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, FRAME_STREAM, frame_index])


def margin_px(pixel_um: float) -> int:
    """How far the object is drawn beyond each border of the frame, pixels."""
    return math.ceil(MAX_DRIFT_UM / pixel_um) + _KERNEL_RADIUS_PX


def drawn_shape(matrix: tuple[int, int], pixel_um: float) -> tuple[int, int]:
    """Lines and columns of the grid on which the object is drawn.

    Raises:
        SimulationError: They are too many.
    """
    margin = margin_px(pixel_um)
    columns, lines = (count + 2 * margin for count in matrix)
    if columns * lines > MAX_DRAWN_PX:
        raise SimulationError(
            f"SEM: {matrix[0]} x {matrix[1]} pixels of {pixel_um:g} um, with a margin of"
            f" {MAX_DRIFT_UM:g} um {columns * lines} in all, expected at most {MAX_DRAWN_PX}"
            " (take fewer pixels, or a wider field)"
        )
    return lines, columns


def unit_noise(stream: np.random.Generator, shape: tuple[int, ...], sigma_px: float) -> Frame:
    """Gaussian noise of standard deviation 1, correlated by a Gaussian filter."""
    white = stream.standard_normal(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, sigma_px, mode="wrap")
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


def seen(
    grey: Frame, matrix: tuple[int, int], pixel_um: float, shift_um: tuple[float, float]
) -> Frame:
    """Blur, displace and crop to the frame.

    Args:
        grey: The object on the grid of `drawn_shape`.
        matrix: Pixels of the frame (columns, lines).
        pixel_um: Size of a pixel, um.
        shift_um: Displacement of the object to the right and down, um.

    Raises:
        SimulationError: The object has moved out of what is drawn.
    """
    if max(map(abs, shift_um)) > MAX_DRIFT_UM:
        raise SimulationError(
            f"SEM: drift, got {shift_um[0]:.1f} and {shift_um[1]:.1f} um, expected at most"
            f" {MAX_DRIFT_UM:g} um (bring the place back to the middle and begin a new series)"
        )
    margin, radius = margin_px(pixel_um), _KERNEL_RADIUS_PX
    whole = [round(value / pixel_um) for value in shift_um]
    parts = [v / pixel_um - w for v, w in zip(shift_um, whole, strict=True)]
    window = tuple(
        slice(margin - shift - radius, margin - shift + count + radius)
        for shift, count in zip(reversed(whole), reversed(matrix), strict=True)
    )
    down = ndimage.correlate1d(grey[window], _kernel(parts[1]), axis=0)[radius:-radius]
    right = ndimage.correlate1d(down, _kernel(parts[0]), axis=1)[:, radius:-radius]
    return np.ascontiguousarray(right)


def _kernel(shift_px: float) -> Floats:
    """Weights that blur and move by a fraction of a pixel towards larger indices."""
    at = np.arange(-_KERNEL_RADIUS_PX, _KERNEL_RADIUS_PX + 1) + shift_px
    weights = np.exp(-0.5 * (at / BLUR_PX) ** 2)
    return np.asarray(weights / weights.sum())
