"""The cell in an image, from the settings of the acquisition and what is known of the sample.

One implementation for the numbers that conditions look at while an experiment runs and for those
of its report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.flash import FlashSettings, signal_factor
from orchestrator.analysis.image_model import ImagedCell
from orchestrator.analysis.layers import with_measured_thickness

VOLUME_METHOD = "gradient_echo_3d"
"""Method of an MRI acquisition whose frames are volumes."""

_GUESSED_THICKNESS_MM = 1.0
_SETTINGS = ("tr_s", "te_s", "flip_angle_deg", "averages", "matrix", "fov_mm")


def flash_settings(configuration: Mapping[str, Any]) -> FlashSettings | None:
    """Settings of frames in two dimensions; None where the configuration does not say them.

    Args:
        configuration: The device's, keys without its name.
    """
    values: dict[str, Any] = {key: configuration.get(key) for key in _SETTINGS}
    if any(value is None for value in values.values()):
        return None
    matrix, fov_mm = values["matrix"], values["fov_mm"]
    if len(matrix) != 2 or len(fov_mm) != 2:
        return None
    return FlashSettings(
        tr_s=float(values["tr_s"]),
        te_s=float(values["te_s"]),
        flip_angle_deg=float(values["flip_angle_deg"]),
        averages=int(values["averages"]),
        matrix=(int(matrix[0]), int(matrix[1])),
        fov_mm=(float(fov_mm[0]), float(fov_mm[1])),
    )


def imaged_cell(
    images: npt.NDArray[np.float32],
    settings: FlashSettings,
    sample: Mapping[str, Any],
    flags: Sequence[str],
) -> tuple[ImagedCell, tuple[str, ...]]:
    """Geometry in frames of two dimensions from the sample's metadata.

    Args:
        images: Frames, shape (n, lines, columns); show the thickness where nobody states it.
        settings: How they were taken.
        sample: The sample's metadata.
        flags: ``ok`` or a reason per frame.

    Returns:
        The cell, and sentences about what was derived.

    Raises:
        ValueError: The metadata says too little, or no frame is usable.
    """
    assumptions: tuple[str, ...] = ()
    diameter_mm, thickness_cm = sample.get("electrode_diameter_mm"), sample.get("thickness_cm")
    if diameter_mm is None:
        area_cm2 = sample.get("area_cm2")
        if area_cm2 is None:
            raise ValueError(
                "layers: sample.electrode_diameter_mm and sample.area_cm2 are missing, expected "
                "one of them (add it to `sample`)"
            )
        diameter_mm = 20.0 * math.sqrt(float(area_cm2) / math.pi)
        assumptions += (f"Electrode diameter {diameter_mm:.2f} mm from the area, as a disc.",)
    cell = ImagedCell(
        electrode_diameter_mm=float(diameter_mm),
        thickness_mm=_GUESSED_THICKNESS_MM if thickness_cm is None else 10 * float(thickness_cm),
        matrix=settings.matrix,
        fov_mm=settings.fov_mm,
        signal_factor=signal_factor(settings),
    )
    if thickness_cm is None:
        cell = with_measured_thickness(images, cell, flags=flags)
        assumptions += (
            f"Thickness {cell.thickness_mm:.3f} mm from the distance of the electrode lines.",
        )
    return cell, assumptions


def volume_cell(configuration: Mapping[str, Any], sample: Mapping[str, Any]) -> ImagedCell:
    """Geometry in volumes.

    Args:
        configuration: The device's, keys without its name.
        sample: The sample's metadata.

    Raises:
        ValueError: They say too little.
    """
    values: dict[str, Any] = {name: configuration.get(name) for name in _SETTINGS}
    thickness_cm, area_cm2 = sample.get("thickness_cm"), sample.get("area_cm2")
    diameter_mm = sample.get("electrode_diameter_mm")
    if any(value is None for value in values.values()) or len(values["matrix"]) != 3:
        raise ValueError("the descriptor does not say how the volumes were taken")
    if thickness_cm is None or (area_cm2 is None and diameter_mm is None):
        raise ValueError(
            "volumes: got no thickness_cm, or neither area_cm2 nor electrode_diameter_mm, expected "
            "the size of the cell (add it to `sample`)"
        )
    if diameter_mm is None:
        diameter_mm = 20.0 * math.sqrt(float(area_cm2 or math.nan) / math.pi)
    (nx, _, nz), (x_mm, _, z_mm) = values["matrix"], values["fov_mm"]
    settings = FlashSettings(
        tr_s=float(values["tr_s"]),
        te_s=float(values["te_s"]),
        flip_angle_deg=float(values["flip_angle_deg"]),
        averages=int(values["averages"]),
        matrix=(int(nx), int(nz)),
        fov_mm=(float(x_mm), float(z_mm)),
    )
    return ImagedCell(
        electrode_diameter_mm=float(diameter_mm),
        thickness_mm=10.0 * float(thickness_cm),
        matrix=settings.matrix,
        fov_mm=settings.fov_mm,
        signal_factor=signal_factor(settings),
    )
