"""Settings of a simulated microscope: ranges, read-back, duration, dose.

Names follow OpenFIBSEM's image and beam settings (resolution, dwell time, horizontal field width,
line and frame integration, autocontrast, reduced area; voltage, current, working distance), each
with its unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sim.instruments.bridge_protocol import CommandError
from sim.instruments.setting_checks import (
    Check,
    changed,
    choice,
    integer,
    number,
    several,
    switch,
)

PUBLISHED_OPERANDO: Mapping[str, Any] = {
    "method": "image",
    "resolution_px": [1600, 600],
    "dwell_time_s": 1e-6,
    "hfw_um": 160.0,
    "frame_integration": 1,
    "line_integration": 1,
    "autocontrast": False,
    "reduced_area": [0.0, 0.0, 1.0, 1.0],
    "detector": "ETD",
    "channels": ["SE"],
    "voltage_kv": 5.0,
    "current_na": 0.1,
    "working_distance_mm": 10.0,
    "stage_um": [0.0, 0.0],
    "ebic_gain_v_per_a": 1e9,
    "ebic_time_constant_s": 1e-6,
    "line_points": 100,
    "line_length_um": 40.0,
    "blank_between_frames": True,
}
"""The operando series of Zhao et al., Nature Communications 2025, doi 10.1038/s41467-025-59567-8:
analysed width 160 um [P]; pixels, dwell time, voltage, current and working distance [A]."""

FLYBACK_S = 2e-5
"""Time from the end of a line to the beginning of the next, s [A]; the beam is blanked."""
_UC_PER_NC, _UM2_PER_CM2 = 1e-3, 1e8


def _channels(name: str, value: object) -> list[str]:
    if value in (["SE"], ["SE", "EBIC"]):
        return list(value)
    raise CommandError(-224, f"{name}: got {value!r:.60}, expected ['SE'] or ['SE', 'EBIC']")


CHECKS: Mapping[str, Check] = {
    "method": choice("image", "eds_line"),
    "resolution_px": several(2, integer(16, 4096), "[columns, lines]"),
    "dwell_time_s": number(2.5e-8, 100.0),
    "hfw_um": number(10.0, 3000.0),
    "frame_integration": integer(1, 512),
    "line_integration": integer(1, 512),
    "autocontrast": switch,
    "reduced_area": several(4, number(0.0, 1.0), "[left, top, width, height] as shares"),
    "detector": choice("ETD"),
    "channels": _channels,
    "voltage_kv": number(0.5, 30.0),
    "current_na": number(1e-3, 100.0),
    "working_distance_mm": number(2.0, 60.0),
    "stage_um": several(2, number(-5000.0, 5000.0), "[x, y]"),
    "ebic_gain_v_per_a": number(1e3, 1e11),
    "ebic_time_constant_s": number(1e-8, 1.0),
    "line_points": integer(2, 4096),
    "line_length_um": number(0.1, 200.0),
    "blank_between_frames": switch,
}
"""What this microscope accepts; its own limits, not the protocol's."""


def updated(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some values changed.

    Raises:
        CommandError: -224 for an unknown name or word, -104 for a wrong type, -222 for a value
            out of range or a reduced area that reaches beyond the frame or has no pixel.
    """
    result = changed(settings, changes, CHECKS)
    left, top, width, height = result["reduced_area"]
    if left + width > 1.0 + 1e-9 or top + height > 1.0 + 1e-9 or min(area_px(result)[2:]) < 1:
        raise CommandError(
            -222,
            f"reduced_area: got {result['reduced_area']}, expected [left, top, width, height]"
            " within 0 to 1 and of at least a pixel",
        )
    return result


def area_px(settings: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Reduced area in pixels: (left, top, columns, lines)."""
    columns, lines = settings["resolution_px"]
    left, top, width, height = settings["reduced_area"]
    first, above = round(left * columns), round(top * lines)
    right = min(round((left + width) * columns), columns)
    below = min(round((top + height) * lines), lines)
    return first, above, right - first, below - above


def shape(settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of a result: (lines, columns), (channels, lines, columns) or (elements, points)."""
    if settings["method"] == "eds_line":
        return 1, int(settings["line_points"])
    _, _, columns, lines = area_px(settings)
    channels = len(settings["channels"])
    return (channels, lines, columns) if channels > 1 else (lines, columns)


def integrations(settings: Mapping[str, Any]) -> int:
    """How often each pixel is visited for one frame."""
    return int(settings["frame_integration"] * settings["line_integration"])


def duration_s(settings: Mapping[str, Any]) -> float:
    """Pixels x dwell x integrations + flyback of every line, s; of a line scan points x dwell."""
    if settings["method"] == "eds_line":
        return float(settings["line_points"] * settings["dwell_time_s"])
    _, _, columns, lines = area_px(settings)
    line_s = columns * settings["dwell_time_s"] + FLYBACK_S
    return float(lines * line_s * integrations(settings))


def beam_s(settings: Mapping[str, Any]) -> float:
    """Part of `duration_s` with the beam on the specimen, s."""
    if settings["method"] == "eds_line":
        return duration_s(settings)
    _, _, columns, lines = area_px(settings)
    return float(columns * lines * settings["dwell_time_s"] * integrations(settings))


def scanned_um2(settings: Mapping[str, Any]) -> float:
    """Area over which the dose is spread, um2; of a line scan the line times a pixel's width."""
    columns, _ = settings["resolution_px"]
    pixel_um = settings["hfw_um"] / columns
    if settings["method"] == "eds_line":
        return float(settings["line_length_um"] * pixel_um)
    return math.prod(area_px(settings)[2:]) * float(pixel_um) ** 2


def dose_rate_uc_per_cm2_s(settings: Mapping[str, Any]) -> float:
    """Dose per second of beam on the specimen, uC/cm2/s: current over area."""
    return float(settings["current_na"] * _UC_PER_NC / (scanned_um2(settings) / _UM2_PER_CM2))


def dose_uc_per_cm2(settings: Mapping[str, Any]) -> float:
    """Dose of one frame, uC/cm2; 1 uC/cm2 is 6.24e4 electrons per um2."""
    return dose_rate_uc_per_cm2_s(settings) * beam_s(settings)
