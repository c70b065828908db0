"""Size of a pixel from the metadata that microscopes and ImageJ write into TIFF files.

Where it stands: OME-XML ``PhysicalSizeX`` (micrometres unless ``PhysicalSizeXUnit`` is given);
ImageJ's ``unit`` with the resolution tags; FEI and Thermo Fisher tags 34680 and 34682, section
``Scan`` (or ``EScan``), ``PixelWidth`` in metres; Zeiss tag 34118, ``AP_IMAGE_PIXEL_SIZE``. A plain
resolution in dots per inch belongs to a printer and is not taken.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UM_PER_UNIT: Mapping[str, float] = {
    "pm": 1e-6,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "?m": 1.0,  # Zeiss writes the letter in an encoding that is lost
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "m": 1e6,
}
"""Micrometres per unit, by the names that files use."""
_SQUARE = 0.01


@dataclass(frozen=True)
class PixelSize:
    """Size of a pixel and where it was found.

    Attributes:
        x_um: Along a line, um.
        y_um: Across lines, um.
        source: Which metadata said so.
    """

    x_um: float
    y_um: float
    source: str

    @property
    def square(self) -> bool:
        """Whether both sides are equal to 1 %."""
        return abs(self.x_um / self.y_um - 1.0) <= _SQUARE


def from_ome(xml: str) -> PixelSize | None:
    """From OME-XML; only the attributes of the first image are looked at, nothing is parsed."""
    first = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    if first is None:
        return None
    attributes = dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', first[0]))
    sides = []
    for axis in ("X", "Y"):
        unit = html.unescape(attributes.get(f"PhysicalSize{axis}Unit", "µm"))
        size = _number(attributes.get(f"PhysicalSize{axis}"))
        sides.append(size * UM_PER_UNIT.get(unit, math.nan))
    return _of(sides[0], sides[1], "OME")


def from_imagej(metadata: Mapping[str, Any], per_unit: tuple[float, float]) -> PixelSize | None:
    """From ImageJ's unit and the resolution tags, pixels per unit."""
    unit = str(metadata.get("unit", "")).replace("\\u00B5", "µ").strip().lower()
    scale = UM_PER_UNIT.get(unit, math.nan)
    if min(per_unit) <= 0:
        return None
    return _of(scale / per_unit[0], scale / per_unit[1], "ImageJ")


def from_fei(metadata: Mapping[str, Any]) -> PixelSize | None:
    """From FEI's and Thermo Fisher's sections: metres."""
    for name in ("Scan", "EScan", "IScan", "Image"):
        section = metadata.get(name)
        if isinstance(section, Mapping):
            sides = [1e6 * _number(section.get(key)) for key in ("PixelWidth", "PixelHeight")]
            found = _of(sides[0], sides[1], f"FEI {name}")
            if found is not None:
                return found
    return None


def fei_lines(metadata: Mapping[str, Any]) -> int | None:
    """Lines of the scan itself; a saved image may have a bar of text below it."""
    section = metadata.get("Image")
    lines = _number(section.get("ResolutionY")) if isinstance(section, Mapping) else math.nan
    return int(lines) if lines >= 1 else None


def from_zeiss(metadata: Mapping[str, Any]) -> PixelSize | None:
    """From Zeiss's named values ``(name, value, unit)``."""
    for key in ("ap_image_pixel_size", "ap_pixel_size"):
        value = metadata.get(key)
        if isinstance(value, tuple) and len(value) == 3:
            size_um = _number(value[1]) * UM_PER_UNIT.get(str(value[2]).strip(), math.nan)
            found = _of(size_um, size_um, "Zeiss")
            if found is not None:
                return found
    return None


def _of(x_um: float, y_um: float, source: str) -> PixelSize | None:
    fit = math.isfinite(x_um) and math.isfinite(y_um) and x_um > 0 and y_um > 0
    return PixelSize(x_um, y_um, source) if fit else None


def _number(value: object) -> float:
    if isinstance(value, int | float | str):
        try:
            return float(value)
        except ValueError:
            return math.nan
    return math.nan
