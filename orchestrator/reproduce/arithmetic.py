"""Numbers of the papers that follow from other numbers of the same papers.

Each is worked out here and compared; where a paper disagrees with itself the row says so instead of
silently taking one of the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from orchestrator.analysis.flash import FlashSettings
from orchestrator.analysis.isotopes import TracerCell, tracer_exchange
from orchestrator.reproduce.row import Line, Row

FARADAY_C_PER_MOL = 96485.33
LITHIUM_CM3_PER_MOL = 12.97
"""Molar volume of lithium metal (Zhao et al. 2025, Methods)."""
LITHIUM_OHM_M = 9.28e-8
"""Resistivity of lithium at room temperature, handbook."""

FLASH_2D = FlashSettings(0.3, 0.918e-3, 30.0, 1024, (81, 52), (17.0, 11.0))
"""2D FLASH of Liu et al. 2025, Methods, MRI, 21.1 T."""


def lithium_um(mah_per_cm2: float) -> float:
    """Thickness of lithium that a charge moves, um: ``q V_Li / F``."""
    return mah_per_cm2 * 3.6 / FARADAY_C_PER_MOL * LITHIUM_CM3_PER_MOL * 1e4


def rows(paper: str) -> list[Row]:
    """Rows of one paper that need no run."""
    return [line.row(value()) for line, value in _LINES if line.paper == paper]


def _frame_2d_h() -> float:
    return FLASH_2D.duration_s / 3600.0


def _frame_3d_h() -> float:
    return 0.25 * 100 * 32 * 128 / 3600.0


def _tracer(index: int) -> Callable[[], float]:
    def after() -> float:
        cell = TracerCell(electrodes=100.0, electrolyte=300.47, per_cycle=0.1088)
        pair = tracer_exchange(0.95, 0.069825, cell, np.array([844]))
        return float(np.ravel(pair[index])[0])

    return after


def _sidebands_between(mas_khz: float) -> Callable[[], float]:
    return lambda: 322.57 * (264.5 - 1.2) / 1e3 / mas_khz % 1.0


def _diffusion_um(cm2_per_s: float) -> Callable[[], float]:
    return lambda: 1e4 * math.sqrt(4.0 * cm2_per_s * 36_000.0)


def _wire_nm(ohm: float) -> Callable[[], float]:
    return lambda: 1e9 * 2.0 * math.sqrt(LITHIUM_OHM_M * 1.2e-3 / (math.pi * ohm))


def _magnesium_at_percent() -> float:
    magnesium, lithium = 10.0 / 24.305, 90.0 / 6.94
    return 100.0 * magnesium / (magnesium + lithium)


_LINES: tuple[tuple[Line, Callable[[], float]], ...] = (
    (
        Line("liu", "frame_2d_computed_h", "time of a 2D FLASH frame", 4.5, "h", "arithmetic",
             "TR x 52 phase lines x 1,024 averages; 81 lines would take 6.91 h, so 52 is the "
             "phase axis", 0.09),
        _frame_2d_h,
    ),
    (
        Line("liu", "frame_3d_computed_h", "time of a 3D frame", 26.4, "h", "arithmetic",
             "impossible: 0.25 s x 100 x 32 x 128 is 28.44 h, most likely a digit slip for 28.4",
             comparison="impossible"),
        _frame_3d_h,
    ),
    (
        Line("liu", "x6_electrodes_844", "6Li fraction of the electrodes after 844 updates",
             0.48374, "", "arithmetic", "equations (1) and (2) with the authors' constants", 1e-4),
        _tracer(0),
    ),
    (
        Line("liu", "x6_electrolyte_844", "6Li fraction of LLZO after 844 updates", 0.22500, "",
             "arithmetic", "equations (1) and (2) with the authors' constants", 1e-4),
        _tracer(1),
    ),
    (
        Line("liu", "sidebands_13_khz", "distance of the metal line from a sideband at 13 kHz",
             0.5, "spacings", "arithmetic", "263.3 ppm at 322.57 MHz is 6.53 spacings: between two "
             "sidebands, the paper's reason for 13 kHz", 0.1),
        _sidebands_between(13.0),
    ),
    (
        Line("liu", "sidebands_14_khz", "the same at 14 kHz", 0.0, "spacings", "arithmetic",
             "6.07 spacings: on a sideband", 0.1),
        _sidebands_between(14.0),
    ),
    (
        Line("liu", "frequency_21_1_t_mhz", "7Li frequency at 21.1 T", 394.7, "MHz", "arithmetic",
             "impossible: 16.5483 MHz/T x 21.1 T is 349.2 MHz; the digits of the paper's 394.7 are "
             "transposed", comparison="impossible"),
        lambda: 16.5483 * 21.1,
    ),
    (
        Line("zhao", "li_per_mah_um", "lithium moved by 2.6 mAh/cm2", 13.0, "um", "arithmetic",
             "4.84 um per mAh/cm2 from 12.97 cm3/mol", 0.5),
        lambda: lithium_um(2.6),
    ),
    (
        Line("zhao", "alloy_mg_at_percent", "magnesium in the alloy of 10 wt%", 3.0, "at%",
             "arithmetic", "Li0.97Mg0.03; Siniscalchi et al. use 10 at%, another alloy", 0.1),
        _magnesium_at_percent,
    ),
    (
        Line("zhao", "diffusion_25_c_um", "diffusion length of Mg in 10 h at 25 C", 1.7, "um",
             "arithmetic", "sqrt(4 D t) with the paper's D = 2.06e-13 cm2/s", 0.05),
        _diffusion_um(2.06e-13),
    ),
    (
        Line("zhao", "diffusion_60_c_um", "diffusion length of Mg in 10 h at 60 C", 5.9, "um",
             "arithmetic", "sqrt(4 D t) with the paper's D = 2.42e-12 cm2/s", 0.05),
        _diffusion_um(2.42e-12),
    ),
    (
        Line("zhao", "charge_per_image", "charge between two images", 0.125, "mAh/cm2",
             "arithmetic", "0.5 mA/cm2 for 15 min; every capacity of an event is a multiple", 1e-9),
        lambda: 0.5 * 0.25,
    ),
    (
        Line("siniscalchi", "wire_nm", "diameter of the wire that shorts the cell", 500.0, "nm",
             "arithmetic", "a straight lithium wire of 440 ohm through 1.2 mm; the paper says "
             "about 500", 100.0),
        _wire_nm(440.0),
    ),
    (
        Line("siniscalchi", "tilt_factor", "stretch of a section seen at 52 degrees", 1.27, "",
             "arithmetic", "1 / sin 52", 0.005),
        lambda: 1.0 / math.sin(math.radians(52.0)),
    ),
)  # fmt: skip
