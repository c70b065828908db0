"""Settings of a simulated MRI acquisition: ranges, read-back and duration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sim.images.mri import FlashSettings, expected_duration_s
from sim.instruments.bridge_protocol import CommandError

PUBLISHED_FLASH_2D: Mapping[str, Any] = {
    "method": "flash2d",
    "tr_s": 0.3,
    "te_s": 0.000918,
    "flip_angle_deg": 30.0,
    "averages": 1024,
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
"""2D FLASH of Liu et al., Nature Materials 2025, doi 10.1038/s41563-024-02094-6, Methods MRI.

`matrix` and `fov_mm` are (x read, z phase encode). 349.7 MHz is 7Li at 21.1 T: the paper's
394.7 MHz would be 23.9 T and is read as transposed digits. A slice thickness of 0 means that no
slice is selected.
"""

Check = Callable[[str, object], Any]


def _number(low: float, high: float) -> Check:
    def check(name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CommandError(-104, f"{name}: got {value!r:.60}, expected a number")
        if not low <= value <= high:
            raise CommandError(-222, f"{name}: got {value!r:.40}, expected {low:g} to {high:g}")
        return float(value)

    return check


def _integer(low: int, high: int) -> Check:
    def check(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise CommandError(-104, f"{name}: got {value!r:.60}, expected an integer")
        if not low <= value <= high:
            raise CommandError(-222, f"{name}: got {value!r:.40}, expected {low} to {high}")
        return value

    return check


def _choice(*words: str) -> Check:
    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise CommandError(
                -224, f"{name}: got {value!r:.60}, expected one of {', '.join(words)}"
            )
        return value

    return check


def _pair(each: Check) -> Check:
    def check(name: str, value: object) -> list[Any]:
        if not isinstance(value, list) or len(value) != 2:
            raise CommandError(-104, f"{name}: got {value!r:.60}, expected [x, z]")
        return [each(name, item) for item in value]

    return check


CHECKS: Mapping[str, Check] = {
    "method": _choice("flash2d"),
    "tr_s": _number(1e-3, 60.0),
    "te_s": _number(1e-5, 1.0),
    "flip_angle_deg": _number(0.1, 180.0),
    "averages": _integer(1, 1_000_000),
    "repetitions": _integer(1, 10_000),
    "dummy_scans": _integer(0, 100_000),
    "matrix": _pair(_integer(2, 256)),
    "fov_mm": _pair(_number(1.0, 200.0)),
    "slice_thickness_mm": _number(0.0, 100.0),
    "nucleus": _choice("7Li"),
    "frequency_mhz": _number(1.0, 2000.0),
    "line": _choice("metal"),
    "trigger_mode": _choice("off", "per_scan"),
    "trigger_out_mode": _choice("off", "start"),
}
"""What this console accepts; a console's own limits, not the protocol's."""


def updated(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some values changed.

    Raises:
        CommandError: -224 for an unknown name or word, -104 for a wrong type, -222 for a value
            out of range or an echo time not shorter than the repetition time.
    """
    result = dict(settings)
    for name, value in changes.items():
        if name not in CHECKS:
            raise CommandError(-224, f"{name[:60]}: unknown, expected one of {', '.join(CHECKS)}")
        result[name] = CHECKS[name](name, value)
    if result["te_s"] >= result["tr_s"]:
        raise CommandError(-222, f"te_s: got {result['te_s']:g}, expected less than tr_s")
    return result


def flash_settings(settings: Mapping[str, Any]) -> FlashSettings:
    """The same settings as the imager wants them."""
    return FlashSettings(
        tr_s=settings["tr_s"],
        te_s=settings["te_s"],
        flip_angle_deg=settings["flip_angle_deg"],
        averages=settings["averages"],
        repetitions=settings["repetitions"],
        dummy_scans=settings["dummy_scans"],
        matrix=tuple(settings["matrix"]),
        fov_mm=tuple(settings["fov_mm"]),
        frequency_mhz=settings["frequency_mhz"],
    )


def duration_s(settings: Mapping[str, Any]) -> float:
    """Time from trigger to last echo, s: `sim.images.mri.expected_duration_s`."""
    return expected_duration_s(flash_settings(settings))
