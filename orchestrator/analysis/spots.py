"""Shape of a spot in a mask: its largest connected part and its radius in every direction."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def largest(mask: Flags) -> Flags:
    """The largest connected part of a mask, with its holes filled."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())[1:]
    return np.asarray(ndimage.binary_fill_holes(labels == 1 + int(sizes.argmax())))


def sector_radii(spot: Flags, sectors: int) -> Floats:
    """Radius of a spot in each sector about its centre, from the sector's area, pixels."""
    lines, columns = np.nonzero(spot)
    angle = np.arctan2(lines - lines.mean(), columns - columns.mean())
    turn = ((angle / (2.0 * math.pi) + 0.5) * sectors).astype(int) % sectors
    area = np.bincount(turn, minlength=sectors)
    return np.asarray(np.sqrt(2.0 * area / (2.0 * math.pi / sectors)))
