"""`operando off`: de-energise a bench now, whatever else is dead."""

from __future__ import annotations

import argparse

from orchestrator.cli import laboratory_option
from orchestrator.cli.output import Output

HELP = "switch everything on a bench off now, verified by read-back"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bench", help="bench profile by name or path")
    laboratory_option.register(parser)
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="once everything reads back as off, let a bench that was latched UNSAFE be used again",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Switch off; needs neither engine, store nor scheduler, and no lock."""
    import os  # keep `--help` fast

    from devices.errors import InstrumentFault
    from orchestrator.laboratory import laboratory_of
    from orchestrator.profile.loading import load_profile
    from orchestrator.safe_off import energisers, switch_off
    from orchestrator.watchdog.latch import Latch

    profile = load_profile(args.bench)
    there = laboratory_of(profile, args.laboratory, environment=os.environ)
    profile = profile if there is None else there.reached(profile)
    report = switch_off(profile)
    if not report.ok:
        told = "; ".join(f"{name}: {why}" for name, why in report.unsafe.items())
        raise InstrumentFault(
            profile.bench, f"not known to be off: {told}", remedy="disconnect the cell by hand"
        )
    if not energisers(profile):
        out.line(f"{profile.bench}: off; what is simulated lives and ends with its process")
        out.result({"bench": profile.bench, "off": sorted(profile.devices)})
        return 0
    out.line(f"{profile.bench}: off, verified ({', '.join(report.off)}; {report.took_s:.2f} s)")
    latch = Latch(profile.bench)
    said = latch.read()
    if said is not None and args.acknowledge:
        latch.clear()
        out.line(f"{profile.bench}: no longer UNSAFE")
    elif said is not None:
        out.line(f"{profile.bench}: still latched UNSAFE ({said.get('reason')}); --acknowledge")
    result = {"bench": profile.bench, "off": list(report.off), "unsafe": latch.read() is not None}
    out.result(result)
    return 0
