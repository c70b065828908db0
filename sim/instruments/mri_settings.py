"""Settings of a simulated MRI and NMR acquisition, by method: ranges, read-back, duration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim.images.mri import PUBLISHED_3D, FlashSettings, expected_duration_s
from sim.images.nmr import NUCLEI, PUBLISHED_NMR, SinglePulseSettings
from sim.instruments.bridge_protocol import CommandError
from sim.instruments.setting_checks import Check, choice, integer, number

MAX_VOXELS = 2**21
"""Most voxels of a volume that this console reconstructs."""

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

PUBLISHED_GRADIENT_ECHO_3D: Mapping[str, Any] = {
    **PUBLISHED_FLASH_2D,
    "method": "gradient_echo_3d",
    "tr_s": PUBLISHED_3D.tr_s,
    "te_s": PUBLISHED_3D.te_s,
    "flip_angle_deg": PUBLISHED_3D.flip_angle_deg,
    "averages": PUBLISHED_3D.averages,
    "matrix": list(PUBLISHED_3D.matrix),
    "fov_mm": list(PUBLISHED_3D.fov_mm),
    "frequency_mhz": PUBLISHED_3D.frequency_mhz,
}
"""3D volumes at 11.75 T, ibid.; `matrix` and `fov_mm` are (x read, y and z phase encode)."""

PUBLISHED_SINGLE_PULSE: Mapping[str, Any] = {
    "method": "single_pulse",
    "nuclei": list(NUCLEI),
    "frequencies_mhz": list(PUBLISHED_NMR.frequencies_mhz),
    "scans": list(PUBLISHED_NMR.scans),
    "recycle_delay_s": list(PUBLISHED_NMR.recycle_delay_s),
    "mas_khz": list(PUBLISHED_NMR.mas_khz),
    "points": PUBLISHED_NMR.points,
    "centre_ppm": PUBLISHED_NMR.centre_ppm,
    "spectral_width_ppm": PUBLISHED_NMR.spectral_width_ppm,
    "trigger_mode": "per_scan",
    "trigger_out_mode": "off",
}
"""Spectra of 6Li, then 7Li, at 19.6 T, ibid., Methods NMR; numbers of scans are not published."""


def _each(*names: str, check: Check) -> Check:
    """A list with one value for each name."""

    def checked(name: str, value: object) -> list[Any]:
        if not isinstance(value, list) or len(value) != len(names):
            raise CommandError(-104, f"{name}: got {value!r:.60}, expected [{', '.join(names)}]")
        return [check(name, item) for item in value]

    return checked


def _nuclei(name: str, value: object) -> list[str]:
    if value != list(NUCLEI):
        raise CommandError(-224, f"{name}: got {value!r:.60}, expected {list(NUCLEI)}")
    return list(NUCLEI)


_TRIGGER: Mapping[str, Check] = {
    "trigger_mode": choice("off", "per_scan"),
    "trigger_out_mode": choice("off", "start"),
}
_IMAGE: Mapping[str, Check] = {
    "tr_s": number(1e-3, 60.0),
    "te_s": number(1e-5, 1.0),
    "flip_angle_deg": number(0.1, 180.0),
    "averages": integer(1, 1_000_000),
    "repetitions": integer(1, 10_000),
    "dummy_scans": integer(0, 100_000),
    "slice_thickness_mm": number(0.0, 100.0),
    "nucleus": choice("7Li"),
    "frequency_mhz": number(1.0, 2000.0),
    "line": choice("metal"),
    **_TRIGGER,
}


@dataclass(frozen=True)
class Method:
    """A way to acquire.

    Attributes:
        defaults: Settings that it begins with, the published ones.
        checks: What this console accepts; a console's own limits, not the protocol's.
    """

    defaults: Mapping[str, Any]
    checks: Mapping[str, Check]

    @property
    def images(self) -> bool:
        """Whether it encodes places, so that matrix and field of view exist."""
        return "matrix" in self.checks


METHODS: Mapping[str, Method] = {
    "flash2d": Method(
        PUBLISHED_FLASH_2D,
        {
            **_IMAGE,
            "matrix": _each("x", "z", check=integer(2, 256)),
            "fov_mm": _each("x", "z", check=number(1.0, 200.0)),
        },
    ),
    "gradient_echo_3d": Method(
        PUBLISHED_GRADIENT_ECHO_3D,
        {
            **_IMAGE,
            "slice_thickness_mm": number(0.0, 0.0),
            "matrix": _each("x", "y", "z", check=integer(2, 256)),
            "fov_mm": _each("x", "y", "z", check=number(1.0, 200.0)),
        },
    ),
    "single_pulse": Method(
        PUBLISHED_SINGLE_PULSE,
        {
            "nuclei": _nuclei,
            "frequencies_mhz": _each(*NUCLEI, check=number(1.0, 2000.0)),
            "scans": _each(*NUCLEI, check=integer(1, 1_000_000)),
            "recycle_delay_s": _each(*NUCLEI, check=number(1e-2, 3600.0)),
            "mas_khz": _each(*NUCLEI, check=number(1.0, 111.0)),
            "points": integer(64, 65_536),
            "centre_ppm": number(-1000.0, 1000.0),
            "spectral_width_ppm": number(1.0, 10_000.0),
            **_TRIGGER,
        },
    ),
}
"""Every method of this console by its name."""


def updated(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some values changed; another method begins with its own defaults.

    The trigger stays as it is, whatever the method.

    Raises:
        CommandError: -224 for a name or word that is unknown or not one of the method, -104 for
            a wrong type, -222 for a value out of range, an echo time not shorter than the
            repetition time or too many voxels.
    """
    held = settings["method"]
    wanted = choice(*METHODS)("method", changes.get("method", held))
    method, result = METHODS[wanted], dict(settings)
    if wanted != held:
        result = {**method.defaults, **{name: settings[name] for name in _TRIGGER}}
    for name, value in changes.items():
        if name == "method":
            continue
        if name not in method.checks:
            known = f"expected one of method, {', '.join(method.checks)}"
            raise CommandError(-224, f"{name[:60]}: unknown to {wanted}, {known}")
        result[name] = method.checks[name](name, value)
    if method.images:
        _check_image(result)
    return result


def _check_image(settings: Mapping[str, Any]) -> None:
    if settings["te_s"] >= settings["tr_s"]:
        raise CommandError(-222, f"te_s: got {settings['te_s']:g}, expected less than tr_s")
    voxels = math.prod(settings["matrix"])
    if voxels > MAX_VOXELS:
        raise CommandError(-222, f"matrix: got {voxels} voxels, expected at most {MAX_VOXELS}")


def flash_settings(settings: Mapping[str, Any]) -> FlashSettings:
    """Settings of an imaging method as its imager wants them."""
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


def pulse_settings(settings: Mapping[str, Any]) -> SinglePulseSettings:
    """Settings of a single pulse as its imager wants them."""
    pairs = ("frequencies_mhz", "scans", "recycle_delay_s", "mas_khz")
    return SinglePulseSettings(
        **{name: (settings[name][0], settings[name][1]) for name in pairs},
        points=settings["points"],
        centre_ppm=settings["centre_ppm"],
        spectral_width_ppm=settings["spectral_width_ppm"],
    )


def duration_s(settings: Mapping[str, Any]) -> float:
    """Time from trigger to last echo or scan, s.

    TR x (phase lines x averages x repetitions + dummy scans), or the sum over both nuclei of
    scans x recycle delay.
    """
    if METHODS[settings["method"]].images:
        return expected_duration_s(flash_settings(settings))
    return pulse_settings(settings).duration_s


def last_data_s(settings: Mapping[str, Any]) -> float:
    """How long before the end the last image's data begin, s; dummy scans are left out."""
    if not METHODS[settings["method"]].images:
        return duration_s(settings)
    dummies_s = settings["dummy_scans"] * settings["tr_s"]
    return float((duration_s(settings) - dummies_s) / settings["repetitions"])
