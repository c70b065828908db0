"""`operando resume-now`: let a paused run go on."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output
from orchestrator.cli.requesting import add_run, add_wait, request

HELP = "let a paused run go on"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_run(parser)
    add_wait(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Ask for it."""
    return request(args, out, "resume")
