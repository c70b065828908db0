"""Where metal and electrolyte meet in a micrograph, and whether the image can be measured at all.

Metal lies above, electrolyte below. The far ends of the frame give both grey values; the
interface is the first crossing of their mean from below, so that voids in the metal do not
move it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

OK = "ok"
DARK = "dark: the electrolyte is not brighter than the metal"
NO_INTERFACE = "no interface between metal and electrolyte"
FEW_COUNTS = "few counts: widths and small voids are uncertain"

FAR_SHARE = 0.2
"""Part of the frame at its upper and lower end that gives the grey values."""
REFERENCE_NOISE = 0.42
"""Noise of a metal pixel over its grey value at 0.3 microseconds and 4e7 counts/s at grey 150.

Down to this dwell time a fixed smoothing finds every void; with more noise it must grow.
"""
FLAGGED_NOISE = 0.5
"""Noise of a metal pixel over its grey value beyond which a frame is flagged (about 0.2 us)."""
_SMOOTHING_PX, _MEDIAN_COLUMNS = 1.5, 31
_REACH_UM = 3.0
_FLANK_COLUMNS = 6
_MIN_CONTRAST = 1.2


@dataclass(frozen=True)
class Interface:
    """The interface of one micrograph.

    Attributes:
        line: Position in each column, pixels from the upper border; empty if not found.
        metal: Grey value of the metal.
        electrolyte: Grey value of the electrolyte.
        noise: Standard deviation of the noise of a metal pixel over `metal`.
        quality: ``ok`` or a reason. With few counts the interface is still given.
    """

    line: Floats
    metal: float
    electrolyte: float
    noise: float
    quality: str

    @property
    def found(self) -> bool:
        """Whether there is an interface to measure from."""
        return len(self.line) > 0

    @property
    def widening(self) -> float:
        """Factor of all smoothing lengths, sqrt(0.3 us / dwell) in terms of counts; at least 1."""
        return max(1.0, self.noise / REFERENCE_NOISE)


def find_interface(image: Image, pixel_um: float) -> Interface:
    """Find metal, electrolyte and the line between them.

    Args:
        image: Grey values, shape (lines, columns).
        pixel_um: Size of a pixel, um.

    Raises:
        ValueError: The image is not two-dimensional or the pixel size not positive.
    """
    if image.ndim != 2 or min(image.shape) < _MEDIAN_COLUMNS or not pixel_um > 0:
        raise ValueError(
            f"micrograph: got shape {image.shape} and a pixel of {pixel_um} um, expected (lines,"
            f" columns) of at least {_MEDIAN_COLUMNS} each and a positive size (pass one frame)"
        )
    if not np.isfinite(image).all():
        return _none("grey values that are not finite")
    far = int(FAR_SHARE * image.shape[0])
    metal, electrolyte = float(image[:far].mean()), float(image[-far:].mean())
    if metal <= 0 or electrolyte < _MIN_CONTRAST * metal:
        return _none(DARK)
    steps = np.diff(image[:far].astype(np.float64), axis=1)
    noise = float(np.sqrt(0.5 * np.mean(steps**2))) / metal
    widening = max(1.0, noise / REFERENCE_NOISE)
    smooth = ndimage.gaussian_filter(image, _SMOOTHING_PX * widening)
    # the median of the far ends holds against a void or a filament there, the mean of raw
    # pixels against the coarse steps of few counts: smoothed pixels allow the median
    metal, electrolyte = float(np.median(smooth[:far])), float(np.median(smooth[-far:]))
    line = _crossings(smooth, 0.5 * (metal + electrolyte), round(_REACH_UM / pixel_um))
    quality = OK if noise < FLAGGED_NOISE else FEW_COUNTS
    if line is None:
        return _none(NO_INTERFACE)
    return Interface(line, metal, electrolyte, noise, quality)


def _crossings(smooth: Image, level: float, reach_px: int) -> Floats | None:
    """First crossing of a level from below per column, median of neighbours; None without."""
    dark = np.flatnonzero(np.median(smooth, axis=1) < level)
    if not len(dark) or dark[-1] + reach_px >= len(smooth) or dark[-1] < reach_px:
        return None
    first, last = int(dark[-1]) - reach_px, int(dark[-1]) + reach_px
    below = smooth[first : last + 1][::-1] < level
    up = below.argmax(axis=0)
    # a column that is dark from the start shows a filament, one without a crossing shows nothing
    filament = below[: max(reach_px // 2, 1)].mean(axis=0) > 0.5
    flanks = ndimage.binary_dilation(filament, iterations=_FLANK_COLUMNS)
    usable = below.any(axis=0) & ~below[0] & ~flanks
    if usable.mean() < 0.5:
        return None
    columns = np.flatnonzero(usable)
    start = last - up[columns]
    dark_grey, bright = smooth[start, columns], smooth[start + 1, columns]
    exact = start + 0.5 + (level - dark_grey) / (bright - dark_grey)
    line = np.interp(np.arange(smooth.shape[1]), columns, exact)
    return np.asarray(ndimage.median_filter(line, _MEDIAN_COLUMNS, mode="nearest"))


def _none(reason: str) -> Interface:
    return Interface(np.empty(0), np.nan, np.nan, np.nan, reason)
