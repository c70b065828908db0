"""Checks of an acquisition's settings before a vendor's software sees them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from devices.bridge.protocol import Refusal

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}\Z", re.ASCII)
Check = Callable[[str, object], Any]


def _number(low: float, high: float) -> Check:
    def check(name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refusal(-104, f"{name}: got {value!r:.60}, expected a number")
        if not low <= value <= high:
            raise Refusal(-222, f"{name}: got {value!r:.40}, expected {low:g} to {high:g}")
        return float(value)

    return check


def _integer(low: int, high: int) -> Check:
    def check(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refusal(-104, f"{name}: got {value!r:.60}, expected an integer")
        if not low <= value <= high:
            raise Refusal(-222, f"{name}: got {value!r:.40}, expected {low} to {high}")
        return value

    return check


def _name(name: str, value: object) -> str:
    if not isinstance(value, str) or not _NAME.match(value):
        raise Refusal(-224, f"{name}: got {value!r:.60}, expected a short plain name")
    return value


def _choice(*words: str) -> Check:
    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise Refusal(-224, f"{name}: got {value!r:.60}, expected one of {', '.join(words)}")
        return value

    return check


def _pair(each: Check) -> Check:
    def check(name: str, value: object) -> list[Any]:
        if not isinstance(value, list) or len(value) != 2:
            raise Refusal(-104, f"{name}: got {value!r:.60}, expected [x, z]")
        return [each(name, item) for item in value]

    return check


CHECKS: Mapping[str, Check] = {
    "method": _name,
    "tr_s": _number(1e-3, 60.0),
    "te_s": _number(1e-5, 1.0),
    "flip_angle_deg": _number(0.1, 180.0),
    "averages": _integer(1, 1_000_000),
    "repetitions": _integer(1, 10_000),
    "dummy_scans": _integer(0, 100_000),
    "matrix": _pair(_integer(2, 4096)),
    "fov_mm": _pair(_number(0.1, 1000.0)),
    "slice_thickness_mm": _number(0.0, 1000.0),
    "nucleus": _name,
    "frequency_mhz": _number(1.0, 2000.0),
    "line": _name,
    "trigger_mode": _choice("off", "per_scan", "per_phase_step", "per_slice"),
    "trigger_out_mode": _choice("off", "start", "volume", "slice"),
}
"""Ranges that no scanner leaves; the vendor's own limits are the vendor's to check."""


def checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, in the types that they are stored in.

    Raises:
        Refusal: -224 for an unknown name or word, -104 for a wrong type, -222 out of range.
    """
    for name in changes:
        if name not in CHECKS:
            raise Refusal(-224, f"{name[:60]}: unknown, expected one of {', '.join(CHECKS)}")
    return {name: CHECKS[name](name, value) for name, value in changes.items()}


def expected_duration_s(settings: Mapping[str, Any]) -> float:
    """TR x (phase lines x averages x repetitions + dummy scans), s."""
    scans = settings["matrix"][1] * settings["averages"] * settings["repetitions"]
    return float(settings["tr_s"] * (scans + settings["dummy_scans"]))
