"""Histogram of a difference image: what stands out of the noise.

Plain counting, as the published analysis did with ImageJ (Liu et al., Nature Materials 2025, doi
10.1038/s41563-024-02094-6), with a threshold of four standard deviations of the noise, so that
the share of pixels beyond it that noise alone would give is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.measured import Measured

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

THRESHOLD_SIGMA = 4.0
"""Standard deviations of the noise beyond which a pixel is signal."""
BINS_PER_SIGMA = 2
MAX_BINS = 4096
MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class DifferenceHistogram:
    """Pixels of a difference image by value.

    Attributes:
        edges: Edges of the bins, in the image's unit, shape (n + 1,).
        counts: Pixels per bin, shape (n,).
        errors: Standard errors of the counts, sqrt(count) and at least 1, shape (n,).
        noise: Standard deviation of the noise, in the image's unit.
        threshold: Value beyond which a pixel is signal.
        above: Pixels above the threshold.
        below: Pixels below minus the threshold.
        expected_above: Pixels that Gaussian noise alone puts above the threshold.
        pixels: Pixels that were counted; those that are not finite are left out.
        sum_above: Sum of the values above the threshold and its error from the noise.
        quality: ``ok`` or a reason.
    """

    edges: Floats
    counts: Counts
    errors: Floats
    noise: float
    threshold: float
    above: int
    below: int
    expected_above: float
    pixels: int
    sum_above: Measured
    quality: str = "ok"

    @property
    def share_above(self) -> Measured:
        """Share of the pixels above the threshold, noise taken off, with its counting error."""
        error = math.sqrt(max(self.above, 1)) / self.pixels
        return Measured((self.above - self.expected_above) / self.pixels, error, self.quality)


def noise_of(values: npt.ArrayLike) -> float:
    """Standard deviation of mostly empty values by their median absolute deviation."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return math.nan
    return MAD_TO_SD * float(np.median(np.abs(finite - np.median(finite))))


def difference_histogram(
    difference: npt.ArrayLike,
    *,
    noise: float | None = None,
    threshold_sigma: float = THRESHOLD_SIGMA,
) -> DifferenceHistogram:
    """Count the pixels of a difference image.

    Args:
        difference: Image minus reference, any shape, any unit.
        noise: Standard deviation of the noise of a pixel of the difference; of the median
            absolute deviation if None, which holds while less than half of the image is signal.
        threshold_sigma: Threshold over the noise.

    Raises:
        ValueError: No finite pixel, or a noise or a threshold that is not positive.
    """
    image = np.asarray(difference, dtype=np.float64).ravel()
    values = image[np.isfinite(image)]
    sigma = noise_of(values) if noise is None else noise
    if not len(values) or not sigma > 0 or not threshold_sigma > 0:
        raise ValueError(
            f"difference histogram: got {len(values)} finite pixels, noise {sigma}, threshold "
            f"{threshold_sigma} sigma; expected pixels and positive numbers (give `noise` of an "
            "image without noise of its own)"
        )
    width = sigma / BINS_PER_SIGMA
    first, last = (math.floor(v / width) for v in (values.min(), values.max()))
    bins = min(last - first + 1, MAX_BINS)
    low, high = first * width, (last + 1) * width
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    threshold = threshold_sigma * sigma
    signal = values[values > threshold]
    expected = 0.5 * math.erfc(threshold_sigma / math.sqrt(2.0)) * len(values)
    below = int((values < -threshold).sum())
    return DifferenceHistogram(
        edges=edges,
        counts=counts,
        errors=np.sqrt(np.maximum(counts, 1)),
        noise=sigma,
        threshold=threshold,
        above=len(signal),
        below=below,
        expected_above=expected,
        pixels=len(values),
        sum_above=Measured(float(signal.sum()), sigma * math.sqrt(len(signal))),
        quality=_quality(below, expected, broken=len(values) < len(image)),
    )


def _quality(below: int, expected: float, *, broken: bool) -> str:
    """Noise is as often below as above: more below than that is not noise."""
    if below > expected + 5.0 * math.sqrt(expected + 1.0):
        return f"{below} pixels below the negative threshold: the reference does not fit the image"
    return "pixels that are not finite were left out" if broken else "ok"
