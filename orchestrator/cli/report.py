"""`operando report`: figures and a page of a run, to be opened without a network."""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator.cli.output import Output, short

HELP = "write a run's report: one HTML page and its figures"


def register(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("run", metavar="RUN", help="beginning of a run's uid, or -1 for the latest")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="where to write (default DATA/reports/UID)"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Load the run, write its report and say where it is."""
    from orchestrator.records.directory import DataDirectory  # keep `--help` fast
    from orchestrator.records.runs import find_run, load_run
    from orchestrator.report import write_report

    loaded = load_run(find_run(args.data, args.run))
    directory = args.to or DataDirectory(args.data).report(loaded.uid).parent
    page = write_report(loaded, directory)
    figures = sorted(str(path) for path in directory.glob("*.png"))
    out.line(f"report: {short(page)}")
    out.result({"uid": loaded.uid, "report": str(page), "figures": figures})
    return 0
