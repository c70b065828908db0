"""`operando off`: de-energise a bench now, whatever else is dead."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orchestrator.cli import laboratory_option
from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.leaving import Left

HELP = "switch everything on a bench off now, verified by read-back"

_EXIT_INSTRUMENT = 3


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bench", nargs="?", help="bench profile by name or path")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--abandoned",
        action="store_true",
        help="each bench that a process has left energised: killed, or ended by a power loss",
    )
    which.add_argument(
        "--all",
        action="store_true",
        help="those, and each that is in use: what runs is ended in order, if it can be",
    )
    laboratory_option.register(parser)
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="once everything reads back as off, let a bench that was latched UNSAFE be used again",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Switch off; needs neither engine, store nor scheduler, and no lock."""
    from orchestrator.errors import ControlError  # keep `--help` fast

    left = args.abandoned or args.all
    if left == (args.bench is not None):
        what = "got a bench and an option for many" if left else "got no bench"
        raise ControlError("off", what, remedy="give BENCH, or --abandoned, or --all")
    if left and args.acknowledge:
        raise ControlError("off", "--acknowledge is for one bench", remedy="give BENCH")
    return _left(out, also_living=args.all) if left else _bench(args, out)


def _left(out: Output, *, also_living: bool) -> int:
    """Switch off what processes of this machine may have left energised."""
    from orchestrator.leaving import switch_off_left

    found = switch_off_left(also_living=also_living)
    for one in found:
        out.line(f"{one.bench}: {_said(one)}")
    if not found:
        out.line("no bench of this machine may be energised")
    out.result({"benches": [_document(one) for one in found]})
    return 0 if all(one.ok for one in found) else _EXIT_INSTRUMENT


def _said(one: Left) -> str:
    if one.report is None:
        return "in use by a process that watches it; left alone"
    unsafe = "; ".join(f"{name}: {why}" for name, why in one.report.unsafe.items())
    return f"NOT KNOWN TO BE OFF, latched UNSAFE: {unsafe}" if unsafe else "off, verified"


def _document(one: Left) -> dict[str, Any]:
    report = one.report
    return {
        "bench": one.bench,
        "in_use": report is None,
        "off": [] if report is None else list(report.off),
        "unsafe": {} if report is None else dict(report.unsafe),
    }


def _noted(args: argparse.Namespace, bench: str, off: Sequence[str]) -> None:
    """A line of the audit log, where there is one: switching off needs none."""
    from orchestrator.errors import RecordError
    from orchestrator.records.audit import AuditLog
    from orchestrator.records.directory import DataDirectory
    from orchestrator.remote.addresses import this_user

    path = DataDirectory(args.data).audit
    if path.exists():
        with suppress(RecordError):
            what = {"bench": bench, "off": list(off), "acknowledged": bool(args.acknowledge)}
            AuditLog(path).append("off", f"{this_user()} with operando off", **what)


def _bench(args: argparse.Namespace, out: Output) -> int:
    import os

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
    _noted(args, profile.bench, report.off)
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
