"""First, middle and last micrograph with a scale bar, and what was found marked in them."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from orchestrator.analysis.interface import OK, find_interface
from orchestrator.analysis.spallations import SpallationCount
from orchestrator.analysis.voids import VoidMeasurement
from orchestrator.report.micrographs import Image, Micrographs
from orchestrator.report.scales import Place, time_unit, with_error
from orchestrator.report.style import WIDTH_IN, new_figure

_OUTLINE, _DOUBT = "#E69F00", "#56B4E9"
_GREY_PERCENTILES = (0.2, 99.8)
_WIDE = 0.55
"""Height over width below which frames stand one below the other."""
_LEFT_IN, _TOP_IN, _BOTTOM_IN, _GAP_IN = 0.15, 0.42, 0.12, 0.14
_WIDE_IN, _TITLE_IN, _BAR_IN = 7.1, 0.42, 0.75
_BAR_SHARE = 0.2
_HALO: list[Any] = [withStroke(linewidth=2.5, foreground="black")]


def draw_micrographs(
    provenance: str, seen: Micrographs, at: Place, whole_s: float
) -> Figure | None:
    """Up to three frames, all channels of each; None without frames.

    Args:
        provenance: A key of `orchestrator.report.style.BANNERS`.
        seen: The frames.
        at: Where each of them lies in the run.
        whole_s: Length of the run, s.
    """
    if not seen.shown:
        return None
    lines, columns = next(iter(seen.shown.values())).shape[1:]
    texts = {k: _text(seen, k, at, whole_s) for k in seen.shown}
    if lines / columns < _WIDE:
        return _draw_stacked(provenance, seen, texts)
    return _draw_grid(provenance, seen, texts)


def _draw_stacked(provenance: str, seen: Micrographs, texts: dict[int, list[str]]) -> Figure:
    """Wide frames one below the other, with their numbers at the right."""
    lines, columns = next(iter(seen.shown.values())).shape[1:]
    each_in = _WIDE_IN * lines / columns
    count = len(seen.shown) * len(seen.channels)
    height_in = _TOP_IN + count * (each_in + _GAP_IN) - _GAP_IN + _BOTTOM_IN
    figure = new_figure(provenance, height_in=height_in)
    row = 0
    for index, frame in seen.shown.items():
        for channel in range(len(seen.channels)):
            bottom = height_in - _TOP_IN - row * (each_in + _GAP_IN) - each_in
            box = (_LEFT_IN, bottom, _WIDE_IN, each_in)
            axes = _axes(figure, box, height_in)
            _draw_frame(axes, seen, frame, channel)
            _mark(axes, seen, index, channel)
            row += 1
            if channel:
                continue
            beside = (_LEFT_IN + _WIDE_IN + 0.15) / WIDTH_IN
            top = (bottom + each_in) / height_in
            head, *rest = texts[index]
            figure.text(beside, top, head, va="top", fontsize=11, fontweight="bold")
            figure.text(
                beside,
                top - 0.26 / height_in,
                "\n".join(rest),
                va="top",
                fontsize=10,
                linespacing=1.5,
            )
    return figure


def _draw_grid(provenance: str, seen: Micrographs, texts: dict[int, list[str]]) -> Figure:
    """Frames side by side, or the channels of a single frame."""
    lines, columns = next(iter(seen.shown.values())).shape[1:]
    single = len(seen.shown) == 1
    across = len(seen.channels) if single else len(seen.shown)
    down = 1 if single else len(seen.channels)
    width_in = min(4.0, (WIDTH_IN - _LEFT_IN - _BAR_IN - across * _GAP_IN) / across)
    each_in = width_in * lines / columns
    height_in = _TOP_IN + _TITLE_IN + down * (each_in + _GAP_IN) + _BOTTOM_IN
    figure = new_figure(provenance, height_in=height_in)
    for i, (index, frame) in enumerate(seen.shown.items()):
        for channel in range(len(seen.channels)):
            column, row = (channel, 0) if single else (i, channel)
            left = _LEFT_IN + column * (width_in + (_BAR_IN if single else _GAP_IN))
            bottom = height_in - _TOP_IN - _TITLE_IN - row * (each_in + _GAP_IN) - each_in
            axes = _axes(figure, (left, bottom, width_in, each_in), height_in)
            drawn = _draw_frame(axes, seen, frame, channel)
            _mark(axes, seen, index, channel)
            if channel == 0:
                axes.set_title("\n".join((", ".join(texts[index][:3]), *texts[index][3:])),
                               fontsize=9.5, fontweight="normal", loc="left")  # fmt: skip
            if channel == seen.induced and (single or i == len(seen.shown) - 1):
                box = (left + width_in + 0.08, bottom, 0.12, each_in)
                bar = figure.colorbar(drawn, cax=_axes(figure, box, height_in, bare=False))
                bar.set_label("induced current / nA", fontsize=9.5)
    return figure


def _axes(
    figure: Figure,
    box_in: tuple[float, float, float, float],
    height_in: float,
    *,
    bare: bool = True,
) -> Axes:
    left, bottom, width, height = box_in
    axes = figure.add_axes(
        (left / WIDTH_IN, bottom / height_in, width / WIDTH_IN, height / height_in)
    )
    if bare:
        axes.set_xticks([])
        axes.set_yticks([])
    return axes


def _draw_frame(axes: Axes, seen: Micrographs, frame: Image, channel: int) -> Any:
    """One channel of one frame; the grey scale of a channel is common to all frames."""
    image = frame[channel]
    lines, columns = image.shape
    shown = np.stack([one[channel] for one in seen.shown.values()])[:, ::4, ::4]
    finite = shown[np.isfinite(shown)]
    low, high = np.percentile(finite, _GREY_PERCENTILES) if finite.size else (0.0, 1.0)
    width_um, height_um = columns * seen.pixel_um, lines * seen.pixel_um
    drawn = axes.imshow(
        image, cmap="gray", vmin=low, vmax=high, extent=(0.0, width_um, height_um, 0.0)
    )
    label = {"SE": "secondary electrons"}.get(seen.channels[channel], seen.channels[channel])
    axes.text(
        0.985, 0.97, label, transform=axes.transAxes, ha="right", va="top", color="white",
        fontsize=9, path_effects=_HALO,
    )  # fmt: skip
    _scale_bar(axes, width_um, height_um)
    axes.set_xlim(0.0, width_um)
    axes.set_ylim(height_um, 0.0)
    axes.set_autoscale_on(False)
    return drawn


def _scale_bar(axes: Axes, width_um: float, height_um: float) -> None:
    length_um = _round_length(_BAR_SHARE * width_um)
    x_um, y_um = 0.025 * width_um, 0.94 * height_um
    axes.plot([x_um, x_um + length_um], [y_um, y_um], color="white", lw=3.5, solid_capstyle="butt",
              path_effects=[withStroke(linewidth=5.5, foreground="black")])  # fmt: skip
    axes.text(
        x_um + 0.5 * length_um, y_um - 0.02 * height_um, f"{length_um:g} µm", color="white",
        ha="center", va="bottom", fontsize=9.5, path_effects=_HALO,
    )  # fmt: skip


def _round_length(most: float) -> float:
    """The longest of 1, 2, 5, 10, ... that is not longer."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= most * (1 + 1e-9))


def _mark(axes: Axes, seen: Micrographs, index: int, channel: int) -> None:
    if index not in seen.analysed:
        return
    number = seen.analysed.index(index)
    if seen.voids and channel == 0:
        _outline_voids(axes, seen.shown[index][0], seen.voids[number], seen.pixel_um)
    if seen.spots:
        _circle_spots(axes, seen.spots[number])


def _outline_voids(axes: Axes, image: Image, found: VoidMeasurement, pixel_um: float) -> None:
    """Half ellipses of the measured widths and heights, standing on the interface."""
    interface = find_interface(image, pixel_um)
    if not interface.found or not found.voids:
        return
    line_um = interface.line * pixel_um
    angle = np.linspace(0.0, math.pi, 40)
    for void in found.voids:
        first, last = (
            int(np.clip(e / pixel_um, 0, len(line_um) - 1)) for e in (void.left_um, void.right_um)
        )
        base_um = float(line_um[first : last + 1].mean())
        middle_um, half_um = 0.5 * (void.left_um + void.right_um), 0.5 * void.width_um
        axes.plot(
            middle_um + half_um * np.cos(angle), base_um - void.height_um * np.sin(angle),
            color=_OUTLINE, lw=1.0,
        )  # fmt: skip


def _circle_spots(axes: Axes, found: SpallationCount) -> None:
    for spot in found.spots:
        colour = _OUTLINE if spot.quality == OK else _DOUBT
        axes.add_patch(
            Circle((spot.x_um, spot.y_um), 0.5 * spot.diameter_um, fill=False, ec=colour, lw=1.0)
        )


def _text(seen: Micrographs, index: int, at: Place, whole_s: float) -> list[str]:
    """Number, charge, time and what was found."""
    unit = time_unit(whole_s)
    lines = [f"frame {index}", f"{seen.time_s[index] / unit.seconds:.2f} {unit.name}"]
    if at.name != "Time":
        lines.insert(1, at.text(index))
    if seen.flags[index] != OK:
        return [*lines, f"flagged: {seen.flags[index]}"]
    if index not in seen.analysed:
        return lines
    number = seen.analysed.index(index)
    if seen.voids:
        lines += _void_text(seen.voids[number])
    if index in seen.filaments:
        filaments = seen.filaments[index]
        lines.append(f"{len(filaments.filaments)} filaments")
    if seen.spots:
        count = seen.spots[number].number
        lines.append(f"{with_error(count.value, count.error)} spots")
    return lines


def _void_text(found: VoidMeasurement) -> list[str]:
    if not found.measured:
        return ["not measured:", *_wrapped(found.quality)]
    lines = [
        f"{len(found.voids)} voids",
        f"contact loss {with_error(found.contact_loss, found.contact_loss_error, 100)} %",
    ]
    return lines if found.quality == OK else [*lines, *_wrapped(found.quality)]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 30)
