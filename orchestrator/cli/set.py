"""`operando set`: change what may be changed of a run while it goes on."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output
from orchestrator.cli.requesting import add_run, add_wait, request

HELP = "change the end of a step, a limit, a period while a run goes on"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_run(parser, optional=False)
    parser.add_argument(
        "change",
        metavar="PATH=VALUE",
        help="for example step.until_time_s=600, method[3].until_voltage_V=4.1, "
        "record.time_s=5, safety.max_voltage_V=4.2, images[mri].every_s=300",
    )
    add_wait(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Ask for it.

    Raises:
        ControlError: What was typed is no change, or it was refused.
    """
    from orchestrator.errors import ControlError

    path, equals, value = args.change.partition("=")
    if not equals:
        raise ControlError(
            "set", f"got {args.change[:80]!r}", remedy="write PATH=VALUE, as step.until_time_s=600"
        )
    return request(args, out, "set", path=path.strip(), value=value.strip())
