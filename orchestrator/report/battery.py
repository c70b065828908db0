"""A battery's figure and table: voltage against capacity, capacity and efficiency by cycle."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.analysis.capacity import OK, CapacityTable, direction
from orchestrator.analysis.cycles import Floats, flowing
from orchestrator.report.contents import Contents, Electrochemistry
from orchestrator.report.style import INK, LAYER_COLOURS, SOFT, new_figure, panel

Rows = list[list[str]]

_HEIGHT_IN = 4.3
_CURVES, _TABLE_ROWS, _MOST_POINTS = 4, 14, 800
_NONE = "–"


def draw_battery(contents: Contents) -> Figure | None:
    """Curves of some cycles beside the capacity of all; None where the cell is no battery."""
    echem = contents.echem
    if echem is None or echem.capacity is None:
        return None
    figure = new_figure(contents.provenance, height_in=_HEIGHT_IN)
    curves, fade = figure.subplots(
        1,
        2,
        gridspec_kw={"left": 0.07, "right": 0.925, "top": 0.89, "bottom": 0.13, "wspace": 0.22},
    )
    unit_mah, unit = capacity_unit(contents)
    panel(curves, "a", "Voltage against capacity")
    curves.set_xlabel(unit)
    curves.set_ylabel("V")
    _draw_curves(curves, echem, echem.capacity, unit_mah)
    panel(fade, "b", "Capacity and coulombic efficiency")
    fade.set_xlabel("Cycle")
    fade.set_ylabel(unit)
    _draw_fade(fade, echem.capacity, unit_mah)
    return figure


def capacity_unit(contents: Contents) -> tuple[float, str]:
    """What a capacity is shown in: how many mAh one unit is, and the unit's name.

    Per gram where the sample's metadata have the active mass, else per area, else as it is.
    """
    mass_mg = _positive(contents.sample.get("mass_mg"))
    if mass_mg is not None:
        return mass_mg * 1e-3, "mAh/g"
    area_cm2 = _positive(contents.sample.get("area_cm2"))
    return (1.0, "mAh") if area_cm2 is None else (area_cm2, "mAh/cm²")


def capacities(contents: Contents) -> Rows:
    """First, every n-th and last cycle: charge each way, efficiency, retention, mean voltages."""
    echem = contents.echem
    if echem is None or echem.capacity is None:
        return []
    unit_mah, _ = capacity_unit(contents)
    table = echem.capacity
    return [_row(table, k, unit_mah) for k in _chosen(len(table), _TABLE_ROWS)]


def _chosen(count: int, most: int) -> list[int]:
    """Evenly spread indices with the first and the last."""
    return sorted({round(k) for k in np.linspace(0, count - 1, min(most, count)).tolist()})


def _row(table: CapacityTable, k: int, unit_mah: float) -> list[str]:
    return [
        str(table.cycle[k]),
        _number(table.discharge_ma[k], "{:.4g}"),
        _with_error(table.charge_mah[k] / unit_mah, table.charge_error_mah[k] / unit_mah),
        _with_error(table.discharge_mah[k] / unit_mah, table.discharge_error_mah[k] / unit_mah),
        _with_error(table.efficiency[k], table.efficiency_error[k]),
        _with_error(table.retention[k], table.retention_error[k]),
        _number(table.charge_v[k], "{:.3f}"),
        _number(table.discharge_v[k], "{:.3f}"),
        "" if table.quality[k] == OK else table.quality[k],
    ]


def _number(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else _NONE


def _with_error(value: float, error: float) -> str:
    """A value to two digits of its error."""
    if not math.isfinite(value):
        return _NONE
    if not (math.isfinite(error) and error > 0.0):
        return f"{value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _draw_curves(
    axes: Axes, echem: Electrochemistry, table: CapacityTable, unit_mah: float
) -> None:
    """Charge and discharge of a few cycles, each from zero."""
    records = echem.records
    sign = direction(records.current_ma)
    usable = flowing(records.current_ma) & np.isfinite(records.voltage_v)
    ends = np.append(table.first_row[1:], len(sign))
    chosen = _chosen(len(table), _CURVES)
    for colour, k in zip(LAYER_COLOURS, chosen, strict=False):
        rows = np.arange(table.first_row[k], ends[k])
        for side in (1.0, -1.0):
            half = rows[usable[rows] & (sign[rows] == side)]
            if not len(half):
                continue
            shown = half[:: max(1, len(half) // _MOST_POINTS)]
            moved = side * (records.charge_mah[shown] - records.charge_mah[half[0]]) / unit_mah
            axes.plot(moved, records.voltage_v[shown], color=colour, lw=1.2)
        axes.plot([], [], color=colour, label=f"cycle {table.cycle[k]}")
    axes.set_xlim(0, None)
    axes.legend(loc="lower left", bbox_to_anchor=(0.05, 0.0))


def _draw_fade(axes: Axes, table: CapacityTable, unit_mah: float) -> None:
    """Discharge capacity with errors, and the efficiency on an axis of its own."""
    some = table.discharge_mah > 0.0
    axes.errorbar(
        table.cycle[some],
        table.discharge_mah[some] / unit_mah,
        yerr=table.discharge_error_mah[some] / unit_mah,
        fmt="o",
        ms=3.5,
        color=LAYER_COLOURS[0],
        elinewidth=0.8,
    )
    axes.set_ylim(0, _top(table.discharge_mah[some] / unit_mah))
    axes.set_xlim(0.5, len(table) + 0.5)
    axes.yaxis.label.set_color(LAYER_COLOURS[0])
    known = np.isfinite(table.efficiency)
    other = axes.twinx()
    other.plot(
        table.cycle[known], 100.0 * table.efficiency[known], "s", ms=2.5, color=SOFT, mfc="none"
    )
    other.axhline(100.0, color=INK, lw=0.5)
    other.set_ylim(90.0, 101.0)
    other.set_ylabel("Discharge over charge / %", color=SOFT)
    other.spines["right"].set_visible(True)


def _top(values: Floats) -> float:
    return 1.12 * float(values.max()) if len(values) else 1.0
