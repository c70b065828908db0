"""The table of cycles of a run: for Python, as text, as CSV."""

from __future__ import annotations

import csv
import io
import math

import numpy as np

from orchestrator.analysis.per_cycle import OK, PerCycle, per_cycle
from orchestrator.records.runs import Run
from orchestrator.report.contents import Electrochemistry, electrochemistry
from orchestrator.report.scales import TimeUnit, time_unit

HEADS = ("cycle", "began", "A>B", "B>A", "efficiency", "polarisation", "resistance", "remark")
"""Heads of the table on a terminal; the second line has the units."""

_NONE = "-"
_COMPUTED = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that spreadsheets take for a formula."""


def cycles_of(run: Run) -> PerCycle | None:
    """Charge, efficiency, polarisation and area-specific resistance of each cycle of a run.

    Args:
        run: The run, finished or not.

    Returns:
        The table; None where the run has no records of a potentiostat.
    """
    echem = electrochemistry(run)
    return None if echem is None else cycles_of_records(echem)


def cycles_of_records(echem: Electrochemistry) -> PerCycle:
    """The same, of records that are read already."""
    return per_cycle(echem.records, area_cm2=echem.area_cm2)


def csv_text(table: PerCycle) -> str:
    """The whole table as comma-separated values, one line per cycle; empty cells are unknown."""
    columns = table.columns()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(cell) for cell in row] for row in zip(*columns.values(), strict=True))
    return text.getvalue()


def _cell(value: object) -> object:
    """A cell of a CSV file: text that a spreadsheet would compute stays text."""
    if isinstance(value, str) and value.startswith(_COMPUTED):
        return f"'{value}"
    return "" if value is None else value


def text_rows(table: PerCycle, most: int) -> list[list[str]]:
    """Heads, units and first, evenly chosen and last cycle, as text.

    Args:
        table: The cycles.
        most: Largest number of cycles.
    """
    chosen = np.unique(np.linspace(0, len(table) - 1, min(most, len(table))).round()).astype(int)
    unit = time_unit(float(table.start_s[-1] + table.duration_s[-1]))
    largest = float(max(table.forward_mah.max(), table.backward_mah.max()))
    scale, charge = (1.0, "mAh") if largest >= 1.0 else (1e3, "uAh")
    units = ["", f"/ {unit.name}", f"/ {charge}", f"/ {charge}", "", "/ mV", "/ ohm cm2", ""]
    rows = [_row(table, int(index), unit, scale) for index in chosen]
    return [list(HEADS), units, *rows]


def _row(table: PerCycle, k: int, unit: TimeUnit, scale: float) -> list[str]:
    return [
        str(table.cycle[k]),
        unit.text(table.start_s[k]),
        f"{scale * table.forward_mah[k]:.4f}",
        f"{scale * table.backward_mah[k]:.4f}",
        _number(table.efficiency[k], "{:.4f}"),
        _number(1e3 * table.polarisation_v[k], "{:.3f}"),
        _number(table.resistance_ohm_cm2[k], "{:.1f}"),
        "" if table.quality[k] == OK else table.quality[k],
    ]


def _number(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else _NONE
