"""Acquisition parameters of an MRI scanner, and judgements on what a console says and delivers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ophyd import Component as Cpt
from ophyd import Kind

from devices.roles import ConsoleState, ConsoleStatus
from devices.signals import ReadbackSignal

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
}
"""Acquisition parameters: name, value before the first configuration, unit. matrix and fov_mm
are (x read, z phase); slice_thickness_mm 0 means no slice selection."""


def setting(name: str) -> Any:
    """A read-back configuration component for one of `SETTINGS`."""
    value, units = SETTINGS[name]
    return Cpt(ReadbackSignal, value=value, units=units, kind=Kind.config)


def ended_early(status: ConsoleStatus) -> bool:
    """Whether nothing runs and nothing was finished: somebody ended the scan."""
    return status.state is ConsoleState.IDLE and not math.isfinite(status.t_end_s)


def judge(image: np.ndarray[Any, Any]) -> str:
    """``ok``, or what is wrong with a frame: ``nan``, ``black`` (all the same value)."""
    if not np.isfinite(image).all():
        return "nan"
    return "ok" if float(np.ptp(image)) > 0.0 else "black"
