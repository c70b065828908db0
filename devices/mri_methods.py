"""Methods of an MRI and NMR console: their parameters, and the arrays that they give.

A method either encodes places (it has `matrix` and `fov_mm`, the read direction first, and gives
an image or a volume) or gives one spectrum per nucleus (it has `nuclei` and `points`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTINGS: Mapping[str, tuple[Any, str]] = {
    "method": ("flash2d", ""),
    "tr_s": (0.3, "s"),
    "te_s": (0.000918, "s"),
    "flip_angle_deg": (30.0, "deg"),
    "averages": (1, ""),
    "repetitions": (1, ""),
    "dummy_scans": (0, ""),
    "matrix": ([81, 52], ""),
    "fov_mm": ([17.0, 11.0], "mm"),
    "slice_thickness_mm": (0.0, "mm"),
    "nucleus": ("7Li", ""),
    "frequency_mhz": (349.7, "MHz"),
    "line": ("metal", ""),
    "nuclei": (["6Li", "7Li"], ""),
    "frequencies_mhz": ([122.14, 322.57], "MHz"),
    "scans": ([1, 1], ""),
    "recycle_delay_s": ([10.0, 2.0], "s"),
    "mas_khz": ([14.0, 13.0], "kHz"),
    "points": (4096, ""),
    "centre_ppm": (130.0, "ppm"),
    "spectral_width_ppm": (800.0, "ppm"),
}
"""Acquisition parameters of all methods: name, value before the first configuration, unit.

matrix and fov_mm are (x read, z phase) or (x read, y phase, z phase); slice_thickness_mm 0 means
no slice selection. nuclei are acquired in their order; frequencies_mhz, scans, recycle_delay_s and
mas_khz have one value for each.
"""

_SPECTRUM_NAMES = (
    "nuclei",
    "frequencies_mhz",
    "scans",
    "recycle_delay_s",
    "mas_khz",
    "points",
    "centre_ppm",
    "spectral_width_ppm",
)

SETTINGS_OF: Mapping[str, tuple[str, ...]] = {
    "flash2d": tuple(name for name in SETTINGS if name not in _SPECTRUM_NAMES),
    "gradient_echo_3d": tuple(name for name in SETTINGS if name not in _SPECTRUM_NAMES),
    "single_pulse": ("method", *_SPECTRUM_NAMES),
}
"""Parameters of each method that this program knows; a vendor's own has what it reads back."""

_PLACES = {2: ("z", "x"), 3: ("z", "y", "x")}


def frame_shape(settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of one frame: the matrix from the slowest axis to the read direction, or spectra.

    Args:
        settings: As read back: `matrix` (x first), or `nuclei` and `points`.

    Returns:
        (lines z, columns x), (slices z, lines y, columns x) or (nuclei, points).

    Raises:
        ValueError: They say no shape.
    """
    sides: Any = settings.get("matrix")
    if sides is None:
        nuclei = settings.get("nuclei")
        sides = [settings.get("points"), len(nuclei) if isinstance(nuclei, list) else None]
    whole = isinstance(sides, list | tuple) and all(
        type(side) is int and side > 0 for side in sides
    )
    if not whole or len(sides) not in _PLACES:
        got = f"matrix {settings.get('matrix')}, nuclei {settings.get('nuclei')}"
        raise ValueError(f"{got}, points {settings.get('points')}")
    return tuple(reversed(sides))


def frame_dims(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the axes of one frame.

    ``z`` along the pellet's axis, ``x`` along the read direction; ``nucleus`` and ``shift_ppm``,
    where point k lies at ``centre_ppm + (k - points // 2) * spectral_width_ppm / points``.
    """
    if settings.get("matrix") is None:
        return ("nucleus", "shift_ppm")
    return _PLACES[len(settings["matrix"])]
