"""Writes a commented experiment file to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator.cli.new_file import write_file
from orchestrator.cli.output import Output

HELP = "write a commented experiment file to start from"

SCHEMA_FILE = "experiment.schema.json"


def register(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("file", nargs="?", type=Path, help="file to write (default ./EXAMPLE.yaml)")
    parser.add_argument(
        "--like", metavar="EXAMPLE", default="in_situ_mri", help="example (default in_situ_mri)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


def run(args: argparse.Namespace, out: Output) -> int:
    """Write the example, and beside it the JSON schema that lets editors check it."""
    from orchestrator.experiment.templates import example_text
    from orchestrator.schemas import schema_text

    text = example_text(args.like, SCHEMA_FILE)
    path = args.file if args.file is not None else Path(f"{args.like}.yaml")
    if path.is_dir():
        path /= f"{args.like}.yaml"
    schema = path.parent / SCHEMA_FILE
    write_file(path, text.encode(), force=args.force)
    if args.force or not schema.exists():
        write_file(schema, schema_text("experiment").encode(), force=True)
    out.line(f"Wrote {path} (and {schema}, which lets your editor check it).")
    out.line(f"Change it, then: operando run {path}")
    out.result({"file": str(path), "schema": str(schema), "like": args.like})
    return 0
