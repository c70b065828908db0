"""Volumes of the metallic lithium in a pellet: a three-dimensional gradient echo.

A volume is what the paper's ex situ 3D images show (Liu et al., Nature Materials 2025, doi
10.1038/s41563-024-02094-6, Methods MRI [P]): 100 x 100 x 32 voxels of 0.1 mm, slices (z) along
the pellet's axis, face A at the lower slice numbers. The electrodes are not in it: they were
peeled off, and took no dendrite with them [A].

The sample knows amounts per layer and how crystalline the metal on the faces is; where the metal
lies within a layer is a choice of this module, all of it [A]:

* Mossy metal on a face (share 1 - X of the outer layers) is a number of flat Gaussian clusters
  against the face; crystalline metal on a face (share X) and all metal in the inner layers are
  isolated deposits of one voxel each. Scattered deposits that touch become one component, so that
  a shorted cell shows a dense network.
* A layer that grows gains clusters and deposits in an order that belongs to the sample; none of
  them moves or is lost (mossy clusters give way to deposits as X grows). The last one is partial,
  so that the sum over a layer is its amount to rounding.
* A layer's metal lies in slices that belong to it alone, where there are such: the sum over a
  layer then does not depend on how a slice across a border is counted.
* The object is made on the acquired grid: no truncation ringing, no blur.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from sim.errors import SimulationError
from sim.images.mri import LAYERS, PUBLISHED_3D, FlashSettings, signal_factor
from sim.samples.geometry import PelletGeometry

Floats = npt.NDArray[np.float64]

NOISE_SINGLE_AVERAGE_3D = 0.6
"""Noise per real voxel of one average at the published protocol [A]."""
DEPOSIT_NMOL = 1.5
"""Median lithium in an isolated deposit: 2 % of a voxel of the published protocol [A]."""
CLUSTER_NMOL = 30.0
"""Median lithium in a mossy cluster on a face [A]."""
CLUSTER_SIGMA_MM = 0.15
"""Lateral standard deviation of a mossy cluster, mm [A]."""
SPREAD = 0.3
"""Standard deviation of the logarithm of the amounts of clusters and deposits [A]."""
RIM_MM = (0.3, 0.1)
"""Clusters and deposits keep this distance from the rim of the electrode, mm [A]."""

_PLACES_STREAM, _NOISE_STREAM = 1, 2
_CLUSTERS, _DEPOSITS = 100, 200  # first indices in the stream that FLASH takes its speckle from


class VolumeImager:
    """Makes the volumes of one sample under one protocol.

    Args:
        geometry: Shape of the sample.
        settings: Three-dimensional protocol, matrix and field of view as (x, y, z).
        seed: Seed of the sample: places of the metal, and noise.

    Attributes:
        geometry: As given.
        settings: As given.

    Raises:
        SimulationError: The protocol is not three-dimensional, the pellet is larger than the
            field of view, or a layer is thinner than half a slice.
    """

    def __init__(self, geometry: PelletGeometry, settings: FlashSettings, seed: int) -> None:
        if len(settings.matrix) != 3:
            raise SimulationError(
                f"volume imager: matrix, got {settings.matrix}, expected three axes (x, y, z)"
                " (use the two-dimensional method)"
            )
        extent_mm = (geometry.electrode_diameter_mm,) * 2 + (geometry.thickness_mm,)
        if any(size > fov for size, fov in zip(extent_mm, settings.fov_mm, strict=True)):
            raise SimulationError(
                f"volume imager: field of view, got {settings.fov_mm} mm (x, y, z), expected more"
                f" than the sample's {extent_mm} mm (enlarge the field of view: it would fold)"
            )
        self.geometry, self.settings, self._seed = geometry, settings, seed
        self._edges_mm = [
            (np.arange(points + 1) / points - 0.5) * fov
            for points, fov in zip(settings.matrix, settings.fov_mm, strict=True)
        ]
        self._slices = _slices_of_layers(self._edges_mm[2], geometry.thickness_mm)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices (z), lines (y) and columns (x) of a volume."""
        columns, lines, slices = self.settings.matrix
        return slices, lines, columns

    @property
    def voxel_mm(self) -> tuple[float, ...]:
        """Size of a voxel (x, y, z), mm."""
        pairs = zip(self.settings.fov_mm, self.settings.matrix, strict=True)
        return tuple(fov / points for fov, points in pairs)

    @property
    def factor(self) -> float:
        """Signal, summed along z, per micromol/cm2 at a place; 0.232 as published."""
        return signal_factor(self.settings)

    @property
    def k_volume(self) -> float:
        """Sum of a volume over all voxels per micromol/cm2 of a layer.

        The factor times the number of voxels on the electrode's area: 292 for 4 mm, 1,168 for
        8 mm, at the published protocol.
        """
        return self.factor * self._area_cm2 / self._pixel_cm2

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise per voxel.

        0.6/sqrt(averages) at the published field of view and matrix [A]; for others as in
        `sim.images.mri.FlashImager.noise_sd`, with the voxel's area for the pixel's width.
        """
        points = math.prod(self.settings.matrix) / math.prod(PUBLISHED_3D.matrix)
        published_mm = [
            f / n for f, n in zip(PUBLISHED_3D.fov_mm, PUBLISHED_3D.matrix, strict=True)
        ]
        area = self._pixel_cm2 / (1e-2 * published_mm[0] * published_mm[1])
        return NOISE_SINGLE_AVERAGE_3D / math.sqrt(self.settings.averages * points) / area

    def noise_free(
        self, layers_umol_per_cm2: Sequence[float] | Floats, crystalline_fraction: float
    ) -> Floats:
        """The volume without noise, shape (slices z, lines y, columns x).

        Args:
            layers_umol_per_cm2: Metal in the four layers from A to B, mean over the exposure.
            crystalline_fraction: Crystalline share X of the metal on the faces, 0 to 1.
        """
        nmol = np.zeros(self.shape)
        for layer, amount in enumerate(layers_umol_per_cm2):
            total_nmol = 1e3 * max(0.0, float(amount)) * self._area_cm2
            mossy = 1.0 - crystalline_fraction if layer in (0, LAYERS - 1) else 0.0
            self._add_clusters(nmol, layer, mossy * total_nmol)
            self._add_deposits(nmol, layer, (1.0 - mossy) * total_nmol)
        return np.asarray(nmol * (1e-3 * self.factor / self._pixel_cm2), dtype=np.float64)

    def frame(
        self,
        layers_umol_per_cm2: Sequence[float] | Floats,
        crystalline_fraction: float,
        frame_index: int,
    ) -> npt.NDArray[np.float32]:
        """One volume with its own noise, shape (slices z, lines y, columns x).

        Args:
            layers_umol_per_cm2: Metal in the four layers from A to B, mean over the exposure.
            crystalline_fraction: Crystalline share X of the metal on the faces, 0 to 1.
            frame_index: Number of the frame on its console, from 0; picks the noise.
        """
        stream = np.random.default_rng([self._seed, _NOISE_STREAM, frame_index])
        noise = stream.standard_normal(self.shape, dtype=np.float32)
        noise *= np.float32(self.noise_sd)
        noise += self.noise_free(layers_umol_per_cm2, crystalline_fraction).astype(np.float32)
        return noise

    @property
    def _area_cm2(self) -> float:
        return math.pi * (0.1 * self.geometry.electrode_radius_mm) ** 2

    @property
    def _pixel_cm2(self) -> float:
        return 1e-2 * self.voxel_mm[0] * self.voxel_mm[1]

    def _add_clusters(self, nmol: Floats, layer: int, total_nmol: float) -> None:
        """Flat Gaussian clusters, the same in every slice of the layer."""
        stream = (self._seed, _PLACES_STREAM, _CLUSTERS + layer)
        radius_mm = self._reach_mm(RIM_MM[0])
        found = _places(stream, total_nmol, median_nmol=CLUSTER_NMOL, radius_mm=radius_mm)
        along_x, along_y = (
            _bins(self._edges_mm[axis], centres_mm)
            for axis, centres_mm in enumerate((found.x_mm, found.y_mm))
        )
        plane = (along_y * found.nmol) @ along_x.T
        nmol[self._slices[layer]] += plane / len(self._slices[layer])

    def _add_deposits(self, nmol: Floats, layer: int, total_nmol: float) -> None:
        """Deposits of one voxel each, in any slice of the layer."""
        stream = (self._seed, _PLACES_STREAM, _DEPOSITS + layer)
        radius_mm = self._reach_mm(RIM_MM[1])
        found = _places(stream, total_nmol, median_nmol=DEPOSIT_NMOL, radius_mm=radius_mm)
        own = self._slices[layer]
        depth = own[np.minimum((found.depth * len(own)).astype(int), len(own) - 1)]
        line, column = (
            np.searchsorted(self._edges_mm[axis], at_mm, side="right") - 1
            for axis, at_mm in ((1, found.y_mm), (0, found.x_mm))
        )
        np.add.at(nmol, (depth, line, column), found.nmol)

    def _reach_mm(self, rim_mm: float) -> float:
        return max(
            0.5 * self.geometry.electrode_radius_mm, self.geometry.electrode_radius_mm - rim_mm
        )


@dataclass(frozen=True)
class _Places:
    """Where lithium lies in a layer: lateral places (mm), depth in the layer (0 to 1), amounts."""

    x_mm: Floats
    y_mm: Floats
    depth: Floats
    nmol: Floats


def _places(
    stream: tuple[int, int, int], total_nmol: float, *, median_nmol: float, radius_mm: float
) -> _Places:
    """As many objects, in the sample's own order, as hold the total; the last one is partial.

    Each quantity has its own generator, so that drawing more objects changes none of the first.
    """
    scatter, polar, turn, depth = (np.random.default_rng([*stream, part]) for part in range(4))
    amounts = np.zeros(0)
    while amounts.sum() < total_nmol:
        missing = (total_nmol - amounts.sum()) / median_nmol
        more = scatter.standard_normal(math.ceil(missing) + 1)
        amounts = np.concatenate([amounts, median_nmol * np.exp(SPREAD * more)])
    kept = int(np.searchsorted(np.cumsum(amounts), total_nmol)) + 1 if total_nmol > 0.0 else 0
    amounts = amounts[:kept]
    if kept:
        amounts[-1] = total_nmol - amounts[:-1].sum()
    r_mm = radius_mm * np.sqrt(polar.random(kept))
    angle = 2.0 * math.pi * turn.random(kept)
    return _Places(r_mm * np.cos(angle), r_mm * np.sin(angle), depth.random(kept), amounts)


def _bins(edges_mm: Floats, centres_mm: Floats) -> Floats:
    """Share of each Gaussian in each voxel along an axis, shape (voxels, objects); sums to 1."""
    steps = erf((edges_mm[:, None] - centres_mm) / (math.sqrt(2.0) * CLUSTER_SIGMA_MM))
    shares = np.diff(steps, axis=0)
    return np.asarray(shares / shares.sum(axis=0), dtype=np.float64)


def _slices_of_layers(edges_mm: Floats, thickness_mm: float) -> list[npt.NDArray[np.intp]]:
    """Slices of each layer: those that lie in it alone, else the one that holds its middle."""
    borders_mm = (np.arange(LAYERS + 1) / LAYERS - 0.5) * thickness_mm
    rounding_mm = 1e-9 * thickness_mm
    slices = []
    for low, high in pairwise(borders_mm):
        inside = (edges_mm[:-1] >= low - rounding_mm) & (edges_mm[1:] <= high + rounding_mm)
        middle = np.searchsorted(edges_mm, 0.5 * (low + high), side="right") - 1
        slices.append(np.flatnonzero(inside) if inside.any() else np.array([middle]))
    if len({int(own[0]) for own in slices}) < LAYERS:
        raise SimulationError(
            f"volume imager: slices of {edges_mm[1] - edges_mm[0]:g} mm, expected at least"
            f" {LAYERS} within the pellet of {thickness_mm:g} mm (encode more points along z)"
        )
    return slices
