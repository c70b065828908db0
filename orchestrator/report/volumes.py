"""Volumes of a run: connected pieces of metal and lithium in four layers, of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.components import Components, VolumeLayers, components, volume_layers
from orchestrator.analysis.flash import FlashSettings, signal_factor
from orchestrator.analysis.image_model import ImagedCell

Floats = npt.NDArray[np.float64]

METHOD = "gradient_echo_3d"
_SETTINGS = ("tr_s", "te_s", "flip_angle_deg", "averages", "matrix", "fov_mm")


@dataclass(frozen=True)
class Volumes:
    """What was found in each volume, in the order in which they were taken.

    Attributes:
        pieces: Connected pieces of metal.
        layers: Lithium in four layers.
    """

    pieces: tuple[Components, ...]
    layers: tuple[VolumeLayers, ...]


def read_volumes(
    frames: npt.NDArray[np.float32], configuration: Mapping[str, Any], sample: Mapping[str, Any]
) -> Volumes:
    """Pieces and layers of volumes without electrodes.

    Args:
        frames: Shape (n, slices z, lines y, columns x).
        configuration: The device's, keys without its name.
        sample: The sample's metadata.

    Raises:
        ValueError: Settings or sample do not say how large the cell is in the image.
    """
    cell = _cell(configuration, sample)
    x_mm, z_mm = cell.pixel_mm
    voxel_mm = z_mm, float(configuration["fov_mm"][1]) / frames.shape[2], x_mm
    return Volumes(
        pieces=tuple(components(f, voxel_mm, thickness_mm=cell.thickness_mm) for f in frames),
        layers=tuple(volume_layers(f, cell) for f in frames),
    )


def _cell(configuration: Mapping[str, Any], sample: Mapping[str, Any]) -> ImagedCell:
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


def volume_rows(volumes: Volumes, centre_s: Floats) -> list[tuple[str, ...]]:
    """Number, time, pieces, four layers and their sum, for a table."""
    rows: list[tuple[str, ...]] = []
    for index, (pieces, layers) in enumerate(zip(volumes.pieces, volumes.layers, strict=True)):
        amounts = zip(layers.amounts_umol_per_cm2, layers.errors_umol_per_cm2, strict=True)
        total = layers.total
        rows.append(
            (
                str(index),
                f"{centre_s[index] / 86_400.0:.2f}",
                f"{pieces.number.value:.0f} ± {pieces.number.error:.0f}",
                *(f"{amount:.2f} ± {error:.2f}" for amount, error in amounts),
                f"{total.value:.2f} ± {total.error:.2f}",
            )
        )
    return rows
