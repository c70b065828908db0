"""What the paper says beside what this run gives, each with its source.

Liu et al., Nature Materials 2025, doi 10.1038/s41563-024-02094-6. Figures of that paper have no
numbers to compare with; only what its text states is listed. A simulated cell is calibrated to
some of these numbers, marked [A]: there agreement shows that the program is right, and predicts
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestrator.analysis.arithmetic import arithmetic_checks
from orchestrator.analysis.flash import (
    FlashSettings,
    ernst_angle_deg,
    signal_factor,
    signal_lost,
)
from orchestrator.analysis.growth import S_PER_DAY
from orchestrator.report.contents import Contents, Electrochemistry, Short
from orchestrator.report.imaging import Imaging

PUBLISHED = FlashSettings(0.3, 0.918e-3, 30.0, 1024, (81, 52), (17.0, 11.0))
"""2D FLASH of the paper (Methods, MRI, 21.1 T)."""
PUBLISHED_FRAME_H = 4.5
PUBLISHED_SHORT_D = 7.6
PUBLISHED_CURRENT_MA_PER_CM2 = 0.1


@dataclass(frozen=True)
class Comparison:
    """One quantity, as published and as found here.

    Attributes:
        quantity: What it is.
        published: What the paper states, with where.
        here: What this run gives.
        note: Why they may differ, and what is calibrated.
    """

    quantity: str
    published: str
    here: str
    note: str


def comparisons(contents: Contents) -> list[Comparison]:
    """Everything of this run that the paper states too."""
    found: list[Comparison] = []
    if contents.imaging is not None and contents.imaging.settings is not None:
        found += [
            _frame_time(contents.imaging, contents.imaging.settings),
            _flip_angle(contents.imaging.settings),
        ]
    if contents.imaging is not None and contents.imaging.is_view:
        found.append(_volume_time(contents.imaging))
    if contents.imaging is not None and contents.imaging.analysis is not None:
        found.append(_stages())
    calibrated = "[A] the simulated cell is calibrated to it. " * (
        contents.provenance == "simulated"
    )
    if contents.echem is not None:
        found.append(_voltage(contents.echem, calibrated))
    if contents.short is not None:
        found.append(_short(contents.short, contents.echem, calibrated))
    return found


def _frame_time(imaging: Imaging, settings: FlashSettings) -> Comparison:
    same = settings == PUBLISHED
    took_s = float(np.nanmedian(imaging.end_s - imaging.start_s))
    product = f"{settings.tr_s:g} s × {settings.matrix[1]} × {settings.averages:,}"
    return Comparison(
        "Time of a 2D frame",
        f"“{PUBLISHED_FRAME_H} h” (Methods, MRI)",
        f"{product} = {settings.duration_s / 3600:.3f} h; exposures took {took_s / 3600:.3f} h",
        (
            "The published 4.5 h is this product, rounded: 52 is the phase-encoded axis. It is "
            "stated for the frames before and after cycling; for those in between it is assumed."
            if same
            else "This run used other settings than the paper: 0.3 s × 52 × 1,024 = 4.437 h."
        ),
    )


def _volume_time(imaging: Imaging) -> Comparison:
    (check,) = (one for one in arithmetic_checks() if one.id == "mri3d_time")
    took_h = float(np.nanmedian(imaging.end_s - imaging.start_s)) / 3600
    return Comparison(
        "Time of a volume",
        f"“{check.published:g} h” (Methods, MRI)",
        f"exposures took {took_h:.3f} h",
        f"0.25 s × 100 × 32 × 128 = {check.computed:.2f} h: {check.note}.",
    )


def _flip_angle(settings: FlashSettings) -> Comparison:
    best_deg = ernst_angle_deg(settings.tr_s)
    here = signal_factor(settings)
    lost = signal_lost(settings.tr_s, settings.flip_angle_deg)
    return Comparison(
        "Flip angle",
        "30° (Methods, MRI)",
        f"{settings.flip_angle_deg:g}°: signal {here:.3f} per unit of magnetisation",
        f"The Ernst angle at TR {settings.tr_s:g} s and T1 0.15 s (handbook) is {best_deg:.0f}°, "
        f"signal {here / (1 - lost):.3f}: this angle gives up {100 * lost:.0f} % of it. "
        "T2* 0.8 ms [A].",
    )


def _stages() -> Comparison:
    return Comparison(
        "Stages I–IV",
        "order and signs (Fig. 4b, c), no times in the text",
        "see the table of boundaries",
        "The definition is stated with the boundaries; in a simulation their times are [A].",
    )


def _voltage(echem: Electrochemistry, calibrated: str) -> Comparison:
    voltage_v, current_ma = echem.beginning()
    density = current_ma / echem.area_cm2
    at = f" at {density:.3g} mA/cm²" if np.isfinite(density) else ""
    return Comparison(
        "Voltage at the start",
        f"~50 mV at {PUBLISHED_CURRENT_MA_PER_CM2} mA/cm² (Fig. 4a)",
        f"{1e3 * voltage_v:.1f} mV{at}",
        calibrated + "Mean of |V| over the first stretch of current.",
    )


def _short(short: Short, echem: Electrochemistry | None, calibrated: str) -> Comparison:
    here = f"{short.time_s / S_PER_DAY:.3f} d ({short.kind.replace('_', ' ')})"
    if echem is not None and echem.polarisation.quality == "ok":
        before_h = (short.time_s - echem.polarisation.time_s) / 3600
        here += (
            f"; |V| passed twice its usual value {before_h:.2f} h before, "
            f"peak {1e3 * echem.polarisation.peak_v:.0f} mV"
        )
    return Comparison(
        "Short circuit",
        f"{PUBLISHED_SHORT_D} d at 0.1 mA/cm², reversed every 30 min (Results, Fig. 1b)",
        here,
        calibrated + "One cell; the paper gives no scatter.",
    )
