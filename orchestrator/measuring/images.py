"""Micrographs: voids, filaments and spallations of one or several files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.filaments import measure_filaments
from orchestrator.analysis.registration import drift
from orchestrator.analysis.spallations import spallations
from orchestrator.analysis.void_series import void_series
from orchestrator.analysis.voids import (
    EdgeBias,
    VoidMeasurement,
    five_numbers,
    measure_voids,
)
from orchestrator.errors import DataFileError
from orchestrator.files import ImageStack, read_images
from orchestrator.measuring.plain import about, number, plain, worst

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MicrographOptions:
    """How micrographs are read.

    Attributes:
        pixel_um: Size of a pixel, um; that of the file if None.
        lines: First line and the one after the last that is used; all if None.
        dataset: Dataset in an HDF5 file.
        flip: Whether the metal is below and the electrolyte above: the image is turned over.
        raw: Whether voids keep the bias of smoothing and threshold (`EdgeBias.none()`).
    """

    pixel_um: float | None = None
    lines: tuple[int, int] | None = None
    dataset: str | None = None
    flip: bool = False
    raw: bool = False


def voids_of(
    paths: Sequence[str | Path],
    options: MicrographOptions | None = None,
    *,
    charge_mah_per_cm2: float | None = None,
) -> dict[str, Any]:
    """Voids of every frame of some files, drift between them, and events of a series.

    Args:
        paths: TIFF or HDF5 files; several are one series in this order.
        options: How they are read.
        charge_mah_per_cm2: Charge between frames, mAh/cm2; the first frame is after one such
            charge. None: no series.

    Raises:
        DataFileError: A file cannot be used.
    """
    chosen = options or MicrographOptions()
    stacks = [_read(path, chosen) for path in paths]
    pixel_um, frames = _one_scale(stacks)
    bias = EdgeBias.none() if chosen.raw else None
    with about(stacks[0].path):
        measured = [measure_voids(frame, pixel_um, bias=bias) for frame in frames]
        result = _head("voids", stacks, pixel_um, [each.quality for each in measured])
        result["frames"] = [_void_frame(each) for each in measured]
        if len(frames) > 1 and len({frame.shape for frame in frames}) == 1:
            for row, moved in zip(result["frames"], drift(frames, pixel_um), strict=True):
                row["drift"] = plain(moved)
        if charge_mah_per_cm2 is not None:
            charge = charge_mah_per_cm2 * np.arange(1.0, len(measured) + 1.0)
            series = void_series(measured, charge)
            result["series"] = plain(series)
            result["trends"] = {
                "number_per_100_um_per_mah_per_cm2": plain(series.number_trend),
                "width_um_per_mah_per_cm2": plain(series.width_trend),
                "height_um_per_mah_per_cm2": plain(series.height_trend),
            }
            result["width_drops"] = result["series"].pop("width_drops")
            result["height_drops"] = result["series"].pop("height_drops")
    return result


def filaments_of(
    paths: Sequence[str | Path],
    options: MicrographOptions | None = None,
    *,
    polarity: Literal["dark", "bright"] = "dark",
) -> dict[str, Any]:
    """Filaments below the interface in every frame of some files.

    Raises:
        DataFileError: A file cannot be used.
    """
    stacks = [_read(path, options or MicrographOptions()) for path in paths]
    pixel_um, frames = _one_scale(stacks)
    with about(stacks[0].path):
        found = [measure_filaments(frame, pixel_um, polarity=polarity) for frame in frames]
    result = _head("filaments", stacks, pixel_um, [each.quality for each in found])
    result["frames"] = [
        {
            "number": number(each.number, each.number_error, each.quality),
            "number_per_100_um": plain(each.number_per_100_um),
            "mean_diameter_um": plain(each.mean_diameter_um),
            "diameters_um_five_numbers": plain(five_numbers(each.diameters_um)),
            "filaments": plain(each.filaments),
            "quality": each.quality,
        }
        for each in found
    ]
    return result


def spallations_of(
    paths: Sequence[str | Path],
    options: MicrographOptions | None = None,
    *,
    polarity: Literal["dark", "bright"] = "dark",
) -> dict[str, Any]:
    """Spallations in every frame of some files.

    Raises:
        DataFileError: A file cannot be used.
    """
    stacks = [_read(path, options or MicrographOptions()) for path in paths]
    pixel_um, frames = _one_scale(stacks)
    with about(stacks[0].path):
        found = [spallations(frame, pixel_um, polarity=polarity) for frame in frames]
    result = _head("spallations", stacks, pixel_um, [each.quality for each in found])
    result["frames"] = [
        {
            "number": plain(each.number),
            "per_mm2": plain(each.per_mm2),
            "diameters_um_five_numbers": plain(five_numbers(each.diameters_um)),
            "spots": plain(each.spots),
            "quality": each.quality,
        }
        for each in found
    ]
    return result


def _read(path: str | Path, options: MicrographOptions) -> ImageStack:
    stack = read_images(path, dataset=options.dataset)
    if options.lines is not None:
        stack = stack.cropped(*options.lines)
    if options.pixel_um is not None:
        stack = stack.with_pixel_um(options.pixel_um)
    if options.flip:
        turned = np.ascontiguousarray(stack.frames[:, ::-1])
        stack = ImageStack(stack.path, turned, stack.pixel, stack.notes, stack.simulated)
    return stack


def _one_scale(stacks: Sequence[ImageStack]) -> tuple[float, list[npt.NDArray[Any]]]:
    """The size of a pixel, which all files must share, and all frames in order."""
    pixel_um = stacks[0].pixel_um
    for stack in stacks[1:]:
        if abs(stack.pixel_um / pixel_um - 1.0) > 1e-3:
            raise DataFileError(
                str(stack.path),
                f"pixel size, got {stack.pixel_um:g} um, expected {pixel_um:g} um as in "
                f"{stacks[0].path}",
                remedy="analyse files of one magnification together",
            )
    return pixel_um, [frame for stack in stacks for frame in stack.frames]


def _head(
    kind: str, stacks: Sequence[ImageStack], pixel_um: float, qualities: list[str]
) -> dict[str, Any]:
    pixel = stacks[0].pixel
    return {
        "kind": kind,
        "files": [str(stack.path) for stack in stacks],
        "pixel_um": pixel_um,
        "pixel_from": pixel.source if pixel is not None else "",
        "simulated": any(stack.simulated for stack in stacks),
        "notes": [note for stack in stacks for note in stack.notes],
        "quality": worst(qualities),
    }


def _void_frame(seen: VoidMeasurement) -> dict[str, Any]:
    scale = 100.0 / seen.field_um
    widths, heights = five_numbers(seen.widths_um), five_numbers(seen.heights_um)
    return {
        "number": number(seen.number, seen.number_error, seen.quality),
        "number_per_100_um": number(
            seen.number_per_100_um, scale * seen.number_error, seen.quality
        ),
        "contact_loss": number(seen.contact_loss, seen.contact_loss_error, seen.quality),
        "area_um2": number(seen.area_um2, seen.area_error_um2, seen.quality),
        "mean_width_um": _mean(seen, "width"),
        "mean_height_um": _mean(seen, "height"),
        "widths_um_five_numbers": plain(widths),
        "heights_um_five_numbers": plain(heights),
        "voids": plain(seen.voids),
        "quality": seen.quality,
    }


def _mean(seen: VoidMeasurement, quantity: str) -> dict[str, Any]:
    """Mean over the voids that no border cuts, with the error of their measurement."""
    voids = [void for void in seen.voids if not void.cut]
    if not voids:
        reason = "every void is cut by a border" if seen.voids else "no void"
        return number(np.nan, np.nan, reason if seen.measured else seen.quality)
    values = [getattr(void, f"{quantity}_um") for void in voids]
    errors = [getattr(void, f"{quantity}_error_um") for void in voids]
    error = float(np.sqrt(np.sum(np.square(errors)))) / len(voids)
    return number(float(np.mean(values)), error, seen.quality)
