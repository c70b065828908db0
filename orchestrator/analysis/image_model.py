"""What a FLASH image of a symmetric lithium cell looks like, per component.

A cell is a disc of solid electrolyte between two lithium electrodes, seen from the side: columns
run along the disc (x), lines along its axis (z). Metallic lithium in the electrolyte is described
by its amount in four layers of equal thickness; each electrode adds a thin line just outside its
face, because the radio-frequency field enters the metal only by its skin depth. Without
apodisation an image is the object's Fourier transform cropped to the encoded points, so that a
pixel mixes neighbouring layers. The model crops the transform of a fine grid in the same way;
x and z separate, hence two one-dimensional profiles are enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LAYERS = 4
"""Depth layers of the electrolyte, numbered from the face of electrode A."""


@dataclass(frozen=True)
class ImagedCell:
    """Geometry of the cell in the image; every length comes from the run's metadata.

    Attributes:
        electrode_diameter_mm: Diameter of the electrodes, which carry the current, mm.
        thickness_mm: Thickness of the electrolyte along z, mm.
        matrix: Pixels (x, z).
        fov_mm: Field of view (x, z), mm.
        signal_factor: Image signal, summed over a column, per umol/cm2 of metallic lithium in
            the middle of the disc.
        electrode_skin_mm: Thickness of the visible skin of an electrode, mm.
        centre_mm: Position of the cell's centre relative to the centre of the field of
            view (x, z), mm.
        oversampling: Fine voxels per pixel (x, z) of the model.
    """

    electrode_diameter_mm: float
    thickness_mm: float
    matrix: tuple[int, int]
    fov_mm: tuple[float, float]
    signal_factor: float
    electrode_skin_mm: float = 0.0082
    centre_mm: tuple[float, float] = (0.0, 0.0)
    oversampling: tuple[int, int] = (4, 16)

    def __post_init__(self) -> None:
        inside = (
            0 < self.electrode_diameter_mm <= self.fov_mm[0]
            and 0 < self.thickness_mm + 2 * self.electrode_skin_mm <= self.fov_mm[1]
        )
        if not inside or self.signal_factor <= 0 or min(self.matrix) < 2 * LAYERS:
            raise ValueError(
                f"cell in the image: got electrode {self.electrode_diameter_mm} mm, thickness "
                f"{self.thickness_mm} mm, field of view {self.fov_mm} mm, matrix {self.matrix}, "
                f"signal factor {self.signal_factor}; expected a cell inside the field of view, "
                f"at least {2 * LAYERS} pixels each way and a positive factor (correct `sample` "
                "or the image settings)"
            )

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Size of a pixel (x, z), mm."""
        return self.fov_mm[0] / self.matrix[0], self.fov_mm[1] / self.matrix[1]

    @property
    def layer_borders_mm(self) -> Floats:
        """Borders of the layers along z, from the centre of the field of view, mm; shape (5,)."""
        half_mm = 0.5 * self.thickness_mm
        borders_mm = np.linspace(-half_mm, half_mm, LAYERS + 1)
        return np.asarray(self.centre_mm[1] + borders_mm, dtype=float)

    def moved(self, *, dx_mm: float = 0.0, dz_mm: float = 0.0) -> ImagedCell:
        """The same cell at another place in the field of view."""
        return replace(self, centre_mm=(self.centre_mm[0] + dx_mm, self.centre_mm[1] + dz_mm))


def lateral_profile(cell: ImagedCell) -> Floats:
    """Chord of the disc along the line of sight, 1 in the middle, per column; shape (columns,)."""
    columns, per_pixel = cell.matrix[0], cell.oversampling[0]
    x_mm = _fine_centres(cell, axis=0)
    chord = np.sqrt(np.clip(1.0 - (2.0 * x_mm / cell.electrode_diameter_mm) ** 2, 0.0, None))
    return _crop(chord, columns, cell.centre_mm[0] / cell.pixel_mm[0]) / per_pixel


def layer_profiles(cell: ImagedCell) -> Floats:
    """Blurred profiles of the four layers along z, each summing to 1; shape (lines, 4)."""
    borders_mm = np.linspace(-0.5, 0.5, LAYERS + 1) * cell.thickness_mm
    return _slabs(cell, borders_mm[:-1], borders_mm[1:])


def electrode_profiles(cell: ImagedCell) -> Floats:
    """Blurred profiles of the electrodes' skins along z, each summing to 1; shape (lines, 2)."""
    face_mm, skin_mm = 0.5 * cell.thickness_mm, cell.electrode_skin_mm
    starts = np.array([-face_mm - skin_mm, face_mm])
    return _slabs(cell, starts, starts + skin_mm)


def component_profiles(cell: ImagedCell) -> Floats:
    """Layers 1 to 4, electrode A, electrode B along z; shape (lines, 6)."""
    return np.hstack([layer_profiles(cell), electrode_profiles(cell)])


def displacement_profile(cell: ImagedCell, amounts: Floats) -> Floats:
    """Change of the z profile per mm of displacement of the whole cell along z.

    Args:
        cell: The cell.
        amounts: Four layers and two electrodes, umol/cm2.

    Returns:
        Derivative, umol/cm2 per mm, shape (lines,).
    """
    step_mm = 0.01 * cell.pixel_mm[1]
    ahead = component_profiles(cell.moved(dz_mm=step_mm))
    behind = component_profiles(cell.moved(dz_mm=-step_mm))
    return (ahead - behind) @ amounts / (2.0 * step_mm)


def _fine_centres(cell: ImagedCell, axis: int) -> Floats:
    """Centres of the fine voxels from the centre of the field of view, mm."""
    count = cell.matrix[axis] * cell.oversampling[axis]
    centres = np.arange(count, dtype=np.float64) + 0.5 - 0.5 * count
    return np.asarray(centres * (cell.fov_mm[axis] / count))


def _slabs(cell: ImagedCell, starts_mm: Floats, ends_mm: Floats) -> Floats:
    """Profiles of slabs along z: partial fine voxels by coverage, then blurred."""
    centres_mm = _fine_centres(cell, axis=1)[:, None]
    half_mm = 0.5 * (centres_mm[1, 0] - centres_mm[0, 0])
    upper = np.minimum(centres_mm + half_mm, ends_mm)
    lower = np.maximum(centres_mm - half_mm, starts_mm)
    covered = np.clip(upper - lower, 0.0, None)
    fine = covered / covered.sum(axis=0)
    return _crop(fine, cell.matrix[1], cell.centre_mm[1] / cell.pixel_mm[1])


def _crop(fine: Floats, pixels: int, shift_px: float) -> Floats:
    """Keep the central k-space points of a fine profile (axis 0), moved by `shift_px` pixels.

    The sum is kept. Pixel m shows the object at fine voxel m times the oversampling: the
    convention of a discrete Fourier transform without a half-pixel phase ramp.
    """
    k = np.rint(np.fft.fftfreq(pixels) * pixels).astype(int)
    ramp = np.exp(-2j * np.pi * k * shift_px / pixels)
    spectrum = np.fft.fft(fine, axis=0)[k]
    spectrum *= ramp.reshape((pixels,) + (1,) * (fine.ndim - 1))
    return np.asarray(np.fft.ifft(spectrum, axis=0).real)
