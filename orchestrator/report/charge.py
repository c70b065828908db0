"""Charge and throughput against time, and the charge during each exposure."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.report.contents import Contents, Electrochemistry
from orchestrator.report.imaging import Imaging
from orchestrator.report.overview import envelope
from orchestrator.report.scales import TimeUnit, time_unit
from orchestrator.report.style import INK, LAYER_COLOURS, SOFT, VOLTAGE, new_figure, panel

_BINS = 1500
_THROUGHPUT, _NET = "#8fa7bf", LAYER_COLOURS[1]


def draw_charge(contents: Contents) -> Figure:
    """Throughput, net charge and exposures, one below the other."""
    imaging = contents.imaging
    exposures = imaging is not None and np.isfinite(imaging.throughput_mah).any()
    rows = 3 if exposures else 2
    unit = time_unit(contents.duration_s)
    figure = new_figure(contents.provenance, height_in=0.9 + 1.75 * rows)
    height_in = 0.9 + 1.75 * rows
    axes = figure.subplots(
        rows,
        1,
        sharex=True,
        gridspec_kw={
            "left": 0.085,
            "right": 0.915,
            "top": 1 - 0.5 / height_in,
            "bottom": 0.52 / height_in,
            "hspace": 0.34,
        },
    )
    panel(axes[0], "a", "Throughput: charge in either direction")
    panel(axes[1], "b", "Net charge A → B")
    axes[0].set_ylabel("mAh")
    axes[1].set_ylabel("µAh")
    if contents.echem is not None:
        _draw_throughput(axes[0], contents.echem, unit)
        _draw_net(axes[1], contents.echem, unit)
    if exposures and imaging is not None:
        _draw_exposures(axes[2], imaging, unit)
    axes[-1].set_xlabel(f"Time since the run began / {unit.name}")
    axes[0].set_xlim(0, max(contents.duration_s / unit.seconds, 1e-6) * 1.01)
    return figure


def _draw_throughput(axes: Axes, echem: Electrochemistry, unit: TimeUnit) -> None:
    records = echem.records
    days, _, middle, _ = envelope(records.time_s / unit.seconds, records.throughput_mah, _BINS)
    axes.plot(days, middle, color=VOLTAGE, linewidth=1.5)
    axes.set_ylim(0, None)
    if np.isfinite(echem.area_cm2):
        to_density = partial(np.multiply, 1.0 / echem.area_cm2)
        other = axes.secondary_yaxis(
            "right", functions=(to_density, partial(np.multiply, echem.area_cm2))
        )
        other.set_ylabel("mAh cm$^{-2}$")


def _draw_net(axes: Axes, echem: Electrochemistry, unit: TimeUnit) -> None:
    """Envelope of the reversing charge, and its mean."""
    records = echem.records
    days, low, middle, high = envelope(
        records.time_s / unit.seconds, 1e3 * records.charge_mah, _BINS
    )
    axes.fill_between(days, low, high, color=VOLTAGE, alpha=0.35, lw=0.5)
    axes.plot(days, middle, color=VOLTAGE, linewidth=0.8)
    axes.axhline(0, color=SOFT, linewidth=0.6)


def _draw_exposures(axes: Axes, imaging: Imaging, unit: TimeUnit) -> None:
    panel(axes, "c", "Charge during each exposure")
    axes.set_ylabel("µAh")
    left, width = imaging.start_s / unit.seconds, (imaging.end_s - imaging.start_s) / unit.seconds
    axes.bar(
        left,
        1e3 * imaging.throughput_mah,
        width=0.92 * width,
        align="edge",
        color=_THROUGHPUT,
        label="throughput",
    )
    axes.bar(
        left + 0.25 * width,
        1e3 * imaging.charge_mah,
        width=0.42 * width,
        align="edge",
        color=_NET,
        label="net A → B",
    )
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.margins(y=0.2)
    axes.legend(loc="upper right", ncols=2, bbox_to_anchor=(1.0, 1.22), borderaxespad=0)
