"""FLASH images of the metallic lithium in a pellet cell.

A frame is what a two-dimensional spoiled gradient echo without slice selection shows of the metal
line (264.5 ppm): the disc projected along the line of sight, columns along the disc (x), lines
along the pellet's axis (z, phase encoded), electrode A and layer 1 at the lower line numbers. The
k-space of a fine object is cropped to the encoded points, so that a pixel (0.21 mm) mixes
neighbouring layers (0.25 mm). Pixel m shows fine voxel m times the oversampling: the convention
of a discrete Fourier transform without a half-pixel phase ramp.

Protocols: Liu et al., Nature Materials 2025 (doi 10.1038/s41563-024-02094-6), Methods [P]. Tags
of sources as in `sim.samples.llzo_parameters`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sim.errors import SimulationError
from sim.samples.geometry import PelletGeometry

Floats = npt.NDArray[np.float64]

LAYERS = 4
METAL_T1_S = 0.15
"""7Li in lithium metal, s; Korringa relaxation, independent of the field [L]."""
METAL_T2_STAR_S = 0.8e-3
"""Effective transverse relaxation of dendritic metal, s [A]."""
METAL_RESISTIVITY_OHM_M = 9.28e-8
"""Lithium at room temperature, ohm m [L]."""
METAL_MOLAR_VOLUME_CM3 = 12.97
"""Lithium, cm3/mol [P] (Zhao et al., Nat. Commun. 2025)."""
SKIN_EFFICIENCY = 0.5
"""Part of the skin depth that is seen [A]."""
NOISE_SINGLE_AVERAGE = 3.5
"""Noise per real pixel of one average at the published protocol [A]."""
SPECKLE_SIGMA = 0.3
"""Standard deviation of the logarithm of the layers' local amounts [A]."""
OVERSAMPLING = (4, 16)
"""Fine voxels per pixel (x, z)."""
_MU0 = 4e-7 * math.pi
_SPECKLE_STREAM, _NOISE_STREAM = 1, 2


@dataclass(frozen=True)
class FlashSettings:
    """How images are taken; the defaults are the paper's two-dimensional protocol [P].

    Attributes:
        tr_s: Repetition time, s.
        te_s: Echo time, s.
        flip_angle_deg: Excitation angle, degrees.
        averages: Averages, the outermost loop: a frame shows the mean over its exposure.
        repetitions: Images in one acquisition.
        dummy_scans: Excitations before the first line.
        matrix: Points, the read direction first: (x, z) or (x, y, z).
        fov_mm: Field of view in the same order, mm.
        frequency_mhz: 7Li frequency, MHz (21.1 T; the paper's 394.7 has transposed digits).
    """

    tr_s: float = 0.3
    te_s: float = 0.918e-3
    flip_angle_deg: float = 30.0
    averages: int = 1024
    repetitions: int = 1
    dummy_scans: int = 0
    matrix: tuple[int, ...] = (81, 52)
    fov_mm: tuple[float, ...] = (17.0, 11.0)
    frequency_mhz: float = 349.7

    def __post_init__(self) -> None:
        positive = (
            self.tr_s,
            self.flip_angle_deg,
            self.averages,
            self.repetitions,
            self.frequency_mhz,
            *self.matrix,
            *self.fov_mm,
        )
        same_axes = len(self.matrix) == len(self.fov_mm) >= 2
        if min(positive) <= 0 or self.te_s < 0 or self.dummy_scans < 0 or not same_axes:
            raise SimulationError(
                f"FLASH settings: got {self}, expected positive numbers, an echo time and dummy"
                " scans of at least 0, and matrix and field of view of equal length"
                " (correct the acquisition's settings)"
            )

    @property
    def phase_lines(self) -> int:
        """Encoded lines of one average: all axes but the read direction."""
        return math.prod(self.matrix[1:])


PUBLISHED_2D = FlashSettings()
"""21.1 T series of the paper; "4.5 h" published, 4.437 h computed."""
PUBLISHED_3D = FlashSettings(
    tr_s=0.25,
    te_s=1e-3,
    flip_angle_deg=90.0,
    averages=128,
    matrix=(100, 100, 32),
    fov_mm=(10.0, 10.0, 3.2),
    frequency_mhz=194.4,
)
"""11.75 T volumes of the paper; "26.4 h" published, 28.44 h computed: not repaired."""
PUBLISHED_DURATION_H = {PUBLISHED_2D: 4.5, PUBLISHED_3D: 26.4}
"""Durations as the paper states them, h, beside which `expected_duration_s` computes."""


def expected_duration_s(settings: FlashSettings) -> float:
    """TR x (phase lines x averages x repetitions + dummy scans), s."""
    encoded = settings.phase_lines * settings.averages * settings.repetitions
    return settings.tr_s * (encoded + settings.dummy_scans)


def signal_factor(
    settings: FlashSettings, *, t1_s: float = METAL_T1_S, t2_star_s: float = METAL_T2_STAR_S
) -> float:
    """Steady-state signal per magnetisation, ``sin a (1-E1)/(1-E1 cos a) exp(-TE/T2*)``.

    E1 = exp(-TR/T1); Haacke et al., Magnetic Resonance Imaging (1999), ch. 18. At the published
    protocols 0.155 (2D) and 0.232 (3D).

    Args:
        settings: Repetition time, echo time and flip angle count.
        t1_s: Longitudinal relaxation time, s.
        t2_star_s: Effective transverse relaxation time, s.
    """
    angle, e1 = math.radians(settings.flip_angle_deg), math.exp(-settings.tr_s / t1_s)
    steady = math.sin(angle) * (1.0 - e1) / (1.0 - e1 * math.cos(angle))
    return steady * math.exp(-settings.te_s / t2_star_s)


def ernst_angle_deg(tr_s: float, t1_s: float = METAL_T1_S) -> float:
    """Flip angle of the largest signal, arccos(exp(-TR/T1)), degrees; 82 at 0.3 s."""
    return math.degrees(math.acos(math.exp(-tr_s / t1_s)))


def skin_depth_mm(frequency_mhz: float) -> float:
    """How deep the radio-frequency field enters lithium, sqrt(rho/(pi f mu0)), mm."""
    return 1e3 * math.sqrt(METAL_RESISTIVITY_OHM_M / (math.pi * 1e6 * frequency_mhz * _MU0))


def electrode_line_umol_per_cm2(frequency_mhz: float) -> float:
    """Metal that an electrode shows, micromol/cm2: skin depth x efficiency over molar volume.

    31.6 at 349.7 MHz, six to eight times a layer of a shorted cell.
    """
    return 1e5 * skin_depth_mm(frequency_mhz) * SKIN_EFFICIENCY / METAL_MOLAR_VOLUME_CM3


class FlashImager:
    """Makes the frames of one sample under one protocol.

    The object's images, one per layer and per electrode, are made once for a sample, field of
    view and matrix; a frame is their weighted sum plus noise, whatever was made before.

    Args:
        geometry: Shape of the sample.
        settings: Two-dimensional protocol.
        seed: Seed of the sample: speckle and noise.

    Attributes:
        geometry: As given.
        settings: As given.

    Raises:
        SimulationError: The protocol is not two-dimensional, or the sample is larger than the
            field of view.
    """

    def __init__(self, geometry: PelletGeometry, settings: FlashSettings, seed: int) -> None:
        if len(settings.matrix) != 2:
            raise SimulationError(
                f"FLASH imager: matrix, got {settings.matrix}, expected two axes (x, z)"
                " (three-dimensional volumes are not simulated)"
            )
        self.geometry, self.settings, self._seed = geometry, settings, seed
        self._grid = _Grid(
            matrix=(settings.matrix[0], settings.matrix[1]),
            fov_mm=(settings.fov_mm[0], settings.fov_mm[1]),
            skin_mm=skin_depth_mm(settings.frequency_mhz),
        )
        self._grid.check(geometry)
        self._factor = signal_factor(settings)
        electrode = electrode_line_umol_per_cm2(settings.frequency_mhz)
        self._electrodes = np.array([electrode, electrode])

    @property
    def shape(self) -> tuple[int, int]:
        """Lines (z) and columns (x) of a frame."""
        return self._grid.matrix[1], self._grid.matrix[0]

    @property
    def k_flash(self) -> float:
        """Sum of a frame over all pixels per micromol/cm2 of a layer.

        2.33 for a 4 mm electrode and 4.65 for 8 mm, at the published protocol.
        """
        return self._factor * float(chord_weights(self.geometry, self._grid).sum())

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise per pixel.

        3.5/sqrt(averages) at the published field of view and matrix [A]. For others the noise of
        a k-space point stays the same: the image's noise falls with the square root of the
        number of points, and a column's signal grows with its width.
        """
        published = PUBLISHED_2D
        points = math.prod(self.settings.matrix) / math.prod(published.matrix)
        width_mm = self.settings.fov_mm[0] / self.settings.matrix[0]
        width = width_mm / (published.fov_mm[0] / published.matrix[0])
        return NOISE_SINGLE_AVERAGE / math.sqrt(self.settings.averages * points) / width

    def noise_free(self, layers_umol_per_cm2: Sequence[float] | Floats) -> Floats:
        """The image without noise, shape (lines z, columns x).

        A column's sum over z is the signal factor x amount x chord weight, apart from speckle
        and the blur in x; the sum over all pixels is exact for each layer.

        Args:
            layers_umol_per_cm2: Metal in the four layers from A to B, mean over the exposure.
        """
        amounts = np.concatenate([np.asarray(layers_umol_per_cm2, np.float64), self._electrodes])
        basis = _basis(self.geometry, self._grid, self._seed)
        image = (self._factor * amounts) @ basis
        return np.asarray(image.reshape(self.shape), dtype=np.float64)

    def frame(
        self, layers_umol_per_cm2: Sequence[float] | Floats, frame_index: int
    ) -> npt.NDArray[np.float32]:
        """One frame with its own noise, shape (lines z, columns x).

        Args:
            layers_umol_per_cm2: Metal in the four layers from A to B, mean over the exposure.
            frame_index: Number of the frame on its console, from 0; picks the noise.
        """
        noise = np.random.default_rng([self._seed, _NOISE_STREAM, frame_index])
        image = self.noise_free(layers_umol_per_cm2)
        image += self.noise_sd * noise.standard_normal(self.shape)
        return image.astype(np.float32)


@dataclass(frozen=True)
class _Grid:
    """Encoded points, field of view (x, z) and the electrodes' skin."""

    matrix: tuple[int, int]
    fov_mm: tuple[float, float]
    skin_mm: float

    def check(self, geometry: PelletGeometry) -> None:
        extent_mm = (
            geometry.electrode_diameter_mm,
            geometry.thickness_mm + 2.0 * self.skin_mm,
        )
        if extent_mm[0] > self.fov_mm[0] or extent_mm[1] > self.fov_mm[1]:
            raise SimulationError(
                f"FLASH imager: field of view, got {self.fov_mm} mm (x, z), expected more than"
                f" the sample's {extent_mm} mm (enlarge the field of view: it would fold)"
            )

    def edges_mm(self, axis: int) -> Floats:
        """Edges of the fine voxels from the centre of the field of view, mm."""
        count = self.matrix[axis] * OVERSAMPLING[axis]
        return (np.arange(count + 1) / count - 0.5) * self.fov_mm[axis]


def chord_weights(geometry: PelletGeometry, grid: _Grid) -> Floats:
    """Length of the line of sight in the disc, 1 in the middle, per fine voxel in x and pixel.

    Divided by the oversampling, so that the sum is that over the pixels.
    """
    edges_mm = grid.edges_mm(0)
    x = 0.5 * (edges_mm[1:] + edges_mm[:-1]) / geometry.electrode_radius_mm
    chord = np.sqrt(np.clip(1.0 - x * x, 0.0, None))
    return np.asarray(chord / OVERSAMPLING[0], dtype=np.float64)


def _slab(grid: _Grid, low_mm: float, high_mm: float) -> Floats:
    """Share of a slab in each fine voxel along z, by coverage; sums to 1."""
    edges_mm = grid.edges_mm(1)
    covered = np.minimum(edges_mm[1:], high_mm) - np.maximum(edges_mm[:-1], low_mm)
    return np.asarray(np.clip(covered, 0.0, None) / (high_mm - low_mm), dtype=np.float64)


def _speckled(fine: Floats, seed: int, layer: int) -> Floats:
    """A layer whose local amounts scatter, with its exact total."""
    stream = np.random.default_rng([seed, _SPECKLE_STREAM, layer])
    lines = np.flatnonzero(fine.any(axis=1))
    speckled = np.zeros_like(fine)
    texture = stream.lognormal(0.0, SPECKLE_SIGMA, size=(len(lines), fine.shape[1]))
    speckled[lines] = fine[lines] * texture
    return np.asarray(speckled * (fine.sum() / speckled.sum()), dtype=np.float64)


def _cropped(fine: Floats, matrix: tuple[int, int]) -> Floats:
    """Image of a fine object (z, x) from the central k-space points; keeps the sum."""
    lines, columns = (np.rint(np.fft.fftfreq(n) * n).astype(int) for n in (matrix[1], matrix[0]))
    k_space = np.fft.fft2(fine)[np.ix_(lines, columns)]
    return np.asarray(np.fft.ifft2(k_space).real, dtype=np.float64)


@lru_cache(maxsize=16)
def _basis(geometry: PelletGeometry, grid: _Grid, seed: int) -> Floats:
    """Images of one micromol/cm2 in each layer and each electrode line, shape (6, pixels)."""
    chord = chord_weights(geometry, grid)
    borders_mm = (np.arange(LAYERS + 1) / LAYERS - 0.5) * geometry.thickness_mm
    slabs = [
        _speckled(np.outer(_slab(grid, low, high), chord), seed, layer)
        for layer, (low, high) in enumerate(pairwise(borders_mm))
    ]
    face_a, face_b = float(borders_mm[0]), float(borders_mm[-1])
    slabs += [
        np.outer(_slab(grid, face_a - grid.skin_mm, face_a), chord),
        np.outer(_slab(grid, face_b, face_b + grid.skin_mm), chord),
    ]
    basis = np.stack([_cropped(slab, grid.matrix).ravel() for slab in slabs])
    basis.setflags(write=False)
    return basis
