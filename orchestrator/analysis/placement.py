"""Where the cell lies in its images: position along x and z, and thickness if it is not known.

The two electrode lines are the brightest things in an image; they place the cell to a few
hundredths of a pixel, which the layers next to them need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from orchestrator.analysis.image_model import (
    ImagedCell,
    component_profiles,
    displacement_profile,
    lateral_profile,
)

Floats = npt.NDArray[np.float64]

_SEARCH_PX = np.arange(-2.0, 2.01, 0.25)
_NEWTON_STEPS = 8
_MIN_THICKNESS_PX = 2.0
_THICKNESS_STEP_PX = 0.04
_THICKNESS_STEPS = 20


def placed_along_x(image: Floats, cell: ImagedCell) -> ImagedCell:
    """Move the cell to the best match of its chord with the lines that show it.

    Args:
        image: Mean image, shape (lines, columns).
        cell: Geometry; moved by at most two pixels.
    """
    centre_px = cell.matrix[1] / 2 + cell.centre_mm[1] / cell.pixel_mm[1]
    reach_px = 0.5 * cell.thickness_mm / cell.pixel_mm[1] + 3
    lines = slice(max(0, int(centre_px - reach_px)), int(centre_px + reach_px) + 1)
    seen = image[lines].sum(axis=0)

    def match(shift_px: float) -> float:
        chord = lateral_profile(cell.moved(dx_mm=shift_px * cell.pixel_mm[0]))
        return float(seen @ chord) / float(np.sqrt(chord @ chord))

    return cell.moved(dx_mm=_peak(match) * cell.pixel_mm[0])


def placed_along_z(profile: Floats, cell: ImagedCell) -> ImagedCell:
    """Move the cell to the least misfit: a search, then Gauss-Newton steps.

    Args:
        profile: Mean profile along z, umol/cm2, shape (lines,).
        cell: Geometry; moved by about two pixels at most.
    """
    pixel_mm = cell.pixel_mm[1]

    def shifted(shift_px: float) -> float:
        return misfit(profile, cell.moved(dz_mm=shift_px * pixel_mm))

    nearest = cell.moved(dz_mm=min(_SEARCH_PX, key=shifted) * pixel_mm)
    return _refined(profile, nearest, steps=_NEWTON_STEPS)


def _refined(profile: Floats, cell: ImagedCell, *, steps: int) -> ImagedCell:
    """Gauss-Newton steps along z, each at most a fifth of a pixel."""
    limit_mm = 0.2 * cell.pixel_mm[1]
    for _ in range(steps):
        design = component_profiles(cell)
        slope = displacement_profile(cell, least_squares(design, profile))
        step_mm = least_squares(np.column_stack([design, slope]), profile)[-1]
        cell = cell.moved(dz_mm=float(np.clip(step_mm, -limit_mm, limit_mm)))
    return cell


def measured_thickness(profile: Floats, cell: ImagedCell) -> ImagedCell:
    """Find thickness and position from the distance of the two electrode lines.

    Args:
        profile: Mean profile along z in any unit, shape (lines,).
        cell: Geometry whose thickness is not known; its value is ignored.

    Returns:
        The cell with the thickness of least misfit, centred between the lines.
    """
    pixel_mm = cell.pixel_mm[1]
    line = _brightest_pair(profile)
    cell = replace(
        cell,
        thickness_mm=max(line[1] - line[0], _MIN_THICKNESS_PX) * pixel_mm,
        centre_mm=(cell.centre_mm[0], (0.5 * (line[0] + line[1]) - len(profile) // 2) * pixel_mm),
    )

    def of_thickness(thickness_mm: float) -> float:
        tried = _refined(profile, replace(cell, thickness_mm=thickness_mm), steps=2)
        return misfit(profile, tried)

    step_mm = _THICKNESS_STEP_PX * pixel_mm
    grid_mm = cell.thickness_mm + np.arange(-_THICKNESS_STEPS, _THICKNESS_STEPS + 1) * step_mm
    coarse_mm = min(grid_mm[grid_mm >= _MIN_THICKNESS_PX * pixel_mm], key=of_thickness)
    found = minimize_scalar(
        of_thickness,
        bounds=(coarse_mm - step_mm, coarse_mm + step_mm),
        method="bounded",
        options={"xatol": 0.002 * pixel_mm},
    )
    return placed_along_z(profile, replace(cell, thickness_mm=float(found.x)))


def misfit(profile: Floats, cell: ImagedCell) -> float:
    """Norm of what layers and electrodes leave of a profile."""
    design = component_profiles(cell)
    return float(np.linalg.norm(profile - design @ least_squares(design, profile)))


def least_squares(design: Floats, values: Floats) -> Floats:
    """Coefficients of the columns of `design` that describe `values` best."""
    return np.asarray(np.linalg.lstsq(design, values, rcond=None)[0])


def _brightest_pair(profile: Floats) -> tuple[float, float]:
    """Positions of the two brightest separate peaks, refined by parabolas, pixels."""
    inner = profile[1:-1]
    peaks = 1 + np.flatnonzero((inner >= profile[:-2]) & (inner > profile[2:]))
    if len(peaks) < 2:
        raise ValueError(
            f"thickness from the image: got {len(peaks)} electrode line, expected two (give "
            "`sample.thickness_cm`)"
        )
    first, last = sorted(peaks[np.argsort(profile[peaks])[-2:]])
    return _vertex(profile, int(first)), _vertex(profile, int(last))


def _vertex(values: Floats, index: int) -> float:
    """Position of the parabola's top through three neighbours, from 0."""
    left, middle, right = values[index - 1 : index + 2]
    bend = left - 2 * middle + right
    return index + (float(np.clip(0.5 * (left - right) / bend, -1, 1)) if bend < 0 else 0.0)


def _peak(match: Callable[[float], float]) -> float:
    """Shift of the largest match within the search, pixels."""
    values = np.array([match(shift) for shift in _SEARCH_PX])
    best = int(np.clip(values.argmax(), 1, len(values) - 2))
    step = float(_SEARCH_PX[1] - _SEARCH_PX[0])
    return float(_SEARCH_PX[0]) + _vertex(values, best) * step
