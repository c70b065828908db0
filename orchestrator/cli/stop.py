"""`operando stop`: end a run in order; it counts as a success."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output
from orchestrator.cli.requesting import add_run, add_wait, request

HELP = "end a run in order, now or after this frame, step or cycle"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_run(parser)
    parser.add_argument(
        "--after",
        choices=("now", "frame", "step", "cycle"),
        default="now",
        help="when: now (default), or when this frame, step or cycle is over",
    )
    add_wait(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Ask for it."""
    return request(args, out, "stop", after=args.after)
