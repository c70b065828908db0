"""Readings of the simulated 2450: READ?, TRACe and FORMat (pages 6-3 to 6-7, 6-29, 6-107 ff.)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np

from sim.instruments.scpi import Handler, ScpiError, choice, integer, string
from sim.instruments.smu_buffer import ReadingBuffer, Rows

MOST_ROWS = 6_875_000
"""Readings of the standard style in all buffers together (2461, page 3-10; PyMeasure agrees)."""

_FEWEST_ROWS = 10
_DEFAULT = '"defbuffer1"'
_ELEMENTS = {"READ": 0, "SOUR": 1, "REL": 2}


class ReadingSmu(Protocol):
    """What these commands need of the instrument."""

    buffers: dict[str, ReadingBuffer]

    def on(self, header: str, execute: Handler | None = None, query: Handler | None = None) -> None:
        """Teach a header."""
        ...

    def setting(self, header: str, execute: Handler, query: Handler | None = None) -> None:
        """Teach a header whose command is refused while the trigger model runs."""
        ...

    def busy(self) -> bool:
        """Whether the trigger model runs."""
        ...

    def measure_function(self, text: str) -> None:
        """Select what is measured."""
        ...

    def measure_now(self, buffer: str) -> None:
        """Make one reading and store it."""
        ...


class ReadingCommands:
    """Adds the commands to an instrument and keeps their settings.

    Args:
        smu: The instrument.
    """

    def __init__(self, smu: ReadingSmu) -> None:
        self._smu = smu
        self._elements: dict[tuple[str, ...], list[int]] = {}
        self.reset()
        smu.setting(":FORMat[:DATA]", self._set_format, lambda: self.format)
        smu.setting(":FORMat:BORDer", self._set_order, lambda: "NORM" if self._big else "SWAP")
        smu.on(":READ", query=self._read)
        smu.on(":FETCh", query=self._fetch)
        for name in ("CURRent", "VOLTage", "RESistance"):
            smu.on(f":MEASure:{name}", query=functools.partial(self._measure, name))
        smu.on(":TRACe:TRIGger", self._trigger)
        smu.on(":TRACe:ACTual", query=lambda name=_DEFAULT: str(self._buffer(name).actual))
        smu.on(":TRACe:ACTual:STARt", query=lambda name=_DEFAULT: str(self._buffer(name).first))
        smu.on(":TRACe:ACTual:END", query=lambda name=_DEFAULT: str(self._buffer(name).last))
        smu.on(":TRACe:DATA", query=self._data)
        smu.setting(":TRACe:CLEar", self._clear)
        smu.setting(":TRACe:POINts", self._resize, self._points)
        smu.setting(":TRACe:FILL:MODE", self._set_fill, self._fill)
        for name, function in (
            ("AVERage", np.mean),
            ("MAXimum", np.max),
            ("MINimum", np.min),
            ("STDDev", np.std),
        ):
            smu.on(
                f":TRACe:STATistics:{name}",
                query=functools.partial(self._statistic, function),
            )

    def reset(self) -> None:
        """Defaults of FORMat."""
        self.format, self._big = "ASC", False

    def _buffer(self, name: str) -> ReadingBuffer:
        try:
            return self._smu.buffers[string(name).lower()]
        except KeyError:
            raise ScpiError(-224, "Reading buffer does not exist") from None

    def _clear(self, name: str = _DEFAULT) -> None:
        self._buffer(name).clear()

    def _resize(self, size: str, name: str = _DEFAULT) -> None:
        """Page 6-115."""
        self._buffer(name).resize(integer(size, _FEWEST_ROWS, MOST_ROWS))

    def _points(self, name: str = _DEFAULT) -> str:
        return str(self._buffer(name).capacity)

    def _set_fill(self, mode: str, name: str = _DEFAULT) -> None:
        """Page 6-112: only of an empty buffer."""
        buffer = self._buffer(name)
        once = choice(mode, "CONTinuous", "ONCE") == "ONCE"
        if buffer.actual and once != buffer.once:
            raise ScpiError(-221, "The fill mode of a buffer that is not empty cannot change")
        buffer.once = once

    def _fill(self, name: str = _DEFAULT) -> str:
        return "ONCE" if self._buffer(name).once else "CONT"

    def _set_format(self, text: str) -> None:
        self.format = choice(text, "ASCii", "REAL", "SREal")

    def _set_order(self, text: str) -> None:
        self._big = choice(text, "NORMal", "SWAPped") == "NORM"

    def _data(self, first: str, last: str, name: str = _DEFAULT, *elements: str) -> str | bytes:
        """Page 6-109."""
        buffer = self._buffer(name)
        start = integer(first, 1, MOST_ROWS)
        end = integer(last, start, MOST_ROWS)
        if end > buffer.actual:
            raise ScpiError(-222)
        return self._show(buffer.rows(start, end), elements)

    def _trigger(self, name: str = _DEFAULT) -> None:
        """Page 6-124: make a reading and store it."""
        self._buffer(name)
        if self._smu.busy():
            raise ScpiError(-221, "Not accepted while the trigger model runs")
        self._smu.measure_now(string(name).lower())

    def _read(self, name: str = _DEFAULT, *elements: str) -> str | bytes:
        """Page 6-6: make a reading, store it and return it."""
        self._trigger(name)
        return self._fetch(name, *elements)

    def _fetch(self, name: str = _DEFAULT, *elements: str) -> str | bytes:
        buffer = self._buffer(name)
        if not buffer.actual:
            raise ScpiError(-221, "The reading buffer is empty")
        return self._show(buffer.rows(buffer.last, buffer.last), elements)

    def _measure(self, function: str) -> str | bytes:
        self._smu.measure_function(function)
        return self._read()

    def _statistic(self, function: Callable[[Rows], float], name: str = _DEFAULT) -> str:
        readings = self._buffer(name).readings()
        if not len(readings):
            raise ScpiError(-221, "The reading buffer is empty")
        return f"{function(readings):.6E}"

    def _show(self, rows: Rows, elements: tuple[str, ...]) -> str | bytes:
        """ASCII, or IEEE 754 after ``#0``, ended by a new line only (page 6-30)."""
        columns = self._elements.get(elements)
        if columns is None:
            names = [choice(name, "READing", "SOURce", "RELative") for name in elements]
            columns = self._elements[elements] = [_ELEMENTS[name] for name in names] or [0]
        chosen = rows if columns == [0, 1, 2] else rows[:, columns]
        if self.format == "ASC":
            return ",".join(f"{value:.6E}" for value in chosen.ravel())
        kind = (">" if self._big else "<") + ("f8" if self.format == "REAL" else "f4")
        with np.errstate(over="ignore"):  # an infinite resistance, in short
            return b"#0" + chosen.astype(kind).tobytes()
