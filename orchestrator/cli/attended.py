"""A run with a person beside it: progress, the question at a pause, and what came of it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, get_args

from orchestrator.bench import Bench, open_bench
from orchestrator.cli.output import Output, short
from orchestrator.cli.progress import Drawing, shown, span
from orchestrator.cli.words import Words, heard
from orchestrator.desk import Word
from orchestrator.experiment import Experiment
from orchestrator.experiment.faults import Fault
from orchestrator.laboratory import Surroundings
from orchestrator.outcomes import failures_told
from orchestrator.profile.models import BenchProfile
from orchestrator.running import Decision, RunResult, run_experiment

_QUESTION = "r: resume   s: stop here, counts as a success   a: abort"
_CAMPAIGN_QUESTION = "r: resume   s: end this run, go on with the next   a: abort the campaign"
_DECISIONS: dict[str, Decision] = {"r": "resume", "s": "stop", "a": "abort"}
_EXIT_SAFE_STATE, _EXIT_INTERRUPTED = 4, 130


def watched(
    experiment: Experiment,
    profile: BenchProfile,
    args: argparse.Namespace,
    out: Output,
    *,
    faults: Sequence[Fault] = (),
    real_time: bool = False,
) -> RunResult:
    """Run with a progress line, asking a person at a terminal what to do on a pause.

    Args:
        experiment: The validated file.
        profile: The bench to run it on.
        args: The verb's arguments, of which the data directory is used.
        out: Where to speak.
        faults: What goes wrong, beside what the experiment says.
        real_time: Put a simulated bench on the system's clock.
    """
    with opened(experiment, profile, args, out, faults=faults, real_time=real_time) as bench:
        return carried_out(experiment, bench, out)


@contextmanager
def opened(
    experiment: Experiment,
    profile: BenchProfile,
    args: argparse.Namespace,
    out: Output,
    *,
    faults: Sequence[Fault] = (),
    real_time: bool = False,
) -> Iterator[Bench]:
    """The bench with an experiment's sample on it; arguments as for `watched`."""
    recipe = experiment.sample.simulate_as
    sample: dict[str, Any] | None = recipe.model_dump(exclude_none=True) if recipe else None
    around = Surroundings(**experiment.environment.model_dump())
    with open_bench(
        profile,
        data=args.data,
        sample=sample,
        surroundings=around,
        faults=faults,
        real_time=real_time,
        laboratory=getattr(args, "laboratory", None),
    ) as bench:
        for fault in bench.laboratory.faults if bench.laboratory is not None else ():
            out.line(f"injected fault: {fault}")
        began = getattr(args, "began", None)  # a job of the queue keeps the uids of its runs
        if began is not None:
            bench.RE.md["job"] = args.job
            bench.RE.subscribe(lambda _name, doc: began(doc["uid"]), "start")
        yield bench


def carried_out(
    experiment: Experiment,
    bench: Bench,
    out: Output,
    *,
    campaign: Mapping[str, Any] | None = None,
) -> RunResult:
    """One run on an open bench, with the progress line and the question at a pause."""
    for text in experiment.warnings(bench.profile):
        out.line(f"warning: {text}")
    go = partial(run_experiment, experiment, bench, campaign=campaign)
    return beside(bench, experiment, out, go, of_campaign=campaign is not None)


def beside(
    bench: Bench,
    experiment: Experiment | None,
    out: Output,
    go: Callable[..., RunResult],
    *,
    of_campaign: bool = False,
) -> RunResult:
    """Be beside a run: the progress line, and the question at a pause.

    Args:
        bench: Open.
        experiment: What is run; None where no file says it, and there is no line.
        out: Where to speak.
        go: Runs it, given `speak` and `on_pause` of `run_experiment`.
        of_campaign: Others follow it.
    """
    attended = sys.stdin.isatty()
    bench.RE.attended = attended
    with ExitStack() as stack:
        stack.enter_context(failures_told(bench, attended=attended))
        # bluesky's own messages, which the progress line replaces
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        drawing = Drawing()
        if experiment is not None:
            drawing = stack.enter_context(shown(bench, experiment, out))
        words = stack.enter_context(heard(bench))
        question = _CAMPAIGN_QUESTION if of_campaign else _QUESTION
        decide = partial(_decide, question) if attended else _wait_for_word
        return go(
            speak=out.stderr if out.verbosity > 0 else nowhere,
            on_pause=lambda paused: decide(paused, words, drawing, out),
        )


def finish(result: RunResult, out: Output, *, report: bool) -> None:
    """Say what came of it, and write the report."""
    out.result(told(result, out, report=report))


def told(result: RunResult, out: Output, *, report: bool) -> dict[str, Any]:
    """Say what came of a run and write its report; returns the object for ``--json``."""
    frames = sum(result.frames.values())
    records = result.events.get("echem", 0)
    spectra = f"{result.spectra} impedance spectra, " if result.spectra else ""
    out.line(
        f"{result.stop_reason} at {span(result.stopped_at_s)}: {records} records, "
        f"{frames} frames, {spectra}{result.throughput_mah:.4g} mAh moved"
    )
    said = f"run {result.uid[:8]} is in {short(Path(result.data))}"
    out.line(f"{said}; it took {result.wall_s:.1f} s of real time")
    value = asdict(result)
    if report:
        page = written_report(Path(result.data), result.uid)
        value["report"] = str(page)
        out.line(f"report: {short(page)}")
    return value


def written_report(data: Path, uid: str) -> Path:
    """Write a run's report into the data directory; returns the page.

    Of a run that goes on with another it is that of the whole experiment.
    """
    from orchestrator.records.chains import load_chain  # matplotlib loads only now
    from orchestrator.records.directory import DataDirectory
    from orchestrator.report import write_report

    directory = DataDirectory(data)
    run = load_chain(directory.journal(uid))
    return write_report(run, directory.report(run.uid).parent)


def code(result: RunResult) -> int:
    """Exit code of a run."""
    if result.stop_reason in ("limit", "interlock"):
        return _EXIT_SAFE_STATE
    return 0 if result.exit_status == "success" else _EXIT_INTERRUPTED


def _decide(question: str, bench: Bench, words: Words, drawing: Drawing, out: Output) -> Decision:
    """Ask at the terminal; the end of input aborts, as a Ctrl-C or a hang-up meanwhile does.

    Another terminal may answer instead.
    """
    with drawing.suspended():
        out.prompt(f"\n{_paused(bench)}; the cell is off.\n{question}\n")
        while True:
            out.prompt("> ")
            answer = words.wait(typed=sys.stdin)
            if not answer:
                return "abort"
            decision = _DECISIONS.get(answer.strip().lower()[:1])
            if decision is not None:
                words.forget()
                if answer in get_args(Word):
                    out.prompt(f"{decision} (said in another terminal)\n")
                return decision
            out.prompt(f"{question}\n")


def _wait_for_word(bench: Bench, words: Words, drawing: Drawing, out: Output) -> Decision:
    """Without a terminal: who has paused the run from another one says how it goes on.

    A signal meanwhile aborts, and so does a pause that nobody has asked for.
    """
    del drawing
    if not bench.RE.control.resting_for:
        return "abort"
    out.line(f"{_paused(bench)}; the cell is off. It waits for resume-now or stop")
    decision = _DECISIONS[words.wait()[:1]]
    words.forget()
    out.line(f"{decision} (said in another terminal)")
    return decision


def _paused(bench: Bench) -> str:
    who = bench.RE.control.resting_for
    elapsed = span(bench.live.snapshot().elapsed_s)
    return f"paused at {elapsed}{f' by {who}' if who else ''}"
