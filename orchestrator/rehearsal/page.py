"""A rehearsal as one HTML page with its figure, readable without a network."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.rehearsal.figure import ALT, write_figures
from orchestrator.rehearsal.result import Rehearsal
from orchestrator.rehearsal.words import clock, size, span
from orchestrator.report.style import BANNERS, CSS_PX_PER_IN, WIDTH_IN

PAGE, DOCUMENT = "index.html", "rehearsal.json"


def write_page(rehearsal: Rehearsal, directory: Path) -> Path:
    """Write the page, its figure as PNG and SVG, and the result as JSON.

    Args:
        rehearsal: The result.
        directory: Where they go; made if it is not there.

    Returns:
        Path of ``index.html``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    figure = write_figures(rehearsal, directory)
    encoded = base64.b64encode(figure.read_bytes()).decode("ascii")
    environment = Environment(
        loader=PackageLoader("orchestrator.rehearsal"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("rehearsal.html").render(
        banner=f"REHEARSAL - {BANNERS['simulated']}",
        one=rehearsal,
        serious=[remark for remark in rehearsal.warnings if not remark.minor],
        minor=[remark for remark in rehearsal.warnings if remark.minor],
        summary=_summary(rehearsal),
        rows=[_cells(row, rehearsal.row_s) for row in rehearsal.timeline],
        # base64 of our own picture: nothing in it can be markup
        source=Markup(f"data:image/png;base64,{encoded}"),  # noqa: S704
        alt=ALT,
        span=span,
        row_length=span(rehearsal.row_s),
        width_px=int(WIDTH_IN * CSS_PX_PER_IN),
    )
    (directory / DOCUMENT).write_text(
        json.dumps(rehearsal.to_document(), indent=1, allow_nan=False), encoding="utf-8"
    )
    path = directory / PAGE
    partial = path.with_suffix(".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def _summary(one: Rehearsal) -> list[tuple[str, str]]:
    frames = "; ".join(
        f"{name}: {count}, exposing {100 * one.exposing.get(name, 0.0):.3g} % of the time"
        for name, count in one.frames.items()
    )
    sizes = "; ".join(f"{name} {size(count)}" for name, count in one.frame_bytes.items())
    per_area = f" ({one.throughput_mah / one.area_cm2:.4g} mAh/cm²)" if one.area_cm2 > 0 else ""
    loss = one.loss
    return [
        ("Ends", f"{one.stop_reason} after {span(one.stopped_at_s)}"),
        ("Everything is done after", span(one.duration_s)),
        ("Frames", frames or "none"),
        ("Impedance spectra", str(one.spectra)),
        ("Records", f"{one.records:,} of the potentiostat"),
        ("Bytes", f"{size(one.bytes)}: documents {size(one.record_bytes)}"
         + (f"; {sizes}" if sizes else "")),
        ("Disk", f"{size(one.disk.needed_bytes)} needed with a reserve, "
         f"{size(one.disk.free_bytes)} free"),
        ("Charge", f"{one.charge_mah:+.4g} mAh net, {one.throughput_mah:.4g} mAh in both "
         f"directions{per_area}"),
        ("A crash loses", f"up to {span(loss.journal_every_s)} of records ({loss.records} records, "
         f"{1e3 * loss.charge_mah:.3g} µAh)"),
        ("Interlocks", _interlocks(one)),
        ("A condition is seen", f"up to {span(loss.poll_period_s)} late "
         f"({1e3 * loss.unseen_mah:.3g} µAh)"),
        ("Simulated sample", ", ".join(f"{k} {v}" for k, v in one.stand_in.items() if v != ())
         + ("" if one.stand_in_stated else " (a stand-in: the file names none)")),
        ("Real instruments", f"not opened: {', '.join(one.addresses.values())}"
         if one.addresses else "none on this bench"),
        ("Rehearsed in", f"{one.wall_s:.1f} s of real time"),
    ]  # fmt: skip


def _interlocks(one: Rehearsal) -> str:
    tripped = [lock.name for lock in one.interlocks if lock.tripped]
    held = [lock.name for lock in one.interlocks if not lock.tripped]
    said = ([f"tripped: {', '.join(tripped)}"] if tripped else []) + (
        [f"held: {', '.join(held)}"] if held else []
    )
    return "; ".join(said) or "none on this bench"


def _cells(row: Any, row_s: float) -> list[str]:
    length_s = max(row.to_s - row.from_s, 1e-9)
    cycles = f"{row.first_cycle} to {row.last_cycle}" if row.first_cycle else "–"
    if row.first_cycle == row.last_cycle and row.first_cycle:
        cycles = str(row.first_cycle)
    taken = ", ".join(f"{count} {name}" for name, count in row.frames.items() if count)
    if row.spectra:
        taken += f"{', ' if taken else ''}{row.spectra} eis"
    return [
        clock(row.from_s, row_s),
        cycles,
        ", ".join(str(index + 1) if index >= 0 else "before" for index in row.steps) or "–",
        _between(row.min_current_ma, row.max_current_ma),
        _between(row.min_voltage_v, row.max_voltage_v),
        f"{row.charge_mah:+.4g}",
        f"{row.throughput_mah:.4g}",
        f"{100 * row.rest_s / length_s:.0f} %",
        f"{100 * row.idle_s / length_s:.0f} %",
        taken or "–",
        "; ".join(row.events),
    ]


def _between(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "–"
    texts = [f"{value:.4g}" for value in (low, high)]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"
