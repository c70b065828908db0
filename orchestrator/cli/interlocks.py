"""`operando interlocks`: what must hold on a bench, what was seen last, what is latched."""

from __future__ import annotations

import argparse
from typing import Any

from orchestrator.cli.output import Output

HELP = "list a bench's interlocks: state, last value, age, latch; acknowledge those that tripped"

EVERY = "all"
"""Acknowledges whatever is latched."""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("bench", help="bench profile by name or path")
    parser.add_argument(
        "--acknowledge",
        action="append",
        metavar="NAME",
        default=[],
        help=f"somebody has seen to it: the bench may be used again; `{EVERY}` means every one",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """List; opens no instrument, so that it works while a run goes on. Exit code 4 if latched."""
    from orchestrator.cli.main import EXIT_SAFE_STATE
    from orchestrator.interlocks import Latches  # keep `--help` fast
    from orchestrator.profile.loading import load_profile

    profile = load_profile(args.bench)
    latches = Latches(profile.bench)
    acknowledged = _acknowledged(latches, args, out)
    rows = _rows(profile, latches)
    for row in rows:
        out.line(_line(row))
    if not rows:
        out.line(f"{profile.bench}: its profile has no interlocks")
    latched = [row["name"] for row in rows if row["latched"]]
    if latched:
        out.line(f"{profile.bench}: the next run is refused until each is acknowledged, as with")
        out.line(f"  operando interlocks {args.bench} --acknowledge {latched[0]}")
    out.result({"bench": profile.bench, "acknowledged": acknowledged, "interlocks": rows})
    return EXIT_SAFE_STATE if latched else 0


def _acknowledged(latches: Any, args: argparse.Namespace, out: Output) -> list[str]:
    """Clear what was acknowledged, once it is in the audit log; returns the names."""
    from orchestrator.errors import ControlError
    from orchestrator.inputs.problems import listed
    from orchestrator.records.audit import AuditLog
    from orchestrator.records.directory import DataDirectory
    from orchestrator.remote.addresses import this_user

    if not args.acknowledge:
        return []
    marks = latches.read()
    names = sorted(marks) if EVERY in args.acknowledge else list(dict.fromkeys(args.acknowledge))
    for name in names:
        if name not in marks:
            known = listed(sorted(marks)) if marks else "nothing"
            raise ControlError(
                f"{latches.bench}: {name}", "is not latched", remedy=f"latched is {known}"
            )
    audit = AuditLog(DataDirectory(args.data.resolve()).audit)
    for name in names:
        said = {"bench": latches.bench, "interlock": name, "text": marks[name].text}
        audit.append("acknowledge", this_user(), **said)
        latches.clear([name])
        out.line(f"{latches.bench}: {name} acknowledged ({marks[name].text})")
    return names


def _rows(profile: Any, latches: Any) -> list[dict[str, Any]]:
    """One row for each interlock of the profile, and for each latch of one it no longer has."""
    from devices.clock import wall_time

    marks, seen, now_s = latches.read(), latches.seen(), wall_time()
    wanted = {entry.label: entry for entry in profile.interlocks}
    rows = []
    for name in [*wanted, *(one for one in marks if one not in wanted)]:
        entry, mark, last = wanted.get(name), marks.get(name), seen.get(name, {})
        shown_s = last.get("shown_s")
        age_s = None if shown_s is None else last["age_s"] + max(now_s - shown_s, 0.0)
        rows.append({
            "name": name,
            "kind": None if entry is None else entry.kind,
            "expected": None if entry is None else entry.expected,
            "confirm": None if entry is None else entry.confirm,
            "latches": None if entry is None else entry.latch,
            "value": last.get("value"),
            "wrong": last.get("wrong") or "",
            "age_s": age_s,
            "latched": None if mark is None else mark.text,
            "since_s": None if mark is None else mark.since_s,
            "run": None if mark is None else mark.run,
        })  # fmt: skip
    return rows


def _line(row: dict[str, Any]) -> str:
    if row["latched"] is not None:
        state = "LATCHED"
    elif row["age_s"] is None:
        state = "not seen"
    else:
        state = "wrong" if row["wrong"] else "ok"
    seen = "no reading" if row["value"] is None else f"last {row['value']:.6g}"
    if row["value"] is None and state == "ok":
        seen = "so it was"
    age = "" if row["age_s"] is None else f", {_age(row['age_s'])} ago"
    wanted = "no longer in the profile" if row["expected"] is None else row["expected"]
    said = row["latched"] or row["wrong"]
    also = f"; {said}" if said else ""
    return f"{state:>9}  {row['name']}: expected {wanted}; {seen}{age}{also}"


def _age(seconds: float) -> str:
    units = ((120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172_800.0, 3600.0, "h"))
    for limit_s, unit_s, unit in units:
        if seconds < limit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds / 86_400.0:.0f} d"
