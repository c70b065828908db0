"""`operando rehearse`: an experiment on a simulated twin of its bench, before anything is real."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.output import Output, short

if TYPE_CHECKING:
    from orchestrator.bench import Bench
    from orchestrator.experiment import Experiment

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


def _days(text: str) -> float:
    value = float(text)
    if not 0.0 < value <= 3650.0:
        raise argparse.ArgumentTypeError("expected a number of days, at most 3650")
    return value


def run(args: argparse.Namespace, out: Output) -> int:
    """Rehearse the experiment; returns the exit code that `run` would give."""
    from orchestrator.experiment import bench_of, load_experiment  # keep `--help` fast

    experiment = load_experiment(args.experiment, bench=args.bench)
    profile = bench_of(args.experiment, bench=args.bench)
    from orchestrator.rehearsal.places import new_place
    from orchestrator.rehearsal.rehearse import Setting, rehearse_experiment
    from orchestrator.rehearsal.text import lines

    write = args.keep or not args.no_report
    place = new_place(args.data, experiment.experiment) if write else None
    setting = Setting(
        data=args.data,
        days=args.days,
        keep=place / "records" if place is not None and args.keep else None,
        during=lambda bench: _progress(bench, experiment, out),
    )
    result = rehearse_experiment(experiment, profile, setting, file=args.experiment)
    for text in lines(result, every_row=args.hours):
        out.line(text)
    value = result.to_document()
    if place is not None and not args.no_report:
        from orchestrator.rehearsal.page import write_page  # matplotlib loads only now

        page = write_page(result, place)
        value |= {"page": str(page), "figure": str(page.with_name("timeline.png"))}
        out.line()
        out.line(f"  page: {short(page)}")
    out.result(value)
    return result.exit_code


@contextmanager
def _progress(bench: Bench, experiment: Experiment, out: Output) -> Iterator[Any]:
    """The line of a running experiment, while the twin runs."""
    from orchestrator.cli.progress import shown

    with shown(bench, experiment, out) as drawing:
        yield drawing
