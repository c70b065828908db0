"""The page of a campaign: its runs in a table and on top of one another."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.errors import RecordError
from orchestrator.records.campaigns import CampaignSummary, number_of
from orchestrator.records.chains import load_chain
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import Run
from orchestrator.records.summary import RunSummary
from orchestrator.report import wording
from orchestrator.report.contents import Electrochemistry, electrochemistry, provenance_of
from orchestrator.report.impedance import Impedance, find_impedance
from orchestrator.report.scales import time_unit
from orchestrator.report.style import (
    BANNERS,
    CSS_PX_PER_IN,
    WIDTH_IN,
    new_figure,
    panel,
    save,
    style,
)

Floats = npt.NDArray[np.float64]

_MOST_POINTS = 1500
_MOST_IN_LEGEND = 12


@dataclass(frozen=True)
class Member:
    """A run of a campaign.

    Attributes:
        number: Its number.
        values: What was varied, as texts by name.
        summary: Its first and last lines.
        run: Its records; None where they cannot be read.
        echem: Records of the potentiostat, or None.
        impedance: Impedance spectra, or None.
    """

    number: int
    values: dict[str, str]
    summary: RunSummary
    run: Run | None
    echem: Electrochemistry | None = None
    impedance: Impedance | None = None

    @property
    def label(self) -> str:
        """What it is called in a legend."""
        return ", ".join(f"{name} = {text}" for name, text in self.values.items())


def members_of(campaign: CampaignSummary, directory: DataDirectory) -> list[Member]:
    """The runs of a campaign with what they hold, in order of their numbers."""
    found = []
    for one in campaign.runs:
        values = (one.campaign or {}).get("values")
        words = {str(k): wording.value(_shown(v)) for k, v in (values or {}).items()}
        try:
            run = load_chain(directory.journal(one.uid))
        except RecordError:
            found.append(Member(number_of(one), words, one, None))
            continue
        sample = run.start.get("sample")
        spectra = find_impedance(
            run, float(run.start.get("time", 0.0)), sample if isinstance(sample, dict) else {}
        )
        found.append(Member(number_of(one), words, one, run, electrochemistry(run), spectra))
    return found


def _shown(value: Any) -> Any:
    """A mapping by its name: a sample, say."""
    if isinstance(value, dict):
        return value.get("name") or value.get("model") or "..."
    return value


def campaign_rows(members: Sequence[Member]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows of a table: number, values, uid, how it ended, duration, charge, counts."""
    names = tuple(dict.fromkeys(name for one in members for name in one.values))
    heads = ("run", *names, "uid", "ended", "duration", "moved / mAh", "records", "frames")
    return heads, [_row(one, names) for one in members]


def _row(one: Member, names: Sequence[str]) -> tuple[str, ...]:
    summary, span_s = one.summary, one.summary.duration_s
    ended = summary.reason if summary.state == "success" else f"{summary.state} {summary.reason}"
    moved = "" if one.echem is None else f"{one.echem.records.throughput_mah[-1]:.4g}"
    records = 0 if one.echem is None else len(one.echem.records.time_s)
    return (
        str(one.number),
        *(one.values.get(name, "") for name in names),
        summary.uid[:8],
        ended.strip(),
        "" if span_s is None else wording.duration(span_s),
        moved,
        str(records),
        "" if one.run is None else str(_frames(one.run)),
    )


def _frames(run: Run) -> int:
    return sum(len(run.streams[stream]["time"]) for stream in run.streams_with_frames())


def write_campaign_report(
    campaign: CampaignSummary, directory: DataDirectory, folder: Path
) -> Path:
    """Write the page of a campaign.

    Args:
        campaign: From `find_campaign`.
        directory: Where its runs are recorded.
        folder: Where the page goes; made if it is not there.

    Returns:
        Path of ``index.html``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    members = members_of(campaign, directory)
    provenance = _provenance(members)
    picture = folder / "campaign.png"
    with style():
        figure = draw_campaign(members, provenance)
        save(figure, picture, what=f"campaign {campaign.uid}", provenance=provenance)
    encoded = base64.b64encode(picture.read_bytes()).decode("ascii")
    environment = Environment(
        loader=PackageLoader("orchestrator.report"), autoescape=True, undefined=StrictUndefined
    )
    heads, rows = campaign_rows(members)
    page = environment.get_template("campaign.html").render(
        title=campaign.name,
        uid=campaign.uid,
        planned=campaign.planned,
        provenance=provenance,
        banner=BANNERS[provenance],
        heads=heads,
        rows=rows,
        linked=heads.index("uid", 1 + len(members[0].values)),
        links=[_link(folder, directory.report(one.summary.uid)) for one in members],
        # base64 of our own picture: nothing in it can be markup
        picture=Markup(f"data:image/png;base64,{encoded}"),  # noqa: S704
        width_px=int(WIDTH_IN * CSS_PX_PER_IN),
    )
    path = folder / "index.html"
    partial = path.with_suffix(".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def _link(folder: Path, report: Path) -> str:
    """Relative address of a run's report; empty where there is none beside this page."""
    beside = report.parent.parent == folder.parent and report.is_file()
    return f"../{report.parent.name}/{report.name}" if beside else ""


def _provenance(members: Sequence[Member]) -> str:
    """As for a run; a campaign with anything simulated in it is simulated."""
    found = {provenance_of(one.run.start) for one in members if one.run is not None}
    return next((one for one in ("simulated", "unknown", "measured") if one in found), "unknown")


def draw_campaign(members: Sequence[Member], provenance: str) -> Figure:
    """Voltage against time, and spectra or voltage against charge, of every run."""
    figure = new_figure(provenance, height_in=4.8)
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.095, right=0.985, top=0.9, bottom=0.22, wspace=0.24)
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.9, max(len(members), 1)))
    unit = time_unit(max((m.run.duration_s for m in members if m.run is not None), default=0.0))
    spectra = any(m.impedance is not None for m in members)
    panel(left, "a", "Cell voltage")
    left.set_xlabel(f"Time since each run began / {unit.name}")
    left.set_ylabel("Voltage / V")
    panel(right, "b", "Last impedance spectrum" if spectra else "Cell voltage against charge")
    for one, colour in zip(members, colours, strict=True):
        _draw_voltage(left, one, colour, unit.seconds)
        (_draw_spectrum if spectra else _draw_charge)(right, one, colour)
    if spectra:
        right.set_xlabel("Re Z / ohm")
        right.set_ylabel("-Im Z / ohm")
    else:
        right.set_xlabel("Charge moved, both directions added / mAh")
        right.set_ylabel("Voltage / V")
    handles, labels = left.get_legend_handles_labels()
    if handles:
        shown = slice(None, _MOST_IN_LEGEND)
        figure.legend(handles[shown], labels[shown], loc="lower center", ncols=4)
    return figure


def _draw_voltage(axes: Axes, one: Member, colour: Any, unit_s: float) -> None:
    if one.echem is None:
        return
    time_s, volts = _thinned(one.echem.records.time_s, one.echem.records.voltage_v)
    axes.plot(time_s / unit_s, volts, color=colour, linewidth=1.0, label=one.label)


def _draw_charge(axes: Axes, one: Member, colour: Any) -> None:
    if one.echem is not None:
        passed, volts = _thinned(one.echem.records.throughput_mah, one.echem.records.voltage_v)
        axes.plot(passed, volts, color=colour, linewidth=1.0)


def _draw_spectrum(axes: Axes, one: Member, colour: Any) -> None:
    if one.impedance is not None and one.impedance.spectra:
        last = one.impedance.spectra[-1]
        axes.plot(last.ohm.real, -last.ohm.imag, "o-", color=colour, markersize=3, linewidth=0.8)


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Every n-th record, so that a page stays small; the first and the last are kept."""
    if len(x) <= _MOST_POINTS:
        return x, y
    chosen = np.unique(np.linspace(0, len(x) - 1, _MOST_POINTS).astype(int))
    return x[chosen], y[chosen]
