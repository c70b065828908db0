"""`operando status`: where a run stands, also where its process is dead."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output
from orchestrator.cli.requesting import add_run

HELP = "show where a run stands"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_run(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Show where one run stands; without a name all that are under way, else the latest."""
    from orchestrator.records.runs import find_run
    from orchestrator.remote import status_of, under_way

    running = under_way(args.data) if args.run is None else []
    journals = running or [find_run(args.data, args.run or "-1")]
    found = [status_of(journal.resolve()) for journal in journals]
    for one in found:
        out.line(str(one))
    out.result({**found[-1].as_dict(), "runs": [one.as_dict() for one in found]})
    return 0
