"""Prints the JSON schema of experiment files or bench profiles."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output

HELP = "print the JSON schema of experiment files or bench profiles, for editors"


def register(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "schema",
        nargs="?",
        choices=("experiment", "bench-profile"),
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
