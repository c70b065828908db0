"""`operando image-now`: take a frame or a spectrum as soon as the device is free."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output
from orchestrator.cli.requesting import add_run, add_wait, request

HELP = "take a frame or a spectrum as soon as the device is free"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_run(parser)
    parser.add_argument(
        "--device",
        help="name of a stream of frames (mri) or spectra (pstat_eis); default: all that image",
    )
    add_wait(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Ask for it."""
    return request(args, out, "image_now", device=args.device)
