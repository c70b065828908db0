"""A figure of the page with its words."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.report.style import SOFT, new_figure

_MARGINS = {"left": 0.075, "right": 0.985, "top": 0.86, "bottom": 0.17, "wspace": 0.24}


@dataclass(frozen=True)
class Drawing:
    """A figure, what it shows, and what is to be seen in it.

    Attributes:
        name: Stem of its file.
        figure: The figure.
        alt: What it shows, for those who cannot see it.
        caption: What stands below it, with the published numbers.
    """

    name: str
    figure: Figure
    alt: str
    caption: str


def panels(count: int, *, height_in: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A simulated figure of panels side by side."""
    figure = new_figure("simulated", height_in=height_in)
    axes = figure.subplots(1, count, squeeze=False)[0]
    figure.subplots_adjust(**_MARGINS)
    return figure, list(axes)


def published(axes: Axes, value: float, text: str, *, vertical: bool = False) -> None:
    """A published number as a dashed line with its name."""
    if vertical:
        axes.axvline(value, color=SOFT, linestyle=(0, (4, 3)), linewidth=1.0, zorder=0)
        axes.annotate(
            text, (value, 0.98), xycoords=("data", "axes fraction"), rotation=90,
            ha="right", va="top", fontsize=8.5, color=SOFT,
        )  # fmt: skip
        return
    axes.axhline(value, color=SOFT, linestyle=(0, (4, 3)), linewidth=1.0, zorder=0)
    axes.annotate(
        text, (0.99, value), xycoords=("axes fraction", "data"),
        ha="right", va="bottom", fontsize=8.5, color=SOFT,
    )  # fmt: skip
