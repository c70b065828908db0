"""Voids, contact, filaments against charge, and the tables and words that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.analysis.cycles import Records, flowing
from orchestrator.analysis.interface import OK
from orchestrator.analysis.measured import Measured
from orchestrator.analysis.overpotential import OverpotentialOnset, overpotential_onset
from orchestrator.analysis.void_series import Drop, VoidSeries, void_series
from orchestrator.analysis.voids import five_numbers
from orchestrator.report.contents import Electrochemistry
from orchestrator.report.micrographs import Micrographs
from orchestrator.report.scales import Place, chosen_rows, with_error
from orchestrator.report.sections import Rows
from orchestrator.report.style import INK, LAYER_COLOURS, MARK, SOFT, VOLTAGE, new_figure, panel

Floats = npt.NDArray[np.float64]

_TABLE_ROWS = 16
_MOST_POINTS = 1500
_BOX, _LOST = LAYER_COLOURS[0], LAYER_COLOURS[1]
_MIN_REST = 2


@dataclass(frozen=True)
class VoidCourse:
    """The series against charge.

    Attributes:
        at: Place of each analysed frame.
        stripping: Numbers and events of the frames of the first stripping; None where too few.
        rest_v: Voltage of the cell at rest before the current began; None where nobody saw it.
        onset: Where the overpotential runs away; None where it cannot be asked.
    """

    at: Floats
    stripping: VoidSeries | None
    rest_v: float | None
    onset: OverpotentialOnset | None


def void_course(seen: Micrographs, at: Place, echem: Electrochemistry | None) -> VoidCourse:
    """Put voids, charge and voltage together.

    Args:
        seen: Frames with voids.
        at: Place of every frame.
        echem: Records of the potentiostat, or None.
    """
    here = at.values[list(seen.analysed)]
    kept: list[int] = []
    for k, voids in enumerate(seen.voids):
        forward = seen.analysed[k] not in seen.filaments
        if voids.measured and forward and (not kept or here[k] > here[kept[-1]]):
            kept.append(k)
    stripping = void_series([seen.voids[k] for k in kept], here[kept]) if len(kept) > 1 else None
    rest_v = None if echem is None else rest_voltage(echem.records)
    return VoidCourse(here, stripping, rest_v, _onset(echem, rest_v))


def rest_voltage(records: Records) -> float | None:
    """Median voltage before the first current; None without at least two records of it."""
    begun = np.flatnonzero(flowing(records.current_ma))
    before = records.voltage_v[: int(begun[0]) if len(begun) else len(records.voltage_v)]
    before = before[np.isfinite(before)]
    return float(np.median(before)) if len(before) >= _MIN_REST else None


def _onset(echem: Electrochemistry | None, rest_v: float | None) -> OverpotentialOnset | None:
    """Of the first stretch of current; the definition wants a charge per area."""
    if echem is None or rest_v is None or not echem.area_cm2 > 0:
        return None
    records = echem.records
    sign = np.where(flowing(records.current_ma), np.sign(records.current_ma), 0.0)
    begun = np.flatnonzero(sign)
    if not len(begun):
        return None
    first = int(begun[0])
    other = np.flatnonzero(sign[first:] != sign[first])
    stretch = slice(first, first + int(other[0]) if len(other) else None)
    charge = np.abs(records.charge_mah[stretch] - records.charge_mah[first]) / echem.area_cm2
    if (np.diff(charge) < 0).any():
        return None
    return overpotential_onset(charge, records.voltage_v[stretch] - rest_v)


def draw_voids(
    provenance: str, seen: Micrographs, at: Place, echem: Electrochemistry | None
) -> Figure | None:
    """Number, contact, widths, heights and, where metal was plated back, filaments."""
    if not any(voids.measured for voids in seen.voids):
        return None
    course = void_course(seen, at, echem)
    rows = 3 if seen.filaments else 2
    height_in = 0.7 + 2.75 * rows
    figure = new_figure(provenance, height_in=height_in)
    axes = figure.subplots(
        rows, 2, sharex=True,
        gridspec_kw={
            "left": 0.075, "right": 0.925, "top": 1 - 0.55 / height_in, "bottom": 0.55 / height_in,
            "hspace": 0.24, "wspace": 0.25,
        },
    )  # fmt: skip
    _draw_number(axes[0, 0], seen, course)
    _draw_contact(axes[0, 1], seen, course, at, echem)
    stripping = course.stripping
    for ax, letter, name, drops in (
        (axes[1, 0], "c", "Width", stripping.width_drops if stripping is not None else ()),
        (axes[1, 1], "d", "Height", stripping.height_drops if stripping is not None else ()),
    ):
        panel(ax, letter, f"{name} of the voids")
        ax.set_ylabel("µm")
        values = [v.widths_um if name == "Width" else v.heights_um for v in seen.voids]
        _draw_boxes(ax, course.at, values, drops)
    if seen.filaments:
        _draw_filaments(axes[2], seen, at)
    for ax in axes[-1]:
        ax.set_xlabel(at.label)
    return figure


def _draw_number(axes: Axes, seen: Micrographs, course: VoidCourse) -> None:
    panel(axes, "a", "Voids per 100 µm")
    number = np.array([v.number_per_100_um for v in seen.voids])
    error = np.array([100.0 / v.field_um * v.number_error for v in seen.voids])
    axes.errorbar(course.at, number, error, fmt="o-", color=_BOX, ms=4.5, lw=1.0, capsize=2)
    axes.set_ylim(0, None)


def _draw_contact(
    axes: Axes, seen: Micrographs, course: VoidCourse, at: Place, echem: Electrochemistry | None
) -> None:
    """Contact loss, and the overpotential on an axis of its own."""
    loss = 100.0 * np.array([v.contact_loss for v in seen.voids])
    error = 100.0 * np.array([v.contact_loss_error for v in seen.voids])
    axes.errorbar(course.at, loss, error, fmt="s-", color=_LOST, ms=4.5, lw=1.0, capsize=2)
    axes.set_ylim(0, 105)
    axes.set_ylabel("Contact loss / %", color="#a56f00")
    if echem is None or at.name == "Time":
        panel(axes, "b", "Contact loss")
        return
    second = "voltage" if course.rest_v is None else "overpotential"
    panel(axes, "b", f"Contact loss and {second}")
    records = echem.records
    on = flowing(records.current_ma) & np.isfinite(records.voltage_v)
    area_cm2 = echem.area_cm2 if echem.area_cm2 > 0 else 1.0
    size_mv = 1e3 * np.abs(records.voltage_v - (course.rest_v or 0.0))
    step = max(1, int(on.sum()) // _MOST_POINTS)
    other = axes.twinx()
    other.plot(
        (records.throughput_mah / area_cm2)[on][::step], size_mv[on][::step],
        color=VOLTAGE, lw=1.1,
    )  # fmt: skip
    name = "|V|" if course.rest_v is None else "|V − V at rest|"
    other.set_ylabel(f"{name} / mV", color=VOLTAGE)
    other.set_ylim(0, 1.08 * float(size_mv[on].max()) if on.any() else 1.0)
    other.spines["right"].set_visible(True)
    axes.set_zorder(other.get_zorder() + 1)
    axes.patch.set_visible(False)


def _draw_boxes(axes: Axes, at: Floats, values: Sequence[Floats], drops: Sequence[Drop]) -> None:
    """Least to greatest as a line, quartiles as a box, the median as a bar."""
    apart = float(np.median(np.diff(at))) if len(at) > 1 else 1.0
    width = 0.55 * (apart if apart > 0 else 1.0)
    for x, seen in zip(at, values, strict=True):
        if not len(seen):
            continue
        least, lower, middle, upper, most = five_numbers(seen)
        axes.vlines(x, least, most, color=_BOX, lw=1.0)
        axes.bar(x, upper - lower, width, bottom=lower, color="#cfe1ef", edgecolor=_BOX, lw=0.9)
        axes.hlines(middle, x - 0.5 * width, x + 0.5 * width, color=INK, lw=1.5)
    for drop in drops:
        axes.plot(drop.charge_mah_per_cm2, drop.after_um, "v", color=MARK, ms=6, zorder=5)
    axes.set_ylim(0, None)


def _draw_filaments(axes: npt.NDArray[np.object_], seen: Micrographs, at: Place) -> None:
    frames, found = list(seen.filaments), list(seen.filaments.values())
    x = at.values[frames]
    numbers, diameters = (
        [one.number_per_100_um for one in found],
        [one.mean_diameter_um for one in found],
    )
    for ax, letter, title, unit, values in (
        (axes[0], "e", "Filaments per 100 µm", "", numbers),
        (axes[1], "f", "Mean diameter of the filaments", "µm", diameters),
    ):
        panel(ax, letter, title)
        ax.set_ylabel(unit)
        ax.errorbar(x, [m.value for m in values], [m.error for m in values], fmt="D-",
                    color=LAYER_COLOURS[2], ms=4.5, lw=1.0, capsize=2)  # fmt: skip
        ax.axhline(0, color=SOFT, lw=0.6)
        ax.set_ylim(0, None)


def void_rows(seen: Micrographs, at: Place) -> Rows:
    """Place, number, widths, heights, contact loss, filaments, remark of chosen frames."""
    rows: Rows = []
    for k in chosen_rows(len(seen.analysed), _TABLE_ROWS):
        index, voids = seen.analysed[k], seen.voids[k]
        width, height = five_numbers(voids.widths_um), five_numbers(voids.heights_um)
        row = [
            str(index),
            f"{at.values[index]:.3f}",
            with_error(voids.number, voids.number_error),
            with_error(voids.number_per_100_um, 100.0 / voids.field_um * voids.number_error),
            _range(width),
            _range(height),
            with_error(voids.contact_loss, voids.contact_loss_error, 100.0),
        ]
        if seen.filaments:
            row += _filament_cells(seen, index)
        remarks = [voids.quality] if voids.quality != OK else []
        rows.append([*row, "; ".join(remarks)])
    return rows


def _range(five: Floats) -> str:
    return f"{five[2]:.1f} ({five[0]:.1f} to {five[4]:.1f})" if np.isfinite(five[2]) else "–"


def _filament_cells(seen: Micrographs, index: int) -> list[str]:
    found = seen.filaments.get(index)
    if found is None:
        return ["–", "–"]
    mean = found.mean_diameter_um
    return [with_error(found.number, found.number_error), with_error(mean.value, mean.error)]


def drop_rows(course: VoidCourse) -> Rows:
    """Falls of the largest width or height between two frames."""
    if course.stripping is None:
        return []
    return [
        [
            f"{drop.charge_mah_per_cm2:.3f}",
            f"largest {name}",
            f"{drop.before_um:.1f} → {drop.after_um:.1f}",
            with_error(drop.relative.value, drop.relative.error, 100.0),
            "" if drop.relative.quality == OK else drop.relative.quality,
        ]
        for name, drops in (
            ("width", course.stripping.width_drops),
            ("height", course.stripping.height_drops),
        )
        for drop in drops
    ]


def course_notes(course: VoidCourse) -> list[str]:
    """Onset and trends in words."""
    notes: list[str] = []
    onset = course.onset
    if onset is not None and onset.quality == OK:
        charge = onset.onset_mah_per_cm2
        notes.append(
            f"The overpotential passed five times its first value "
            f"({with_error(onset.baseline_v.value, onset.baseline_v.error, 1e3)} mV) at "
            f"{with_error(charge.value, charge.error)} mAh/cm²; its peak is "
            f"{1e3 * onset.peak_v:.0f} mV."
        )
    elif onset is not None:
        words = "it never stays beyond five times its first value"
        why = words if onset.quality == "no onset" else onset.quality
        notes.append(f"The overpotential has no onset: {why}.")
    if course.rest_v is None:
        notes.append(
            "Nobody saw the cell at rest before the current began: |V| is shown in place of the "
            "overpotential."
        )
    if course.stripping is not None:
        notes += _trend("Voids per 100 µm", course.stripping.number_trend, "")
        notes += _trend("Median width", course.stripping.width_trend, "µm ")
    return notes


def _trend(name: str, trend: Measured, unit: str) -> list[str]:
    if trend.quality != OK:
        return []
    slope = with_error(trend.value, trend.error)
    return [f"{name}, trend over the stripping: {slope} {unit}per mAh/cm²."]
