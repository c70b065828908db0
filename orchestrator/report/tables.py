"""The page's tables, as rows of text."""

from __future__ import annotations

import math

import numpy as np

from orchestrator.analysis.growth import S_PER_DAY
from orchestrator.analysis.layers import OK
from orchestrator.analysis.per_cycle import PerCycle, per_cycle
from orchestrator.analysis.stages import Boundary
from orchestrator.report.contents import Contents, Electrochemistry
from orchestrator.report.imaging import Imaging, LayerAnalysis
from orchestrator.report.scales import TimeUnit, time_unit

Rows = list[list[str]]

_CYCLE_ROWS = 14
_EVENT_ROWS = 40
_NONE = "–"


def boundaries(analysis: LayerAnalysis) -> Rows:
    """Stage boundary; by smooth fits; by the definition on measured rates; remark."""
    rows: Rows = []
    for name, fitted, defined in zip(
        ("I | II", "II | III", "III | IV"),
        analysis.stages.boundaries,
        analysis.definition.boundaries,
        strict=True,
    ):
        remarks = {b.quality for b in (fitted, defined) if b.quality != OK}
        rows.append([name, _boundary(fitted), _boundary(defined), "; ".join(sorted(remarks))])
    return rows


def _boundary(boundary: Boundary) -> str:
    if not boundary.found:
        return _NONE
    return f"{boundary.time_d:.2f} ± {boundary.error_d:.2f}"


def amounts(imaging: Imaging) -> Rows:
    """Frame, time and amounts with errors in the first, middle and last usable frame."""
    if imaging.analysis is None:
        return []
    layers = imaging.analysis.layers
    usable = np.flatnonzero(layers.usable)
    if not len(usable):
        return []
    total, total_error = layers.total()
    rows: Rows = []
    for index in sorted({int(usable[0]), int(usable[len(usable) // 2]), int(usable[-1])}):
        values = layers.amounts_umol_per_cm2[index]
        errors = layers.errors_umol_per_cm2[index]
        rows.append(
            [
                str(index),
                f"{imaging.centre_s[index] / S_PER_DAY:.2f}",
                *(f"{v:.2f} ± {e:.2f}" for v, e in zip(values, errors, strict=True)),
                f"{total[index]:.2f} ± {total_error[index]:.2f}",
                f"{layers.reduced_chi2[index]:.2f}",
            ]
        )
    return rows


def flagged(imaging: Imaging) -> Rows:
    """Frame and reason of every frame that was left out."""
    flags = imaging.flags if imaging.analysis is None else imaging.analysis.layers.quality
    return [[str(index), flag] for index, flag in enumerate(flags) if flag != OK]


def cycles(echem: Electrochemistry, duration_s: float) -> Rows:
    """First, every n-th and last cycle: charge each way, polarisation, resistance."""
    table = per_cycle(echem.records, area_cm2=echem.area_cm2)
    chosen = np.unique(np.linspace(0, len(table) - 1, min(_CYCLE_ROWS, len(table))).round())
    unit = time_unit(duration_s)
    return [_cycle(table, int(index), unit) for index in chosen]


def _cycle(table: PerCycle, index: int, unit: TimeUnit) -> list[str]:
    return [
        str(table.cycle[index]),
        unit.text(table.start_s[index]),
        f"{1e3 * table.forward_mah[index]:.3f}",
        f"{1e3 * table.backward_mah[index]:.3f}",
        _number(table.efficiency[index], "{:.4f}"),
        _with_spread(1e3 * table.polarisation_v[index], 1e3 * table.polarisation_sd_v[index], 2),
        _with_spread(table.resistance_ohm_cm2[index], table.resistance_sd_ohm_cm2[index], 1),
        "" if table.quality[index] == OK else table.quality[index],
    ]


def _number(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else _NONE


def _with_spread(value: float, spread: float, digits: int) -> str:
    return f"{value:.{digits}f} ± {spread:.{digits}f}" if math.isfinite(value) else _NONE


def events(contents: Contents) -> Rows:
    """Time, kind and text of what happened; the last ones of very many."""
    unit = time_unit(contents.duration_s)
    rows = [[unit.text(time_s), kind, text] for time_s, kind, text in contents.events]
    return rows[-_EVENT_ROWS:]
