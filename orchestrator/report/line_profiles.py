"""Magnesium along a line: profiles with errors, enrichment at the interface, mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from orchestrator.analysis.interface import OK
from orchestrator.analysis.magnesium import NEAR_UM, REFERENCE_UM, LineProfile, interface_enrichment
from orchestrator.report.micrographs import Micrographs
from orchestrator.report.scales import Place, chosen_rows, first_middle_last, with_error
from orchestrator.report.sections import Rows
from orchestrator.report.style import LAYER_COLOURS, LAYER_MARKERS, SOFT, new_figure, panel

Floats = npt.NDArray[np.float64]

_HEIGHT_IN = 3.9
_TABLE_ROWS = 16
_DEFAULT_UM = 1.0


def profile(seen: Micrographs, index: int) -> LineProfile:
    """One scan with the errors of counting, depth from the first point on.

    Raises:
        ValueError: Too few points, or counts that are not finite.
    """
    assert seen.lines is not None  # noqa: S101 - only called for line scans
    counts = seen.lines[index]
    length_um = float(seen.configuration.get("line_length_um") or _DEFAULT_UM * len(counts))
    return LineProfile.of_counts(np.linspace(0.0, length_um, len(counts)), counts)


def draw_lines(provenance: str, seen: Micrographs, at: Place) -> Figure | None:
    """First, middle and last profile, and the counts near the interface against charge."""
    if seen.lines is None:
        return None
    figure = new_figure(provenance, height_in=_HEIGHT_IN)
    axes, near = figure.subplots(
        1, 2,
        gridspec_kw={"left": 0.08, "right": 0.985, "top": 0.86, "bottom": 0.14, "wspace": 0.25,
                     "width_ratios": (2.1, 1.0)},
    )  # fmt: skip
    panel(axes, "a", "Magnesium along the line")
    axes.set_xlabel("Distance from the interface, into the metal / µm")
    axes.set_ylabel("Net counts")
    usable = [k for k, flag in enumerate(seen.flags) if flag == OK]
    for k, colour, marker in zip(
        first_middle_last(usable), LAYER_COLOURS, LAYER_MARKERS, strict=False
    ):
        one = profile(seen, k)
        axes.errorbar(
            one.depth_um, one.magnesium, one.errors, fmt=marker, ms=3, lw=0, elinewidth=0.7,
            color=colour, label=f"scan {k}, {at.text(k)}",
        )  # fmt: skip
    axes.set_ylim(0, None)
    axes.axvspan(0.0, NEAR_UM, color="#f3e3c2", lw=0, zorder=0)
    axes.legend(loc="upper right")
    panel(near, "b", "Near over far")
    found = [interface_enrichment(profile(seen, k)).ratio for k in usable]
    near.errorbar(at.values[usable], [r.value for r in found], [r.error for r in found],
                  fmt="o-", color=LAYER_COLOURS[0], ms=4.5, lw=1.0, capsize=2)  # fmt: skip
    near.axhline(1.0, color=SOFT, lw=0.8)
    near.set_ylim(0, None)
    near.set_xlabel(at.label)
    near.set_ylabel(f"First {NEAR_UM:g} µm over beyond {REFERENCE_UM[0]:g} µm")
    return figure


def line_rows(seen: Micrographs, at: Place) -> Rows:
    """Place, mean counts, enrichment, decay length of each scan, with errors."""
    if seen.lines is None:
        return []
    rows: Rows = []
    for k in chosen_rows(len(seen.lines), _TABLE_ROWS):
        start = [str(k), f"{at.values[k]:.3f}"]
        if seen.flags[k] != OK:
            rows.append([*start, "–", "–", "–", "–", seen.flags[k]])
            continue
        one = profile(seen, k)
        mean, found = one.mean(), interface_enrichment(one)
        rows.append(
            [
                *start,
                with_error(mean.value, mean.error),
                with_error(found.ratio.value, found.ratio.error),
                "yes" if found.enriched else "no",
                with_error(found.depth_um.value, found.depth_um.error)
                if found.depth_um.quality == OK
                else "–",
                "" if found.quality == OK else found.quality,
            ]
        )
    return rows
