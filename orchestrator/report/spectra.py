"""Pairs of spectra of a run: the lines, and the fractions of 6Li that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.analysis.isotopes import DETECTED_SIGMA, SENSITIVITY_6LI
from orchestrator.analysis.nmr import (
    ELECTROLYTE_PPM,
    METAL_PPM,
    LineOfBoth,
    PairOfSpectra,
    Spinning,
    line_of_both,
    shift_axis_ppm,
)
from orchestrator.report.style import INK, LAYER_COLOURS, SOFT, new_figure, panel

Floats = npt.NDArray[np.float64]

METHOD = "single_pulse"
METAL_HALF_WIDTH_PPM, ELECTROLYTE_HALF_WIDTH_PPM = 7.0, 3.0
"""Half of the ranges over which the lines are integrated, ppm: the metal's is up to 6 ppm wide."""

_COULOMB_PER_MAH = 3.6
_SHOWN_PPM = (244.0, 284.0)
_SETTINGS = ("points", "centre_ppm", "spectral_width_ppm", "frequencies_mhz", "mas_khz")


@dataclass(frozen=True)
class Spectra:
    """Pairs of spectra in the order in which they were taken.

    Attributes:
        pairs: One for each frame.
        metal: The metal's line in each.
        electrolyte: The electrolyte's line in each.
        centre_s: Middle of each acquisition, seconds since the run began, shape (n,).
    """

    pairs: tuple[PairOfSpectra, ...]
    metal: tuple[LineOfBoth, ...]
    electrolyte: tuple[LineOfBoth, ...]
    centre_s: Floats


def read_spectra(
    frames: npt.NDArray[np.float32], configuration: Mapping[str, Any], centre_s: Floats
) -> Spectra | None:
    """Spectra with their fractions; None where the configuration does not say what they are.

    Args:
        frames: Shape (n, 2, points): 6Li, then 7Li.
        configuration: The device's, keys without its name.
        centre_s: Middle of each acquisition, s.

    Raises:
        ValueError: The axis is too short for the lines.
    """
    known = all(configuration.get(name) is not None for name in _SETTINGS)
    nuclei = list(configuration.get("nuclei") or [])
    if not known or nuclei != ["6Li", "7Li"] or frames.ndim != 3:
        return None
    shift_ppm = shift_axis_ppm(
        int(configuration["points"]),
        float(configuration["centre_ppm"]),
        float(configuration["spectral_width_ppm"]),
    )
    rotors = zip(configuration["frequencies_mhz"], configuration["mas_khz"], strict=True)
    six, seven = (Spinning(float(mhz), float(khz)) for mhz, khz in rotors)
    pairs = tuple(PairOfSpectra(shift_ppm, np.asarray(f, float), (six, seven)) for f in frames)
    return Spectra(
        pairs=pairs,
        metal=tuple(
            line_of_both(pair, METAL_PPM, half_width_ppm=METAL_HALF_WIDTH_PPM) for pair in pairs
        ),
        electrolyte=tuple(
            line_of_both(pair, ELECTROLYTE_PPM, half_width_ppm=ELECTROLYTE_HALF_WIDTH_PPM)
            for pair in pairs
        ),
        centre_s=centre_s,
    )


def draw_spectra(provenance: str, spectra: Spectra, passed_mah: Floats | None) -> Figure:
    """Metal lines of the first, middle and last pair, and both fractions of every pair.

    Args:
        provenance: Where the data come from: a key of `orchestrator.report.style.BANNERS`.
        spectra: The spectra.
        passed_mah: Throughput at the middle of each, mAh; None where nobody recorded it.
    """
    figure = new_figure(provenance, height_in=3.9)
    grid = figure.add_gridspec(
        1, 3, left=0.07, right=0.98, top=0.83, bottom=0.15, wspace=0.3, width_ratios=(1, 1, 1.25)
    )
    chosen = sorted({0, len(spectra.pairs) // 2, len(spectra.pairs) - 1})
    for row, (letter, nucleus) in enumerate((("a", "6Li"), ("b", "7Li"))):
        axes = figure.add_subplot(grid[0, row])
        panel(axes, letter, f"$^{nucleus[0]}$Li, metal")
        _draw_lines(axes, spectra, row, chosen)
    axes = figure.add_subplot(grid[0, 2])
    panel(axes, "c", "Fraction of $^6$Li")
    _draw_fractions(axes, spectra, passed_mah)
    return figure


def _draw_lines(axes: Axes, spectra: Spectra, row: int, chosen: list[int]) -> None:
    shift_ppm = spectra.pairs[0].shift_ppm
    shown = (shift_ppm >= _SHOWN_PPM[0]) & (shift_ppm <= _SHOWN_PPM[1])
    for index, colour in zip(chosen, LAYER_COLOURS, strict=False):
        intensity = spectra.pairs[index].intensity[row]
        axes.plot(
            shift_ppm[shown], intensity[shown], color=colour, linewidth=1.1, label=f"pair {index}"
        )
    middle = np.abs(shift_ppm - METAL_PPM) < 2 * METAL_HALF_WIDTH_PPM
    shown_rows = np.array([spectra.pairs[k].intensity[row][middle] for k in chosen])
    low, high = float(shown_rows.min()), float(shown_rows.max())
    axes.set_ylim(low - 0.1 * (high - low), high + 0.15 * (high - low))  # sidebands go out of it
    axes.set_xlim(_SHOWN_PPM[1], _SHOWN_PPM[0])  # shifts decrease to the right, as always
    axes.set_xlabel("shift / ppm")
    axes.set_ylabel("signal / a.u.")
    axes.ticklabel_format(axis="y", scilimits=(-2, 3))
    axes.legend(loc="upper right", fontsize=8.5)


def _draw_fractions(axes: Axes, spectra: Spectra, passed_mah: Floats | None) -> None:
    if passed_mah is None:
        place, label = spectra.centre_s / 86_400.0, "time / d"
    else:
        place, label = _COULOMB_PER_MAH * passed_mah, "charge in either direction / C"
    for name, lines, colour in (
        ("dendrites", spectra.metal, LAYER_COLOURS[0]),
        ("electrolyte", spectra.electrolyte, LAYER_COLOURS[1]),
    ):
        axes.errorbar(
            place,
            [line.fraction.x6 for line in lines],
            [line.fraction.error for line in lines],
            fmt="o-",
            color=colour,
            markersize=4,
            linewidth=1.0,
            capsize=2,
            label=name,
        )
    axes.axhline(0, color=SOFT, linewidth=0.6)
    axes.set_xlabel(label)
    axes.set_ylabel("$x_6$", color=INK)
    axes.legend(loc="best")


def fraction_rows(spectra: Spectra) -> list[tuple[str, ...]]:
    """Number, time, both fractions and what is wrong with the dendrites', for a table."""
    rows: list[tuple[str, ...]] = []
    for index, (metal, electrolyte) in enumerate(
        zip(spectra.metal, spectra.electrolyte, strict=True)
    ):
        rows.append(
            (
                str(index),
                f"{spectra.centre_s[index] / 86_400.0:.2f}",
                f"{metal.fraction.x6:.4f} ± {metal.fraction.error:.4f}",
                f"{electrolyte.fraction.x6:.4f} ± {electrolyte.fraction.error:.4f}",
                "" if metal.fraction.quality == "ok" else metal.fraction.quality,
            )
        )
    return rows


NOTE = (
    f"x6 = {SENSITIVITY_6LI} S6 / ({SENSITIVITY_6LI} S6 + S7), Liu et al. 2025; the factor belongs "
    f"to their probes. Lines integrated over ±{METAL_HALF_WIDTH_PPM:g} ppm (metal) and "
    f"±{ELECTROLYTE_HALF_WIDTH_PPM:g} ppm (electrolyte) above the baseline up to the nearest "
    f"sidebands; one standard deviation. A line counts as seen from {DETECTED_SIGMA:g} of them on."
)
"""What the fractions are, for below the table."""
