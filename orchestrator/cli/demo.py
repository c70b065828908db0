"""`operando demo`: the in situ MRI experiment on the simulated bench, and its report."""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator.bench import open_bench
from orchestrator.cli.output import Output
from orchestrator.cli.run import code, finish, simulate_as, watched
from orchestrator.experiment import load_experiment
from orchestrator.experiment.templates import example_path

HELP = "the in situ MRI experiment on the simulated bench, its report, and what to try next"


def register(parser: argparse.ArgumentParser) -> None:
    """The demo has no arguments of its own."""
    del parser


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the demo; returns the exit code."""
    path = example_path("in_situ_mri")
    experiment = load_experiment(path, bench="sim-mri")
    out.line("Liu et al., Nature Materials 2025, Fig. 4, on a SIMULATED bench in virtual time:")
    out.line("a Li/LLZO/Li cell is cycled at 0.1 mA/cm2 until it shorts, while 7Li MRI frames of")
    out.line(f"4.4 h each are taken back to back. The experiment file is {_shown(path)}\n")
    with open_bench("sim-mri", data=args.data, sample=simulate_as(experiment)) as bench:
        result = watched(experiment, bench, out)
    finish(result, out, report=True)
    out.line(_NEXT.format(path=_shown(path), data=args.data))
    return code(result)


def _shown(path: Path) -> str:
    """A path as short as it can be written from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


_NEXT = """
Try next:
  operando show -1 --data {data}         what was recorded
  operando new --like in_situ_mri my.yaml && operando run my.yaml
  operando shell --bench sim-mri         IPython with RE, bench, db and the devices
"""
