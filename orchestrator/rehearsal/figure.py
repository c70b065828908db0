"""The figure of a rehearsal: what runs when, voltage and current within limits, charge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.rehearsal.result import Rehearsal
from orchestrator.report.overview import envelope
from orchestrator.report.scales import TimeUnit, time_unit
from orchestrator.report.style import (
    DPI,
    INK,
    LAYER_COLOURS,
    MARK,
    SOFT,
    VOLTAGE,
    new_figure,
    panel,
    save,
    style,
)

Floats = npt.NDArray[np.float64]

ALT = (
    "What runs when (current in each direction, rest, exposures, spectra), voltage and current with"
    " their limits, charge; right: the beginning in detail"
)

_BINS = 1500
_DETAIL_CYCLES, _DETAIL_FRAMES = 2, 3
_LEAST_WIDTH = 1 / 500
"""Width of the shortest frame or spectrum that is drawn, of the panel's."""
_POSITIVE, _NEGATIVE, _REST, _OTHER = "#0072B2", "#E69F00", "#c9ced6", "#CC79A7"
_LANE = 0.72


def write_figures(rehearsal: Rehearsal, directory: Path) -> Path:
    """Write ``timeline.png`` and ``timeline.svg``; returns the PNG."""
    path = directory / "timeline.png"
    with style():
        figure = draw_timeline(rehearsal)
        save(figure, path, what=f"rehearsal of {rehearsal.name}", provenance="simulated")
        figure.savefig(
            path.with_suffix(".svg"), dpi=DPI, metadata={"Title": "simulated, not measured"}
        )
    return path


def draw_timeline(rehearsal: Rehearsal) -> Figure:
    """The whole run on the left, its beginning on the right."""
    lanes = _lanes(rehearsal)
    height_in = 6.75 + 0.32 * len(lanes)
    figure = new_figure("simulated", height_in=height_in)
    unit = time_unit(rehearsal.duration_s)
    detail_s = _detail_s(rehearsal)
    columns = 2 if detail_s < 0.5 * rehearsal.duration_s else 1
    grid = figure.add_gridspec(
        4,
        columns,
        width_ratios=(1.75, 1.0)[:columns],
        height_ratios=(0.55 + 0.30 * len(lanes), 1.5, 1.1, 1.1),
        left=0.092,
        right=0.985,
        top=1.0 - 0.55 / height_in,
        bottom=0.52 / height_in,
        hspace=0.38,
        wspace=0.17,
    )
    whole = [figure.add_subplot(grid[k, 0]) for k in range(4)]
    _draw(whole, rehearsal, lanes, unit, (0.0, rehearsal.duration_s))
    for axes, letter, title in zip(
        whole,
        "abcd",
        ("What runs", "Cell voltage", "Current", "Charge"),
        strict=True,
    ):
        panel(axes, letter, title)
    if columns == 2:
        near = time_unit(detail_s)
        right = [figure.add_subplot(grid[k, 1]) for k in range(4)]
        _draw(right, rehearsal, lanes, near, (0.0, detail_s))
        right[0].set_title("The beginning", pad=6)
        for axes in right:
            axes.set_ylabel("")
        right[0].set_yticklabels([])
    return figure


def _detail_s(rehearsal: Rehearsal) -> float:
    """Length of the beginning that is shown in detail, s: two cycles and a frame, or frames."""
    course = rehearsal.course
    last = course.steps[-1].cycle if course.steps else 1
    cycles = [one.ended_s for one in course.steps if 1 <= one.cycle <= _DETAIL_CYCLES]
    frames = [one.ended_s for one in course.exposures[:1]]
    if last > _DETAIL_CYCLES and cycles:
        return 1.02 * max(*cycles, *frames)
    several = course.exposures[_DETAIL_FRAMES:][:1]
    return 1.02 * several[0].ended_s if several else rehearsal.duration_s


# --- lanes --------------------------------------------------------------------------------------

Lane = tuple[str, list[tuple[str, str, Sequence[tuple[float, float]]]]]
"""A name, and its kinds: label, colour, spans."""


def _lanes(rehearsal: Rehearsal) -> list[Lane]:
    course = rehearsal.course
    sign = _signs(rehearsal)
    kinds: dict[str, tuple[str, list[tuple[float, float]]]] = {
        "A to B": (_POSITIVE, []),
        "B to A": (_NEGATIVE, []),
        "rest": (_REST, []),
        "other": (_OTHER, []),
    }
    for one in course.steps:
        name = "rest" if one.index in rehearsal.resting else sign.get(one.index, "other")
        kinds[name][1].append((one.began_s, one.ended_s))
    lanes: list[Lane] = [("cell", [(k, colour, s) for k, (colour, s) in kinds.items() if s])]
    for number, device in enumerate(dict.fromkeys(one.device for one in course.exposures)):
        mine = [(one.began_s, one.ended_s) for one in course.exposures if one.device == device]
        colour = LAYER_COLOURS[(number + 3) % len(LAYER_COLOURS)]
        lanes.append((device, [("frame", colour, mine)]))
    if course.spectra:
        spectra = [(one.began_s, one.ended_s) for one in course.spectra]
        lanes.append(("impedance", [("spectrum", VOLTAGE, spectra)]))
    return lanes


def _signs(rehearsal: Rehearsal) -> dict[int, str]:
    """Direction of the current of each step, from its records."""
    records = rehearsal.course.records
    found = {}
    for index in {one.index for one in rehearsal.course.steps}:
        current = records["current_ma"][records["step_index"] == index]
        current = current[np.isfinite(current)]
        if len(current):
            mean, size = float(np.mean(current)), float(np.max(np.abs(current)))
            if abs(mean) > 0.02 * size:
                found[index] = "A to B" if mean > 0 else "B to A"
    return found


def _draw_lanes(axes: Axes, lanes: Sequence[Lane], unit: TimeUnit, window: Any) -> None:
    low, high = window
    least = _LEAST_WIDTH * (high - low)
    seen: dict[str, str] = {}
    for row, (_, kinds) in enumerate(lanes):
        for label, colour, spans in kinds:
            inside = [(a, b) for a, b in spans if b >= low and a <= high]
            shortest = least if label in ("frame", "spectrum") else 0.0
            bars = [(a / unit.seconds, max(b - a, shortest) / unit.seconds) for a, b in inside]
            wide = all(b - a > 4 * least for a, b in inside)
            edge = "white" if label == "frame" and wide else colour
            width = 0.8 if edge == "white" else 0.0
            axes.broken_barh(
                bars, (row - _LANE / 2, _LANE), facecolors=colour, edgecolors=edge, linewidth=width
            )
            seen.setdefault(label, colour)
    axes.set_yticks(range(len(lanes)), [name for name, _ in lanes])
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _legend(axes: Axes, lanes: Sequence[Lane]) -> None:
    kinds = [(label, colour) for label, colour, _ in lanes[0][1]] if lanes else []
    for k, (label, colour) in enumerate(reversed(kinds)):
        axes.text(
            1.0 - 0.13 * k, 1.06, f"■ {label}", color=colour if label != "rest" else SOFT,
            transform=axes.transAxes, ha="right", va="bottom", fontsize=9,
        )  # fmt: skip


# --- panels -------------------------------------------------------------------------------------


def _draw(
    panels: Sequence[Axes],
    rehearsal: Rehearsal,
    lanes: Sequence[Lane],
    unit: TimeUnit,
    window: tuple[float, float],
) -> None:
    runs, voltage, current, charge = panels
    _draw_lanes(runs, lanes, unit, window)
    _legend(runs, lanes if window[1] == rehearsal.duration_s else [])
    records = rehearsal.course.records
    inside = (records["time_s"] >= window[0]) & (records["time_s"] <= window[1])
    times = records["time_s"][inside] / unit.seconds
    for axes, key, label, limits in (
        (voltage, "voltage_v", "Voltage / V", ("min_voltage_V", "max_voltage_V")),
        (current, "current_ma", "Current / mA", ("min_current_mA", "max_current_mA")),
    ):
        axes.set_ylabel(label)
        _draw_column(axes, times, records[key][inside])
        _draw_limits(axes, rehearsal, limits)
    charge.set_ylabel("Charge / mAh")
    for key, colour, name in (
        ("throughput_mah", SOFT, "both directions"),
        ("charge_mah", VOLTAGE, "net"),
    ):
        charge.plot(*_thinned(times, records[key][inside]), color=colour, lw=1.3, label=name)
    charge.legend(loc="upper left", handlelength=1.2, borderaxespad=0.2)
    charge.set_xlabel(f"Time since the run began / {unit.name}")
    for axes in panels:
        axes.set_xlim(window[0] / unit.seconds, max(window[1], 1e-3) / unit.seconds)
        if axes is not charge:
            axes.tick_params(labelbottom=False)
    _mark_events((voltage, current, charge), rehearsal, unit, window)


def _thinned(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    every = max(1, len(times) // (2 * _BINS))
    return times[::every], values[::every]


def _draw_column(axes: Axes, times: Floats, values: Floats) -> None:
    """Every record of a short span; of a long one mean and extremes within bins."""
    finite = np.isfinite(values)
    times, values = times[finite], values[finite]
    if len(times) <= _BINS:
        axes.plot(times, values, color=VOLTAGE, linewidth=1.1)
        return
    at, low, _, high = envelope(times, values, _BINS)
    axes.fill_between(at, low, high, color=VOLTAGE, alpha=0.75, linewidth=0.6)


def _draw_limits(axes: Axes, rehearsal: Rehearsal, keys: Sequence[str]) -> None:
    """A limit as a line where it is near, as words where it is far."""
    low, high = axes.get_ylim()
    size = max(abs(low), abs(high), 1e-12)
    far, unit = [], "V" if keys[0].endswith("V") else "mA"
    for one in rehearsal.margins:
        if one.key not in keys:
            continue
        if abs(one.limit) <= 2.5 * size:
            axes.axhline(one.limit, color=MARK, linewidth=1.0, linestyle="--")
        else:
            far.append(f"{one.limit:g}")
    if far:
        axes.text(
            0.995, 1.03, f"limits {' and '.join(far)} {unit} lie outside",
            transform=axes.transAxes, ha="right", va="bottom", color=SOFT,
            fontsize=8.5,
        )  # fmt: skip


def _mark_events(
    panels: Sequence[Axes], rehearsal: Rehearsal, unit: TimeUnit, window: tuple[float, float]
) -> None:
    """Where the protocol ended, and why."""
    at_s = rehearsal.stopped_at_s
    if not window[0] < at_s <= window[1]:
        return
    for axes in panels:
        axes.axvline(at_s / unit.seconds, color=INK, linewidth=0.9, linestyle=":")
    name = rehearsal.stop_reason.replace("_", " ")
    panels[0].annotate(
        name, (at_s / unit.seconds, 0.97), xycoords=panels[0].get_xaxis_transform(),
        xytext=(-4, 0), textcoords="offset points", ha="right", va="top", fontsize=9,
        color=INK, fontweight="bold", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip
