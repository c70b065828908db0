"""The table as one HTML page with its figures, readable without a network."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.report.style import BANNERS, CSS_PX_PER_IN, WIDTH_IN, save, style
from orchestrator.reproduce import figures_liu, figures_siniscalchi, figures_zhao
from orchestrator.reproduce.campaign import Campaign, Observations
from orchestrator.reproduce.drawing import Drawing
from orchestrator.reproduce.row import Row, headline
from orchestrator.reproduce.wording import KINDS, TITLES, measured, stated, verdict

PAGE = "index.html"

_DRAW: Mapping[str, Callable[[Observations], Sequence[Drawing]]] = {
    "liu": figures_liu.draw,
    "zhao": figures_zhao.draw,
    "siniscalchi": figures_siniscalchi.draw,
}


@dataclass(frozen=True)
class _Picture:
    """A figure on the page."""

    source: str
    alt: str
    caption: str


def write_page(campaign: Campaign, directory: Path) -> Path:
    """Write the page; the same figures stand beside it as PNG files.

    Args:
        campaign: What was run.
        directory: Where it goes; made if it is not there, overwritten if it is.

    Returns:
        Path of ``index.html``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    agree, count = headline(campaign.rows)
    environment = Environment(
        loader=PackageLoader("orchestrator.reproduce"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("reproduce.html").render(
        banner=BANNERS["simulated"],
        runs=campaign.runs,
        wall_s=f"{campaign.wall_s:.0f}",
        agree=agree,
        count=count,
        sections=[_section(paper, campaign, directory) for paper in _papers(campaign)],
        width_px=int(WIDTH_IN * CSS_PX_PER_IN),
    )
    path = directory / PAGE
    partial = path.with_suffix(".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def _papers(campaign: Campaign) -> list[str]:
    return list(dict.fromkeys(row.paper for row in campaign.rows))


def _section(paper: str, campaign: Campaign, directory: Path) -> dict[str, Any]:
    return {
        "title": TITLES[paper],
        "pictures": _pictures(paper, campaign, directory),
        "rows": [_cells(row) for row in campaign.rows if row.paper == paper],
    }


def _cells(row: Row) -> dict[str, str]:
    return {
        "quantity": row.quantity,
        "published": stated(row),
        "measured": measured(row),
        "verdict": verdict(row),
        "kind": KINDS[row.kind],
        "note": row.note,
    }


def _pictures(paper: str, campaign: Campaign, directory: Path) -> list[_Picture]:
    found = []
    with style():
        for drawing in _DRAW[paper](campaign.observations):
            path = directory / f"{paper}-{drawing.name}.png"
            save(drawing.figure, path, what=f"{paper} {drawing.name}", provenance="simulated")
            encoded = base64.b64encode(path.read_bytes()).decode("ascii")
            # base64 of our own picture: nothing in it can be markup
            source = Markup(f"data:image/png;base64,{encoded}")  # noqa: S704
            found.append(_Picture(source, drawing.alt, drawing.caption))
    return found
