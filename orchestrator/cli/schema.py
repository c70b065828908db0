"""Prints the JSON schema of experiment files, bench profiles or files of alerts."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output

HELP = "print the JSON schema of a kind of file, for editors"


def register(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "schema",
        nargs="?",
        choices=("experiment", "bench-profile", "alerts"),
        default="experiment",
        help="which one (default experiment)",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Print the schema as it is kept in docs/reference."""
    from orchestrator.schemas import SCHEMAS, schema_text

    if out.json:
        out.result(SCHEMAS[args.schema]())
    else:
        out.line(schema_text(args.schema).rstrip("\n"))
    return 0
