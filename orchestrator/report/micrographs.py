"""Frames of a microscope: first, middle and last, and the voids or X-ray lines that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from orchestrator.analysis.cycles import Records
from orchestrator.analysis.voids import VoidMeasurement, measure_voids
from orchestrator.report.style import LAYER_COLOURS, SOFT, VOLTAGE, WIDTH_IN, new_figure, panel

Floats = npt.NDArray[np.float64]
Frames = Mapping[int, npt.NDArray[np.float32]]

METHODS = ("image", "eds_line")
"""Methods of a microscope."""
MOST_MEASURED = 200
"""Frames of one run that a report measures; of more, evenly chosen ones."""
_SCALE_BARS_UM = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
_TOP_IN, _PANELS_IN, _GAP_IN, _BOTTOM_IN = 0.55, 2.3, 0.65, 0.15
_LEFT_IN, _BETWEEN_IN = 0.1, 0.08


class FramesByNumber(Protocol):
    """Frames that are read from disk as they are asked for."""

    def __getitem__(self, index: int, /) -> npt.NDArray[Any]:
        """One frame."""
        ...


@dataclass(frozen=True)
class Micrographs:
    """Frames of a microscope in the order in which they were taken.

    Attributes:
        method: ``image`` or ``eds_line``.
        channels: Names of the channels of an image.
        field_um: Width and height of a frame, um; of a line its length and 0.
        shown: First, middle and last good frame by number, with the channels as first axis.
        voids: What was measured by number of the frame; empty where frames show no edge.
        centre_s: Middle of every exposure, seconds since the run began, shape (n,).
    """

    method: str
    channels: tuple[str, ...]
    field_um: tuple[float, float]
    shown: Frames
    voids: Mapping[int, VoidMeasurement]
    centre_s: Floats


def read_micrographs(
    frames: FramesByNumber,
    configuration: Mapping[str, Any],
    flags: tuple[str, ...],
    centre_s: Floats,
) -> Micrographs:
    """Read what is shown and measure voids, one frame after the other.

    Args:
        frames: Frames by number.
        configuration: The device's, keys without its name.
        flags: ``ok`` or a reason per frame.
        centre_s: Middle of each exposure, s.

    Raises:
        ValueError: The configuration does not say how large a frame is.
    """
    method = str(configuration.get("method"))
    channels = tuple(str(one) for one in configuration.get("channels") or ("SE",))
    good = [index for index, flag in enumerate(flags) if flag == "ok"] or list(range(len(flags)))
    chosen = sorted({good[0], good[len(good) // 2], good[-1]})
    shown = {index: _with_channels(frames[index], method) for index in chosen}
    lines, columns = next(iter(shown.values())).shape[-2:]
    try:
        if method == "eds_line":
            field_um = (float(configuration["line_length_um"]), 0.0)
        else:
            pixel_um = float(configuration["hfw_um"]) / float(configuration["resolution_px"][0])
            field_um = (columns * pixel_um, lines * pixel_um)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"micrographs: {error} is missing in the configuration") from error
    voids: dict[int, VoidMeasurement] = {}
    if method == "image" and measure_voids(shown[chosen[0]][0], pixel_um).measured:
        step = -(-len(good) // MOST_MEASURED)
        for index in sorted({*good[::step], good[-1]}):
            voids[index] = measure_voids(_with_channels(frames[index], method)[0], pixel_um)
    return Micrographs(method, channels, field_um, shown, voids, centre_s)


def draw_micrographs(
    provenance: str, found: Micrographs, records: Records | None, area_cm2: float
) -> Figure:
    """The frames, with voltage, contact loss and number of voids above them.

    Args:
        provenance: Where the data come from: a key of `orchestrator.report.style.BANNERS`.
        found: The frames.
        records: Of the potentiostat; None where there are none.
        area_cm2: Electrode area, cm2; NaN where it is not known.
    """
    if found.method == "eds_line":
        figure = new_figure(provenance, height_in=3.6)
        axes = figure.add_axes((0.075, 0.15, 0.9, 0.7))
        panel(axes, "a", "Net counts of magnesium along the line")
        _draw_lines(axes, found)
        return figure
    beside = len(found.shown) == 1  # channels of a single frame stand side by side
    rows, columns = (1, len(found.channels)) if beside else (len(found.channels), len(found.shown))
    width_in = (WIDTH_IN - 2 * _LEFT_IN - (columns - 1) * _BETWEEN_IN) / max(columns, 2)
    frame_in = width_in * found.field_um[1] / found.field_um[0]
    has_panels = records is not None or bool(found.voids)
    panels_in = _PANELS_IN + _GAP_IN if has_panels else 0.0
    frames_in = rows * (frame_in + 0.05)
    height_in = _TOP_IN + panels_in + 0.3 + frames_in + _BOTTOM_IN
    figure = new_figure(provenance, height_in=height_in)
    if has_panels:
        _draw_panels(figure, height_in, found, _Charge(records, area_cm2))
    grid = figure.add_gridspec(
        rows,
        columns,
        left=_LEFT_IN / WIDTH_IN,
        right=(_LEFT_IN + columns * (width_in + _BETWEEN_IN) - _BETWEEN_IN) / WIDTH_IN,
        bottom=_BOTTOM_IN / height_in,
        top=(_BOTTOM_IN + frames_in) / height_in,
        wspace=_BETWEEN_IN / width_in,
        hspace=0.05 / frame_in,
    )
    _draw_frames(figure, grid, found)
    return figure


@dataclass(frozen=True)
class _Charge:
    """What frames are drawn against: charge moved per area if it is known, else charge or time."""

    records: Records | None
    area_cm2: float

    @property
    def label(self) -> str:
        if self.records is None:
            return "time / h"
        per = r" cm$^{-2}$" if np.isfinite(self.area_cm2) else ""
        return f"charge moved / mAh{per}"

    def at(self, time_s: Floats) -> Floats:
        if self.records is None:
            return time_s / 3600.0
        moved = np.interp(time_s, self.records.time_s, self.records.throughput_mah)
        return moved / self.area_cm2 if np.isfinite(self.area_cm2) else moved


def _draw_panels(figure: Figure, height_in: float, found: Micrographs, charge: _Charge) -> None:
    """Voltage, contact loss and number of voids against the charge."""
    top = 1.0 - _TOP_IN / height_in
    count = (charge.records is not None) + 2 * bool(found.voids)
    grid = figure.add_gridspec(
        1, count, left=0.075, right=0.985, top=top, bottom=top - _PANELS_IN / height_in, wspace=0.3
    )
    panels = [figure.add_subplot(grid[0, k]) for k in range(count)]
    for axes in panels:
        axes.set_xlabel(charge.label)
    letters = iter("abc")
    if charge.records is not None:
        axes = panels.pop(0)
        panel(axes, next(letters), "Cell voltage")
        axes.plot(
            charge.at(charge.records.time_s), charge.records.voltage_v, color=VOLTAGE, linewidth=1.0
        )
        axes.set_ylabel("V / V")
    if found.voids:
        measured = {k: one for k, one in found.voids.items() if one.measured}
        place = charge.at(found.centre_s[list(measured)])
        for axes, title, values, errors in (
            (
                panels[0],
                "Contact loss",
                [one.contact_loss for one in measured.values()],
                [one.contact_loss_error for one in measured.values()],
            ),
            (
                panels[1],
                "Voids per 100 µm",
                [one.number_per_100_um for one in measured.values()],
                [100 * one.number_error / one.field_um for one in measured.values()],
            ),
        ):
            panel(axes, next(letters), title)
            axes.errorbar(place, values, errors, fmt="o-", color=LAYER_COLOURS[0], markersize=4)
            axes.set_ylim(bottom=0)


def _draw_frames(figure: Figure, grid: GridSpec, found: Micrographs) -> None:
    beside = len(found.shown) == 1
    for row, channel in enumerate(found.channels):
        planes = [frame[row] for frame in found.shown.values()]
        low, high = np.percentile(np.stack([planes[0], planes[-1]]), (0.5, 99.5))
        for column, (index, plane) in enumerate(zip(found.shown, planes, strict=True)):
            axes = figure.add_subplot(grid[0, row] if beside else grid[row, column])
            axes.imshow(plane, cmap="gray", vmin=low, vmax=high, aspect="auto")
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0 or beside:
                axes.set_title(f"frame {index}, {found.centre_s[index] / 3600:.2f} h", fontsize=9.5)
            if column == 0:
                axes.text(
                    0.01, 0.97, channel, color="white", fontsize=9, va="top", ha="left",
                    transform=axes.transAxes, bbox={"facecolor": "black", "alpha": 0.5, "pad": 2},
                )  # fmt: skip
                _scale_bar(axes, found, plane.shape)


def _scale_bar(axes: Axes, found: Micrographs, shape: tuple[int, ...]) -> None:
    lines, columns = shape
    fitting = [bar for bar in _SCALE_BARS_UM if bar <= 0.25 * found.field_um[0]] or [1.0]
    length_px = fitting[-1] / found.field_um[0] * columns
    x_px, y_px = 0.03 * columns, 0.93 * lines
    axes.plot([x_px, x_px + length_px], [y_px, y_px], color="white", linewidth=3)
    axes.plot([x_px, x_px + length_px], [y_px, y_px], color="black", linewidth=1)
    axes.text(
        x_px, y_px - 0.04 * lines, f"{fitting[-1]:g} µm", color="white", fontsize=9, va="bottom",
        bbox={"facecolor": "black", "alpha": 0.5, "pad": 1.5},
    )  # fmt: skip


def _draw_lines(axes: Axes, found: Micrographs) -> None:
    for (index, counts), colour in zip(found.shown.items(), LAYER_COLOURS, strict=False):
        depth_um = np.linspace(0.0, found.field_um[0], counts.shape[-1])
        label = f"scan {index}, {found.centre_s[index] / 3600:.2f} h"
        axes.plot(depth_um, counts[0, 0], ".-", color=colour, linewidth=0.8, label=label)
    axes.axhline(0, color=SOFT, linewidth=0.6)
    axes.set_xlabel("distance from the electrolyte into the metal / µm")
    axes.set_ylabel("counts")
    axes.legend(loc="best")


def void_rows(found: Micrographs) -> list[list[str]]:
    """Frame, time, voids per 100 um, contact loss, widths, heights and remark, for a table."""
    rows = []
    for index, one in found.voids.items():
        rows.append(
            [
                str(index),
                f"{found.centre_s[index] / 3600:.2f}",
                f"{one.number_per_100_um:.1f} ± {100 * one.number_error / one.field_um:.1f}",
                f"{one.contact_loss:.3f} ± {one.contact_loss_error:.3f}",
                _middle_and_largest(one.widths_um),
                _middle_and_largest(one.heights_um),
                "" if one.quality == "ok" else one.quality,
            ]
        )
    return rows


def _middle_and_largest(values_um: Floats) -> str:
    return f"{np.median(values_um):.1f}, {values_um.max():.1f}" if len(values_um) else "–"


def _with_channels(frame: npt.NDArray[Any], method: str) -> npt.NDArray[np.float32]:
    """A frame with its channels, or the one that it is, as the first axis."""
    array = np.asarray(frame, dtype=np.float32)
    return array if array.ndim == 3 and method == "image" else array[None]
