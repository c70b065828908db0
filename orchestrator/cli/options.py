"""Options that every verb takes, before or after its name."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any


def common_options(parser: argparse.ArgumentParser, *, after_verb: bool) -> None:
    """Add them to a parser."""

    def default(value: Any) -> Any:
        return argparse.SUPPRESS if after_verb else value  # what stood before the verb stays

    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=default(Path(os.environ.get("OPERANDO_DATA", "operando-data"))),
        help="data directory (default $OPERANDO_DATA, else ./operando-data)",
    )
    options: tuple[tuple[str, str, bool, str], ...] = (
        ("-q", "--quiet", False, "errors only"),
        ("", "--no-progress", False, "no live progress line"),
        ("", "--json", False, "one JSON object on stdout, everything else on stderr"),
    )
    for letter, name, off, text in options:
        names = [one for one in (letter, name) if one]
        parser.add_argument(*names, action="store_true", default=default(off), help=text)
    parser.add_argument(
        "-v", "--verbose", action="count", default=default(0), help="more; -vv tracebacks"
    )
