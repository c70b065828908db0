"""What a microscope would find at the interface: plain intervals, heights and filaments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.world import Floats


@dataclass(frozen=True)
class VoidGeometry:
    """Voids and filaments in the window of one polished face.

    A void is a half ellipse in the metal over the interval from its left to its right edge.
    Voids are sorted and disjoint; a site that has not opened yet is not listed. Without
    filaments their arrays are empty.

    Attributes:
        window_um: Length of the interface in view, um.
        left_um: Left edges, um, shape (n,).
        right_um: Right edges, um, shape (n,).
        height_um: Heights, um, shape (n,).
        area_um2: Areas of the cross sections, um2, shape (n,).
        filament_places_um: Places of filaments along the interface, um, shape (m,).
        filament_diameters_um: Their diameters, um, shape (m,).
        filament_lengths_um: How far they reach into the electrolyte, um, shape (m,).
    """

    window_um: float
    left_um: Floats
    right_um: Floats
    height_um: Floats
    area_um2: Floats
    filament_places_um: Floats
    filament_diameters_um: Floats
    filament_lengths_um: Floats

    @property
    def width_um(self) -> Floats:
        """Widths of the voids, um, shape (n,)."""
        return np.asarray(self.right_um - self.left_um)

    @property
    def contact_loss(self) -> float:
        """Share of the interface without contact."""
        return min(1.0, float(self.width_um.sum()) / self.window_um)

    @property
    def voids_per_100_um(self) -> float:
        """Number of voids per 100 um of interface."""
        return 100.0 * len(self.left_um) / self.window_um
