"""`operando run`: run an experiment now, attended, with progress."""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator.cli import fault_options, laboratory_option
from orchestrator.cli.output import Output
from orchestrator.cli.points import numbers, some_of

HELP = "run an experiment now, attended, with progress"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("experiment", type=Path, help="experiment file (YAML)")
    parser.add_argument("--bench", help="bench profile by name or path; wins over the file's")
    parser.add_argument(
        "--real-time", action="store_true", help="put a simulated bench on the system's clock"
    )
    laboratory_option.register(parser)
    fault_options.register(parser)
    parser.add_argument("--no-report", action="store_true", help="write no report")
    parser.add_argument(
        "--points",
        type=numbers,
        metavar="N,N-N",
        help="of a file with a sweep only these runs, by their numbers",
    )
    parser.add_argument("--job", help=argparse.SUPPRESS)  # given by `operando serve`


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the experiment; returns the exit code."""
    if args.job:
        from orchestrator.cli.job import carried_out

        return carried_out(args, out, _run)
    return _run(args, out)


def _run(args: argparse.Namespace, out: Output) -> int:
    from orchestrator.experiment import load_campaign  # keep `--help` fast

    whole = load_campaign(args.experiment, bench=args.bench)
    profile = whole.profile
    assert profile is not None  # noqa: S101 - loading has found one
    campaign = some_of(whole, args.points)
    from orchestrator.estimate import check_disk

    # before anything is opened or written
    check_disk((point.experiment for point in campaign.points), args.data)
    faults = fault_options.chosen(args, profile)
    if campaign.sweep is not None:
        from orchestrator.cli import campaigns

        return campaigns.run(campaign, args, out, faults=faults)
    from orchestrator.cli.attended import code, finish, watched

    experiment = campaign.points[0].experiment
    result = watched(experiment, profile, args, out, faults=faults, real_time=args.real_time)
    finish(result, out, report=not args.no_report)
    return code(result)
