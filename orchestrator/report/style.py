"""How every figure looks: size, type, colours, and the mark of simulated data.

Figures have one and a half times the pixels in which the page shows them: `WIDTH_IN` inches are
`WIDTH_IN` * 96 CSS pixels, hence a point in the figure is a point on the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH_IN = 10.0
CSS_PX_PER_IN = 96
DPI = 1.5 * CSS_PX_PER_IN

# Okabe and Ito's palette, told apart with every common colour blindness; outer layers are drawn
# with full symbols in dark colours, inner layers with open symbols in light ones.
LAYER_COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73")
LAYER_MARKERS = ("o", "s", "D", "^")
INK, SOFT, MARK = "#222222", "#6b6b6b", "#B3261E"
VOLTAGE = "#0B3C5D"
STAGE_SHADES = ("#f3f5f8", "#e8ecf1", "#d9e0e8", "#e8ecf1")

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.labelsize": 10.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "path.simplify": True,
    "figure.facecolor": "white",
}

BANNERS = {
    "simulated": "SIMULATED - not measured data",
    "measured": "measured",
    "unknown": "origin of the data not recorded",
}
"""What a page and every figure say about the origin of the data."""


@contextmanager
def style() -> Iterator[None]:
    """Draw with the project's style, whatever the user's settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def new_figure(provenance: str, *, height_in: float) -> Figure:
    """An empty figure that says where its data come from: a key of `BANNERS`."""
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI)
    FigureCanvasAgg(figure)
    if provenance != "measured":
        figure.text(
            0.995,
            1.0 - 0.06 / height_in,
            BANNERS[provenance],
            ha="right",
            va="top",
            color=MARK,
            fontsize=11,
            fontweight="bold",
        )
    return figure


def save(figure: Figure, path: Path, *, what: str, provenance: str) -> None:
    """Write a PNG whose metadata repeat what it shows and the origin of the data."""
    description = f"{what}: {BANNERS[provenance]}"
    figure.savefig(
        path,
        metadata={"Description": description, "Software": "operando"},
        pil_kwargs={"compress_level": 4},
    )


def panel(axes: Axes, letter: str, title: str) -> None:
    """Give a panel its letter and title."""
    axes.set_title(f"{letter}  {title}", pad=6)
