"""`operando run`: run an experiment now, attended, with progress."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.bench import Bench, open_bench
from orchestrator.cli.output import Output
from orchestrator.cli.progress import shown, span
from orchestrator.experiment import Experiment, bench_of, load_experiment
from orchestrator.running import RunResult, run_experiment

HELP = "run an experiment now, attended, with progress"

_ANSWERS = "r: go on   s: end here (success)   a: abort"
_EXIT_SAFE_STATE, _EXIT_INTERRUPTED = 4, 130


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("experiment", type=Path, help="experiment file (YAML)")
    parser.add_argument("--bench", help="bench profile by name or path; wins over the file's")
    parser.add_argument(
        "--real-time", action="store_true", help="put a simulated bench on the system's clock"
    )
    parser.add_argument("--no-report", action="store_true", help="write no report")


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the experiment; returns the exit code."""
    experiment = load_experiment(args.experiment, bench=args.bench)
    profile = bench_of(args.experiment, bench=args.bench)
    with open_bench(
        profile,
        data=args.data,
        sample=simulate_as(experiment),
        real_time=args.real_time,
    ) as bench:
        result = watched(experiment, bench, out)
    finish(result, out, report=not args.no_report)
    return code(result)


def simulate_as(experiment: Experiment) -> dict[str, Any] | None:
    """What stands in for the sample on a simulated bench; None for the default."""
    recipe = experiment.sample.simulate_as
    return None if recipe is None else recipe.model_dump()


def watched(experiment: Experiment, bench: Bench, out: Output) -> RunResult:
    """Run with a progress line, asking a person at a terminal what to do on a pause."""
    attended = sys.stdin.isatty()
    bench.RE.attended = attended
    with ExitStack() as stack:
        # bluesky's own messages, which the progress line replaces
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(shown(bench, experiment, out))
        return run_experiment(
            experiment,
            bench,
            speak=sys.stderr if out.verbosity > 0 else nowhere,
            on_pause=(lambda paused: _ask(paused, out)) if attended else None,
        )


def finish(result: RunResult, out: Output, *, report: bool) -> None:
    """Say what came of it, and write the report."""
    frames = sum(result.frames.values())
    records = result.events.get("echem", 0)
    out.line(
        f"{result.stop_reason} at {span(result.stopped_at_s)}: {records} records, {frames} frames, "
        f"{result.throughput_mah:.4g} mAh moved; {result.wall_s:.1f} s of real time"
    )
    value = asdict(result)
    if report:
        page = written_report(Path(result.data), result.uid)
        value["report"] = str(page)
        out.line(f"report: {page}")
    out.result(value)


def written_report(data: Path, uid: str) -> Path:
    """Write a run's report into the data directory; returns the page."""
    from orchestrator.records.directory import DataDirectory  # matplotlib loads only now
    from orchestrator.records.runs import load_run
    from orchestrator.report import write_report

    directory = DataDirectory(data)
    return write_report(load_run(directory.journal(uid)), directory.report(uid).parent)


def code(result: RunResult) -> int:
    """Exit code of a run."""
    if result.exit_status != "success":
        return _EXIT_INTERRUPTED
    return _EXIT_SAFE_STATE if result.stop_reason in ("limit", "interlock") else 0


def _ask(bench: Bench, out: Output) -> bool:
    """Ask at the terminal; true goes on, false aborts; a stop ends the run here."""
    out.line(f"\npaused at {span(bench.live.snapshot().elapsed_s)}; the cell is off. {_ANSWERS}")
    while True:
        answer = input("> ").strip().lower()[:1]
        if answer == "r":
            return True
        if answer == "a":
            return False
        if answer == "s":
            bench.stop()
            return True
        out.line(_ANSWERS)
