"""`operando run`: run an experiment now, attended, with progress."""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator.cli import fault_options
from orchestrator.cli.output import Output

HELP = "run an experiment now, attended, with progress"


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("experiment", type=Path, help="experiment file (YAML)")
    parser.add_argument("--bench", help="bench profile by name or path; wins over the file's")
    parser.add_argument(
        "--real-time", action="store_true", help="put a simulated bench on the system's clock"
    )
    fault_options.register(parser)
    parser.add_argument("--no-report", action="store_true", help="write no report")


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the experiment; returns the exit code."""
    from orchestrator.experiment import bench_of, load_experiment  # keep `--help` fast

    experiment = load_experiment(args.experiment, bench=args.bench)
    profile = bench_of(args.experiment, bench=args.bench)
    from orchestrator.cli.attended import code, finish, watched
    from orchestrator.estimate import check_disk

    check_disk(experiment, args.data)  # before anything is opened or written
    faults = fault_options.chosen(args, profile)
    result = watched(experiment, profile, args, out, faults=faults, real_time=args.real_time)
    finish(result, out, report=not args.no_report)
    return code(result)
