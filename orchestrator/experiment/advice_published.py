"""Advice on stated numbers that other stated numbers contradict.

Papers state frequencies, fields and durations; copied into a file, an inconsistent one becomes
somebody's week. What disagrees within the papers themselves is in
`orchestrator.analysis.arithmetic`; nothing is repaired here, it is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.arithmetic import (
    GAMMA_7LI_MHZ_PER_T,
    ArithmeticCheck,
    arithmetic_checks,
    larmor_mhz,
)
from orchestrator.experiment.advice import Advice
from orchestrator.experiment.mri_settings import MriSettings
from orchestrator.experiment.nmr_settings import SpectrumSettings
from orchestrator.inputs.problems import Path

if TYPE_CHECKING:
    from orchestrator.experiment.model import Experiment
    from orchestrator.profile.models import BenchProfile

GAMMA_6LI_MHZ_PER_T = 6.2661
"""Gyromagnetic ratio of 6Li over 2 pi, MHz/T (IUPAC 2001: 14.716086 % of the proton's)."""

_GAMMA = {"7Li": GAMMA_7LI_MHZ_PER_T, "6Li": GAMMA_6LI_MHZ_PER_T}
_FIELD = re.compile(r"(?<![\d.])(\d{1,2}(?:\.\d+)?) ?T\b")
_DURATION_KEY = re.compile(r"(frame|exposure|scan|acquisition|image).*_(h|min|s)$")
_SECONDS = {"h": 3600.0, "min": 60.0, "s": 1.0}
_FIELD_TOLERANCE, _TIME_TOLERANCE, _RATIO_TOLERANCE = 0.01, 0.03, 0.005
_SAME = 2e-4


def published_advice(experiment: Experiment, profile: BenchProfile | None) -> list[Advice]:
    """Stated numbers that contradict others."""
    found: list[Advice] = []
    for index, series in enumerate(experiment.images):
        path: Path = ("images", index, "settings")
        if isinstance(series.settings, MriSettings):
            found += _frequency(series.settings, profile, path)
            found += _paper_duration(series.settings.exposure_s, path)
        elif isinstance(series.settings, SpectrumSettings):
            found += _two_nuclei(series.settings, path)
    exposures_s = [one.settings.exposure_s for one in experiment.images]
    for at, value in _numbers(experiment.md, ("md",)):
        found += _stated(at, value, exposures_s)
    return found


def _frequency(settings: MriSettings, profile: BenchProfile | None, path: Path) -> Iterator[Advice]:
    """A frequency that does not belong to the magnet."""
    mhz = settings.frequency_mhz
    if mhz is None:
        return
    gamma = _GAMMA[settings.nucleus or "7Li"]
    named = _FIELD.search(profile.instrument_name) if profile is not None else None
    wrong = _disagreeing(mhz, "MHz")
    if named is not None:
        field_t = float(named[1])
        expected = larmor_mhz(field_t, gamma)
        if abs(mhz / expected - 1.0) > _FIELD_TOLERANCE:
            note = f"; {wrong.note}" if wrong is not None else ""
            yield Advice(
                "frequency_of_another_field",
                (*path, "frequency_mhz"),
                f"{mhz:g} MHz belong to {mhz / gamma:.4g} T, and the bench says {field_t:g} T, "
                f"which is {expected:.1f} MHz{note}",
                "correct the frequency, or choose the bench of that magnet",
                value=mhz,
                expected=expected,
                unit="MHz",
            )
    elif wrong is not None:
        yield _inconsistent(wrong, (*path, "frequency_mhz"), mhz)


def _two_nuclei(settings: SpectrumSettings, path: Path) -> Iterator[Advice]:
    """Two frequencies that no one magnet has."""
    if settings.frequencies_mhz is None:
        return
    six, seven = settings.frequencies_mhz
    ratio, expected = seven / six, GAMMA_7LI_MHZ_PER_T / GAMMA_6LI_MHZ_PER_T
    if abs(ratio / expected - 1.0) > _RATIO_TOLERANCE:
        yield Advice(
            "frequencies_of_two_fields",
            (*path, "frequencies_mhz"),
            f"{seven:g} MHz of 7Li and {six:g} MHz of 6Li have the ratio {ratio:.4g}, expected "
            f"{expected:.4g} in one magnet",
            f"to {seven:g} MHz belong {seven / expected:.2f} MHz of 6Li",
            value=ratio,
            expected=expected,
        )


def _paper_duration(exposure_s: float, path: Path) -> Iterator[Advice]:
    """Settings whose duration a paper states wrongly."""
    for check in arithmetic_checks():
        same = check.unit == "h" and abs(exposure_s / 3600.0 / check.computed - 1.0) < _SAME
        if same and not check.agrees:
            yield Advice(
                "published_inconsistent",
                path,
                f"TR x lines x averages is {check.computed:.2f} h; the paper with these settings "
                f"says {check.published:g} h ({check.note})",
                f"plan with {check.computed:.2f} h",
                value=check.computed,
                expected=check.published,
                unit="h",
                minor=True,
            )


def _stated(path: Path, value: float, exposures_s: list[float]) -> Iterator[Advice]:
    """A number among the file's metadata that contradicts the settings, or other numbers."""
    key = str(path[-1])
    unit = _DURATION_KEY.search(key)
    if unit is not None and exposures_s:
        factor = _SECONDS[unit[2]]
        nearest_s = min(exposures_s, key=lambda one: abs(one - value * factor))
        if abs(value * factor / nearest_s - 1.0) > _TIME_TOLERANCE:
            yield Advice(
                "stated_duration",
                path,
                f"{key} says {value:g} {unit[2]}, and the settings give {nearest_s / factor:.4g} "
                f"{unit[2]}",
                "correct one of them",
                value=value,
                expected=nearest_s / factor,
                unit=unit[2],
            )
    if key.endswith("_mhz"):
        wrong = _disagreeing(value, "MHz")
        if wrong is not None:
            yield _inconsistent(wrong, path, value)


def _inconsistent(check: ArithmeticCheck, path: Path, value: float) -> Advice:
    return Advice(
        "published_inconsistent",
        path,
        f"got {value:g} {check.unit}, the paper's {check.quantity}; from its other numbers follows "
        f"{check.computed:.4g} {check.unit} ({check.note})",
        f"write {check.computed:.4g}, or the value that the spectrometer shows",
        value=value,
        expected=check.computed,
        unit=check.unit,
    )


def _disagreeing(value: float, unit: str) -> ArithmeticCheck | None:
    """The published number that this is, if the paper's other numbers contradict it."""
    return next(
        (
            one
            for one in arithmetic_checks()
            if one.unit == unit and not one.agrees and abs(value / one.published - 1.0) < _SAME
        ),
        None,
    )


def _numbers(value: Any, path: Path) -> Iterator[tuple[Path, float]]:
    """Every number among metadata, with its path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, (*path, str(key)))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)
