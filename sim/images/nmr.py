"""Spectra of 6Li and 7Li in a pellet: single pulses under magic-angle spinning.

A pair of spectra on one axis of chemical shift, 6Li in row 0 and 7Li in row 1, as the paper took
ex situ (Liu et al., Nature Materials 2025, doi 10.1038/s41563-024-02094-6, Methods NMR [P]):
Bruker DRX-830, 19.6 T, 3.2 mm probe, 14 kHz and 10 s for 6Li, 13 kHz and 2 s for 7Li.

What is in the rotor is the pellet with its dendrites. The electrodes were peeled off, and took no
dendrite with them [A]: 100 C of 6Li-rich metal would hide a few coulombs. The one simulated cell
stands for the many that the paper sacrificed, each as it was when its acquisition was made.

Choices of this module, all [A] unless said otherwise:

* A line is a Gaussian. Metal at 264.1 + 0.4 X ppm with a width of 6 - 4 X ppm, X the crystalline
  share; the electrolyte at 1.2 ppm [P] with 1 ppm.
* Spinning sidebands of the electrolyte fall by 0.6 per order, the same for both nuclei, so that
  centrebands compare like whole lines. Metal has none: its site is cubic.
* The integral of a line over ppm is its lithium in C, for 6Li divided by 28.45 [P], at the
  published recycle delays; other delays change it by saturation.
* A spectrum is the mean of its scans. The noise is white: at the reference numbers of scans a
  6Li line integrated over 14 ppm, above a baseline from 46 ppm beside it, has an error of 5e-4 of
  the 7Li signal of the reference dendrites, those of the tracer cell after 30 C.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from sim.errors import SimulationError

Floats = npt.NDArray[np.float64]

NUCLEI = ("6Li", "7Li")
"""Rows of a pair of spectra, in the order in which they are acquired."""
METAL_PPM = (264.1, 0.4)
"""Shift of metal at X = 0 and its change with X, ppm: 264.1 moderately cycled, 264.5 [P]."""
METAL_WIDTH_PPM = (6.0, -4.0)
"""Full width at half maximum of metal at X = 0 and its change with X, ppm [A]."""
ELECTROLYTE_PPM, ELECTROLYTE_WIDTH_PPM = 1.2, 1.0
"""Shift [P] and full width at half maximum [A] of the electrolyte."""
SIDEBAND_RATIO = 0.6
"""Intensity of a sideband of the electrolyte over that of the order before [A]."""
SENSITIVITY_6LI = 28.45
"""Signal of 7Li over that of 6Li for equal amounts [P]."""
T1_S: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "metal": MappingProxyType({"7Li": 0.15, "6Li": 0.15 * (322.57 / 122.14) ** 2}),
        "electrolyte": MappingProxyType({"7Li": 0.5, "6Li": 3.0}),
    }
)
"""Longitudinal relaxation, s: metal by Korringa, T1 gamma^2 constant [L]; electrolyte [A]."""
REFERENCE_7LI_C = 0.29
"""7Li in the dendrites of the tracer cell after 30 C, C (from the model of the sample)."""
REFERENCE_NOISE = 5e-4
"""Error of a 6Li line over the reference 7Li signal."""
REFERENCE_SCANS = (1024, 256)
"""Scans of 6Li and 7Li at which the noise is that [A]: 2.84 h and 8.5 min."""
REFERENCE_WINDOW_PPM = (14.0, 46.0)
"""For that, the line's own range, and the range beside it that gives its baseline, ppm."""

_NOISE_STREAM = 2
_ORDERS = 40
_MEAN_OF = 8


@dataclass(frozen=True)
class SinglePulseSettings:
    """How a pair of spectra is taken; pairs are (6Li, 7Li). The defaults are the paper's [P].

    Attributes:
        frequencies_mhz: Frequencies of the nuclei in the magnet, MHz (19.6 T).
        scans: Scans, averaged; the paper does not say how many.
        recycle_delay_s: Time from scan to scan, s.
        mas_khz: Spinning rate, kHz.
        points: Points of each spectrum.
        centre_ppm: Shift in the middle of the axis, ppm.
        spectral_width_ppm: Length of the axis, ppm.
    """

    frequencies_mhz: tuple[float, float] = (122.14, 322.57)
    scans: tuple[int, int] = REFERENCE_SCANS
    recycle_delay_s: tuple[float, float] = (10.0, 2.0)
    mas_khz: tuple[float, float] = (14.0, 13.0)
    points: int = 4096
    centre_ppm: float = 130.0
    spectral_width_ppm: float = 800.0

    def __post_init__(self) -> None:
        pairs = (self.frequencies_mhz, self.scans, self.recycle_delay_s, self.mas_khz)
        positive = [*(one for pair in pairs for one in pair), self.points, self.spectral_width_ppm]
        if any(len(pair) != len(NUCLEI) for pair in pairs) or min(positive) <= 0:
            raise SimulationError(
                f"single pulse: got {self}, expected pairs (6Li, 7Li) of positive numbers,"
                " points and a spectral width (correct the acquisition's settings)"
            )

    @property
    def durations_s(self) -> tuple[float, float]:
        """Scans x recycle delay of each nucleus, s; one is acquired after the other."""
        first, second = (n * d for n, d in zip(self.scans, self.recycle_delay_s, strict=True))
        return first, second

    @property
    def duration_s(self) -> float:
        """Time from the first to the last scan of both nuclei, s."""
        return sum(self.durations_s)

    @property
    def step_ppm(self) -> float:
        """Distance of the points, ppm."""
        return self.spectral_width_ppm / self.points

    def shift_ppm(self) -> Floats:
        """Chemical shift of each point, ppm, ascending."""
        offsets = np.arange(self.points) - self.points // 2
        return np.asarray(self.centre_ppm + self.step_ppm * offsets, dtype=np.float64)


PUBLISHED_NMR = SinglePulseSettings()
"""19.6 T, 3.2 mm probe, single pulse; the numbers of scans are not published."""


@dataclass(frozen=True)
class RotorContent:
    """Lithium in the rotor, means over an acquisition.

    Attributes:
        metal_c: 6Li and 7Li in metal, C.
        electrolyte_c: 6Li and 7Li in the electrolyte, C.
        crystalline_fraction: Crystalline share X of the metal, 0 to 1.
    """

    metal_c: tuple[float, float]
    electrolyte_c: tuple[float, float]
    crystalline_fraction: float


def rotor_content(
    sample: Any, t0_s: float, t1_s: float, *, middle_layers: bool = False
) -> RotorContent:
    """What a pellet in the rotor holds on average from `t0_s` to `t1_s`.

    Args:
        sample: Answers ``isotopes(t_s)`` and ``crystalline_fraction(t_s)``.
        t0_s: Beginning of the acquisition, s.
        t1_s: Its end, s.
        middle_layers: The faces were ground off (Fig. 2 of the paper): metal of mechanism 2 only.
    """
    times_s = t0_s + (np.arange(_MEAN_OF) + 0.5) / _MEAN_OF * (t1_s - t0_s)
    rows = []
    for t_s in times_s:
        at = sample.isotopes(float(t_s))
        surface_c = 0.0 if middle_layers else at.surface_dendrites_c
        metal_c = surface_c + at.bulk_dendrites_c
        x6 = at.x6_bulk_dendrites if middle_layers else at.x6_dendrites
        six_c = metal_c * x6 if metal_c > 0.0 else 0.0
        llzo_six_c = at.electrolyte_c * at.x6_electrolyte
        crystalline = sample.crystalline_fraction(float(t_s))
        rows.append(
            (six_c, metal_c - six_c, llzo_six_c, at.electrolyte_c - llzo_six_c, crystalline)
        )
    six, seven, llzo_six, llzo_seven, crystalline = (float(x) for x in np.mean(rows, axis=0))
    return RotorContent((six, seven), (llzo_six, llzo_seven), crystalline)


class SpectrumImager:
    """Makes pairs of spectra under one protocol.

    Args:
        settings: How they are taken.
        seed: Seed of the sample, for the noise.

    Attributes:
        settings: As given.
    """

    def __init__(self, settings: SinglePulseSettings, seed: int) -> None:
        self.settings, self._seed = settings, seed

    @property
    def shape(self) -> tuple[int, int]:
        """Nuclei and points."""
        return len(NUCLEI), self.settings.points

    @property
    def noise_sd(self) -> Floats:
        """Standard deviation of the noise per point of each spectrum, C/ppm, shape (2,)."""
        scans = np.array(self.settings.scans) / np.array(REFERENCE_SCANS)
        line = REFERENCE_NOISE * REFERENCE_7LI_C / np.sqrt(scans)
        own_ppm, beside_ppm = REFERENCE_WINDOW_PPM
        window_ppm = own_ppm * (1.0 + own_ppm / beside_ppm)  # the baseline's error counts, too
        return np.asarray(line / math.sqrt(window_ppm * self.settings.step_ppm))

    def noise_free(self, during: tuple[RotorContent, RotorContent]) -> Floats:
        """Both spectra without noise, C/ppm, shape (2, points).

        Args:
            during: What the rotor held while each nucleus was acquired.
        """
        return np.stack([self._spectrum(row, content) for row, content in enumerate(during)])

    def frame(
        self, during: tuple[RotorContent, RotorContent], frame_index: int
    ) -> npt.NDArray[np.float32]:
        """One pair of spectra with its own noise, shape (2, points).

        Args:
            during: What the rotor held while each nucleus was acquired.
            frame_index: Number of the frame on its console, from 0; picks the noise.
        """
        stream = np.random.default_rng([self._seed, _NOISE_STREAM, frame_index])
        spectra = self.noise_free(during)
        spectra += self.noise_sd[:, None] * stream.standard_normal(self.shape)
        return spectra.astype(np.float32)

    def _spectrum(self, row: int, content: RotorContent) -> Floats:
        nucleus, x = NUCLEI[row], content.crystalline_fraction
        per_c = 1.0 / SENSITIVITY_6LI if nucleus == "6Li" else 1.0
        metal = per_c * content.metal_c[row] * self._recovered("metal", row)
        spectrum = metal * self._line(
            METAL_PPM[0] + METAL_PPM[1] * x, METAL_WIDTH_PPM[0] + METAL_WIDTH_PPM[1] * x
        )
        electrolyte = per_c * content.electrolyte_c[row] * self._recovered("electrolyte", row)
        centre = electrolyte * (1.0 - SIDEBAND_RATIO) / (1.0 + SIDEBAND_RATIO)
        spacing_ppm = 1e3 * self.settings.mas_khz[row] / self.settings.frequencies_mhz[row]
        for order in range(-_ORDERS, _ORDERS + 1):
            place_ppm = ELECTROLYTE_PPM + order * spacing_ppm
            if abs(place_ppm - self.settings.centre_ppm) < self.settings.spectral_width_ppm:
                line = self._line(place_ppm, ELECTROLYTE_WIDTH_PPM)
                spectrum += centre * SIDEBAND_RATIO ** abs(order) * line
        return spectrum

    def _recovered(self, site: str, row: int) -> float:
        """Magnetisation after the recycle delay over that after the published one."""
        t1_s = T1_S[site][NUCLEI[row]]
        here_s, published_s = (s.recycle_delay_s[row] for s in (self.settings, PUBLISHED_NMR))
        return math.expm1(-here_s / t1_s) / math.expm1(-published_s / t1_s)

    def _line(self, place_ppm: float, width_ppm: float) -> Floats:
        """A Gaussian of area 1, each point its mean over the step, 1/ppm."""
        step_ppm = self.settings.step_ppm
        sigma_ppm = width_ppm / math.sqrt(8.0 * math.log(2.0))
        shift_ppm = self.settings.shift_ppm()
        edges = np.append(shift_ppm, shift_ppm[-1] + step_ppm) - 0.5 * step_ppm
        integral = 0.5 * erf((edges - place_ppm) / (math.sqrt(2.0) * sigma_ppm))
        return np.asarray(np.diff(integral) / step_ppm, dtype=np.float64)
