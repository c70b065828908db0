"""`operando rehearse`: an experiment on a simulated twin of its bench, before anything is real."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.output import Output, short
from orchestrator.cli.points import numbers, some_of
from orchestrator.experiment.campaign import worded

if TYPE_CHECKING:
    from orchestrator.bench import Bench
    from orchestrator.experiment import Experiment, Point
    from orchestrator.rehearsal.campaign import RehearsedCampaign

HELP = "run an experiment on a simulated twin of its bench: timeline, disk, limits, warnings"

_DAYS = 60.0


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("experiment", type=Path, help="experiment file (YAML)")
    parser.add_argument("--bench", help="bench profile by name or path; wins over the file's")
    parser.add_argument(
        "--days",
        type=_days,
        default=_DAYS,
        metavar="N",
        help=f"cut the rehearsal off after this experiment time (default {_DAYS:g})",
    )
    parser.add_argument("--hours", action="store_true", help="print every hour of the timeline")
    parser.add_argument(
        "--keep", action="store_true", help="keep the simulated records and frames beside the page"
    )
    parser.add_argument("--no-report", action="store_true", help="write no page and no figure")
    parser.add_argument(
        "--points",
        type=numbers,
        metavar="N,N-N",
        help="of a file with a sweep only these runs, by their numbers",
    )


def _days(text: str) -> float:
    value = float(text)
    if not 0.0 < value <= 3650.0:
        raise argparse.ArgumentTypeError("expected a number of days, at most 3650")
    return value


def run(args: argparse.Namespace, out: Output) -> int:
    """Rehearse the experiment; returns the exit code that `run` would give."""
    from orchestrator.experiment import load_campaign  # keep `--help` fast

    campaign = some_of(load_campaign(args.experiment, bench=args.bench), args.points)
    from orchestrator.rehearsal.campaign import rehearse_campaign
    from orchestrator.rehearsal.places import new_place
    from orchestrator.rehearsal.rehearse import Setting
    from orchestrator.rehearsal.text import campaign_lines, lines

    write = args.keep or not args.no_report
    place = new_place(args.data, campaign.name) if write else None
    setting = Setting(
        data=args.data,
        days=args.days,
        keep=place / "records" if place is not None and args.keep else None,
    )

    def of_point(point: Point, common: Setting) -> Setting:
        if campaign.sweep is not None:
            out.line(f"run {point.number}: {worded(point.values)}")
        return replace(common, during=lambda bench: _progress(bench, point.experiment, out))

    done = rehearse_campaign(campaign, setting, file=args.experiment, of_point=of_point)
    pages = _pages(done, place if not args.no_report else None, single=campaign.sweep is None)
    told = lines(done.runs[0], every_row=args.hours) if campaign.sweep is None else []
    for text in told or campaign_lines(done):
        out.line(text)
    if pages:
        out.line()
        first = short(pages[0])
        out.line(f"  page: {first}" if len(pages) == 1 else f"  {len(pages)} pages: {first}, ...")
    out.result(_value(done, pages, single=campaign.sweep is None))
    return done.exit_code


def _pages(done: RehearsedCampaign, place: Path | None, *, single: bool) -> list[Path]:
    """Write the page of every run."""
    if place is None:
        return []
    from orchestrator.rehearsal.page import write_page  # matplotlib loads only now

    return [
        write_page(one, place if single else place / f"run-{point.number}")
        for point, one in zip(done.points, done.runs, strict=True)
    ]


def _value(done: RehearsedCampaign, pages: Sequence[Path], *, single: bool) -> dict[str, Any]:
    """The object that ``--json`` prints."""
    whole = done.runs[0].to_document() if single else done.to_document()
    for page, run in zip(pages, [whole] if single else whole["runs"], strict=False):
        run |= {"page": str(page), "figure": str(page.with_name("timeline.png"))}
    return whole


@contextmanager
def _progress(bench: Bench, experiment: Experiment, out: Output) -> Iterator[Any]:
    """The line of a running experiment, while the twin runs."""
    from orchestrator.cli.progress import shown

    with shown(bench, experiment, out) as drawing:
        yield drawing
