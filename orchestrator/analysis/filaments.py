"""Filaments in the electrolyte below the interface, from one micrograph.

A filament is a strip of metal that stands on the interface. Pixels beyond half of the contrast
between electrolyte and metal, in objects that reach the interface and are longer than wide, are
filament. Its diameter is the missing grey of a cut across it over the grey that metal misses, the
*equivalent width*: blur and smoothing move grey sideways but lose none, so that a strip thinner
than the blur keeps its diameter. Strips that are brighter than the electrolyte, or darker than
the metal, are measured by their own depth instead, and said so.

Published: several sites, 1.1 +- 0.4 um, Zhao et al., Nature Communications 2025 (doi
10.1038/s41467-025-59567-8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from orchestrator.analysis.interface import OK, Image, Interface, find_interface
from orchestrator.analysis.measured import Measured

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Polarity = Literal["dark", "bright"]

LEVEL = 0.5
"""Share of the contrast between electrolyte and metal beyond which a pixel is filament."""
LEVELS = (0.4, 0.6)
"""Levels between which the number is called certain."""
CLEARANCE_UM = 0.6
"""Electrolyte next to the interface that is not looked at: blur and roughness of the edge, um."""
FOOT_UM = 1.0
"""A filament begins within this distance below the clearance, um."""
MIN_LENGTH_UM = 2.0
"""Shorter objects are grains or noise, um."""
LEAST_PX = (6.0, 10.0, 12.0)
"""The same three lengths in pixels, where pixels are coarse: the edge is blurred over some."""
OWN_DEPTH_TOLERANCE = 0.25
"""Depth beyond that of the metal, relative, from which a strip's own depth is used."""
_SMOOTHING_PX = 1.5
CONTRAST_ERROR = 0.02
"""Relative error of the contrast between electrolyte and metal: texture of a strip's own place."""
_FLANK_UM = 1.5
_LEAST_FLANK_PX = 8.0
_REACH_SIGMA = 3.0
_BLOCK_UM = 1.4
_MIN_BLOCKS = 4
_RESOLVED_PX = 3.5
THIN_PX = 4.0
"""Thinner filaments break into pieces in the noise: their length is a least one, pixels."""
_HIDDEN_ROUNDS = 5


@dataclass(frozen=True)
class Filament:
    """One filament; lengths in um, positions from the left border.

    Attributes:
        x_um: Its place along the interface, um.
        diameter_um: Its diameter, um.
        diameter_error_um: Standard error of the diameter, um.
        length_um: Depth below the interface to which it is seen, um.
        length_error_um: Standard error of the length, um.
        cut: Whether a border of the frame cuts it: then it is longer than it seems.
        quality: ``ok`` or a reason.
    """

    x_um: float
    diameter_um: float
    diameter_error_um: float
    length_um: float
    length_error_um: float
    cut: bool
    quality: str = "ok"


@dataclass(frozen=True)
class FilamentMeasurement:
    """What one micrograph shows.

    Attributes:
        filaments: From left to right.
        field_um: Width of the frame, um.
        number_error: Half the range of the number between two levels, with how many seem to be
            two in one, and the square root of how many at random places would.
        quality: ``ok`` or a reason. With few counts there are still numbers.
        measured: Whether there was an interface to measure from.
    """

    filaments: tuple[Filament, ...]
    field_um: float
    number_error: float
    quality: str
    measured: bool

    @property
    def number(self) -> float:
        """Filaments in the frame; NaN if not measured."""
        return float(len(self.filaments)) if self.measured else math.nan

    @property
    def number_per_100_um(self) -> Measured:
        """Filaments per 100 um of interface."""
        scale = 100.0 / self.field_um
        return Measured(scale * self.number, scale * self.number_error, self.quality)

    @property
    def diameters_um(self) -> Floats:
        """Diameters, um, shape (n,)."""
        return np.array([each.diameter_um for each in self.filaments])

    @property
    def mean_diameter_um(self) -> Measured:
        """Mean diameter and the standard error of the mean, um.

        Of a single filament the error is its own; of none there is no mean.
        """
        seen = self.diameters_um
        if not len(seen):
            return Measured(math.nan, math.nan, "no filament")
        own = float(np.sqrt(sum(f.diameter_error_um**2 for f in self.filaments))) / len(seen)
        scatter = float(seen.std(ddof=1)) / math.sqrt(len(seen)) if len(seen) > 1 else 0.0
        return Measured(float(seen.mean()), max(own, scatter), self.quality)


def measure_filaments(
    image: npt.ArrayLike, pixel_um: float, *, polarity: Polarity = "dark"
) -> FilamentMeasurement:
    """Find and measure the filaments of one micrograph.

    Args:
        image: Grey values, shape (lines, columns), metal above and electrolyte below.
        pixel_um: Size of a pixel, um.
        polarity: Whether filaments are darker or brighter than the electrolyte.

    Returns:
        The filaments and quality. An image that shows no interface gives none and the reason.

    Raises:
        ValueError: The image is not two-dimensional or the pixel size not positive.
    """
    grey = np.asarray(image, dtype=np.float32)
    interface = find_interface(grey, pixel_um)
    field_um = grey.shape[-1] * pixel_um
    if not interface.found:
        return FilamentMeasurement((), field_um, math.nan, interface.quality, measured=False)
    scene = _Scene(grey, interface, pixel_um, polarity)
    found = scene.filaments(LEVEL)
    numbers = [len(scene.objects(level)) for level in LEVELS]
    half_range = 0.5 * float(np.ptp([*numbers, len(found)]))
    merged = sum(each.quality != OK for each in found)
    error = math.sqrt(half_range**2 + merged**2 + _hidden(found, field_um, pixel_um))
    return FilamentMeasurement(tuple(found), field_um, error, interface.quality, measured=True)


def _hidden(found: list[Filament], field_um: float, pixel_um: float) -> float:
    """Filaments expected to be one with a neighbour, at random places.

    Two are one if their edges are nearer than smoothing resolves; the pairs are those of as many
    as there are with the hidden ones.
    """
    if len(found) < 2:
        return 0.0
    near_um = float(np.mean([each.diameter_um for each in found])) + _RESOLVED_PX * pixel_um
    hidden = 0.0
    for _ in range(_HIDDEN_ROUNDS):
        there = len(found) + hidden
        hidden = 0.5 * there * (there - 1.0) * 2.0 * near_um / field_um
    return min(hidden, float(len(found)))


@dataclass(frozen=True)
class _Object:
    """Pixels of one strip."""

    rows: npt.NDArray[np.intp]
    centre_px: Floats
    width_px: Floats


class _Scene:
    """Electrolyte of one micrograph, as depth of contrast: 0 in electrolyte, 1 in metal."""

    def __init__(
        self, grey: Image, interface: Interface, pixel_um: float, polarity: Polarity
    ) -> None:
        self.pixel_um, self.line = pixel_um, interface.line
        self.first = max(math.floor(interface.line.min()), 0)
        sign = 1.0 if polarity == "dark" else -1.0
        below = grey[self.first :].astype(np.float64)
        contrast = interface.electrolyte - interface.metal
        self.depth = sign * (interface.electrolyte - below) / contrast
        self.sigma_px = _SMOOTHING_PX * interface.widening
        lengths_um = (CLEARANCE_UM, FOOT_UM, MIN_LENGTH_UM)
        self.clearance_um, self.foot_um, self.least_um = (
            max(um, px * pixel_um) for um, px in zip(lengths_um, LEAST_PX, strict=True)
        )
        self.smooth = ndimage.gaussian_filter(self.depth, self.sigma_px)
        rows = np.arange(len(below))[:, None] + self.first + 0.5
        self.below_um = (rows - interface.line) * pixel_um

    def objects(self, level: float) -> list[_Object]:
        """Strips beyond a level that begin at the interface, from left to right."""
        mask = (self.smooth > level) & (self.below_um > self.clearance_um)
        labels, count = ndimage.label(mask)
        foot = labels[(self.below_um < self.clearance_um + self.foot_um) & mask]
        boxes = ndimage.find_objects(labels, count)
        found = []
        for label in np.unique(foot):
            lines, columns = boxes[label - 1]
            strip = self._strip(lines, columns, labels[lines, columns] == label)
            if strip is not None:
                found.append(strip)
        return sorted(found, key=lambda each: float(each.centre_px.mean()))

    def _strip(self, lines: slice, columns: slice, pixels: Mask) -> _Object | None:
        width = pixels.sum(axis=1).astype(np.float64)
        kept = width > 0
        centre = pixels @ (np.arange(columns.start, columns.stop) + 0.5)
        length_px = int(kept.sum())
        if length_px * self.pixel_um < self.least_um or np.median(width[kept]) > length_px:
            return None
        rows = np.arange(lines.start, lines.stop)[kept]
        return _Object(rows, np.asarray(centre[kept] / width[kept]), width[kept])

    def filaments(self, level: float) -> list[Filament]:
        """Measured strips."""
        strips = self.objects(level)
        owner = self._owners(strips)
        return [self._measured(strip, owner == k) for k, strip in enumerate(strips)]

    def _owners(self, strips: list[_Object]) -> npt.NDArray[np.intp]:
        """Which strip each pixel is nearest to along its row; -1 without one."""
        lines, columns = self.depth.shape
        nearest = np.full((lines, columns), np.inf)
        owner = np.full((lines, columns), -1, dtype=np.intp)
        at = np.arange(columns) + 0.5
        for k, strip in enumerate(strips):
            away = np.abs(at - strip.centre_px[:, None]) - 0.5 * strip.width_px[:, None]
            closer = away < nearest[strip.rows]
            nearest[strip.rows] = np.where(closer, away, nearest[strip.rows])
            owner[strip.rows] = np.where(closer, k, owner[strip.rows])
        return owner

    def _measured(self, strip: _Object, own: Mask) -> Filament:
        slope, middle = np.polyfit(strip.rows - strip.rows.mean(), strip.centre_px, 1)
        across = 1.0 / math.hypot(1.0, float(slope))
        track = np.asarray(middle + slope * (strip.rows - strip.rows.mean()))
        half_px = 0.5 * float(np.median(strip.width_px)) + _REACH_SIGMA * self.sigma_px
        width_um, error_um, quality = self._equivalent(strip.rows, track, half_px, own)
        column = int(np.clip(track[0], 0, self.depth.shape[1] - 1))
        at_end = strip.rows[-1] >= len(self.depth) - 1
        side = track.min() - half_px < 0 or track.max() + half_px > self.depth.shape[1]
        length_um = float(self.below_um[strip.rows[-1], column]) + 0.5 * self.pixel_um
        if quality == OK and width_um * across < THIN_PX * self.pixel_um:
            quality = "too thin to be followed to its end: it may be longer"
        return Filament(
            x_um=float(track[0]) * self.pixel_um,
            diameter_um=width_um * across,
            diameter_error_um=error_um * across,
            length_um=length_um / across,
            length_error_um=math.hypot(self.sigma_px, 12**-0.5) * self.pixel_um,
            cut=bool(at_end or side),
            quality=quality,
        )

    def _equivalent(
        self, rows: npt.NDArray[np.intp], track: Floats, half_px: float, own: Mask
    ) -> tuple[float, float, str]:
        """Equivalent width along a line and its error, um, and whose depth was used."""
        reach = math.ceil(half_px + max(_FLANK_UM / self.pixel_um, _LEAST_FLANK_PX))
        offsets = np.arange(-reach, reach + 1)
        columns = np.rint(track - 0.5).astype(int)[:, None] + offsets
        there = (columns >= 0) & (columns < self.depth.shape[1])
        columns = np.clip(columns, 0, self.depth.shape[1] - 1)
        there &= own[rows[:, None], columns]
        cuts = self.depth[rows[:, None], columns]
        inside = np.abs(offsets) <= half_px
        beside = there & ~inside
        if not beside.any():
            return math.nan, math.nan, "no electrolyte beside it"
        base = float(cuts[beside].mean())
        excess = np.where(there, cuts - base, 0.0)[:, inside]
        peak = float(ndimage.gaussian_filter1d(excess.mean(axis=0), 1.0).max())
        depth, quality = 1.0, OK
        if peak > 1.0 + OWN_DEPTH_TOLERANCE:
            depth, quality = (
                peak,
                "deeper than the metal: its own depth was used, perhaps two in one",
            )
        per_row = excess.sum(axis=1) * self.pixel_um / depth
        block = _BLOCK_UM / self.pixel_um
        base_rows = np.array(
            [row[kept].mean() for row, kept in zip(cuts, beside, strict=True) if kept.any()]
        )
        base_error = _block_error(base_rows, block) * inside.sum() * self.pixel_um / depth
        width_um = float(per_row.mean())
        error = [_block_error(per_row, block), base_error, CONTRAST_ERROR * width_um]
        return width_um, float(np.sqrt(np.sum(np.square(error)))), quality


def _block_error(values: Floats, block: float) -> float:
    """Standard error of the mean of values that are correlated over less than a block.

    With fewer than four blocks their scatter says too little: that of the values stands in.
    """
    count = int(len(values) / max(block, 1.0))
    if count < _MIN_BLOCKS:
        return float(values.std()) / math.sqrt(max(count, 1))
    means = np.array([part.mean() for part in np.array_split(values, count)])
    return float(means.std(ddof=1)) / math.sqrt(count)
