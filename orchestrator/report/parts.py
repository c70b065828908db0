"""The parts of the page that come of micrographs, line scans and impedance spectra."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from orchestrator.analysis.interface import OK
from orchestrator.analysis.magnesium import NEAR_UM, REFERENCE_UM
from orchestrator.analysis.void_series import HEIGHT_DROP, WIDTH_DROP
from orchestrator.report.contents import Contents
from orchestrator.report.impedance import SHORT_NOTE
from orchestrator.report.impedance_figures import (
    draw_impedance,
    impedance_notes,
    impedance_rows,
    impedance_warnings,
)
from orchestrator.report.line_profiles import draw_lines, line_rows
from orchestrator.report.micrograph_figures import draw_micrographs
from orchestrator.report.micrographs import LINE, Micrographs
from orchestrator.report.scales import Place, chosen_rows, place, time_unit, with_error
from orchestrator.report.sections import Rows, Section, Table
from orchestrator.report.void_figures import (
    course_notes,
    draw_voids,
    drop_rows,
    void_course,
    void_rows,
)

_TABLE_ROWS = 16
_SPOT_ROWS = 12


def sections(contents: Contents) -> list[Section]:
    """Every part that this run has, in the order of the page."""
    found: list[Section] = []
    seen = contents.micrographs
    if seen is not None:
        at = place(contents.echem, seen.end_s, contents.duration_s)
        found += _lines(contents, seen, at) if seen.method == LINE else _images(contents, seen, at)
    if contents.impedance is not None:
        found.append(_impedance(contents))
    return found


def _images(contents: Contents, seen: Micrographs, at: Place) -> list[Section]:
    frames = Section(
        title="Micrographs",
        name="micrographs",
        draw=partial(draw_micrographs, contents.provenance, seen, at, contents.duration_s),
        alt="First, middle and last usable micrograph with a scale bar",
        caption=_images_caption(seen),
        tables=(_dose(seen, at),) if not seen.voids or not _any_voids(seen) else (),
        warnings=tuple(_unmeasured(seen)),
    )
    if seen.spots:
        return [frames, _spots(seen, at)]
    return [frames, _voids(contents, seen, at)] if _any_voids(seen) else [frames]


def _any_voids(seen: Micrographs) -> bool:
    return any(voids.measured for voids in seen.voids)


def _images_caption(seen: Micrographs) -> str:
    text = "First, middle and last usable frame; each channel has one grey scale. "
    if _any_voids(seen):
        text += (
            "Orange: half ellipses of the measured widths and heights on the interface that was "
            "found; metal above, electrolyte below."
        )
    if seen.spots:
        text += "Circles: spots found in the induced current, blue where not round."
    return text


def _unmeasured(seen: Micrographs) -> list[str]:
    words = [seen.reason + "."] if seen.reason else []
    reasons = seen.unmeasured
    if reasons:
        each = "; ".join(f"frame {k}: {why}" for k, why in list(reasons.items())[:8])
        more = f"; and {len(reasons) - 8} more" if len(reasons) > 8 else ""
        words.append(f"{len(reasons)} of {len(seen.flags)} frames were not measured: {each}{more}.")
    usable = sum(flag == OK for flag in seen.flags)
    if len(seen.analysed) < usable and seen.shown:
        words.append(f"{len(seen.analysed)} of {usable} frames, evenly chosen, are analysed.")
    return words


def _dose(seen: Micrographs, at: Place) -> Table:
    rows: Rows = [
        [
            str(k),
            f"{at.values[k]:.3f}",
            *_doses(seen, k),
            "" if seen.flags[k] == OK else seen.flags[k],
        ]
        for k in chosen_rows(len(seen.flags), _TABLE_ROWS)
    ]
    return Table(
        ("Frame", at.label, "Dose / µC/cm²", "Accumulated / µC/cm²", "Remark"), rows, _DOSE_NOTE
    )


_DOSE_NOTE = (
    "Accumulated: since the microscope was switched on, over whatever it scanned, as it counts."
)


def _doses(seen: Micrographs, index: int) -> list[str]:
    pair = (seen.dose_uc_per_cm2[index], seen.accumulated_uc_per_cm2[index])
    return [f"{value:.4g}" if math.isfinite(value) else "–" for value in pair]


def _voids(contents: Contents, seen: Micrographs, at: Place) -> Section:
    course = void_course(seen, at, contents.echem)
    heads = ["Frame", at.label, "Voids", "per 100 µm", "Widths / µm", "Heights / µm",
             "Contact loss / %"]  # fmt: skip
    if seen.filaments:
        heads += ["Filaments", "Diameter / µm"]
    rows = [[*row[:-1], *_doses(seen, int(row[0])), row[-1]] for row in void_rows(seen, at)]
    table = Table(
        (*heads, "Dose / µC/cm²", "Accumulated", "Remark"),
        rows,
        "One standard deviation; of the numbers, half the range between two thresholds. Widths and "
        "heights: median (least to greatest). " + _DOSE_NOTE,
    )
    drops = Table(
        (at.label, "Event", "from → to / µm", "Fall / %", "Remark"),
        drop_rows(course),
        f"An event is a fall of the largest width by {100 * WIDTH_DROP:.0f} %, or of the largest "
        f"height by {100 * HEIGHT_DROP:.0f} %, from one frame to the next: a split or a collapse.",
    )
    return Section(
        title="Voids and contact",
        name="voids",
        draw=partial(draw_voids, contents.provenance, seen, at, contents.echem),
        alt="Number of voids, contact loss with overpotential, widths and heights against charge",
        caption=(
            "a: voids per 100 µm. b: share of the interface without contact (squares) and the "
            "overpotential (line). c, d: least to greatest (line), quartiles (box), median (bar); "
            "red triangles: the largest fell, see the table of events."
            + (
                " e, f: filaments in the electrolyte while metal is plated back."
                if seen.filaments
                else ""
            )
        ),
        tables=(table, drops),
        notes=tuple(course_notes(course)),
    )


def _spots(seen: Micrographs, at: Place) -> Section:
    counts: Rows = []
    for k, found in zip(seen.analysed, seen.spots, strict=True):
        diameters = found.diameters_um
        counts.append(
            [
                str(k),
                f"{at.values[k]:.3f}",
                with_error(found.number.value, found.number.error),
                with_error(found.per_mm2.value, found.per_mm2.error),
                f"{np.median(diameters):.1f} ({diameters.min():.1f} to {diameters.max():.1f})"
                if len(diameters)
                else "–",
                "" if found.quality == OK else found.quality,
            ]
        )
    counts = [counts[k] for k in chosen_rows(len(counts), _TABLE_ROWS)]
    last = seen.spots[-1] if seen.spots else None
    each: Rows = [
        [
            f"{spot.x_um:.0f}, {spot.y_um:.0f}",
            with_error(spot.diameter_um, spot.diameter_error_um),
            f"{spot.contrast:.3g}",
            "" if spot.quality == OK else spot.quality,
        ]
        for spot in (last.spots[:_SPOT_ROWS] if last is not None else ())
    ]
    return Section(
        title="Spallations",
        name="spallations",
        draw=lambda: None,
        alt="",
        caption="",
        tables=(
            Table(
                ("Frame", at.label, "Number", "per mm²", "Diameters / µm", "Remark"),
                counts,
                "Spots that are dark in the induced current: they are connected with the other "
                "electrode. Number: the error is half the range between two thresholds, and as "
                "many as are not round. Diameters: median (least to greatest) of those that no "
                "border cuts.",
            ),
            Table(
                ("Centre x, y / µm", "Diameter / µm", "Current missing / nA", "Remark"),
                each,
                f"The widest {len(each)} of frame {seen.analysed[-1] if seen.analysed else '–'}; "
                "diameter of the circle of the area at half of the spot's own contrast.",
            ),
        ),
    )


def _lines(contents: Contents, seen: Micrographs, at: Place) -> list[Section]:
    heads = ("Scan", at.label, "Mean / counts", "Near over far", "Enriched", "Decay / µm",
             "Dose / µC/cm²", "Accumulated", "Remark")  # fmt: skip
    rows = [[*row[:-1], *_doses(seen, int(row[0])), row[-1]] for row in line_rows(seen, at)]
    return [
        Section(
            title="Magnesium along a line",
            name="lines",
            draw=partial(draw_lines, contents.provenance, seen, at),
            alt="Counts of magnesium along a line with errors; enrichment at the interface",
            caption=(
                f"a: net counts per point, bars from counting; shaded: the {NEAR_UM:g} µm that "
                f"count as near. b: mean there over the mean beyond {REFERENCE_UM[0]:g} µm."
            ),
            tables=(
                Table(
                    heads,
                    rows,
                    "One standard deviation, from counting. Enriched: near over far exceeds 1 by "
                    "three of them. Decay: of an exponential towards the interface. The line is "
                    "taken to begin at the interface. " + _DOSE_NOTE,
                ),
            ),
            warnings=tuple(_unmeasured(seen)),
        )
    ]


def _impedance(contents: Contents) -> Section:
    seen = contents.impedance
    assert seen is not None  # noqa: S101 - asked by the caller
    at = place(contents.echem, seen.time_s, contents.duration_s)
    if seen.warmed:
        at = Place(seen.celsius, "Temperature", "°C")
    notes = impedance_notes(seen, at)
    if seen.warmed:
        notes.append(f"{SHORT_NOTE} Used: the bulk {seen.electrolyte_source}.")
    if math.isfinite(seen.electrolyte_ohm_cm2):
        notes.append(
            f"{SHORT_NOTE} Used: {seen.electrolyte_ohm_cm2:.4g} {seen.unit}, "
            f"{seen.electrolyte_source}."
        )
    unit = time_unit(contents.duration_s)
    heads = ("Spectrum", at.label, "Direct current / mA", "Amplitude / mV", "State",
             f"Bulk / {seen.unit}", f"Interface / {seen.unit}", f"|Z| at the lowest / {seen.unit}",
             "Kramers-Kronig", "Remark")  # fmt: skip
    return Section(
        title="Impedance",
        name="impedance",
        draw=partial(draw_impedance, contents.provenance, seen, at),
        alt="Impedance spectra with fits of two arcs, and the arcs' resistances",
        caption=(
            "a: points as measured, lines: fits of two depressed arcs; both axes have one scale. "
            "b: the same spectra against frequency. c: resistance of both arcs with one standard "
            f"deviation, over {contents.duration_s / unit.seconds:.3g} {unit.name}."
        ),
        tables=(
            Table(
                heads,
                impedance_rows(seen, at),
                "First, evenly chosen and last. Amplitude: the largest peak of the voltage at the "
                "cell in the sweep. Kramers-Kronig: whether the spectrum can be that of a linear, "
                "steady cell.",
            ),
        ),
        notes=tuple(notes),
        warnings=tuple(impedance_warnings(seen)),
    )
