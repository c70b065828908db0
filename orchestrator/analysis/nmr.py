"""Spectra of 6Li and 7Li under magic-angle spinning: planning them, and 6Li fractions from them.

A line is repeated at multiples of the spinning rate. Where the electrolyte's repetitions fall on
the metal's line, the small signal of dendrites drowns: at 322.57 MHz the two lines lie 263.3 ppm
apart, which is 6.53 spinning rates at 13 kHz and 6.07 at 14 kHz. Liu et al. (Nature Materials
2025, doi 10.1038/s41563-024-02094-6) took 13 kHz for 7Li and 14 kHz for 6Li.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from orchestrator.analysis.isotopes import (
    SENSITIVITY_6LI,
    Fraction6Li,
    LineSignal,
    fraction_6li,
    line_signal,
)

Floats = npt.NDArray[np.float64]

METAL_PPM = 264.5
"""7Li and 6Li in lithium metal, ppm (Liu et al.; 264.1 after moderate cycling)."""
ELECTROLYTE_PPM = 1.2
"""Lithium in LLZO, ppm (Liu et al.)."""

OVERLAP = "a sideband falls on the line"


@dataclass(frozen=True)
class Spinning:
    """One nucleus in a spinning rotor.

    Attributes:
        frequency_mhz: Frequency of the nucleus in the magnet, MHz.
        mas_khz: Spinning rate, kHz.
    """

    frequency_mhz: float
    mas_khz: float

    def __post_init__(self) -> None:
        if not (self.frequency_mhz > 0 and self.mas_khz > 0):
            raise ValueError(
                f"spinning: got {self.frequency_mhz} MHz and {self.mas_khz} kHz, expected positive "
                "numbers (a sample that does not spin has no sidebands)"
            )

    @property
    def spacing_ppm(self) -> float:
        """Distance of neighbouring sidebands, ppm."""
        return 1e3 * self.mas_khz / self.frequency_mhz

    def orders_to(self, delta_ppm: float) -> float:
        """How many sidebands away a shift difference lies; near a whole number they overlap.

        6.53 and 6.07 at 322.57 MHz, 263.3 ppm, and 13 and 14 kHz.
        """
        return delta_ppm / self.spacing_ppm

    def nearest_sideband_ppm(self, delta_ppm: float) -> float:
        """Distance from a line, `delta_ppm` away, to the nearest sideband, ppm."""
        orders = self.orders_to(delta_ppm)
        return abs(orders - round(orders)) * self.spacing_ppm

    def overlaps(self, delta_ppm: float, *, half_width_ppm: float) -> bool:
        """Whether a sideband falls within `half_width_ppm` of a line `delta_ppm` away."""
        return self.nearest_sideband_ppm(delta_ppm) < half_width_ppm


def clear_range_ppm(
    line_ppm: float,
    sidebands_of_ppm: float,
    spinning: Spinning,
    *,
    margin_ppm: float = 2.0,
    at_most_ppm: float = 30.0,
) -> tuple[float, float]:
    """Range around a line up to the nearest sidebands, for its baseline.

    Args:
        line_ppm: The line.
        sidebands_of_ppm: The line that has sidebands; may be the line itself.
        spinning: Nucleus and rotor.
        margin_ppm: What is kept away from each sideband's middle, ppm.
        at_most_ppm: Largest distance from the line, ppm.

    Returns:
        Lower and upper end, ppm. One that falls on the line itself is no end: ask
        `Spinning.overlaps`.
    """
    orders = spinning.orders_to(line_ppm - sidebands_of_ppm)
    below_ppm = sidebands_of_ppm + spinning.spacing_ppm * (math.ceil(orders) - 1)
    above_ppm = sidebands_of_ppm + spinning.spacing_ppm * (math.floor(orders) + 1)
    return (
        max(below_ppm + margin_ppm, line_ppm - at_most_ppm),
        min(above_ppm - margin_ppm, line_ppm + at_most_ppm),
    )


@dataclass(frozen=True)
class PairOfSpectra:
    """Spectra of 6Li and 7Li on one axis.

    Attributes:
        shift_ppm: Shift of each point, ppm, evenly spaced, shape (points,).
        intensity: 6Li, then 7Li, means over their scans, shape (2, points).
        spinning: Nucleus and rotor of each.
    """

    shift_ppm: Floats
    intensity: Floats
    spinning: tuple[Spinning, Spinning]

    def __post_init__(self) -> None:
        if self.intensity.shape != (2, len(self.shift_ppm)):
            raise ValueError(
                f"pair of spectra: got shape {self.intensity.shape} for {len(self.shift_ppm)} "
                "shifts, expected (2, points): 6Li, then 7Li"
            )


@dataclass(frozen=True)
class LineOfBoth:
    """One line in both spectra.

    Attributes:
        six: Signal of 6Li.
        seven: Signal of 7Li.
        fraction: Fraction of 6Li.
    """

    six: LineSignal
    seven: LineSignal
    fraction: Fraction6Li


def line_of_both(
    pair: PairOfSpectra,
    line_ppm: float,
    *,
    half_width_ppm: float,
    sidebands_of_ppm: float = ELECTROLYTE_PPM,
    sensitivity: float = SENSITIVITY_6LI,
) -> LineOfBoth:
    """Signals of a line in both spectra, and its fraction of 6Li.

    The baseline of each spectrum is taken up to the nearest sidebands.

    Args:
        pair: The spectra.
        line_ppm: The line.
        half_width_ppm: Half of the range over which the line is integrated, ppm.
        sidebands_of_ppm: The line that has sidebands; may be the line itself.
        sensitivity: Signal of 7Li over that of 6Li for equal amounts.

    Returns:
        Signals and fraction; the fraction's quality says where a sideband falls on the line.
    """
    inside = line_ppm - half_width_ppm, line_ppm + half_width_ppm
    signals, clear = [], True
    for spectrum, spinning in zip(pair.intensity, pair.spinning, strict=True):
        low, high = clear_range_ppm(line_ppm, sidebands_of_ppm, spinning)
        if not (low < inside[0] and inside[1] < high):
            clear = False
            low, high = inside[0] - half_width_ppm, inside[1] + half_width_ppm
        signals.append(
            line_signal(pair.shift_ppm, spectrum, line_ppm=inside, baseline_ppm=(low, high))
        )
    fraction = fraction_6li(signals[0], signals[1], sensitivity=sensitivity)
    if not clear:
        fraction = replace(fraction, quality=OVERLAP)
    return LineOfBoth(signals[0], signals[1], fraction)


def shift_axis_ppm(points: int, centre_ppm: float, spectral_width_ppm: float) -> Floats:
    """Shift of each point: the middle one, of number ``points // 2``, is the centre, ppm."""
    offsets = np.arange(points) - points // 2
    return np.asarray(centre_ppm + offsets * (spectral_width_ppm / points), dtype=np.float64)


def spectra_s(scans: Sequence[int], recycle_delay_s: Sequence[float]) -> float:
    """Time that spectra take one after the other: the sum of scans x recycle delay, s."""
    return math.fsum(n * delay_s for n, delay_s in zip(scans, recycle_delay_s, strict=True))
