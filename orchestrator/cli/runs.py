"""`operando runs`: what was measured, one line per run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.records.summary import RunSummary

HELP = "list the runs of a data directory"

_COLUMNS = ("uid", "began", "state", "reason", "sample", "plan", "events", "simulated")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--last", type=int, metavar="N", help="only the last N runs")


def run(args: argparse.Namespace, out: Output) -> int:
    """List the runs, the latest last."""
    from orchestrator.records.directory import DataDirectory  # keep `--help` fast
    from orchestrator.records.summary import summarise

    directory = DataDirectory(args.data)
    uids = list(directory.runs())
    shown = [summarise(directory.journal(uid)) for uid in uids[-args.last if args.last else None :]]
    if not shown:
        out.line(f"no runs in {args.data}; `operando demo` makes one")
    else:
        rows = [_COLUMNS, *(_row(one) for one in shown)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            out.line("  ".join(padded).rstrip())
    out.result({"data": str(args.data), "runs": [one.as_dict() for one in shown]})
    return 0


def _row(one: RunSummary) -> tuple[str, ...]:
    events = ", ".join(f"{count} {stream}" for stream, count in one.events.items())
    simulated = {True: "yes", False: "no", None: "?"}[one.simulated]
    cells = (one.uid[:8], one.began, one.state, one.reason, one.sample, one.plan_name, events)
    return (*(_harmless(cell) for cell in cells), simulated)


def _harmless(text: str) -> str:
    """Text from a run's metadata without what a terminal would act on."""
    return "".join(c if c.isprintable() else "?" for c in text[:60])
