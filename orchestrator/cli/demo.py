"""`operando demo`: the in situ MRI experiment on the simulated bench, and its report."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from orchestrator.cli.output import Output, short

HELP = "the in situ MRI experiment on the simulated bench, its report, and what to try next"

_BENCH = "sim-mri"


def register(parser: argparse.ArgumentParser) -> None:
    """The demo has no arguments of its own."""
    del parser


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the demo; returns the exit code."""
    from orchestrator.cli.attended import code, finish, watched  # keep `--help` fast
    from orchestrator.experiment import load_experiment
    from orchestrator.experiment.templates import example_path
    from orchestrator.profile.loading import load_profile

    path = example_path("in_situ_mri")
    experiment = load_experiment(path, bench=_BENCH)
    out.line(_WHAT.format(path=short(path)))
    result = watched(experiment, load_profile(_BENCH), args, out)
    finish(result, out, report=True)
    option = "" if args.data == _default_data() else f" --data {shlex.quote(short(args.data))}"
    out.line(_NEXT.format(data=option))
    return code(result)


def _default_data() -> Path:
    return Path(os.environ.get("OPERANDO_DATA", "operando-data"))


_WHAT = """\
Liu et al., Nature Materials 2025, Fig. 4, on a SIMULATED bench in virtual time:
a Li/LLZO/Li cell is cycled at 0.1 mA/cm2 until it shorts, while 7Li MRI frames
of 4.4 h each are taken back to back. The experiment file is
{path}
"""

_NEXT = """
Try next:
  operando show -1{data}
      what was recorded
  operando new --like in_situ_mri my.yaml
  operando run my.yaml{data}
      your own experiment, from a commented file
  operando shell --bench sim-mri{data}
      IPython with RE, bench, db and the devices; db[-1] is this run
"""
