"""`operando off`: de-energise a bench now, whatever else is dead."""

from __future__ import annotations

import argparse

from orchestrator.cli.output import Output

HELP = "switch everything on a bench off now, verified by read-back"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bench", help="bench profile by name or path")


def run(args: argparse.Namespace, out: Output) -> int:
    """Switch off; needs neither engine state, store nor scheduler."""
    from devices.errors import InstrumentFault  # keep `--help` fast
    from orchestrator.bench import open_bench

    with open_bench(args.bench, data=args.data) as bench:
        unsafe = bench.off()
        names = sorted(bench.devices)
    if unsafe:
        raise InstrumentFault(
            ", ".join(unsafe), "not known to be off", remedy="disconnect the cell by hand"
        )
    out.line(f"{args.bench}: off, verified ({', '.join(names)})")
    out.result({"bench": args.bench, "off": names})
    return 0
