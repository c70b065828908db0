"""How far a series of micrographs has drifted, to fractions of a pixel, with errors.

The straight edge between metal and electrolyte says nothing about motion along itself and hides
the little that the texture says (aperture problem). Only the electrolyte, which does not change,
is compared, and only its texture: slow changes of grey are removed before.

The largest cross-correlation is found on whole pixels by a fast Fourier transform and then between
them by a discrete Fourier transform of its neighbourhood only (M. Guizar-Sicairos, S. T. Thurman
and J. R. Fienup, Optics Letters 33, 156 (2008)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from orchestrator.analysis.interface import OK, find_interface

Floats = npt.NDArray[np.float64]
Spectrum = npt.NDArray[np.complexfloating]

CLEARANCE_UM = 2.0
"""Electrolyte next to the interface that is left out, um."""
_HIGH_PASS_UM, _LOW_PASS_PX = 2.0, 1.0
_TAPER_SHARE = 0.1
_MIN_LINES = 32
_UPSAMPLING = (10, 200)
_MAX_ERROR_PX = 1.0
_MAX_REMAINDER_PX = 2.0


@dataclass(frozen=True)
class Displacement:
    """How far a frame's object lies from where the reference shows it.

    Attributes:
        x_um: To the right, along the interface, um; NaN if unknown.
        y_um: Down, across the interface, um; NaN if unknown.
        x_error_um: Standard error of `x_um`, from the two images.
        y_error_um: Standard error of `y_um`.
        quality: ``ok`` or a reason.
    """

    x_um: float
    y_um: float
    x_error_um: float
    y_error_um: float
    quality: str = OK


def displacement(reference: npt.ArrayLike, frame: npt.ArrayLike, pixel_um: float) -> Displacement:
    """Displacement of one micrograph against another of the same place.

    Args:
        reference: Grey values, shape (lines, columns), metal above and electrolyte below.
        frame: Grey values of the same shape.
        pixel_um: Size of a pixel, um.

    Raises:
        ValueError: The images differ in shape.
    """
    images = [np.asarray(each, dtype=np.float32) for each in (reference, frame)]
    if images[0].shape != images[1].shape:
        raise ValueError(
            f"registration: shape, got {images[1].shape}, expected {images[0].shape}, that of the"
            " reference (compare frames of one magnification)"
        )
    found = [find_interface(image, pixel_um) for image in images]
    for each in found:
        if not each.found:
            return _unknown(each.quality)
    lowest = max(float(each.line.max()) for each in found)
    first = int(np.ceil(lowest + CLEARANCE_UM / pixel_um))
    if images[0].shape[0] - first < _MIN_LINES:
        return _unknown("too little electrolyte in the frame")
    return _displacement(_trimmed(images[0][first:]), _trimmed(images[1][first:]), pixel_um)


def drift(frames: Sequence[npt.ArrayLike], pixel_um: float) -> tuple[Displacement, ...]:
    """Displacement of every frame of a series against its first one.

    Args:
        frames: Grey values, each of shape (lines, columns).
        pixel_um: Size of a pixel, um.
    """
    return tuple(displacement(frames[0], each, pixel_um) for each in frames)


def _texture_spectrum(region: npt.NDArray[np.float32], pixel_um: float) -> Spectrum:
    """Fourier transform of the texture: borders faded, slow changes and single pixels removed."""
    faded = (region - region.mean()).astype(np.float64)
    squares = []
    for axis, length in enumerate(region.shape):
        shape = [1, 1]
        shape[axis] = length
        faded *= _taper(length).reshape(shape)
        squares.append(((2 * np.pi * fft.fftfreq(length)) ** 2).reshape(shape))
    k_squared = squares[0] + squares[1]
    band = np.exp(-0.5 * k_squared * _LOW_PASS_PX**2)
    band -= np.exp(-0.5 * k_squared * (_HIGH_PASS_UM / pixel_um) ** 2)
    return np.asarray(fft.fft2(faded) * band)


def _taper(length: int) -> Floats:
    """Raised cosine over a tenth at each end (Tukey window)."""
    ramp = max(int(_TAPER_SHARE * length), 1)
    distance = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5)
    return np.asarray(np.sin(0.5 * np.pi * np.minimum(distance / ramp, 1.0)) ** 2)


def _displacement(
    reference: npt.NDArray[np.float32], moved: npt.NDArray[np.float32], pixel_um: float
) -> Displacement:
    """Position of the largest cross-correlation of what both regions show, and its error.

    The faded borders stay where they are while the object moves, which draws the maximum towards
    0: the part that both images show is cut out by whole pixels first.
    """
    whole = _whole_pixels(_product(reference, moved, pixel_um))
    seen = [reference, moved]
    if whole.any():
        seen = [_trimmed(_overlap(reference, -whole)), _trimmed(_overlap(moved, whole))]
        if min(seen[0].shape) < _MIN_LINES:
            return _unknown("too little in common with the reference")
    product = _product(seen[0], seen[1], pixel_um)
    shift_px, reach_px = _whole_pixels(product).astype(np.float64), 1.0
    for upsampling in _UPSAMPLING:
        shift_px = _refined(product, shift_px, reach_px, upsampling)
        reach_px = 1.5 / upsampling
    error_px = _errors(product, shift_px)
    y_um, x_um = (float(value) for value in (shift_px + whole) * pixel_um)
    y_error_um, x_error_um = (float(value) for value in error_px * pixel_um)
    poor = not np.all(error_px < _MAX_ERROR_PX) or np.abs(shift_px).max() > _MAX_REMAINDER_PX
    quality = "the electrolyte's texture does not show the displacement" if poor else OK
    return Displacement(x_um, y_um, x_error_um, y_error_um, quality)


def _product(
    reference: npt.NDArray[np.float32], moved: npt.NDArray[np.float32], pixel_um: float
) -> Spectrum:
    """Fourier transform of the cross-correlation."""
    return _texture_spectrum(moved, pixel_um) * _texture_spectrum(reference, pixel_um).conj()


def _whole_pixels(product: Spectrum) -> npt.NDArray[np.intp]:
    """Largest cross-correlation on whole pixels, (lines, columns)."""
    correlation = fft.ifft2(product).real
    peak = np.array(np.unravel_index(int(correlation.argmax()), correlation.shape))
    shape = np.array(correlation.shape)
    return np.where(peak > shape // 2, peak - shape, peak)


def _trimmed(region: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Without the last lines and columns that would make the Fourier transform slow."""
    lines, columns = (fft.prev_fast_len(length) for length in region.shape)
    return region[:lines, :columns]


def _overlap(
    region: npt.NDArray[np.float32], shift_px: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    """The part of a region that an image displaced by as much shows too."""
    down, right = (
        slice(shift, None) if shift >= 0 else slice(None, shift) for shift in shift_px.tolist()
    )
    return region[down, right]


def _refined(product: Spectrum, shift_px: Floats, reach_px: float, upsampling: int) -> Floats:
    """Largest cross-correlation on a finer grid around a displacement."""
    steps = np.arange(-round(reach_px * upsampling), round(reach_px * upsampling) + 1) / upsampling
    down, right = (
        np.exp(2j * np.pi * np.outer(centre + steps, fft.fftfreq(length)))
        for centre, length in zip(shift_px, product.shape, strict=True)
    )
    near = ((down @ product) @ right.T).real
    best = np.unravel_index(int(near.argmax()), near.shape)
    return shift_px + steps[np.array(best)]


def _errors(product: Spectrum, shift_px: Floats) -> Floats:
    """Standard errors along the lines and columns, pixels.

    At the maximum the slope of the correlation, sum k Im(P), vanishes; the scatter of its terms
    over the curvature, sum k^2 Re(P), is the error of its position (a sandwich estimate). Each
    frequency counts twice, as itself and its mirror image, and the taper ties neighbours together.
    """
    frequencies = [fft.fftfreq(length) for length in product.shape]
    back = [
        np.exp(2j * np.pi * value * each) for value, each in zip(shift_px, frequencies, strict=True)
    ]
    aligned = product * back[0][:, None] * back[1][None, :]
    slope_power, curvature = aligned.imag**2, aligned.real
    tied = 2.0 * np.prod([_tied(length) for length in product.shape])
    errors = []
    for axis, each in enumerate(frequencies):
        k_squared = (2 * np.pi * each) ** 2
        along = (slope_power.sum(axis=1 - axis), curvature.sum(axis=1 - axis))
        bend = float(k_squared @ along[1])
        scatter = float(np.sqrt(tied * (k_squared @ along[0])))
        errors.append(scatter / bend if bend > 0 else np.inf)
    return np.array(errors)


def _tied(length: int) -> float:
    """How much the taper widens a frequency: its equivalent noise bandwidth, bins.

    F. J. Harris, Proceedings of the IEEE 66, 51 (1978), for the square of the taper: both
    images carry it.
    """
    squared = _taper(length) ** 2
    return float(length * (squared @ squared) / squared.sum() ** 2)


def _unknown(reason: str) -> Displacement:
    return Displacement(np.nan, np.nan, np.nan, np.nan, reason)
