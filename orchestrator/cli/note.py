"""`operando note`: write something down among the events of a run."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output
from orchestrator.cli.requesting import add_run, add_wait, request

HELP = "write something down among the events of a run"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_run(parser, optional=False)
    parser.add_argument("text", metavar="TEXT", nargs="+", help="what to write down")
    add_wait(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Ask for it."""
    return request(args, out, "note", text=" ".join(args.text))
