"""`operando upload`: bring every finished run into the catalogue now."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output, counted

HELP = "bring every finished run into the catalogue (Tiled) now"


def register(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "--timeout", type=float, default=600.0, metavar="S", help="longest wait, s (default 600)"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Start the store, wait for its uploader, say what is in it."""
    from orchestrator.records.store import open_store

    with open_store(args.data, say=out.line) as store:
        store.wait_uploaded(timeout_s=args.timeout)
        uids = list(store.cat)
    out.line(f"catalogue: {counted(len(uids))}")
    out.result({"data": str(args.data), "runs": uids})
    return 0
