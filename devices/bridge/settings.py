"""Checks of an acquisition's settings before a vendor's software sees them, by method."""

from __future__ import annotations

import math
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


def _several(low: int, high: int, each: Check) -> Check:
    """A list of `low` to `high` values."""
    words = f"a list of {low}" if low == high else f"a list of {low} to {high}"

    def check(name: str, value: object) -> list[Any]:
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise Refusal(-104, f"{name}: got {value!r:.60}, expected {words}")
        return [each(name, item) for item in value]

    return check


_MOST_NUCLEI = 4
_TRIGGER: Mapping[str, Check] = {
    "trigger_mode": _choice("off", "per_scan", "per_phase_step", "per_slice"),
    "trigger_out_mode": _choice("off", "start", "volume", "slice"),
}
IMAGE_CHECKS: Mapping[str, Check] = {
    "method": _name,
    "tr_s": _number(1e-3, 60.0),
    "te_s": _number(1e-5, 1.0),
    "flip_angle_deg": _number(0.1, 180.0),
    "averages": _integer(1, 1_000_000),
    "repetitions": _integer(1, 10_000),
    "dummy_scans": _integer(0, 100_000),
    "matrix": _several(2, 3, _integer(2, 4096)),
    "fov_mm": _several(2, 3, _number(0.1, 1000.0)),
    "slice_thickness_mm": _number(0.0, 1000.0),
    "nucleus": _name,
    "frequency_mhz": _number(1.0, 2000.0),
    "line": _name,
    **_TRIGGER,
}
"""Settings of a method that encodes places: ranges that no scanner leaves. The vendor's own
limits are the vendor's to check."""

SPECTRUM_CHECKS: Mapping[str, Check] = {
    "method": _name,
    "nuclei": _several(1, _MOST_NUCLEI, _name),
    "frequencies_mhz": _several(1, _MOST_NUCLEI, _number(1.0, 2000.0)),
    "scans": _several(1, _MOST_NUCLEI, _integer(1, 1_000_000_000)),
    "recycle_delay_s": _several(1, _MOST_NUCLEI, _number(1e-4, 1e5)),
    "mas_khz": _several(1, _MOST_NUCLEI, _number(0.0, 250.0)),
    "points": _integer(2, 2**22),
    "centre_ppm": _number(-1e5, 1e5),
    "spectral_width_ppm": _number(1e-3, 1e6),
    **_TRIGGER,
}
"""Settings of a method that gives one spectrum per nucleus."""

SPECTRUM_METHODS = ("single_pulse",)
"""Methods that give spectra; any other encodes places."""
AXES = {"flash2d": 2, "gradient_echo_3d": 3}
"""Number of axes where the method says it; another has two or three."""

_FLASH_2D: Mapping[str, Any] = {
    "method": "flash2d",
    "tr_s": 0.3,
    "te_s": 0.000918,
    "flip_angle_deg": 30.0,
    "averages": 1,
    "repetitions": 1,
    "dummy_scans": 0,
    "matrix": [81, 52],
    "fov_mm": [17.0, 11.0],
    "slice_thickness_mm": 0.0,
    "nucleus": "7Li",
    "frequency_mhz": 349.7,
    "line": "metal",
    "trigger_mode": "per_scan",
    "trigger_out_mode": "off",
}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "flash2d": _FLASH_2D,
    "gradient_echo_3d": {
        **_FLASH_2D,
        "method": "gradient_echo_3d",
        "tr_s": 0.25,
        "te_s": 0.001,
        "flip_angle_deg": 90.0,
        "matrix": [100, 100, 32],
        "fov_mm": [10.0, 10.0, 3.2],
        "frequency_mhz": 194.4,
    },
    "single_pulse": {
        "method": "single_pulse",
        "nuclei": ["6Li", "7Li"],
        "frequencies_mhz": [122.14, 322.57],
        "scans": [1, 1],
        "recycle_delay_s": [10.0, 2.0],
        "mas_khz": [14.0, 13.0],
        "points": 4096,
        "centre_ppm": 130.0,
        "spectral_width_ppm": 800.0,
        "trigger_mode": "per_scan",
        "trigger_out_mode": "off",
    },
}
"""What a method begins with; one that is not here begins as `flash2d`."""


def updated(held: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some values changed; another method begins with its own defaults.

    The trigger stays as it is, whatever the method.

    Raises:
        Refusal: -224 for a name or word that is unknown or not one of the method, -104 for a
            wrong type, -222 for a value out of range or values that do not fit together.
    """
    method = _name("method", changes.get("method", held["method"]))
    result = dict(held)
    if method != held["method"]:
        kept = {name: held[name] for name in _TRIGGER}
        result = {**DEFAULTS.get(method, _FLASH_2D), "method": method, **kept}
    checks = SPECTRUM_CHECKS if method in SPECTRUM_METHODS else IMAGE_CHECKS
    for name, value in changes.items():
        if name not in checks:
            known = f"expected one of {', '.join(checks)}"
            raise Refusal(-224, f"{name[:60]}: unknown to {method}, {known}")
        result[name] = checks[name](name, value)
    if method in SPECTRUM_METHODS:
        _check_lengths(result, "nuclei", ("frequencies_mhz", "scans", "recycle_delay_s", "mas_khz"))
    else:
        _check_image(result)
    return result


def expected_duration_s(settings: Mapping[str, Any]) -> float:
    """How long an acquisition takes, s.

    TR x (phase lines x averages x repetitions + dummy scans), all axes but the first being phase
    encoded; of spectra, the sum over the nuclei of scans x recycle delay.
    """
    if settings["method"] in SPECTRUM_METHODS:
        pairs = zip(settings["scans"], settings["recycle_delay_s"], strict=True)
        return float(sum(scans * delay_s for scans, delay_s in pairs))
    lines = math.prod(settings["matrix"][1:])
    scans = lines * settings["averages"] * settings["repetitions"]
    return float(settings["tr_s"] * (scans + settings["dummy_scans"]))


def _check_image(settings: Mapping[str, Any]) -> None:
    if settings["te_s"] >= settings["tr_s"]:
        raise Refusal(-222, f"te_s: got {settings['te_s']:g}, expected less than tr_s")
    axes = AXES.get(settings["method"], len(settings["matrix"]))
    if len(settings["matrix"]) != axes:
        got = len(settings["matrix"])
        raise Refusal(-104, f"matrix: got {got} values, expected {axes} for {settings['method']}")
    _check_lengths(settings, "matrix", ("fov_mm",))


def _check_lengths(settings: Mapping[str, Any], leader: str, names: tuple[str, ...]) -> None:
    count = len(settings[leader])
    for name in names:
        if len(settings[name]) != count:
            got = len(settings[name])
            raise Refusal(-104, f"{name}: got {got} values, expected {count} as in {leader}")
