"""`operando reproduce`: the papers' protocols through the full stack, published vs measured."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orchestrator.cli.output import Output, short

if TYPE_CHECKING:
    from orchestrator.reproduce import Campaign, Row

HELP = "run the papers' protocols through the full stack and print published vs measured"

EXIT_MISSED = 1
"""At least one number that can agree does not."""

_ALL = "all"
_PAPERS = ("liu", "zhao", "siniscalchi")


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "paper", nargs="?", default=_ALL, choices=(*_PAPERS, _ALL), help="which (default all)"
    )
    parser.add_argument(
        "--seeds",
        type=_positive,
        default=20,
        metavar="N",
        help="samples of each protocol whose outcome is random (default 20)",
    )
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=min(4, os.cpu_count() or 1),
        metavar="N",
        help="processes to run them on (default: as many as there are processors, at most 4)",
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {value}, expected 1 or more")
    return value


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the protocols, print the table, write the page."""
    from orchestrator.records.directory import DataDirectory  # keep `--help` fast
    from orchestrator.reproduce import reproduce
    from orchestrator.reproduce.page import write_page
    from orchestrator.reproduce.row import headline, missed

    papers = _PAPERS if args.paper == _ALL else (args.paper,)
    with _progress(out) as told:
        campaign = reproduce(papers, args.data, seeds=args.seeds, jobs=args.jobs, told=told)
    page = write_page(campaign, DataDirectory(args.data).root / "reports" / "reproduce")
    for paper in papers:
        _print_table(paper, [row for row in campaign.rows if row.paper == paper], out)
    agree, count = headline(campaign.rows)
    wrong = missed(campaign.rows)
    out.line(
        f"\n{agree} of {count} predicted, arithmetic and round-trip numbers agree; calibrated "
        f"ones\nreproduce themselves. {campaign.runs} runs on SIMULATED benches took "
        f"{campaign.wall_s:.0f} s."
    )
    out.line(f"page: {short(page)}")
    out.result(_document(campaign, str(page)))
    for row in wrong:
        out.error(f"operando: {row.paper} {row.id}: got {row.value}, published {row.published}")
    return EXIT_MISSED if wrong else 0


def _document(campaign: Campaign, page: str) -> dict[str, Any]:
    from orchestrator.reproduce.row import headline

    agree, count = headline(campaign.rows)
    return {
        "rows": [asdict(row) for row in campaign.rows],
        "headline": {"agree": agree, "of": count},
        "runs": campaign.runs,
        "wall_s": campaign.wall_s,
        "simulated": True,
        "page": page,
    }


@contextmanager
def _progress(out: Output) -> Iterator[Callable[..., None]]:
    """A line that grows while protocols run, where somebody watches."""
    if not (out.progress and out.verbosity >= 0 and out.stderr.isatty()):
        yield lambda _task, _done, _all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description:<34}"), BarColumn(24), MofNCompleteColumn())
    with Progress(*columns, console=Console(file=out.stderr), transient=True) as bar:
        line = bar.add_task("starting", total=None)

        def told(task: Any, done: int, total: int) -> None:
            bar.update(line, description=task.example[:34], completed=done, total=total)

        yield told


def _print_table(paper: str, rows: Sequence[Row], out: Output) -> None:
    from rich.table import Table

    from orchestrator.reproduce.wording import KINDS, TITLES, measured, stated, verdict

    if out.verbosity < 0:
        return
    table = Table(title=TITLES[paper], title_justify="left", box=None, pad_edge=False)
    table.add_column("quantity", ratio=1)
    table.add_column("published", justify="right", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for row in rows:
        table.add_row(row.quantity, stated(row), measured(row), verdict(row), KINDS[row.kind])
    out.line()
    out.console().print(table)
