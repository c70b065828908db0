"""Acquisition parameters of a microscope, and what they say of a frame: shape, axes, quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
from ophyd import Component as Cpt
from ophyd import Kind

from devices.frame_judgement import judge
from devices.signals import ReadbackSignal

SETTINGS: Mapping[str, tuple[Any, str]] = {
    "method": ("image", ""),
    "resolution_px": ([1600, 600], "px"),
    "dwell_time_s": (1e-6, "s"),
    "hfw_um": (160.0, "um"),
    "frame_integration": (1, ""),
    "line_integration": (1, ""),
    "autocontrast": (False, ""),
    "reduced_area": ([0.0, 0.0, 1.0, 1.0], ""),
    "detector": ("ETD", ""),
    "channels": (["SE"], ""),
    "voltage_kv": (5.0, "kV"),
    "current_na": (0.1, "nA"),
    "working_distance_mm": (10.0, "mm"),
    "stage_um": ([0.0, 0.0], "um"),
    "ebic_gain_v_per_a": (1e9, "V/A"),
    "ebic_time_constant_s": (1e-6, "s"),
    "line_points": (100, ""),
    "line_length_um": (40.0, "um"),
    "blank_between_frames": (True, ""),
}
"""Acquisition parameters: name, value before the first configuration, unit.

Names follow OpenFIBSEM's image and beam settings, each with its unit. `reduced_area` is
[left, top, width, height] as shares of the frame, `stage_um` the place (x, y) in its middle;
`line_points` and `line_length_um` belong to the method ``eds_line``, where `dwell_time_s` is per
point."""


def setting(name: str) -> Any:
    """A read-back configuration component for one of `SETTINGS`."""
    value, units = SETTINGS[name]
    dtype = "boolean" if isinstance(value, bool) else None
    return Cpt(ReadbackSignal, value=value, units=units, dtype=dtype, kind=Kind.config)


def frame_shape(settings: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Shape of what a microscope delivers with some settings; None where they do not say it.

    A frame is (lines, columns) of the reduced area, with more than one channel (channels, lines,
    columns); a line scan is (elements, points) with magnesium as the one element.
    """
    try:
        if settings["method"] == "eds_line":
            return 1, int(settings["line_points"])
        columns, lines = (int(count) for count in settings["resolution_px"])
        left, top, width, height = (float(share) for share in settings["reduced_area"])
        channels = len(settings["channels"])
    except (KeyError, TypeError, ValueError):
        return None
    across = min(round((left + width) * columns), columns) - round(left * columns)
    down = min(round((top + height) * lines), lines) - round(top * lines)
    return (channels, down, across) if channels > 1 else (down, across)


def frame_axes(settings: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """Names of a frame's axes, and its unit; of several channels their units in order."""
    if settings["method"] == "eds_line":
        return ("element", "position"), "counts"
    units = {"SE": "grey value", "EBIC": "nA"}
    named = ", ".join(units.get(channel, "a.u.") for channel in settings["channels"])
    axes = ("y", "x")
    return (axes, named) if len(settings["channels"]) == 1 else (("channel", *axes), named)


def judge_channels(image: npt.NDArray[Any]) -> str:
    """``ok``, or what is wrong with the first channel of a frame that is not."""
    found = [judge(one) for one in (image if image.ndim == 3 else image[None])]
    return next((flag for flag in found if flag != "ok"), "ok")
