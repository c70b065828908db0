"""The options ``--fault`` and ``--faults`` of the verbs that open a simulated bench."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.experiment.faults import Fault
    from orchestrator.profile.models import BenchProfile


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="FAULT",
        help="let something go wrong on a simulated bench, kind:device:start:end[:option], times "
        "in s from the beginning; may be repeated",
    )
    parser.add_argument(
        "--faults", type=Path, metavar="FILE", help="the same from a YAML file, a list of faults"
    )


def chosen(args: argparse.Namespace, profile: BenchProfile) -> list[Fault]:
    """Faults that the options name, those of the file first.

    Raises:
        ExperimentError: The file is wrong; with every error, at file:line:column.
        ProfileError: An option is wrong, or the bench is real.
    """
    from orchestrator.errors import ProfileError  # keep `--help` fast
    from orchestrator.experiment.faults import fault_findings, fault_of, load_faults

    faults = [] if args.faults is None else load_faults(args.faults, profile)
    for text in args.fault:
        fault = fault_of(text, "--fault")
        for one in fault_findings([fault], profile, ()):
            raise ProfileError(f"--fault {text}", one.what, remedy=one.remedy)
        faults.append(fault)
    return faults
