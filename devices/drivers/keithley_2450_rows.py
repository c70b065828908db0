"""Rows of a 2450's reading buffer as a host reads them: binary transfers, current and voltage."""

from __future__ import annotations

import numpy as np

from devices.drivers.keithley_2450 import parse_records, records_query
from devices.link import Link
from devices.link_numbers import GarbledReplyError
from devices.roles import Floats

_ROWS_PER_TRANSFER = 10_000
_OVERLOAD = 9e37


def read_rows(link: Link, first: int, last: int) -> Floats:
    """Rows `first` to `last - 1`, counted from 0; shape (n, 3): reading, source value, time in s.

    A transfer changes nothing, so the link may send it again.
    """
    parts = [
        _transfer(link, start + 1, min(start + _ROWS_PER_TRANSFER, last))
        for start in range(first, last, _ROWS_PER_TRANSFER)
    ]
    if not parts:
        return np.empty((0, 3))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def columns(rows: Floats, *, forces_voltage: bool) -> tuple[Floats, Floats]:
    """Current in mA and voltage in V; NaN for an overload."""
    if not len(rows):
        return rows[:, 0], rows[:, 1]
    if np.abs(rows[:, :2]).max() > _OVERLOAD:
        rows = np.where(np.abs(rows) > _OVERLOAD, np.nan, rows)
    measured, source = rows[:, 0], rows[:, 1]
    current_a, voltage_v = (measured, source) if forces_voltage else (source, measured)
    return current_a * 1e3, voltage_v


def overloaded(row: Floats) -> bool:
    """Whether neither the reading nor the source value is a number: the output was open."""
    return bool(np.abs(row[:2]).min() > _OVERLOAD)


def _transfer(link: Link, first: int, last: int) -> Floats:
    command, size = records_query(first, last)
    return link.query_bytes(command, size, _records, repeat=True)


def _records(block: bytes) -> Floats:
    try:
        return parse_records(block)
    except ValueError as error:
        raise GarbledReplyError(str(error)) from None
