"""`operando skip-step`: end the present step before its time."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output
from orchestrator.cli.requesting import add_run, add_wait, request

HELP = "end the present step as if its time were over"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_run(parser)
    add_wait(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Ask for it."""
    return request(args, out, "skip_step")
