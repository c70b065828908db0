"""Spallations in an image of a pellet's face: how many, and how wide.

Works on maps of induced current, where what is connected is dark, and on secondary-electron images,
where craters are darker or brighter than the face. Each spot that stands out of the background by
four standard deviations is measured at half of its own contrast, as a single one is by
`orchestrator.analysis.transport.ebic_diameter_um`. Where a rim of the opposite contrast surrounds
it, because its edge lets more electrons out, the edge lies between the steepest slope towards the
rim and the rim's top; their distance is in the error.

Published: 5 to 100 um, Siniscalchi et al., Energy Environ. Sci. 2024 (doi 10.1039/d3ee03916a).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from orchestrator.analysis.histogram import noise_of
from orchestrator.analysis.measured import Measured
from orchestrator.analysis.spots import sector_radii

Floats = npt.NDArray[np.float64]
Polarity = Literal["dark", "bright"]

DETECTED_SIGMA = 4.0
"""Standard deviations of the smoothed background from which a pixel belongs to a spot."""
THRESHOLDS_SIGMA = (3.5, 5.0)
"""Thresholds between which the number is called certain."""
MIN_AREA_PX = 16
"""Smaller spots are noise, pixels."""
ROUND = 0.75
"""Area over that of the circle around a spot's farthest sector, below which it is not round."""
_SMOOTHING_PX = 1.0
RIM_SHARE, RIM_SIGMA = 0.15, 5.0
"""Contrast of a rim over that of its spot, and over the error of its mean, to be believed."""
_SECTORS = 16
_STEP_PX, _CLIPS = 6, 3
_MARGIN_PX = 16


@dataclass(frozen=True)
class Spot:
    """One spallation; positions from the image's upper left corner, um.

    Attributes:
        x_um: Centre, um.
        y_um: Centre, um.
        diameter_um: Diameter of the circle of its area at half contrast or within its rim, um.
        diameter_error_um: Standard error: noise, pixels and a shape that is not round, um.
        contrast: Its plateau minus the background, in the image's unit.
        cut: Whether a border of the image cuts it.
        quality: ``ok`` or a reason.
    """

    x_um: float
    y_um: float
    diameter_um: float
    diameter_error_um: float
    contrast: float
    cut: bool
    quality: str = "ok"


@dataclass(frozen=True)
class SpallationCount:
    """The spallations of one image.

    Attributes:
        spots: By falling diameter.
        number: Their number, its error half the range between two thresholds.
        field_mm2: Area of the image, mm2.
        noise: Standard deviation of the smoothed background, in the image's unit.
        quality: ``ok`` or a reason.
    """

    spots: tuple[Spot, ...]
    number: Measured
    field_mm2: float
    noise: float
    quality: str = "ok"

    @property
    def diameters_um(self) -> Floats:
        """Diameters of those that no border cuts, um, falling."""
        return np.array([spot.diameter_um for spot in self.spots if not spot.cut])

    @property
    def per_mm2(self) -> Measured:
        """Number per area, 1/mm2, with the counting error of a random scatter added."""
        error = math.hypot(self.number.error, math.sqrt(max(self.number.value, 1.0)))
        return Measured(
            self.number.value / self.field_mm2, error / self.field_mm2, self.number.quality
        )


def spallations(
    image: npt.ArrayLike, pixel_um: float, *, polarity: Polarity = "dark"
) -> SpallationCount:
    """Find and measure the spallations of one image.

    Args:
        image: Grey values or induced current, shape (lines, columns); less than half of it may
            be spallation.
        pixel_um: Size of a pixel, um.
        polarity: Whether spallations are darker or brighter than the face.

    Raises:
        ValueError: The image is not two-dimensional or too small, or the pixel has no size.
    """
    values = np.asarray(image, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < MIN_AREA_PX or not pixel_um > 0:
        raise ValueError(
            f"spallations: got shape {values.shape} with pixels of {pixel_um} um, expected at least"
            f" {MIN_AREA_PX} x {MIN_AREA_PX} pixels of a positive size (pass one frame)"
        )
    field_mm2 = values.size * (pixel_um * 1e-3) ** 2
    if not np.isfinite(values).all():
        missing = Measured(math.nan, math.nan, "pixels that are not finite")
        return SpallationCount((), missing, field_mm2, math.nan, missing.quality)
    smooth = ndimage.gaussian_filter(values, _SMOOTHING_PX)
    level, noise = _background(smooth)
    depth = (level - smooth) * (1.0 if polarity == "dark" else -1.0)
    if not noise > 0:
        noise = float(np.finfo(np.float64).eps) * max(float(np.abs(values).max()), 1.0)
    labels, count = _labelled(depth, DETECTED_SIGMA * noise)
    boxes = ndimage.find_objects(labels, count)
    spots = [_spot(depth, labels, k, boxes[k - 1], pixel_um) for k in range(1, count + 1)]
    others = [_labelled(depth, sigma * noise)[1] for sigma in THRESHOLDS_SIGMA]
    error = 0.5 * float(np.ptp([*others, count]))
    merged = sum(spot.quality != "ok" for spot in spots)
    quality = "ok" if not merged else f"{merged} of {count} not round: perhaps several in one"
    spots.sort(key=lambda spot: -spot.diameter_um)
    number = Measured(float(count), max(error, float(merged)), quality)
    return SpallationCount(tuple(spots), number, field_mm2, noise, quality)


def _background(smooth: Floats) -> tuple[float, float]:
    """Level and standard deviation of what lies between the spots, up to half of it spots.

    Differences over some pixels show the noise wherever it is, at few edges more; around the
    median, which spots have moved, what lies within four times that is the background.
    """
    step = max(1, min(_STEP_PX, smooth.shape[1] - 1))
    noise = noise_of(smooth[:, step:] - smooth[:, :-step]) / math.sqrt(2.0)
    kept = smooth.ravel()
    level = float(np.median(kept))
    for _ in range(_CLIPS):
        near = kept[np.abs(kept - level) <= DETECTED_SIGMA * noise]
        if not len(near):
            break
        level = float(np.median(near))
    return level, max(noise, noise_of(near) if len(near) else 0.0)


def _labelled(depth: Floats, threshold: float) -> tuple[npt.NDArray[np.int32], int]:
    """Spots beyond a threshold that are large enough, holes filled, numbered from 1."""
    labels, count = ndimage.label(ndimage.binary_fill_holes(depth > threshold))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    large = sizes >= MIN_AREA_PX
    large[0] = False
    number = np.cumsum(large) * large
    return np.asarray(number[labels], dtype=np.int32), int(large.sum())


def _spot(
    depth: Floats,
    labels: npt.NDArray[np.int32],
    label: int,
    box: tuple[slice, slice],
    pixel_um: float,
) -> Spot:
    """One spot, at half of the contrast of its inner half."""
    window = tuple(
        slice(max(part.start - _MARGIN_PX, 0), min(part.stop + _MARGIN_PX, length))
        for part, length in zip(box, depth.shape, strict=True)
    )
    own, here = labels[window] == label, depth[window]
    inside = ndimage.distance_transform_edt(np.pad(own, 1))[1:-1, 1:-1]
    plateau = float(np.median(here[inside >= 0.5 * inside.max()]))
    half = own & (here > 0.5 * plateau)
    lines, columns = np.nonzero(half)
    radii = sector_radii(half, _SECTORS)
    area = float(half.sum())
    rim_px, rim_error_px = _rim_px(here, half, (labels[window] > 0) & ~own, plateau)
    y0, x0 = window[0].start, window[1].start
    cut = bool(
        y0 + lines.min() == 0
        or x0 + columns.min() == 0
        or y0 + lines.max() == depth.shape[0] - 1
        or x0 + columns.max() == depth.shape[1] - 1
    )
    roundness = area / (math.pi * max(float(radii.max()), 1e-9) ** 2)
    quality = "cut by a border" if cut else "ok"
    if roundness < ROUND:
        quality = "not round: perhaps several in one"
    scatter_um = float(np.std(radii, ddof=1)) / math.sqrt(_SECTORS) * pixel_um
    edge_px = math.hypot(rim_error_px, (12.0 * _SECTORS) ** -0.5)
    return Spot(
        x_um=(x0 + float(columns.mean()) + 0.5) * pixel_um,
        y_um=(y0 + float(lines.mean()) + 0.5) * pixel_um,
        diameter_um=2.0 * (math.sqrt(area / math.pi) + rim_px) * pixel_um,
        diameter_error_um=2.0 * math.hypot(scatter_um, pixel_um * edge_px),
        contrast=plateau,
        cut=cut,
        quality=quality,
    )


def _rim_px(
    depth: Floats, half: npt.NDArray[np.bool_], others: npt.NDArray[np.bool_], plateau: float
) -> tuple[float, float]:
    """How far beyond half contrast the edge lies if there is a rim, and its error; else 0.

    A step is steepest at the edge, a rim on the edge is highest there: with both, half contrast
    lies inside, and the edge between the steepest slope and the top.

    Args:
        depth: Contrast around one spot, shape (lines, columns).
        half: The spot at half contrast.
        others: Pixels of other spots.
        plateau: Contrast of the spot.
    """
    outside, inside = (ndimage.distance_transform_edt(mask) for mask in (~half, half))
    # centres of pixels from the line between the spot and what is beside it
    signed = np.where(half, 0.5 - inside, outside - 0.5)
    near = (np.abs(signed) < _MARGIN_PX) & ~others
    ring = np.floor(signed[near]).astype(int) + _MARGIN_PX
    values = -depth[near]
    count = np.maximum(np.bincount(ring, minlength=2 * _MARGIN_PX), 1)
    mean = np.bincount(ring, values, 2 * _MARGIN_PX) / count
    scatter = np.sqrt(np.bincount(ring, (values - mean[ring]) ** 2, 2 * _MARGIN_PX)) / count
    top = _MARGIN_PX + int(mean[_MARGIN_PX:].argmax())
    height = float(mean[top]) - float(np.median(mean[_MARGIN_PX + _MARGIN_PX // 2 :]))
    if height < RIM_SHARE * plateau or height < RIM_SIGMA * float(scatter[top]):
        return 0.0, 0.0
    slopes = np.diff(mean)[_MARGIN_PX - 2 : top]
    steepest = float(slopes.argmax()) - 1.0 if len(slopes) else 0.0
    highest = top - _MARGIN_PX + 0.5
    return 0.5 * (steepest + highest), (highest - steepest) / math.sqrt(12.0)
