"""`operando runs`: what was measured, one line per run."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output

HELP = "list the runs of a data directory"

_COLUMNS = ("uid", "began", "state", "reason", "sample", "plan", "events", "simulated")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--last", type=int, metavar="N", help="only the last N runs")


def run(args: argparse.Namespace, out: Output) -> int:
    """List the runs, the latest last."""
    from rich.table import Table  # keep `--help` fast

    from orchestrator.records.directory import DataDirectory
    from orchestrator.records.summary import summarise

    directory = DataDirectory(args.data)
    uids = list(directory.runs())
    shown = [summarise(directory.journal(uid)) for uid in uids[-args.last if args.last else None :]]
    if not shown:
        out.line(f"no runs in {args.data}; `operando demo` makes one")
    elif out.verbosity >= 0:
        table = Table(*_COLUMNS, box=None)
        for one in shown:
            events = ", ".join(f"{count} {stream}" for stream, count in one.events.items())
            simulated = {True: "yes", False: "no", None: "?"}[one.simulated]
            row = (one.uid[:8], one.began, one.state, one.reason, one.sample, one.plan_name)
            table.add_row(*map(_plain, row), _plain(events), simulated)
        out.console().print(table)
    out.result({"data": str(args.data), "runs": [one.as_dict() for one in shown]})
    return 0


def _plain(text: str) -> str:
    """Text from a run's metadata, harmless to a terminal and to rich's markup."""
    shown = "".join(c if c.isprintable() else "?" for c in text[:60])
    return shown.replace("[", r"\[")
