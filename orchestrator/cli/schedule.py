"""`operando schedule`: the queue of experiments that `operando serve` runs."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.schedule import Job, JobStore

HELP = "queue experiments for later: add, list, show, remove, hold, release, ack"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="queue an experiment file")
    add.add_argument("experiment", type=Path, help="experiment file (YAML)")
    add.add_argument("--bench", help="bench profile by name or path; wins over the file's")
    add.add_argument("--at", metavar="TIME", help="not before: 2026-12-01T18:00+01:00")
    add.add_argument("--zone", help="zone of a TIME without offset: Europe/Zurich")
    add.add_argument(
        "--after", action="append", default=[], metavar="JOB", help="when JOB is done; repeatable"
    )
    add.add_argument("--priority", type=int, default=0, help="larger goes first (default 0)")
    add.add_argument(
        "--missed",
        choices=("ask", "start", "skip"),
        default="ask",
        help="if TIME passes while it cannot begin (default ask)",
    )
    add.add_argument(
        "--grace", type=float, default=3600.0, metavar="S", help="so late is not missed (3600 s)"
    )
    add.add_argument(
        "--on-interruption",
        choices=("ask", "resume"),
        default="ask",
        help="if its process dies: ask a person, or go on inside the step (default ask)",
    )
    add.add_argument("--key", help="asked again with the same key it is the same job")
    listing = actions.add_parser("list", help="what waits, runs and needs a decision")
    listing.add_argument("--all", action="store_true", help="what has ended, too")
    for name, text in (
        ("show", "one job, with its history"),
        ("remove", "take a job out that has not begun"),
        ("hold", "let a job wait until it is released"),
        ("release", "let a held job go"),
    ):
        actions.add_parser(name, help=text).add_argument("job", help="uid, or its beginning")
    ack = actions.add_parser("ack", help="decide about a job that was interrupted or missed")
    ack.add_argument("job", help="uid, or its beginning")
    ack.add_argument(
        "decision",
        choices=("again", "resume", "done", "failed"),
        help="run it again, go on with its run, or count it as ...",
    )
    from orchestrator.cli.options import common_options

    for sub in actions.choices.values():
        common_options(sub, after_verb=True)


def run(args: argparse.Namespace, out: Output) -> int:
    """Do what was asked with the queue."""
    from orchestrator.schedule.asking import queue  # keep `--help` fast

    actions: dict[str, Callable[[argparse.Namespace, JobStore, Output], int]] = {
        "add": _add, "list": _list, "show": _show, "remove": _change, "hold": _change,
        "release": _change, "ack": _change,
    }  # fmt: skip
    return actions[args.action](args, queue(args.data), out)


def _add(args: argparse.Namespace, store: JobStore, out: Output) -> int:
    from orchestrator.schedule.asking import Wish, add_job, written

    wish = Wish(
        experiment=args.experiment,
        bench=args.bench,
        at=args.at or "",
        zone=args.zone,
        after=tuple(args.after),
        priority=args.priority,
        missed=args.missed,
        on_interruption=args.on_interruption,
        grace_s=args.grace,
        key=args.key or "",
        by=getpass.getuser(),
    )
    added = add_job(store, args.data, wish)
    job = added.job
    if added.new:
        written(args.data, "job-added", getpass.getuser(), job)
    known = "" if added.new else "is already queued: "
    runs = f", {added.runs} runs" if added.runs > 1 else ""
    out.line(f"job {job.id[:8]} {known}{added.name} on {job.request.bench}{runs}, {_when(job)}")
    if added.new:
        out.line("`operando serve` runs it; `operando schedule list` shows what waits")
    out.result({**job.as_dict(), "new": added.new})
    return 0


def _list(args: argparse.Namespace, store: JobStore, out: Output) -> int:
    jobs = store.jobs(ended=args.all)
    if not jobs:
        out.line(f"nothing is queued in {args.data}; `operando schedule add FILE` does")
    for job in jobs:
        why = job.message or (store.waits_for(job) if job.state == "waiting" else "")
        name = Path(job.request.experiment).name
        line = f"{job.id[:8]}  {job.state:<11}  {job.request.bench:<12}  {_when(job):<24}  {name}"
        out.line(line.rstrip())
        if why:
            out.line(f"          {why}")
    out.result({"data": str(args.data), "jobs": [job.as_dict() for job in jobs]})
    return 0


def _show(args: argparse.Namespace, store: JobStore, out: Output) -> int:
    job = store.get(args.job)
    asked = job.request
    out.line(f"job {job.id}")
    for name, value in (
        ("state", f"{job.state} {job.message}".strip()),
        ("waits", store.waits_for(job) if job.state == "waiting" else ""),
        ("experiment", asked.experiment),
        ("bench", f"{asked.bench} ({asked.profile})"),
        ("start", f"{_when(job)}; if missed: {asked.missed}, after {asked.grace_s:g} s"),
        ("cut off", f"if its process dies: {asked.on_interruption}"),
        ("after", ", ".join(one[:8] for one in asked.after)),
        ("priority", str(asked.priority)),
        ("runs", ", ".join(one[:8] for one in job.runs)),
    ):
        if value:
            out.line(f"  {name:<11} {value}")
    history = store.history(job.id)
    for time_s, what, by in history:
        out.line(f"  {_clock(time_s)}  {what}{f' ({by})' if by else ''}")
    out.result({**job.as_dict(), "history": [list(one) for one in history]})
    return 0


def _change(args: argparse.Namespace, store: JobStore, out: Output) -> int:
    from orchestrator.schedule.asking import acknowledge, written

    by = getpass.getuser()
    if args.action == "remove":
        job = store.remove(args.job, by=by)
    elif args.action == "ack":
        job = acknowledge(store, args.job, args.decision, by=by)
    else:
        job = store.hold(args.job, held=args.action == "hold", by=by)
    decided = {"decision": args.decision} if args.action == "ack" else {}
    written(args.data, f"job-{args.action}", by, job, **decided)
    held = ", held back" if job.held else ""
    out.line(f"job {job.id[:8]}: {job.state}{held}")
    out.result(job.as_dict())
    return 0


def _when(job: Job) -> str:
    return job.request.start or "as soon as it can"


def _clock(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
