"""Metallic lithium in four depth layers of the electrolyte from FLASH images.

An image is collapsed onto z by a matched filter across the columns and then described, by least
squares, as a sum of blurred profiles: four layers and the two electrode lines. What does not
change during a run (the two lines and the position of the cell) is estimated once from all its
frames, so that a frame's own noise enters through its four layers only; a single frame falls back
by itself to a fit of all components. With a frame of the pristine cell, the difference to it is
described by the four layers alone.

Errors come from the noise of the images, measured in their object-free corners. They do not
contain an error of the thickness or of the signal factor; a poor fit is flagged instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.image_model import (
    ImagedCell,
    component_profiles,
    displacement_profile,
    electrode_profiles,
    lateral_profile,
    layer_profiles,
)
from orchestrator.analysis.placement import (
    least_squares,
    measured_thickness,
    placed_along_x,
    placed_along_z,
)

Floats = npt.NDArray[np.float64]

OK = "ok"
CORNER_PX = 15
_POOR_FIT = 3.0


@dataclass(frozen=True)
class LayerSeries:
    """Amounts of metallic lithium per layer and frame, with what is known of their errors.

    Attributes:
        amounts_umol_per_cm2: Shape (n, 4), layers from face A; NaN where a frame is unusable.
        frame_covariance: Error of each frame by itself, (umol/cm2)^2, shape (n, 4, 4).
        common_covariance: Error shared by all frames, (umol/cm2)^2, shape (4, 4). It moves all
            frames together: growth rates are free of it.
        electrodes_umol_per_cm2: Visible skin of the electrodes A and B; NaN in a difference.
        electrode_errors: Their standard errors, umol/cm2.
        noise: Standard deviation of a pixel per frame, in units of the image, shape (n,).
        reduced_chi2: Misfit of the profiles per frame; 1 if only noise disagrees, shape (n,).
        quality: ``ok`` or a reason, per frame.
        cell: The geometry used, with the position found.
        method: ``shared_electrodes`` or ``difference``.
    """

    amounts_umol_per_cm2: Floats
    frame_covariance: Floats
    common_covariance: Floats
    electrodes_umol_per_cm2: Floats
    electrode_errors: Floats
    noise: Floats
    reduced_chi2: Floats
    quality: tuple[str, ...]
    cell: ImagedCell
    method: str

    @property
    def errors_umol_per_cm2(self) -> Floats:
        """Standard error of each amount, frame and common parts together, shape (n, 4)."""
        variance = np.diagonal(self.frame_covariance, axis1=1, axis2=2)
        return np.sqrt(variance + np.diagonal(self.common_covariance))

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Frames that have amounts and no flag, shape (n,)."""
        return np.array([flag == OK for flag in self.quality], dtype=bool)

    @property
    def usable_amounts(self) -> Floats:
        """Amounts with NaN in every frame that has a flag, shape (n, 4)."""
        return np.where(self.usable[:, None], self.amounts_umol_per_cm2, np.nan)

    def total(self) -> tuple[Floats, Floats]:
        """Sum of the four layers and its standard error, umol/cm2, each of shape (n,)."""
        variance = self.frame_covariance.sum(axis=(1, 2)) + self.common_covariance.sum()
        return self.amounts_umol_per_cm2.sum(axis=1), np.sqrt(variance)


@dataclass(frozen=True)
class _Profiles:
    """Frames collapsed onto z: values in umol/cm2 and their standard deviation."""

    values: Floats
    sigma: Floats
    noise: Floats
    flags: tuple[str, ...]

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        return np.array([flag == OK for flag in self.flags], dtype=bool)

    def mean(self) -> tuple[Floats, float]:
        """Weighted mean profile of the usable frames and its standard deviation."""
        weights = 1.0 / self.sigma[self.used] ** 2
        mean = weights @ self.values[self.used] / weights.sum()
        return np.asarray(mean), float(weights.sum() ** -0.5)


def layers_from_frames(
    frames: npt.ArrayLike,
    cell: ImagedCell,
    *,
    flags: Sequence[str] | None = None,
    register: bool = True,
) -> LayerSeries:
    """Layers of every frame of one cell without a frame of the pristine cell.

    Args:
        frames: Images, shape (n, lines, columns).
        cell: Geometry; its position is corrected by about two pixels from the images.
        flags: ``ok`` or a reason per frame; other frames than ``ok`` do not contribute to what
            is shared and keep their reason.
        register: Whether to find the cell's position; False trusts `cell.centre_mm`, which
            halves the error of a single frame.

    Raises:
        ValueError: If shapes disagree or no frame is usable.
    """
    images = _images(frames, cell)
    if register:
        cell = _registered(images, cell, flags)
    profiles = _collapse(images, cell, flags)
    layers, electrodes = layer_profiles(cell), electrode_profiles(cell)
    mean, sigma = profiles.mean()
    shared = electrodes
    if register:
        amounts = least_squares(component_profiles(cell), mean)
        shared = np.column_stack([electrodes, displacement_profile(cell, amounts)])
    unmix = np.linalg.pinv(layers)
    beside = shared - layers @ (unmix @ shared)
    shared_covariance = sigma**2 * np.linalg.inv(beside.T @ beside)
    found = least_squares(beside, mean)[:2]
    leak = unmix @ shared
    errors = np.asarray(np.sqrt(np.diag(shared_covariance)[:2]), dtype=float)
    return _series(
        profiles,
        layers,
        background=electrodes @ found,
        common=leak @ shared_covariance @ leak.T,
        cell=cell,
        electrodes=(found, errors),
    )


def layers_from_difference(
    frames: npt.ArrayLike,
    pristine: npt.ArrayLike,
    cell: ImagedCell,
    *,
    flags: Sequence[str] | None = None,
) -> LayerSeries:
    """Layers of every frame relative to a frame of the pristine cell.

    Args:
        frames: Images, shape (n, lines, columns).
        pristine: Image of the same cell before any current, shape (lines, columns).
        cell: Geometry; its position is corrected from the pristine image.
        flags: As in `layers_from_frames`.

    Raises:
        ValueError: If shapes disagree or no frame is usable.
    """
    reference = _images(np.asarray(pristine)[None], cell)
    images = _images(frames, cell)
    cell = _registered(reference, cell, None)
    pristine_profile = _collapse(reference, cell, None)
    profiles = _collapse(images, cell, flags)
    layers = layer_profiles(cell)
    unmix = np.linalg.pinv(layers)
    missing = np.full(2, np.nan)
    return _series(
        profiles,
        layers,
        background=pristine_profile.values[0],
        common=pristine_profile.sigma[0] ** 2 * unmix @ unmix.T,
        cell=cell,
        electrodes=(missing, missing),
    )


def with_measured_thickness(
    frames: npt.ArrayLike, cell: ImagedCell, *, flags: Sequence[str] | None = None
) -> ImagedCell:
    """The cell with the thickness that its electrode lines show.

    Args:
        frames: Images, shape (n, lines, columns).
        cell: Geometry; its thickness is only where the search along x begins.
        flags: As in `layers_from_frames`.

    Raises:
        ValueError: If no frame is usable or two lines are not found.
    """
    images = _images(frames, cell)
    used = _collapse(images, cell, flags).used
    cell = placed_along_x(images[used].mean(axis=0), cell)
    return measured_thickness(_collapse(images, cell, flags).mean()[0], cell)


def corner_noise(images: Floats, cell: ImagedCell, *, corner_px: int = CORNER_PX) -> Floats:
    """Standard deviation of the pixels in four object-free corners, per image; shape (n,).

    Args:
        images: Shape (n, lines, columns).
        cell: Geometry; corners are made smaller than `corner_px` where the object needs room.
        corner_px: Largest side of a corner, pixels.
    """
    half_px = 0.5 * np.array([cell.electrode_diameter_mm, cell.thickness_mm]) / cell.pixel_mm
    room = np.floor(np.array(cell.matrix) / 2 - half_px - 2).astype(int)
    columns, lines = np.clip(room, 2, corner_px)
    corners = np.concatenate(
        [
            images[:, rows, cols].reshape(len(images), -1)
            for rows in (slice(lines), slice(-lines, None))
            for cols in (slice(columns), slice(-columns, None))
        ],
        axis=1,
    )
    return np.asarray(corners.std(axis=1, ddof=1))


def _images(frames: npt.ArrayLike, cell: ImagedCell) -> Floats:
    images = np.asarray(frames, dtype=float)
    shape = (cell.matrix[1], cell.matrix[0])
    if images.ndim != 3 or images.shape[1:] != shape or not len(images):
        raise ValueError(
            f"layers: got frames of shape {images.shape}, expected (n, {shape[0]}, {shape[1]}) "
            "with n >= 1 (the matrix of the image settings is (columns, lines))"
        )
    return images


def _collapse(images: Floats, cell: ImagedCell, flags: Sequence[str] | None) -> _Profiles:
    """Matched filter across the columns: the best weights under white noise."""
    marked = list(flags) if flags is not None else [OK] * len(images)
    finite = np.array([np.isfinite(image).all() for image in images], dtype=bool)
    safe = np.where(finite[:, None, None], images, 0.0)
    noise = corner_noise(safe, cell)
    for index in np.flatnonzero(~finite | (noise <= 0)):
        marked[index] = "image has no finite values or no noise"
    chord = lateral_profile(cell)
    gain = cell.signal_factor * float(chord @ chord)
    profiles = _Profiles(
        values=safe @ chord / gain,
        sigma=noise * float(np.sqrt(chord @ chord)) / gain,
        noise=noise,
        flags=tuple(marked),
    )
    if not profiles.used.any():
        raise ValueError(
            f"layers: got {len(images)} frames, none usable ({marked[0]}), expected at least one "
            "(look at the frames' quality)"
        )
    return profiles


def _registered(images: Floats, cell: ImagedCell, flags: Sequence[str] | None) -> ImagedCell:
    """Correct the cell's position from the mean of the usable images."""
    used = _collapse(images, cell, flags).used
    cell = placed_along_x(images[used].mean(axis=0), cell)
    return placed_along_z(_collapse(images, cell, flags).mean()[0], cell)


def _series(
    profiles: _Profiles,
    layers: Floats,
    *,
    background: Floats,
    common: Floats,
    cell: ImagedCell,
    electrodes: tuple[Floats, Floats],
) -> LayerSeries:
    """Fit the four layers of every frame beside a background that all frames share."""
    own = profiles.values - background
    unmix = np.linalg.pinv(layers)
    amounts = own @ unmix.T
    freedom = layers.shape[0] - layers.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        misfit = ((own - amounts @ layers.T) ** 2).sum(axis=1) / (profiles.sigma**2 * freedom)
    flags = tuple(
        f"poor fit (reduced chi2 {chi2:.1f})" if flag == OK and chi2 > _POOR_FIT else flag
        for flag, chi2 in zip(profiles.flags, misfit, strict=True)
    )
    amounts[~profiles.used] = np.nan
    return LayerSeries(
        amounts_umol_per_cm2=amounts,
        frame_covariance=profiles.sigma[:, None, None] ** 2 * (unmix @ unmix.T),
        common_covariance=common,
        electrodes_umol_per_cm2=electrodes[0],
        electrode_errors=electrodes[1],
        noise=profiles.noise,
        reduced_chi2=misfit,
        quality=flags,
        cell=cell,
        method="shared_electrodes" if np.isfinite(electrodes[0]).all() else "difference",
    )
