"""Metal in a three-dimensional image: connected components and amounts per depth layer.

Voxels beyond four standard deviations of the noise that share a face belong to one component
(`scipy.ndimage.label`). Their number, sizes and reach through the thickness tell isolated clusters
from a network that crosses the electrolyte. Amounts per layer do not come from the mask, which
misses what lies below the threshold, but from the sum of all voxels of a depth.

The first axis of a volume runs through the thickness, face A at the lower index.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from orchestrator.analysis.histogram import THRESHOLD_SIGMA
from orchestrator.analysis.image_model import LAYERS, ImagedCell, component_profiles
from orchestrator.analysis.measured import Measured

Floats = npt.NDArray[np.float64]
LayerMethod = Literal["sum", "unmix"]

THRESHOLDS_SIGMA = (3.5, 4.5)
"""Thresholds between which the number of components is called certain."""
CORNER_SHARE = 0.15
"""Part of each in-plane axis that a corner without object takes."""
MISFIT = 1.5
"""Standard deviation of what the profiles leave, over the noise, from which layers are flagged."""
OUTSIDE_SHARE = 0.05
"""Metal outside the electrolyte, of that within, from which layers are flagged."""
_MARGIN_MM = 0.3


@dataclass(frozen=True)
class Component:
    """One connected piece of metal; lengths in mm.

    Attributes:
        voxels: Its size.
        volume_mm3: The volume of its voxels, mm3.
        centre_mm: Centre of its signal (z, y, x) from the first voxel's outer corner, mm.
        first_mm: Where it begins along the thickness, mm from the volume's first face.
        last_mm: Where it ends, mm.
        signal: Sum of its voxels, in the image's unit.
        signal_error: Standard error of the sum, from the noise.
    """

    voxels: int
    volume_mm3: float
    centre_mm: tuple[float, float, float]
    first_mm: float
    last_mm: float
    signal: float
    signal_error: float

    @property
    def extent_mm(self) -> float:
        """Extent through the thickness, mm."""
        return self.last_mm - self.first_mm


@dataclass(frozen=True)
class Components:
    """The components of one volume.

    Attributes:
        components: By falling size.
        number: Their number; its error is half the range between two thresholds, what noise
            alone would give taken off, or the square root of that, whichever is larger.
        noise: Standard deviation of the noise of a voxel.
        threshold: Value beyond which a voxel is metal.
        expected_false: Components that noise alone would give.
        thickness_mm: Thickness that extents are compared with, mm.
        voxel_mm: Size of a voxel (z, y, x), mm.
        quality: ``ok`` or a reason.
    """

    components: tuple[Component, ...]
    number: Measured
    noise: float
    threshold: float
    expected_false: float
    thickness_mm: float
    voxel_mm: tuple[float, float, float]
    quality: str = "ok"

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Voxels per component, falling, shape (n,)."""
        return np.array([each.voxels for each in self.components], dtype=np.int64)

    @property
    def extents_mm(self) -> Floats:
        """Extents through the thickness, mm, in the order of the sizes, shape (n,)."""
        return np.array([each.extent_mm for each in self.components])

    @property
    def crossing(self) -> int:
        """Components that reach through the electrolyte, to within one voxel at each face."""
        slack_mm = 2.0 * self.voxel_mm[0]
        return int((self.extents_mm >= self.thickness_mm - slack_mm).sum())

    @property
    def largest_share(self) -> float:
        """Voxels of the largest component over those of all; NaN without any."""
        return float(self.sizes[0] / self.sizes.sum()) if self.components else math.nan


@dataclass(frozen=True)
class VolumeLayers:
    """Metallic lithium per depth layer of one volume.

    Attributes:
        amounts_umol_per_cm2: Layers 1 to 4, shape (4,).
        errors_umol_per_cm2: Standard errors, shape (4,).
        covariance: Of the layers, (umol/cm2)^2, shape (4, 4).
        electrodes_umol_per_cm2: Both electrodes' visible skins, shape (2,); NaN from sums.
        quality: ``ok`` or a reason.
    """

    amounts_umol_per_cm2: Floats
    errors_umol_per_cm2: Floats
    covariance: Floats
    electrodes_umol_per_cm2: Floats
    quality: str = "ok"

    @property
    def total(self) -> Measured:
        """Sum of the layers, umol/cm2."""
        error = math.sqrt(float(self.covariance.sum()))
        return Measured(float(self.amounts_umol_per_cm2.sum()), error, self.quality)


def volume_noise(volume: npt.ArrayLike) -> float:
    """Standard deviation of a voxel in the four in-plane corners, through all depths.

    Args:
        volume: Shape (depths, lines, columns); the object must not reach the corners.
    """
    image = _checked(volume)
    ny, nx = (max(int(CORNER_SHARE * n), 2) for n in image.shape[1:])
    corners = [image[:, a, b] for a in (slice(ny), slice(-ny, None)) for b in _ends(nx)]
    values = np.concatenate([corner.ravel() for corner in corners])
    values = values[np.isfinite(values)]
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def components(
    volume: npt.ArrayLike,
    voxel_mm: tuple[float, float, float],
    *,
    thickness_mm: float,
    noise: float | None = None,
    threshold_sigma: float = THRESHOLD_SIGMA,
) -> Components:
    """Find the connected pieces of metal.

    Args:
        volume: Image, better minus that of the pristine cell, shape (depths, lines, columns).
            Electrodes in it are components too.
        voxel_mm: Size of a voxel (z, y, x), mm.
        thickness_mm: Thickness of the electrolyte, mm: what crosses it is a bridge.
        noise: Standard deviation of the noise of a voxel; from the corners if None.
        threshold_sigma: Threshold over the noise.

    Raises:
        ValueError: A volume that is not three-dimensional, or sizes that are not positive.
    """
    image = _checked(volume)
    sigma = volume_noise(image) if noise is None else noise
    if not (min(voxel_mm) > 0 and thickness_mm > 0 and sigma > 0 and threshold_sigma > 0):
        raise ValueError(
            f"components: got voxels of {voxel_mm} mm, a thickness of {thickness_mm} mm, noise "
            f"{sigma} and a threshold of {threshold_sigma} sigma, expected positive numbers"
        )
    finite = np.isfinite(image)
    clean = np.where(finite, image, 0.0)
    labels, count = ndimage.label(clean > threshold_sigma * sigma)
    expected = _expected(threshold_sigma, clean.size)
    beyond_noise = [count - expected] + [
        int(ndimage.label(clean > t * sigma)[1]) - _expected(t, clean.size)
        for t in _around(threshold_sigma)
    ]
    error = max(0.5 * float(np.ptp(beyond_noise)), math.sqrt(expected))
    quality = "ok" if finite.all() else "voxels that are not finite were left out"
    if count and count < 2.0 * expected:
        quality = "no more components than noise alone would give"
    return Components(
        components=_measured(clean, labels, count, voxel_mm, sigma),
        number=Measured(float(count), error, quality),
        noise=sigma,
        threshold=threshold_sigma * sigma,
        expected_false=expected,
        thickness_mm=thickness_mm,
        voxel_mm=voxel_mm,
        quality=quality,
    )


def volume_layers(
    volume: npt.ArrayLike,
    cell: ImagedCell,
    *,
    method: LayerMethod = "sum",
    noise: float | None = None,
) -> VolumeLayers:
    """Amounts per layer from all voxels of each depth within the electrode's disc.

    Args:
        volume: Image, shape (depths, lines, columns).
        cell: Geometry with matrix and field of view (x, z) of the volume; lines and columns are
            taken to be alike. Its `signal_factor` is the signal summed through the thickness per
            umol/cm2 at a place.
        method: ``sum`` adds depths by how much of them lies in a layer: right where electrodes
            are absent or subtracted and voxels are thin. ``unmix`` fits the blurred profiles of
            layers and electrodes, as in a two-dimensional frame.
        noise: Standard deviation of the noise of a voxel; from the corners if None.

    Raises:
        ValueError: A volume of another shape than the cell's.
    """
    image = _checked(volume)
    if image.shape[0] != cell.matrix[1] or image.shape[2] != cell.matrix[0]:
        raise ValueError(
            f"volume: got shape {image.shape}, expected {cell.matrix[1]} depths and "
            f"{cell.matrix[0]} columns (give matrix and field of view of this volume)"
        )
    sigma = volume_noise(image) if noise is None else noise
    disc = _disc(cell, image.shape[1])
    finite = np.isfinite(image)
    area_px = 0.25 * math.pi * (cell.electrode_diameter_mm / cell.pixel_mm[0]) ** 2
    scale = cell.signal_factor * area_px
    profile = np.where(finite, image, 0.0)[:, disc].sum(axis=1) / scale
    spread = sigma * math.sqrt(int(disc.sum())) / scale
    layers = (_summed if method == "sum" else _unmixed)(profile, spread, cell)
    if not finite.all():
        return replace(layers, quality="voxels that are not finite count as nothing")
    return layers


def _summed(profile: Floats, spread: float, cell: ImagedCell) -> VolumeLayers:
    """Sums of depths by coverage; what lies outside all layers is a sign of a wrong place."""
    size_mm = cell.pixel_mm[1]
    low_mm = (np.arange(len(profile)) - len(profile) / 2)[:, None] * size_mm
    borders_mm = cell.layer_borders_mm
    covered = np.minimum(low_mm + size_mm, borders_mm[1:]) - np.maximum(low_mm, borders_mm[:-1])
    share: Floats = np.clip(covered / size_mm, 0.0, 1.0)
    covariance: Floats = share.T @ share * spread**2
    outside = 1.0 - share.sum(axis=1)
    beside, error = float(outside @ profile), spread * float(np.sqrt(outside @ outside))
    amounts = share.T @ profile
    quality = "ok"
    if abs(beside) > max(4.0 * error, OUTSIDE_SHARE * float(np.abs(amounts).sum())):
        quality = f"{beside:.2g} umol/cm2 outside the electrolyte: electrodes, or a wrong place"
    return VolumeLayers(
        amounts, np.sqrt(np.diag(covariance)), covariance, np.full(2, np.nan), quality
    )


def _unmixed(profile: Floats, spread: float, cell: ImagedCell) -> VolumeLayers:
    """Least squares of the blurred profiles of four layers and two electrodes."""
    design = component_profiles(cell)
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    found = inverse @ design.T @ profile
    left = profile - design @ found
    freedom = max(len(profile) - design.shape[1], 1)
    excess = math.sqrt(float(left @ left) / freedom) / spread
    quality = "ok"
    if excess > MISFIT:
        quality = f"profiles leave {excess:.1f} times the noise: thickness or place is wrong"
    variance = (spread * max(1.0, excess)) ** 2
    covariance = np.asarray(inverse * variance, dtype=np.float64)[:LAYERS, :LAYERS]
    return VolumeLayers(
        found[:LAYERS],
        np.asarray(np.sqrt(np.diag(covariance)), dtype=np.float64),
        covariance,
        found[LAYERS:],
        quality,
    )


def _checked(volume: npt.ArrayLike) -> Floats:
    image = np.asarray(volume, dtype=np.float64)
    if image.ndim != 3 or min(image.shape) < 4:
        raise ValueError(
            f"volume: got shape {image.shape}, expected (depths, lines, columns) of at least 4 each"
        )
    return image


def _expected(threshold_sigma: float, voxels: int) -> float:
    """Voxels that white noise alone puts beyond a threshold; nearly all stand alone."""
    return 0.5 * math.erfc(threshold_sigma / math.sqrt(2.0)) * voxels


def _ends(count: int) -> tuple[slice, slice]:
    return slice(count), slice(-count, None)


def _around(threshold_sigma: float) -> tuple[float, ...]:
    return tuple(threshold_sigma + each - THRESHOLD_SIGMA for each in THRESHOLDS_SIGMA)


def _disc(cell: ImagedCell, lines: int) -> npt.NDArray[np.bool_]:
    """Columns of voxels above the electrode, with a margin for the blur of its rim."""
    reach_mm = 0.5 * cell.electrode_diameter_mm + _MARGIN_MM
    x_mm = (np.arange(cell.matrix[0]) - cell.matrix[0] / 2 + 0.5) * cell.pixel_mm[0]
    y_mm = (np.arange(lines) - lines / 2 + 0.5) * cell.pixel_mm[0]
    away = np.hypot(x_mm - cell.centre_mm[0], y_mm[:, None])
    return np.asarray(away <= reach_mm)


def _measured(
    image: Floats,
    labels: npt.NDArray[np.int32],
    count: int,
    voxel_mm: tuple[float, ...],
    sigma: float,
) -> tuple[Component, ...]:
    """Components by falling size, from one pass over the labelled voxels."""
    if not count:
        return ()
    inside = labels > 0
    at, values, where = labels[inside] - 1, image[inside], np.nonzero(inside)
    voxels = np.bincount(at, minlength=count)
    signal = np.bincount(at, values, count)
    centres = [
        (np.bincount(at, values * axis, count) / signal + 0.5) * size
        for axis, size in zip(where, voxel_mm, strict=True)
    ]
    depths = [(box[0].start, box[0].stop) for box in ndimage.find_objects(labels, count)]
    volume_mm3 = math.prod(voxel_mm)
    return tuple(
        Component(
            voxels=int(voxels[k]),
            volume_mm3=float(voxels[k]) * volume_mm3,
            centre_mm=(float(centres[0][k]), float(centres[1][k]), float(centres[2][k])),
            first_mm=depths[k][0] * voxel_mm[0],
            last_mm=depths[k][1] * voxel_mm[0],
            signal=float(signal[k]),
            signal_error=sigma * math.sqrt(float(voxels[k])),
        )
        for k in np.argsort(-voxels, kind="stable")
    )
