"""Delimited text of any instrument as columns with names and units.

Delimiter (comma, semicolon, tab or spaces), decimal comma, encoding and lines of remarks before the
header are found out; the header is the line above the first row of numbers. A unit stands in it,
``I/mA``, ``I (mA)``, ``I [mA]``, or as our own names end, ``current_ma``; or in a line of units
between header and numbers.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.errors import DataFileError
from orchestrator.files.limits import MAX_COLUMNS, MAX_ROWS, MAX_TABLE_BYTES, checked_file

Floats = npt.NDArray[np.float64]

MAX_HEADER_LINES = 500
"""Most lines of remarks before the header."""
MAX_LINE = 100_000
"""Longest line, characters."""
_DELIMITERS = (";", "\t", ",", None)
_DECIMAL_COMMA = {";", "\t", None}
_ENDINGS = (
    "mah_per_cm2", "ma_per_cm2", "ohm_cm2", "s_per_cm", "hz", "khz", "mhz", "ohm", "kohm", "mohm",
    "ma", "ua", "na", "mv", "uv", "um", "nm", "mm", "cm", "min", "s", "h", "v", "a", "ppm",
)  # fmt: skip
_UNIT_FIELDS = {
    *_ENDINGS, "#", "-", "°", "deg", "v vs. ref.", "bits", "µa", "μa", "Ω".lower(), "%", "1/s",
    "µm", "μm", "volt", "sec",
}  # fmt: skip
"""What fields of a line of units hold, in lower case."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: As in the header.
        name: Title without unit, in lower case.
        unit: Unit as in the header; empty if there is none.
        values: Numbers; NaN where a field is empty or no number, shape (rows,).
    """

    title: str
    name: str
    unit: str
    values: Floats


@dataclass(frozen=True)
class Table:
    """Columns of one file.

    Attributes:
        path: The file.
        columns: From left to right.
        notes: What was odd, for people.
        simulated: Whether the remarks above the header hold that word in capitals.
    """

    path: Path
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def titles(self) -> str:
        """All titles, for messages."""
        return ", ".join(column.title for column in self.columns)


def read_table(path: str | Path) -> Table:
    """Read delimited text.

    Raises:
        DataFileError: The file is missing, too large, or has no header above rows of numbers.
    """
    file = Path(path)
    checked_file(file, max_bytes=MAX_TABLE_BYTES)
    lines = _text(file).splitlines()
    for delimiter in _DELIMITERS:
        start = _first_row(lines, delimiter)
        if start is not None:
            return _table(file, lines, start, delimiter)
    raise DataFileError(
        str(file),
        "table, got no header above rows of at least two numbers",
        remedy="export delimited text with one line of column titles",
    )


def _text(path: Path) -> str:
    """Decoded text: by its mark, else UTF-8, else the old Western one of many instruments."""
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    if b"\x00" in raw[:4096]:
        raise DataFileError(
            str(path), "is binary, expected delimited text", remedy="export it as text"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _split(line: str, delimiter: str | None) -> list[str]:
    if len(line) > MAX_LINE:
        return []
    if delimiter is None:
        return line.split()
    return [field.strip() for field in next(csv.reader([line], delimiter=delimiter), [])]


def _numbers(fields: Iterable[str], *, decimal_comma: bool) -> list[float]:
    return [_number(field, decimal_comma=decimal_comma) for field in fields]


def _number(field: str, *, decimal_comma: bool) -> float:
    try:
        return float(field.replace(",", ".") if decimal_comma else field)
    except ValueError:
        return math.nan


def _first_row(lines: Sequence[str], delimiter: str | None) -> int | None:
    """Index of the first row of numbers below titles of as many fields; None without one."""
    comma = delimiter in _DECIMAL_COMMA
    before: list[str] = []
    for index, line in enumerate(lines[:MAX_HEADER_LINES]):
        fields = _split(line, delimiter)
        numeric = sum(math.isfinite(v) for v in _numbers(fields, decimal_comma=comma))
        titled = len(before) >= 2 and all(
            title and math.isnan(_number(title, decimal_comma=comma)) for title in before
        )
        if titled and len(fields) >= len(before) and numeric >= max(2, len(before) // 2):
            return index
        before = fields[:-1] if fields and not fields[-1] else fields
    return None


def _titles(lines: Sequence[str], start: int, delimiter: str | None) -> list[str]:
    """Titles above the first row; units in a line of their own are put behind them."""
    below = [field for field in _split(lines[start - 1], delimiter) if field]
    above = [field for field in _split(lines[start - 2], delimiter) if field] if start > 1 else []
    units = [field.strip("[]()") for field in below]
    if len(above) != len(below) or not all(unit.lower() in _UNIT_FIELDS for unit in units):
        return below
    return [t if u in "#-" else f"{t} [{u}]" for t, u in zip(above, units, strict=True)]


def _table(path: Path, lines: Sequence[str], start: int, delimiter: str | None) -> Table:
    titles = _titles(lines, start, delimiter)
    width = len(titles)
    if width > MAX_COLUMNS or len(lines) - start > MAX_ROWS:
        raise DataFileError(
            str(path),
            f"table, got {width} columns and {len(lines) - start} rows, expected at most "
            f"{MAX_COLUMNS} and {MAX_ROWS}",
            remedy="export fewer of them",
        )
    comma = delimiter in _DECIMAL_COMMA
    rows = [
        _numbers(fields, decimal_comma=comma)
        for fields in (_split(line, delimiter) for line in lines[start:])
        if len(fields) >= width
    ]
    dropped = sum(bool(line.strip()) for line in lines[start:]) - len(rows)
    notes = (f"{dropped} lines without {width} fields are left out",) if dropped else ()
    values = np.array([row[:width] for row in rows], dtype=np.float64).reshape(-1, width)
    columns = [_column(title, values[:, k]) for k, title in enumerate(titles)]
    simulated = any("SIMULATED" in line for line in lines[:start])
    return Table(path, tuple(columns), notes, simulated)


def _column(title: str, values: Floats) -> Column:
    name, unit = split_title(title)
    return Column(title, name, unit, values)


def split_title(title: str) -> tuple[str, str]:
    """Name in lower case and unit of a column's title.

    ``Ewe/V``, ``I (mA)``, ``|Z| [Ohm]`` and ``voltage_v`` all carry one.
    """
    text = title.strip().strip('"').lstrip("#%").strip()
    found = re.fullmatch(r"(.*?)\s*[(\[]\s*([^()\[\]]*?)\s*[)\]]", text)
    if found is None:
        found = re.fullmatch(r"(.*?[^\s/])\s*/\s*([^/\s][^/]*)", text)
    if found is not None and found[1]:
        return found[1].strip().lower(), found[2].strip()
    for ending in _ENDINGS:
        if text.lower().endswith(f"_{ending}"):
            return text[: -len(ending) - 1].lower(), ending
    return text.lower(), ""
