"""The figure of the paper: cell voltage, lithium in four layers, growth rates, stages.

After Liu et al., Nature Materials 2025, Fig. 4.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.analysis.cycles import flowing
from orchestrator.analysis.growth import S_PER_DAY
from orchestrator.analysis.stages import Stages
from orchestrator.report.contents import Contents, Electrochemistry, Short
from orchestrator.report.gaps import Pause
from orchestrator.report.imaging import Imaging, LayerAnalysis
from orchestrator.report.style import (
    INK,
    LAYER_COLOURS,
    LAYER_MARKERS,
    MARK,
    SOFT,
    STAGE_SHADES,
    VOLTAGE,
    new_figure,
    panel,
)

Floats = npt.NDArray[np.float64]

_BINS = 1500
_ZOOM_BEFORE_H, _ZOOM_AFTER_H = 2.5, 0.5
_THINNEST_SHARE = 0.003
"""A gap is drawn at least this part of the axis wide, so that it is seen."""
_NAMES = ("I", "II", "III", "IV")
_LAYER_TEXT = ("1 (at A)", "2", "3", "4 (at B)")


def draw_overview(contents: Contents) -> Figure:
    """Voltage, layers and rates against time, one below the other."""
    figure = new_figure(contents.provenance, height_in=9.6)
    grid = figure.add_gridspec(
        3,
        2,
        width_ratios=(3.5, 1.0),
        height_ratios=(1.0, 1.25, 1.0),
        left=0.075,
        right=0.985,
        top=0.945,
        bottom=0.058,
        hspace=0.24,
        wspace=0.17,
    )
    voltage = figure.add_subplot(grid[0, 0])
    layers = figure.add_subplot(grid[1, 0], sharex=voltage)
    rates = figure.add_subplot(grid[2, 0], sharex=voltage)
    _draw_voltage(voltage, contents)
    if contents.echem is not None:
        _draw_last_hours(figure.add_subplot(grid[0, 1]), contents.echem, contents.short)
    _draw_imaging(layers, rates, contents.imaging)
    _shade_stages((voltage, layers, rates), contents)
    _legend(figure.add_subplot(grid[1, 1]), contents.imaging)
    _stage_list(figure.add_subplot(grid[2, 1]), contents.imaging)
    for axes in (voltage, layers):
        axes.tick_params(labelbottom=False)
    rates.set_xlabel("Time since the run began / d")
    voltage.set_xlim(0, max(contents.duration_s / S_PER_DAY, 1e-6) * 1.01)
    for axes in (voltage, layers, rates):
        mark_gaps(axes, contents.gaps, S_PER_DAY, contents.duration_s)
    return figure


def envelope(time: Floats, values: Floats, bins: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Centre, minimum, median-like middle and maximum of values in bins of equal time.

    Args:
        time: Ascending, any unit, shape (n,).
        values: Finite, shape (n,).
        bins: Largest number of bins; empty ones are left out.

    Returns:
        Mean time, minimum, mean and maximum of each bin.
    """
    edges = np.linspace(time[0], time[-1], bins + 1)
    starts = np.unique(np.searchsorted(time, edges[:-1]))
    count = np.diff(np.append(starts, len(time)))
    return (
        np.add.reduceat(time, starts) / count,
        np.minimum.reduceat(values, starts),
        np.add.reduceat(values, starts) / count,
        np.maximum.reduceat(values, starts),
    )


def _polarised(echem: Electrochemistry) -> tuple[Floats, Floats]:
    """Times (s) and |V| (mV) of the records with current."""
    records = echem.records
    on = flowing(records.current_ma) & np.isfinite(records.voltage_v)
    return records.time_s[on], 1e3 * np.abs(records.voltage_v[on])


def _draw_voltage(axes: Axes, contents: Contents) -> None:
    panel(axes, "a", "Cell voltage with current on")
    axes.set_ylabel("|V| / mV")
    if contents.echem is None:
        _say(axes, "no records of a potentiostat")
        return
    time_s, size_mv = _polarised(contents.echem)
    if not len(time_s):
        _say(axes, "no record with current")
        return
    days, low, middle, high = envelope(time_s / S_PER_DAY, size_mv, _BINS)
    axes.fill_between(days, low, high, color=VOLTAGE, alpha=0.35, linewidth=0.8)
    axes.plot(days, middle, color=VOLTAGE, linewidth=1.3)
    axes.set_ylim(0, 1.12 * float(size_mv.max()))
    if contents.short is not None:
        mark_short(axes, contents.short, contents.short.time_s / S_PER_DAY)


def mark_short(axes: Axes, short: Short, at: float) -> None:
    """A line where the cell shorted; `at` in the unit of the axis."""
    axes.axvline(at, color=MARK, linewidth=1.2, linestyle="--")
    axes.annotate(
        short.kind.replace("_", " "),
        (at, 0.98),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-5, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        color=MARK,
        fontsize=9.5,
        fontweight="bold",
    )


def mark_gaps(axes: Axes, gaps: Sequence[Pause], unit_s: float, length_s: float) -> None:
    """Hatch what was not recorded.

    Args:
        axes: Time is its horizontal axis.
        gaps: Of the experiment.
        unit_s: Unit of the axis, s.
        length_s: Length of the axis, s.
    """
    for one in gaps:
        begin_s = one.resumed_s if math.isnan(one.from_s) else one.from_s
        end_s = begin_s if math.isnan(one.to_s) else one.to_s
        width_s = max(end_s - begin_s, _THINNEST_SHARE * length_s)
        axes.axvspan(
            begin_s / unit_s,
            (begin_s + width_s) / unit_s,
            facecolor="none",
            edgecolor=SOFT,
            hatch="////",
            linewidth=0.0,
            zorder=0.5,
        )


def _draw_last_hours(axes: Axes, echem: Electrochemistry, short: Short | None) -> None:
    """Every record around the short, or at the end of the run."""
    records = echem.records
    end_s = short.time_s if short is not None else float(records.time_s[-1])
    axes.set_title("Around the short" if short is not None else "Last hours", pad=6)
    near = (records.time_s >= end_s - 3600 * _ZOOM_BEFORE_H) & (
        records.time_s <= end_s + 3600 * _ZOOM_AFTER_H
    )
    hours = (records.time_s[near] - end_s) / 3600.0
    on = flowing(records.current_ma)[near]
    size_mv = np.where(on, 1e3 * np.abs(records.voltage_v[near]), np.nan)
    axes.plot(hours, size_mv, color=VOLTAGE, linewidth=1.2)
    axes.set_xlabel("Time from the short / h" if short is not None else "Time to the end / h")
    if np.isfinite(size_mv).any():
        axes.set_ylim(0, 1.12 * max(float(np.nanmax(size_mv)), 1e-3))
    if short is not None:
        axes.axvline(0.0, color=MARK, linewidth=1.2, linestyle="--")


def _draw_imaging(layers: Axes, rates: Axes, imaging: Imaging | None) -> None:
    panel(layers, "b", "Metallic lithium in four depth layers")
    layers.set_ylabel("Li$^0$ / µmol cm$^{-2}$")
    panel(rates, "c", "Growth rates")
    rates.set_ylabel("d(Li$^0$)/dt / µmol cm$^{-2}$ d$^{-1}$")
    if imaging is None or imaging.analysis is None:
        reason = "no frames in this run" if imaging is None else imaging.reason
        for axes in (layers, rates):
            _say(axes, reason)
        return
    _draw_layers(layers, imaging, imaging.analysis)
    _draw_rates(rates, imaging.analysis)


def _draw_layers(axes: Axes, imaging: Imaging, analysis: LayerAnalysis) -> None:
    amounts, errors = analysis.layers.amounts_umol_per_cm2, analysis.layers.errors_umol_per_cm2
    usable, days = analysis.layers.usable, imaging.centre_s / S_PER_DAY
    axes.axhline(0, color=SOFT, linewidth=0.6)
    for layer, colour in enumerate(LAYER_COLOURS):
        axes.errorbar(
            days[usable],
            amounts[usable, layer],
            yerr=errors[usable, layer],
            color=colour,
            marker=LAYER_MARKERS[layer],
            markersize=4.8,
            markerfacecolor=colour if layer in (0, 3) else "white",
            linewidth=1.1,
            elinewidth=0.9,
            capsize=0,
        )
    axes.plot(
        days[~usable],
        np.full((~usable).sum(), 0.03),
        "x",
        color=MARK,
        markersize=7,
        markeredgewidth=1.8,
        transform=axes.get_xaxis_transform(),
    )


def _draw_rates(axes: Axes, analysis: LayerAnalysis) -> None:
    rates = analysis.rates
    axes.axhline(0, color=SOFT, linewidth=0.6)
    if not len(rates.time_s):
        _say(axes, rates.quality)
        return
    days, errors = rates.time_s / S_PER_DAY, rates.errors_umol_per_cm2_per_d
    for layer, colour in enumerate(LAYER_COLOURS):
        values = rates.rates_umol_per_cm2_per_d[:, layer]
        axes.fill_between(
            days,
            values - errors[:, layer],
            values + errors[:, layer],
            color=colour,
            alpha=0.16,
            lw=0,
        )
        axes.plot(
            days,
            values,
            color=colour,
            marker=LAYER_MARKERS[layer],
            markersize=3.2,
            markerfacecolor=colour if layer in (0, 3) else "white",
            linewidth=1.3,
        )


def _shade_stages(panels: tuple[Axes, Axes, Axes], contents: Contents) -> None:
    """Shade and name the stages as far as their boundaries were found in order."""
    if contents.imaging is None or contents.imaging.analysis is None:
        return
    stages = contents.imaging.analysis.stages
    edges = [0.0, *(boundary.time_d for boundary in stages.leading)]
    if stages.complete:
        end_s = contents.duration_s if contents.short is None else contents.short.time_s
        edges.append(end_s / S_PER_DAY)
    for axes in panels:
        for shade, (left, right) in zip(STAGE_SHADES, pairwise(edges), strict=False):
            axes.axvspan(left, right, color=shade, lw=0, zorder=0)
        for boundary in stages.leading:
            axes.axvline(boundary.time_d, color=SOFT, linewidth=0.8, linestyle=":")
    _name_stages(panels[1], edges)
    _mark_errors(panels[2], stages)


def _name_stages(axes: Axes, edges: Sequence[float]) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.1 * (high - low))
    for name, (left, right) in zip(_NAMES, pairwise(edges), strict=False):
        axes.text(
            0.5 * (left + right),
            0.975,
            name,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=12,
            fontweight="bold",
            color=SOFT,
        )


def _mark_errors(axes: Axes, stages: Stages) -> None:
    for boundary in stages.leading:
        axes.errorbar(
            boundary.time_d,
            0.05,
            xerr=boundary.error_d,
            transform=axes.get_xaxis_transform(),
            color=SOFT,
            capsize=3,
            linewidth=1.4,
        )


def _legend(axes: Axes, imaging: Imaging | None) -> None:
    """Names of the layers beside their panel, with what the error bars are."""
    axes.set_axis_off()
    if imaging is None or imaging.analysis is None:
        return
    for layer, colour in enumerate(LAYER_COLOURS):
        axes.plot(
            [],
            [],
            color=colour,
            marker=LAYER_MARKERS[layer],
            markersize=6,
            markerfacecolor=colour if layer in (0, 3) else "white",
            label=f"layer {_LAYER_TEXT[layer]}",
        )
    axes.legend(loc="upper left", bbox_to_anchor=(-0.12, 1.0), borderaxespad=0, labelspacing=0.7)
    layers = analysis_text(imaging.analysis)
    axes.text(
        -0.1, 0.52, layers, transform=axes.transAxes, va="top", fontsize=9.2, color=INK, wrap=False
    )


def analysis_text(analysis: LayerAnalysis) -> str:
    """What the points and bars are, in short lines."""
    flagged = int((~analysis.layers.usable).sum())
    error = float(np.nanmedian(analysis.layers.errors_umol_per_cm2))
    lines = [
        "Points: one frame each,",
        "at the middle of its exposure.",
        f"Bars: 1 s.d. (typ. {error:.2f}),",
        "from the noise of the images.",
    ]
    if flagged:
        lines.append(f"Cross: frame left out ({flagged}).")
    return "\n".join(lines)


def _stage_list(axes: Axes, imaging: Imaging | None) -> None:
    """Boundaries with errors beside the rates."""
    axes.set_axis_off()
    if imaging is None or imaging.analysis is None:
        return
    stages, window = imaging.analysis.stages, imaging.analysis.rates.window
    lines = ["Bands: 1 s.d.; local quadratic", f"fits over {window} frames.", ""] if window else []
    if stages.leading:
        lines.append("Stage boundaries / d")
    lines += [
        f"{left} → {right}:  {boundary.time_d:.2f} ± {boundary.error_d:.2f}"
        for (left, right), boundary in zip(pairwise(_NAMES), stages.leading, strict=False)
    ]
    if stages.complete:
        lines += ["(definition applied to", "smooth fits; see the notes)"]
    else:
        missing = "Later stages" if stages.leading else "Stages"
        reason = _first_reason(imaging.analysis)
        lines += ["", f"{missing} not found:", *textwrap.wrap(reason, 26)]
    axes.text(-0.1, 0.98, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=9.2)


def _first_reason(analysis: LayerAnalysis) -> str:
    reasons = [b.quality for b in analysis.stages.boundaries if b.quality != "ok"]
    return reasons[0] if reasons else "boundaries are not in order"


def _say(axes: Axes, text: str) -> None:
    """Say why a panel is empty."""
    axes.text(
        0.5,
        0.5,
        "\n".join(textwrap.wrap(text, 70)),
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=SOFT,
        fontsize=10.5,
    )
    axes.set_yticks([])
