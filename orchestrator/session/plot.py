"""A plot of the running cell in a window of matplotlib's, where there is a display."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.cell_records import Records
from devices.clock import monotonic

log = logging.getLogger(__name__)

MOST_POINTS = 2000
"""Points of a curve; when there are more, neighbours are joined to their extremes."""

_SHARE_OF_TIME = 0.1
_LEAST_PERIOD_S = 0.5
_S_PER_H = 3600.0


def display_exists() -> bool:
    """Whether the environment offers something to open a window on."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Curve:
    """Values over time within a bounded memory; no extreme is lost.

    Args:
        most: Largest number of points.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most, self._per_point = most, 1
        self._lows: list[float] = []
        self._highs: list[float] = []
        self._times: list[float] = []
        self._open: list[tuple[float, float]] = []

    def add(self, times: npt.NDArray[Any], values: npt.NDArray[Any]) -> None:
        """Take values at ascending times."""
        for pair in zip(times.tolist(), values.tolist(), strict=True):
            self._open.append(pair)
            if len(self._open) >= self._per_point:
                self._close()

    def points(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Times and values to draw: the least and the greatest of each stretch."""
        pending = [value for _, value in self._open]
        lows, highs = list(self._lows), list(self._highs)
        times = list(self._times)
        if pending:
            lows, highs = [*lows, min(pending)], [*highs, max(pending)]
            times = [*times, self._open[-1][0]]
        values = np.column_stack([lows, highs]).ravel() if times else np.empty(0)
        return np.repeat(np.asarray(times, dtype=float), 2), values

    def _close(self) -> None:
        values = [value for _, value in self._open]
        self._times.append(self._open[-1][0])
        self._lows.append(min(values))
        self._highs.append(max(values))
        self._open.clear()
        if len(self._times) >= self._most:
            self._times = self._times[1::2]
            self._lows = [min(pair) for pair in _pairs(self._lows)]
            self._highs = [max(pair) for pair in _pairs(self._highs)]
            self._per_point *= 2


class LivePlot:
    """Voltage and current over experiment time, with a tick for each frame.

    It is drawn by the thread that called the engine, for at most a tenth of that thread's time, so
    that the engine's thread keeps the processor. Whatever goes wrong with a window ends the plot
    and nothing else.

    Args:
        display: Whether there is a display; None asks the environment.
        figure: Makes the figure; by default matplotlib's own in a window.
    """

    def __init__(
        self, *, display: bool | None = None, figure: Callable[[], Any] | None = None
    ) -> None:
        self.possible = display_exists() if display is None else display
        self._make = figure or _window
        self._figure: Any = None
        self._next_s = 0.0
        self._clear(0.0)

    def _clear(self, began_s: float) -> None:
        self._began_s, self._title = began_s, ""
        self._volts, self._amps = Curve(), Curve()
        self._frames: list[float] = []
        self._images: set[str] = set()
        self._changed = False

    def document(self, name: str, doc: Mapping[str, Any]) -> None:
        """Take note of a document."""
        if name == "start":
            self._clear(doc["time"])
            self._title = f"{doc.get('plan_name', '')} {doc['uid'][:8]}"
        elif name == "descriptor":
            if any("external" in key for key in doc["data_keys"].values()):
                self._images.add(doc["uid"])
        elif name == "event" and doc["descriptor"] in self._images:
            self._frames.append((doc["time"] - self._began_s) / _S_PER_H)

    def records(self, records: Records) -> None:
        """Take note of records of the cell."""
        hours = (np.asarray(records.t_s, dtype=float) - self._began_s) / _S_PER_H
        self._volts.add(hours, np.asarray(records.voltage_v, dtype=float))
        self._amps.add(hours, np.asarray(records.current_ma, dtype=float))
        self._changed = True

    def draw(self, *, at_once: bool = False) -> None:
        """Renew the window if it is time to, and let it react to the mouse."""
        began_s = monotonic()
        if not self.possible or not (at_once or began_s >= self._next_s):
            return
        try:
            self._renew()
        except Exception:
            log.exception("the plot ended")
            self.possible = False
        took_s = monotonic() - began_s
        self._next_s = began_s + max(_LEAST_PERIOD_S, took_s / _SHARE_OF_TIME)

    def close(self) -> None:
        """Close the window."""
        figure, self._figure = self._figure, None
        if figure is not None and self._make is _window:
            from matplotlib import pyplot

            pyplot.close(figure)

    def _renew(self) -> None:
        if self._changed:
            self._changed = False
            self._figure = self._figure if self._figure is not None else self._make()
            self._curves(self._figure)
            self._figure.canvas.draw_idle()
        if self._figure is not None:
            self._figure.canvas.flush_events()

    def _curves(self, figure: Any) -> None:
        figure.clear()
        top, bottom = figure.subplots(2, 1, sharex=True)
        top.plot(*self._volts.points(), lw=0.8)
        bottom.plot(*self._amps.points(), lw=0.8, color="tab:green")
        if self._frames:
            mark = {"marker": "|", "color": "0.3", "clip_on": False, "transform": None}
            mark["transform"] = top.get_xaxis_transform()
            top.scatter(self._frames, [1.0] * len(self._frames), s=40, **mark)
        top.set_title(self._title, fontsize="medium")
        top.set_ylabel("voltage / V")
        bottom.set_ylabel("current / mA")
        bottom.set_xlabel("experiment time / h")


def _pairs(values: list[float]) -> Iterable[tuple[float, float]]:
    return zip(values[::2], values[1::2], strict=True)


def _window() -> Any:
    """A figure in a window that the prompt stays usable beside."""
    from matplotlib import pyplot

    pyplot.ion()
    figure = pyplot.figure("operando", layout="constrained")
    figure.show()
    return figure
