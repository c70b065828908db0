"""Magnetic resonance images of metallic lithium: layers, components, histograms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.components import components, volume_layers
from orchestrator.analysis.flash import FlashSettings, signal_factor
from orchestrator.analysis.histogram import difference_histogram
from orchestrator.analysis.image_model import ImagedCell
from orchestrator.analysis.layers import layers_from_difference, layers_from_frames
from orchestrator.errors import DataFileError
from orchestrator.files import ImageStack, read_images
from orchestrator.measuring.plain import about, number, plain, worst

Floats = npt.NDArray[np.float64]

LARGEST_COMPONENTS = 20
"""Components that are listed one by one."""


@dataclass(frozen=True)
class LithiumOptions:
    """Geometry of the cell and protocol of the image; lengths in mm.

    Attributes:
        electrode_mm: Diameter of the electrodes.
        thickness_mm: Thickness of the electrolyte.
        fov_mm: Field of view of a frame (columns, lines), or of a volume (columns, lines, depths).
        tr_s: Repetition time, s.
        te_s: Echo time, s.
        flip_angle_deg: Excitation angle, degrees.
        dataset: Dataset in an HDF5 file.
        reference: File of the pristine cell with the same protocol; None without.
    """

    electrode_mm: float
    thickness_mm: float
    fov_mm: tuple[float, ...]
    tr_s: float
    te_s: float
    flip_angle_deg: float
    dataset: str | None = None
    reference: Path | None = None


def layers_of(path: str | Path, options: LithiumOptions) -> dict[str, Any]:
    """Amounts of metallic lithium in four layers of every frame of a two-dimensional series.

    Args:
        path: TIFF or HDF5 of frames whose lines run along the cell's axis.
        options: Geometry and protocol; with a reference its mean is subtracted.

    Raises:
        DataFileError: A file cannot be used.
    """
    stack = read_images(path, dataset=options.dataset)
    cell = _cell(stack, options, axes=2)
    with about(stack.path):
        if options.reference is None:
            series = layers_from_frames(stack.frames, cell)
        else:
            pristine = _reference(options, stack)
            series = layers_from_difference(stack.frames, pristine, cell)
        total, total_error = series.total()
    return {
        **_head("layers", stack, worst(list(series.quality))),
        "unit": "umol/cm2",
        "method": series.method,
        "frames": [
            {
                "layers": [
                    number(value, error, quality)
                    for value, error in zip(amounts, errors, strict=True)
                ],
                "total": number(each, error, quality),
                "reduced_chi2": plain(float(misfit)),
                "quality": quality,
            }
            for amounts, errors, each, error, misfit, quality in zip(
                series.amounts_umol_per_cm2,
                series.errors_umol_per_cm2,
                total,
                np.broadcast_to(total_error, total.shape),
                series.reduced_chi2,
                series.quality,
                strict=True,
            )
        ],
    }


def components_of(path: str | Path, options: LithiumOptions) -> dict[str, Any]:
    """Connected pieces of metal and amounts per layer of a volume.

    Args:
        path: TIFF or HDF5 whose frames are depths from face A on.
        options: Geometry and protocol; with a reference it is subtracted.

    Raises:
        DataFileError: A file cannot be used.
    """
    stack = read_images(path, dataset=options.dataset)
    cell = _cell(stack, options, axes=3)
    volume = stack.frames.astype(np.float64)
    if options.reference is not None:
        volume -= _whole_reference(options, stack)
    size = [fov / n for fov, n in zip(options.fov_mm, volume.shape[::-1], strict=True)]
    with about(stack.path):
        found = components(volume, (size[2], size[1], size[0]), thickness_mm=options.thickness_mm)
        layers = volume_layers(volume, cell)
    return {
        **_head("components", stack, worst([found.quality, layers.quality])),
        "number": plain(found.number),
        "expected_false": found.expected_false,
        "noise": found.noise,
        "threshold": found.threshold,
        "crossing": found.crossing,
        "largest_share": plain(found.largest_share),
        "largest": plain(found.components[:LARGEST_COMPONENTS]),
        "layers_umol_per_cm2": [
            number(value, error, layers.quality)
            for value, error in zip(
                layers.amounts_umol_per_cm2, layers.errors_umol_per_cm2, strict=True
            )
        ],
        "total_umol_per_cm2": plain(layers.total),
    }


def histogram_of(
    path: str | Path, reference: str | Path, *, dataset: str | None = None
) -> dict[str, Any]:
    """Histogram of the last image of a file minus the mean of a reference.

    Raises:
        DataFileError: A file cannot be used.
    """
    stack, pristine = (read_images(each, dataset=dataset) for each in (path, reference))
    image, mean = stack.frames[-1].astype(np.float64), pristine.frames.mean(axis=0)
    if image.shape != mean.shape:
        raise DataFileError(
            str(pristine.path),
            f"shape, got {mean.shape}, expected {image.shape} as in {stack.path}",
            remedy="give a reference of the same protocol",
        )
    with about(stack.path):
        found = difference_histogram(image - mean)
    return {
        **_head("histogram", stack, found.quality),
        **plain(found),
        "share_above": plain(found.share_above),
    }


def _cell(stack: ImageStack, options: LithiumOptions, *, axes: int) -> ImagedCell:
    """The cell in the image; depth is the last of the field of view."""
    if len(options.fov_mm) != axes:
        raise DataFileError(
            str(stack.path),
            f"field of view, got {len(options.fov_mm)} lengths, expected {axes}",
            remedy="give --fov-mm as columns and lines of a frame, and depths of a volume",
        )
    depths, lines, columns = stack.frames.shape
    along = lines if axes == 2 else depths
    fov_mm = (options.fov_mm[0], options.fov_mm[-1])
    with about(stack.path):
        settings = FlashSettings(
            options.tr_s, options.te_s, options.flip_angle_deg, 1, (columns, along), fov_mm
        )
        return ImagedCell(
            options.electrode_mm,
            options.thickness_mm,
            settings.matrix,
            fov_mm,
            signal_factor(settings),
        )


def _reference(options: LithiumOptions, stack: ImageStack) -> Floats:
    """Mean of the pristine cell's frames, which must have the shape of the others."""
    frames = read_images(str(options.reference), dataset=options.dataset).frames
    return _fitting(options, frames.mean(axis=0, dtype=np.float64), stack.frames.shape[1:])


def _whole_reference(options: LithiumOptions, stack: ImageStack) -> Floats:
    """The pristine cell's volume, which must have the shape of the other."""
    frames = read_images(str(options.reference), dataset=options.dataset).frames
    return _fitting(options, frames.astype(np.float64), stack.frames.shape)


def _fitting(options: LithiumOptions, values: Floats, shape: tuple[int, ...]) -> Floats:
    if values.shape != shape:
        raise DataFileError(
            str(options.reference),
            f"shape, got {values.shape}, expected {shape}",
            remedy="give a reference of the same protocol",
        )
    return values


def _head(kind: str, stack: ImageStack, quality: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "files": [str(stack.path)],
        "simulated": stack.simulated,
        "notes": list(stack.notes),
        "quality": quality,
    }
