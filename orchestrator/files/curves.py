"""Spectra, records and line scans from tables: which column is which, in which unit and sign.

Columns are recognised by the names that instruments use (``freq/Hz``, ``Re(Z)/Ohm``,
``-Im(Z)/Ohm``, ``Zreal``, ``Z' (ohm)``, ``Ewe/V``, ``<I>/mA``, ``voltage_v`` ...). Current needs a
unit, since nobody can tell A from mA; for the rest a missing one is taken as Hz, ohm, s or V, and
noted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.errors import DataFileError
from orchestrator.files.tables import Column, Table, read_table

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]


@dataclass(frozen=True)
class _Quantity:
    """How a column is recognised.

    Attributes:
        what: Its name in messages.
        pattern: Names of columns, in lower case.
        examples: Titles to suggest.
        units: Factor to our unit by unit; None where any will do.
        assumed: Unit where the title has none; empty where it must have one.
    """

    what: str
    pattern: str
    examples: str
    units: Mapping[str, float] | None = None
    assumed: str = ""


_OHM = {"ohm": 1.0, "ohms": 1.0, "Ω": 1.0, "\u2126": 1.0, "kohm": 1e3, "kΩ": 1e3, "mOhm": 1e-3,
        "mohm": 1e-3, "mΩ": 1e-3, "MOhm": 1e6, "MΩ": 1e6}  # fmt: skip
_FREQUENCY = _Quantity(
    "frequency", r"f|freq|frequency", "freq/Hz, frequency_hz",
    {"hz": 1.0, "khz": 1e3, "MHz": 1e6, "mHz": 1e-3, "mhz": 1e6, "1/s": 1.0}, "Hz",
)  # fmt: skip
_REAL = _Quantity(
    "real part", r"re|re\(z\)|zre|zreal|z_real|real|z'|z\.re|re_z|re\(zwe-ce\)|impedance_real|zr",
    "Re(Z)/Ohm, Zreal (ohm), re_ohm", _OHM, "ohm",
)  # fmt: skip
_IMAGINARY = _Quantity(
    "imaginary part",
    r"-?(im|im\(z\)|zim|zimag|z_imag|imag|imaginary|z''|z\"|z\.im|im_z|impedance_imag|zi)",
    "-Im(Z)/Ohm, Zimag (ohm), im_ohm", _OHM, "ohm",
)  # fmt: skip
_TIME = _Quantity(
    "time", r"t|time|elapsed time|test time|test_time|total time", "time/s, t_s",
    {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "h": 3600.0, "hr": 3600.0,
     "hours": 3600.0}, "s",
)  # fmt: skip
_VOLTAGE = _Quantity(
    "voltage",
    r"v|u|e|voltage|<?ewe>?|ecell|<?ewe-ece>?|vf|potential|cell voltage|voltage_cell|ecell",
    "Ewe/V, voltage_v", {"v": 1.0, "mv": 1e-3, "v vs. ref.": 1.0, "volt": 1.0}, "V",
)  # fmt: skip
_CURRENT = _Quantity(
    "current", r"i|<?i>?|current|im|imeas|i_cell|cell current", "I/mA, current_ma",
    {"ma": 1.0, "a": 1e3, "ua": 1e-3, "µa": 1e-3, "μa": 1e-3, "na": 1e-6},
)  # fmt: skip
_DEPTH = _Quantity(
    "depth", r"depth|distance|position|x|z|d", "depth/um, distance (um)",
    {"um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "micron": 1.0}, "um",
)  # fmt: skip
_MAGNESIUM = _Quantity(
    "magnesium", r"mg|mg k|magnesium|counts|mg counts|mg_k|mg_counts|mg ka1_2|mg kα1_2|value",
    "Mg counts, magnesium",
)  # fmt: skip
_ERROR = _Quantity("error", r"error|mg error|sigma|sd|std|uncertainty|standard error", "error")


@dataclass(frozen=True)
class SpectrumFile:
    """An impedance spectrum.

    Attributes:
        path: The file.
        frequency_hz: Hz, shape (n,).
        impedance_ohm: Ohm, capacitive Im Z negative, shape (n,).
        notes: What was assumed or is odd, for people.
        simulated: Whether the file says that its data is simulated.
    """

    path: Path
    frequency_hz: Floats
    impedance_ohm: Complexes
    notes: tuple[str, ...]
    simulated: bool


@dataclass(frozen=True)
class RecordsFile:
    """Records of a cell.

    Attributes:
        path: The file.
        time_s: s, shape (n,).
        voltage_v: V.
        current_ma: mA, as signed in the file.
        notes: What was assumed or is odd, for people.
        simulated: Whether the file says that its data is simulated.
    """

    path: Path
    time_s: Floats
    voltage_v: Floats
    current_ma: Floats
    notes: tuple[str, ...]
    simulated: bool


@dataclass(frozen=True)
class ProfileFile:
    """A line scan.

    Attributes:
        path: The file.
        depth_um: Position, um, shape (n,).
        values: Counts or fractions.
        errors: Their standard errors, or None.
        notes: What was assumed or is odd, for people.
        simulated: Whether the file says that its data is simulated.
    """

    path: Path
    depth_um: Floats
    values: Floats
    errors: Floats | None
    notes: tuple[str, ...]
    simulated: bool


def read_spectrum(path: str | Path, *, negated: bool = False) -> SpectrumFile:
    """Read an impedance spectrum.

    A title that begins with a minus, as in ``-Im(Z)/Ohm``, is a column of the negated value.

    Args:
        path: Delimited text with frequency, real and imaginary part.
        negated: Whether the imaginary column is -Im Z although its title does not say so.

    Raises:
        DataFileError: A column is missing, or its unit is not known.
    """
    table = read_table(path)
    reader = _Reader(table)
    hertz = reader.values(_FREQUENCY)
    real = reader.values(_REAL)
    imaginary = reader.values(_IMAGINARY)
    if negated:
        imaginary = -imaginary
    usable = np.isfinite(hertz) & np.isfinite(real) & np.isfinite(imaginary) & (hertz > 0)
    reader.leave_out(usable)
    if (imaginary[usable] > 0).mean() > 0.5:
        reader.notes.append(
            "most imaginary parts are positive: if the column holds -Im Z, say --negated"
        )
    return SpectrumFile(
        table.path,
        hertz[usable],
        real[usable] + 1j * imaginary[usable],
        tuple(reader.notes),
        table.simulated,
    )


def read_records(path: str | Path) -> RecordsFile:
    """Read time, voltage and current of a cell.

    Raises:
        DataFileError: A column is missing, or its unit is not known.
    """
    table = read_table(path)
    reader = _Reader(table)
    seconds = reader.values(_TIME)
    volts = reader.values(_VOLTAGE)
    milliamperes = reader.values(_CURRENT)
    usable = np.isfinite(seconds) & np.isfinite(volts) & np.isfinite(milliamperes)
    reader.leave_out(usable)
    rows = (seconds[usable], volts[usable], milliamperes[usable])
    return RecordsFile(table.path, *rows, tuple(reader.notes), table.simulated)


def read_profile(path: str | Path) -> ProfileFile:
    """Read a line scan: position, counts or fraction of magnesium, errors if it has them.

    Raises:
        DataFileError: A column is missing, or its unit is not known.
    """
    table = read_table(path)
    reader = _Reader(table)
    um = reader.values(_DEPTH)
    values = reader.values(_MAGNESIUM)
    errors = reader.values(_ERROR) if reader.has(_ERROR) else None
    usable = np.isfinite(um) & np.isfinite(values)
    reader.leave_out(usable)
    kept = errors[usable] if errors is not None else None
    notes = tuple(reader.notes)
    return ProfileFile(table.path, um[usable], values[usable], kept, notes, table.simulated)


class _Reader:
    """Finds columns of one table and collects what was assumed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.notes: list[str] = list(table.notes)

    def has(self, quantity: _Quantity) -> bool:
        """Whether there is a column of such a name."""
        return self._column(quantity) is not None

    def values(self, quantity: _Quantity) -> Floats:
        """Values of the first column of such a name, in our unit and sign."""
        column = self._column(quantity)
        if column is None:
            raise DataFileError(
                str(self._table.path),
                f"column for {quantity.what}, got {self._table.titles}",
                remedy=f"give one a title such as {quantity.examples}",
            )
        sign = -1.0 if column.name.startswith("-") else 1.0
        return np.asarray(sign * self._factor(column, quantity) * column.values)

    def _column(self, quantity: _Quantity) -> Column | None:
        matching = (c for c in self._table.columns if re.fullmatch(quantity.pattern, c.name))
        return next(matching, None)

    def _factor(self, column: Column, quantity: _Quantity) -> float:
        if quantity.units is None:
            return 1.0
        if not column.unit and quantity.assumed:
            self.notes.append(f"{column.title}: no unit, taken as {quantity.assumed}")
            return 1.0
        factor = quantity.units.get(column.unit, quantity.units.get(column.unit.lower()))
        if factor is None:
            raise DataFileError(
                str(self._table.path),
                f"{column.title}: unit, got {column.unit or 'none'}, expected one of "
                f"{', '.join(quantity.units)}",
                remedy=f"write the unit into the title, such as {quantity.examples}",
            )
        return factor

    def leave_out(self, usable: npt.NDArray[np.bool_]) -> None:
        """Note rows that cannot be used; none at all is an error."""
        if not usable.any():
            raise DataFileError(
                str(self._table.path), "rows, got none with all numbers", remedy="check the export"
            )
        missing = int((~usable).sum())
        if missing:
            self.notes.append(f"{missing} rows without all numbers are left out")
