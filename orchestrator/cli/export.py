"""`operando export`: an experiment's protocol in another program's format."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.new_file import write_file
from orchestrator.cli.output import Output, short

if TYPE_CHECKING:
    from orchestrator.experiment import Campaign, Point

HELP = "write an experiment's protocol for another program, and say what it does not hold"

_FORMATS = ("unicycler", "mps", "pybamm", "battinfo")


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("experiment", type=Path, help="experiment file (YAML)")
    parser.add_argument(
        "--protocol", choices=_FORMATS, required=True, help="format of the protocol"
    )
    parser.add_argument(
        "--point", type=int, metavar="N", help="of a file with a sweep the run with this number"
    )
    parser.add_argument(
        "--to", type=Path, metavar="FILE", help="where to write (default: by the experiment's file)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite a file that exists")


def run(args: argparse.Namespace, out: Output) -> int:
    """Write the file; returns the exit code."""
    from orchestrator.exchange import FORMATS, export_protocol  # keep `--help` fast
    from orchestrator.experiment import place_findings, read_campaign
    from orchestrator.inputs.invalid import ExperimentFileError, problem_lines

    point = _chosen(read_campaign(args.experiment), args.point)
    form = FORMATS[args.protocol]
    export = export_protocol(point.experiment, args.protocol)
    if export.refused:
        placed = place_findings(args.experiment, export.refused, number=point.number)
        raise ExperimentFileError(placed)
    lost = place_findings(args.experiment, export.lost, number=point.number)
    stem = args.experiment.stem + ("" if args.point is None else f"-{args.point}")
    path = args.to or Path(f"{stem}{form.suffix}")
    write_file(path, export.content, force=args.force)
    for one in lost:
        out.warn(str(one))
    out.line(f"Wrote {short(path)} ({form.title}); {len(lost)} things are not in it.")
    out.result({"file": str(path), "protocol": args.protocol, "lost": problem_lines(lost)})
    return 0


def _chosen(campaign: Campaign, number: int | None) -> Point:
    """The run to export.

    Raises:
        ExperimentError: It is one of several, and none or no such number is given.
    """
    from orchestrator.errors import ExperimentError

    count = len(campaign.points)
    if number is None and campaign.sweep is None:
        return campaign.points[0]
    if number is None or not 1 <= number <= count:
        got = "no --point" if number is None else f"--point {number}"
        raise ExperimentError(
            campaign.name,
            f"has {count} run{'' if count == 1 else 's'}, got {got}",
            remedy=f"choose one with --point, from 1 to {count}",
        )
    return campaign.points[number - 1]
