"""Shape of a pellet cell, shared by the sample's equations and by its images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PelletGeometry:
    """A disc of solid electrolyte between two discs of metal.

    Attributes:
        electrode_diameter_mm: Diameter of each metal disc, mm.
        pellet_diameter_mm: Diameter of the electrolyte, mm.
        thickness_cm: Thickness of the electrolyte between the faces, cm.
    """

    electrode_diameter_mm: float
    pellet_diameter_mm: float
    thickness_cm: float

    @property
    def thickness_mm(self) -> float:
        """Thickness of the electrolyte, mm."""
        return 10.0 * self.thickness_cm

    @property
    def electrode_radius_mm(self) -> float:
        """Radius of each metal disc, mm."""
        return 0.5 * self.electrode_diameter_mm
