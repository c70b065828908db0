"""Volumes of a run: connected pieces of metal and lithium in four layers, of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.components import Components, VolumeLayers, components, volume_layers
from orchestrator.analysis.imaged_cells import volume_cell

Floats = npt.NDArray[np.float64]


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
    cell = volume_cell(configuration, sample)
    x_mm, z_mm = cell.pixel_mm
    voxel_mm = z_mm, float(configuration["fov_mm"][1]) / frames.shape[2], x_mm
    return Volumes(
        pieces=tuple(components(f, voxel_mm, thickness_mm=cell.thickness_mm) for f in frames),
        layers=tuple(volume_layers(f, cell) for f in frames),
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
