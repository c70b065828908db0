"""One HTML page that needs neither a network nor the files beside it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from orchestrator.records.runs import Run
from orchestrator.report import tables, wording
from orchestrator.report.battery import capacities, capacity_unit, draw_battery
from orchestrator.report.charge import draw_charge
from orchestrator.report.contents import Contents, gather
from orchestrator.report.curves import draw_curves
from orchestrator.report.gaps import gap_rows
from orchestrator.report.images import draw_frames
from orchestrator.report.overview import draw_overview
from orchestrator.report.parts import sections
from orchestrator.report.per_cycle import csv_text, cycles_of_records
from orchestrator.report.published import comparisons
from orchestrator.report.scales import time_unit
from orchestrator.report.sections import Section
from orchestrator.report.spectra import NOTE, draw_spectra, fraction_rows
from orchestrator.report.style import BANNERS, CSS_PX_PER_IN, WIDTH_IN, save, style
from orchestrator.report.surroundings import draw_surroundings
from orchestrator.report.volumes import volume_rows

PAGE = "index.html"
CYCLES = "cycles.csv"
_LAYERS = "Cell voltage, metallic lithium in four depth layers and growth rates against time"
_CURVES = "Cell voltage and current against time, and against charge or each other"


@dataclass(frozen=True)
class Picture:
    """A figure on the page.

    Attributes:
        name: Stem of its PNG file.
        source: The PNG as a data URI.
        alt: What it shows, for those who cannot see it.
    """

    name: str
    source: str
    alt: str


def write_report(run: Run, directory: Path) -> Path:
    """Write a run's report.

    The page carries its figures; the same PNG files stand beside it for slides and papers.

    Args:
        run: The run, finished or not, with or without frames.
        directory: Where the report goes; made if it is not there, overwritten if it is.

    Returns:
        Path of ``index.html``.
    """
    contents = gather(run)
    directory.mkdir(parents=True, exist_ok=True)
    parts = sections(contents)
    _write_cycles(contents, directory)
    pictures = _draw(contents, parts, directory)
    environment = Environment(
        loader=PackageLoader("orchestrator.report"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html").render(
        **_variables(contents, run), pictures=pictures, parts=parts
    )
    path = directory / PAGE
    partial = path.with_suffix(".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def _write_cycles(contents: Contents, directory: Path) -> None:
    """The table of cycles beside the page; none is left of another run."""
    text, path = _cycles_csv(contents), directory / CYCLES
    if text:
        path.write_text(text, encoding="utf-8")
    else:
        path.unlink(missing_ok=True)


def _cycles_csv(contents: Contents) -> str:
    return "" if contents.echem is None else csv_text(cycles_of_records(contents.echem))


def _draw(contents: Contents, parts: list[Section], directory: Path) -> dict[str, Picture]:
    """Draw what there is; a figure without content is left out."""
    imaging = contents.imaging
    figures: dict[str, tuple[Callable[[], Figure | None], str]] = {
        "overview": (
            (lambda: draw_overview(contents), _LAYERS)
            if contents.layered
            else (lambda: draw_curves(contents), _CURVES)
        ),
        "frames": (
            lambda: draw_frames(contents, imaging) if imaging is not None else None,
            "First, middle and last MRI frame with a common grey scale",
        ),
        "battery": (
            lambda: draw_battery(contents),
            "Voltage against capacity of some cycles; capacity and efficiency of every cycle",
        ),
        "spectra": (
            lambda: _draw_spectra(contents),
            "Metal lines of 6Li and 7Li, and the fractions of 6Li against the charge passed",
        ),
        "charge": (
            lambda: draw_charge(contents) if contents.echem is not None else None,
            "Charge and throughput against time and during each exposure",
        ),
        "surroundings": (
            lambda: _draw_surroundings(contents),
            "Temperature of the cell and stack pressure against time",
        ),
    }
    for part in parts:
        figures[part.name] = (part.draw, part.alt)
    pictures: dict[str, Picture] = {}
    with style():
        for name, (draw, alt) in figures.items():
            path = directory / f"{name}.png"
            path.unlink(missing_ok=True)
            figure = draw()
            if figure is None:
                continue
            what = f"run {contents.start.get('uid', '')}"
            save(figure, path, what=what, provenance=contents.provenance)
            encoded = base64.b64encode(path.read_bytes()).decode("ascii")
            # base64 of our own picture: nothing in it can be markup
            source = Markup(f"data:image/png;base64,{encoded}")  # noqa: S704
            pictures[name] = Picture(name, source, alt)
    return pictures


def _draw_surroundings(contents: Contents) -> Figure | None:
    around = contents.surroundings
    return None if around is None else draw_surroundings(contents.provenance, around)


def _draw_spectra(contents: Contents) -> Figure | None:
    imaging = contents.imaging
    if imaging is None or imaging.spectra is None:
        return None
    passed_mah = None
    if contents.echem is not None:
        records = contents.echem.records
        passed_mah = np.interp(imaging.centre_s, records.time_s, records.throughput_mah)
    return draw_spectra(contents.provenance, imaging.spectra, passed_mah)


def _variables(contents: Contents, run: Run) -> dict[str, Any]:
    imaging = contents.imaging
    analysis = imaging.analysis if imaging is not None else None
    spectra = imaging.spectra if imaging is not None else None
    volumes = imaging.volumes if imaging is not None else None
    compared = analysis is not None or (imaging is not None and imaging.is_view)
    return {
        "title": wording.title(contents),
        "provenance": contents.provenance,
        "banner": BANNERS[contents.provenance],
        "simulated_devices": wording.simulated_devices(contents.start),
        "interrupted": contents.stop is None,
        "damage": contents.damage,
        "header": wording.header(contents, str(run.path)),
        "layered": contents.layered,
        "time_unit": time_unit(contents.duration_s).name,
        "boundaries": tables.boundaries(analysis) if analysis is not None else [],
        "amounts": tables.amounts(imaging) if imaging is not None else [],
        "flagged": tables.flagged(imaging) if imaging is not None else [],
        "assumptions": analysis.assumptions if analysis is not None else (),
        "no_analysis": imaging.reason if imaging is not None and analysis is None else "",
        "cycles": _cycles(contents),
        "cycles_csv": base64.b64encode(_cycles_csv(contents).encode()).decode("ascii"),
        "capacities": capacities(contents),
        "capacity_unit": capacity_unit(contents)[1],
        "volumes": volume_rows(volumes, imaging.centre_s) if imaging and volumes else [],
        "fractions": fraction_rows(spectra) if spectra is not None else [],
        "fractions_note": NOTE,
        "comparisons": comparisons(contents) if compared else [],
        "events": tables.events(contents),
        "gaps": gap_rows(contents.gaps, time_unit(contents.duration_s).seconds),
        "width_px": int(WIDTH_IN * CSS_PX_PER_IN),
    }


def _cycles(contents: Contents) -> tables.Rows:
    """The cycles of any cell; a battery has a table of its capacity besides."""
    echem = contents.echem
    return [] if echem is None else tables.cycles(echem, contents.duration_s)
