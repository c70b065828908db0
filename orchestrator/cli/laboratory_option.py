"""The option ``--laboratory`` of the verbs that open a bench."""

from __future__ import annotations

import argparse
from pathlib import Path


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--laboratory",
        type=Path,
        metavar="FILE",
        help="address file of the served laboratory in which the simulated bench stands (default "
        "$OPERANDO_LABORATORY, else it is made in this process)",
    )
