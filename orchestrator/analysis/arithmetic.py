"""Published numbers that can be computed from other published numbers, and whether they agree.

Each check keeps what a paper states beside what follows from its other statements; a disagreement
is shown and not repaired. Papers: Liu et al., Nature Materials 2025 (doi
10.1038/s41563-024-02094-6); Zhao et al., Nature Communications 2025 (doi
10.1038/s41467-025-59567-8); Siniscalchi et al., Energy Environ. Sci. 2024 (doi
10.1039/d3ee03916a). Constants of nature are CODATA 2018; tags as in the design's facts: published
values are arguments of the formulas below, and the formulas hold for other protocols too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from orchestrator.analysis.diffusion import diffusion_length_um
from orchestrator.analysis.flash import FlashSettings
from orchestrator.analysis.measured import Measured
from orchestrator.analysis.nmr import Spinning

Paper = Literal["liu", "zhao", "siniscalchi"]

FARADAY_C_PER_MOL = 96_485.33212
PLANCK_J_S = 6.62607015e-34
BOHR_MAGNETON_J_PER_T = 9.2740100783e-24
FREE_ELECTRON_G = 2.00232
GAMMA_7LI_MHZ_PER_T = 16.546
"""Gyromagnetic ratio of 7Li over 2 pi, MHz/T (IUPAC 2001: 38.863790 % of the proton's)."""
LITHIUM_CM3_PER_MOL = 12.97
"""Molar volume of lithium, cm3/mol [P] (Zhao et al.)."""
LITHIUM_G_PER_MOL, MAGNESIUM_G_PER_MOL = 6.94, 24.305
LPSCL_CRYSTAL_G_PER_CM3 = 1.9
"""Density of a crystal of Li6PS5Cl, g/cm3 [L]; a pellet cannot exceed it."""


@dataclass(frozen=True)
class ArithmeticCheck:
    """What a paper states and what follows from its other statements.

    Attributes:
        paper: Which of the three.
        id: Short name.
        quantity: What it is.
        published: As stated.
        computed: From other statements.
        unit: Of both.
        tolerance: Relative difference that rounding explains.
        note: What the difference means, or how it was computed.
    """

    paper: Paper
    id: str
    quantity: str
    published: float
    computed: float
    unit: str
    tolerance: float
    note: str = ""

    @property
    def deviation(self) -> float:
        """Computed over published, minus 1."""
        return self.computed / self.published - 1.0

    @property
    def agrees(self) -> bool:
        """Whether rounding explains the difference."""
        return abs(self.deviation) <= self.tolerance


def scan_time_h(tr_s: float, lines: int, averages: int) -> float:
    """Time of an image, repetition time x encoded lines x averages, h."""
    return tr_s * lines * averages / 3600.0


def larmor_mhz(field_t: float, gamma_mhz_per_t: float = GAMMA_7LI_MHZ_PER_T) -> float:
    """Larmor frequency in a field, MHz; of 7Li unless told otherwise."""
    return gamma_mhz_per_t * field_t


def epr_field_t(frequency_ghz: float, g_factor: float = FREE_ELECTRON_G) -> float:
    """Field of electron resonance at a frequency, T."""
    return PLANCK_J_S * frequency_ghz * 1e9 / (g_factor * BOHR_MAGNETON_J_PER_T)


def sidebands_between(shift_ppm: float, frequency_mhz: float, spinning_khz: float) -> float:
    """Distance of two lines in units of the spinning rate; near a whole number they overlap."""
    return Spinning(frequency_mhz, spinning_khz).orders_to(shift_ppm)


def lithium_um(charge_mah_per_cm2: float) -> float:
    """Thickness of lithium that a charge strips or plates, um; 4.839 per mAh/cm2."""
    mol_per_cm2 = charge_mah_per_cm2 * 3.6 / FARADAY_C_PER_MOL
    return mol_per_cm2 * LITHIUM_CM3_PER_MOL * 1e4


def disc_cm2(diameter_mm: float) -> float:
    """Area of a disc, cm2."""
    return 0.25e-2 * math.pi * diameter_mm**2


def charge_c(density_ma_per_cm2: float, on_h: float, area_cm2: float) -> float:
    """Charge that a current density passes in a time, C."""
    return density_ma_per_cm2 * on_h * 3.6 * area_cm2


def magnesium_share(weight_share: float) -> float:
    """Atomic fraction of magnesium in Li-Mg from its weight fraction."""
    magnesium = weight_share / MAGNESIUM_G_PER_MOL
    return magnesium / (magnesium + (1.0 - weight_share) / LITHIUM_G_PER_MOL)


def hours_with_current(days: float, half_min: float, idle_min: float) -> float:
    """Hours with current in a time of half cycles with a rest after each."""
    return days * 24.0 * half_min / (half_min + idle_min)


def tilt_factor(tilt_deg: float) -> float:
    """Length over the length seen on a face that is seen under a tilt, 1/sin; 1.269 at 52."""
    return 1.0 / math.sin(math.radians(tilt_deg))


def arithmetic_checks() -> tuple[ArithmeticCheck, ...]:
    """All checks, in the order of the papers."""
    return tuple(check for group in _GROUPS for check in group())


def _imaging() -> tuple[ArithmeticCheck, ...]:
    flash = FlashSettings(0.3, 0.918e-3, 30.0, 1024, (81, 52), (17.0, 11.0))
    pixel_mm = flash.fov_mm[0] / flash.matrix[0]
    return (
        ArithmeticCheck(
            "liu", "flash2d_time", "duration of a 2D FLASH image", 4.5,
            flash.duration_s / 3600.0, "h", 0.02,
            "TR x 52 lines x averages; with 81 lines 6.91 h, so 52 is the phase-encoded axis",
        ),
        ArithmeticCheck(
            "liu", "mri3d_time", "duration of a 3D image", 26.4,
            scan_time_h(0.25, 100 * 32, 128), "h", 0.02,
            "inconsistent: 26.4 h needs TR 0.232 s, or 118.8 averages; likely 28.4 with a digit"
            " slipped",
        ),
        ArithmeticCheck(
            "liu", "square_pixels", "pixels per mm of the 2D image, along x and z", 1.0 / pixel_mm,
            flash.matrix[1] / flash.fov_mm[1], "1/mm", 0.02,
            "0.210 x 0.212 mm: a layer is 1.2 pixels, so layers must be unmixed, not binned",
        ),
        ArithmeticCheck(
            "liu", "larmor_21t", "7Li frequency at 21.1 T", 394.7, larmor_mhz(21.1), "MHz", 0.01,
            "394.7 MHz belong to 23.9 T; transposed digits of 349.7",
        ),
        ArithmeticCheck(
            "liu", "larmor_11t", "7Li frequency at 11.75 T", 194.4, larmor_mhz(11.75), "MHz", 0.01
        ),
        ArithmeticCheck(
            "liu", "larmor_19t", "7Li frequency at 19.6 T", 322.57, larmor_mhz(19.5), "MHz", 0.01,
            "19.6 T is 19.5 T rounded",
        ),
    )  # fmt: skip


def _resonance() -> tuple[ArithmeticCheck, ...]:
    shift_ppm = 264.5 - 1.2
    return (
        ArithmeticCheck(
            "liu", "mas_13khz", "sidebands between LLZO and metal at 13 kHz, nearest half", 6.5,
            sidebands_between(shift_ppm, 322.57, 13.0), "", 0.02,
            "the metal line lies between two sidebands: 13 kHz is right for 7Li",
        ),
        ArithmeticCheck(
            "liu", "mas_14khz", "the same at 14 kHz, nearest whole", 6.0,
            sidebands_between(shift_ppm, 322.57, 14.0), "", 0.02,
            "the sixth sideband would hide the metal line",
        ),
        ArithmeticCheck(
            "liu", "epr_field", "field of resonance at 240 GHz, middle of the sweep",
            0.5 * (8.53 + 8.585), epr_field_t(240.0), "T", 0.0033,
            "8.564 T, inside 8.53 to 8.585 T",
        ),
        ArithmeticCheck(
            "liu", "sensitivity", "sensitivity of 7Li over 6Li, theory gamma^3 I(I+1)", 28.45,
            (322.57 / 122.14) ** 3 * (1.5 * 2.5) / (1.0 * 2.0), "", 0.02,
            "empirical (gamma^2 alone gives 13.1): a constant of the spectrometer",
        ),
    )  # fmt: skip


def _cell_charges() -> tuple[ArithmeticCheck, ...]:
    on_h = hours_with_current(7.6, 30.0, 5.0)
    return (
        ArithmeticCheck(
            "liu", "pellet_diameter", "diameter of the small pellet, Methods against synthesis",
            6.8, 4.8, "mm", 0.02, "conflict within the paper; a 6 mm mould shrinks to about 4.8 mm",
        ),
        ArithmeticCheck(
            "liu", "charge_61", "charge of the 61 C point, from 7.6 d at 0.1 mA/cm2 on 8 mm", 61.0,
            charge_c(0.1, on_h, disc_cm2(8.0)), "C", 0.02,
            "28 C at most: tracer cells lived longer than the cell that shorted at 7.6 d",
        ),
        ArithmeticCheck(
            "liu", "charge_122", "days to 122 C on 8 mm at 0.1 mA/cm2, against 7.6 d", 7.6,
            122.0 / charge_c(0.1, hours_with_current(1.0, 30.0, 5.0), disc_cm2(8.0)), "d", 0.02,
            "32.8 d",
        ),
        ArithmeticCheck(
            "liu", "tracer_n", "charge per half cycle of the authors' tracer script", 0.1088,
            charge_c(0.1, 0.5, 0.6044), "C", 0.01,
            "0.05 mAh/cm2 on 0.6044 cm2, which is the 8.9 mm pellet's face within 3 %",
        ),
        ArithmeticCheck(
            "liu", "tracer_x2", "6Li in LLZO before cycling, text against script", 7.5, 6.9825,
            "%", 0.02, "the script begins at 6.98 %",
        ),
        ArithmeticCheck(
            "liu", "no_6li_line", "6Li over 7Li signal of a dendrite with 7 % 6Li", 0.0027,
            0.071 / (28.45 * (1.0 - 0.071)), "", 0.02,
            "a 3 sigma line needs a 7Li signal to noise above 1,100: not seeing it is consistent",
        ),
    )  # fmt: skip


def _voids() -> tuple[ArithmeticCheck, ...]:
    mini = {"25": 2.06e-13, "60": 2.42e-12}
    lengths = {
        key: diffusion_length_um(Measured(d, 0.0), time_s=36_000.0).value for key, d in mini.items()
    }
    pellet_g_per_cm3 = 0.127 / (disc_cm2(12.7) * 500e-4)
    return (
        ArithmeticCheck(
            "zhao", "charge_per_image", "charge between images of 15 min at 0.5 mA/cm2", 0.125,
            0.5 * 0.25, "mAh/cm2", 1e-9, "all published event capacities are multiples of it",
        ),
        ArithmeticCheck(
            "zhao", "pellet_area", "area of the 12.7 mm pellet", 1.267, disc_cm2(12.7), "cm2", 0.002
        ),
        ArithmeticCheck(
            "zhao", "plated_film", "thickness of 2.6 mAh/cm2 of lithium", 13.0, lithium_um(2.6),
            "um", 0.05,
        ),
        ArithmeticCheck(
            "zhao", "alloy", "magnesium in 10 wt% Mg", 0.03, magnesium_share(0.1), "", 0.05,
            "Li0.97Mg0.03; not the 10 at% alloy of the pellet study",
        ),
        ArithmeticCheck(
            "zhao", "stripped_alloy", "magnesium after 4 mAh/cm2 from 90 um", 0.04,
            0.03 * 90.0 / (90.0 - lithium_um(4.0)), "", 0.06, "0.0382, rounded",
        ),
        ArithmeticCheck(
            "zhao", "diffusion_25", "diffusion of Mg in 10 h at 25 degC", 1.7, lengths["25"], "um",
            0.03,
        ),
        ArithmeticCheck(
            "zhao", "diffusion_60", "diffusion of Mg in 10 h at 60 degC", 5.9, lengths["60"], "um",
            0.03,
        ),
        ArithmeticCheck(
            "zhao", "pellet_density", "density of the Li6PS5Cl pellet, crystal at most",
            LPSCL_CRYSTAL_G_PER_CM3, pellet_g_per_cm3, "g/cm3", 0.02,
            "127 mg in 500 um: denser than the crystal, so thickness or mass is rounded",
        ),
        ArithmeticCheck(
            "zhao", "void_sizes", "width of first voids, Li-Mg (said to be smaller) against Li",
            2.2, 3.8, "um", 0.02, "the text contradicts itself; the numbers are used",
        ),
    )  # fmt: skip


def _pellets() -> tuple[ArithmeticCheck, ...]:
    return (
        ArithmeticCheck(
            "siniscalchi", "electrode_area", "area of the 2 mm electrode", 0.0314, disc_cm2(2.0),
            "cm2", 0.002,
        ),
        ArithmeticCheck(
            "siniscalchi", "tilt", "factor of lengths under 52 degrees", 1.27, tilt_factor(52.0),
            "", 0.005,
        ),
    )  # fmt: skip


_GROUPS: tuple[Callable[[], tuple[ArithmeticCheck, ...]], ...] = (
    _imaging,
    _resonance,
    _cell_charges,
    _voids,
    _pellets,
)
