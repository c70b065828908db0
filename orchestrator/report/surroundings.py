"""What surrounded the cell: temperature and stack pressure against time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.records.runs import Columns
from orchestrator.report.style import LAYER_COLOURS, MARK, SOFT, VOLTAGE, new_figure, panel

Floats = npt.NDArray[np.float64]

_ROW_IN, _MARGIN_IN = 1.75, 0.9
_S_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Surroundings:
    """Readings of a chamber and a load cell; arrays of the length of `time_s`, None where absent.

    Attributes:
        time_s: Seconds since the run began.
        temperature_celsius: Temperature of the cell, degree Celsius.
        air_celsius: Temperature of the air around it, degree Celsius.
        pressure_mpa: Stack pressure, MPa.
        error_mpa: Its standard error, MPa.
        drifted: Whether the drift alarm was on.
    """

    time_s: Floats
    temperature_celsius: Floats | None
    air_celsius: Floats | None
    pressure_mpa: Floats | None
    error_mpa: Floats | None
    drifted: Floats | None


def find_surroundings(streams: Mapping[str, Columns], begin_s: float) -> Surroundings | None:
    """The first stream that has the temperature of a cell in a chamber, or a stack pressure."""
    for columns in streams.values():
        chamber = _device(columns, "_temperature_celsius", "_air_celsius")
        press = _device(columns, "_pressure_mpa", "_pressure_error_mpa")
        if chamber is None and press is None:
            continue
        return Surroundings(
            time_s=np.asarray(columns["time"], dtype=float) - begin_s,
            temperature_celsius=_column(columns, chamber, "_temperature_celsius"),
            air_celsius=_column(columns, chamber, "_air_celsius"),
            pressure_mpa=_column(columns, press, "_pressure_mpa"),
            error_mpa=_column(columns, press, "_pressure_error_mpa"),
            drifted=_column(columns, press, "_drift_alarm"),
        )
    return None


def draw_surroundings(provenance: str, around: Surroundings) -> Figure:
    """Temperature and pressure, one below the other, each if there is one."""
    rows = (around.temperature_celsius is not None) + (around.pressure_mpa is not None)
    height_in = _MARGIN_IN + _ROW_IN * rows
    figure = new_figure(provenance, height_in=height_in)
    axes = figure.subplots(
        rows,
        1,
        sharex=True,
        squeeze=False,
        gridspec_kw={
            "left": 0.085,
            "right": 0.915,
            "top": 1 - 0.5 / height_in,
            "bottom": 0.52 / height_in,
            "hspace": 0.34,
        },
    )[:, 0]
    hours = around.time_s / _S_PER_HOUR
    if around.temperature_celsius is not None:
        panel(axes[0], "a", "Temperature")
        _draw_temperature(axes[0], hours, around)
    if around.pressure_mpa is not None:
        panel(axes[-1], "ab"[rows - 1], "Stack pressure")
        _draw_pressure(axes[-1], hours, around)
    axes[-1].set_xlabel("Time since the run began / h")
    axes[-1].set_xlim(0, max(float(hours[-1]), 1e-3) * 1.01)
    return figure


def _draw_temperature(axes: Axes, hours: Floats, around: Surroundings) -> None:
    if around.air_celsius is not None:
        axes.plot(hours, around.air_celsius, color=SOFT, linewidth=0.9, label="air")
    axes.plot(
        hours, np.asarray(around.temperature_celsius), color=VOLTAGE, linewidth=1.5, label="cell"
    )
    axes.set_ylabel("°C")
    axes.legend(loc="best")


def _draw_pressure(axes: Axes, hours: Floats, around: Surroundings) -> None:
    """The reading with its error, which is one of the whole series: gain and zero."""
    pressure = np.asarray(around.pressure_mpa)
    if around.error_mpa is not None:
        low, high = pressure - around.error_mpa, pressure + around.error_mpa
        axes.fill_between(hours, low, high, color=LAYER_COLOURS[3], alpha=0.25, lw=0)
    axes.plot(hours, pressure, color=LAYER_COLOURS[3], linewidth=1.5)
    if around.drifted is not None and around.drifted.any():
        far = around.drifted > 0
        axes.plot(hours[far], pressure[far], ".", color=MARK, label="drift alarm")
        axes.legend(loc="best")
    axes.set_ylabel("MPa")


def _device(columns: Columns, ending: str, other: str) -> str | None:
    """The device that has both columns and at least one row."""
    for key in columns:
        device = key.removesuffix(ending)
        if device != key and f"{device}{other}" in columns and len(columns[key]):
            return device
    return None


def _column(columns: Columns, device: str | None, ending: str) -> Floats | None:
    values = columns.get(f"{device}{ending}") if device is not None else None
    return None if values is None else np.asarray(values, dtype=float)
