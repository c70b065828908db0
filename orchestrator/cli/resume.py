"""`operando resume`: go on with a run that was cut off, inside the step where it stood."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.bench import Bench
    from orchestrator.profile.models import BenchProfile
    from orchestrator.resuming.interrupted import Interrupted
    from orchestrator.resuming.resume import Answer, Ask
    from orchestrator.running import RunResult

HELP = "go on with a run that was cut off by a crash, inside its step"

_QUESTION = "c: go on with what is left of the step   s: leave the step out   e: not now"
_ANSWERS: dict[str, Answer] = {"c": "continue", "s": "skip", "e": "end"}


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("run", help="the beginning of its uid, or -1 for the latest")
    parser.add_argument("--bench", help="bench profile by name or path; else as it was then")
    parser.add_argument(
        "--laboratory",
        type=Path,
        metavar="FILE",
        help="address file of the simulated laboratory that it was run on",
    )
    parser.add_argument(
        "--yes", action="store_true", help="where it would ask, go on with what is left"
    )
    parser.add_argument(
        "--skip-step", action="store_true", help="where it would ask, leave the step out"
    )
    parser.add_argument(
        "--accept-changes",
        action="store_true",
        help="go on although profile or software are not what they were",
    )
    parser.add_argument("--no-report", action="store_true", help="write no report")
    parser.add_argument("--job", help=argparse.SUPPRESS)  # given by `operando serve`


def run(args: argparse.Namespace, out: Output) -> int:
    """Go on; returns the exit code of the whole run."""
    if args.job:
        from orchestrator.cli.job import gone_on
        from orchestrator.records.chains import chain_of
        from orchestrator.records.directory import DataDirectory

        args.run = chain_of(DataDirectory(args.data), args.run)[-1]  # it may have gone on unseen
        return gone_on(args, out, _run)
    return _run(args, out)


def _run(args: argparse.Namespace, out: Output) -> int:
    from orchestrator.cli.attended import code, finish  # keep `--help` fast
    from orchestrator.resuming.interrupted import find_interrupted

    found = find_interrupted(args.data, args.run)
    if found.checkpoint is not None and found.checkpoint.campaign.get("file"):
        return _campaign(found, args, out)
    with _opened(found, args) as bench:
        _check_changes(found, bench, args, out)
        result = _gone_on(found, bench, args, out)
    finish(result, out, report=not args.no_report)
    return code(result)


def _campaign(found: Interrupted, args: argparse.Namespace, out: Output) -> int:
    """Go on with the run that was cut off, then with the rest of its campaign."""
    from orchestrator.cli import campaigns
    from orchestrator.errors import ResumeError
    from orchestrator.experiment import load_campaign

    assert found.checkpoint is not None  # noqa: S101 - who calls has looked
    kept = found.checkpoint.campaign
    whole = load_campaign(kept["file"], bench=args.bench)
    asked = dict(kept["hashes"])
    rest = whole.only(kept["left"])
    now = {point.number: point.experiment.experiment_hash for point in rest.points}
    if now != asked and not args.accept_changes:
        what = f"its campaign was changed since: {kept['file']}"
        raise ResumeError(found.who, what, remedy="look at it, then add --accept-changes")
    args.real_time = False

    def go_on(bench: Bench) -> RunResult:
        _check_changes(found, bench, args, out)
        return _gone_on(found, bench, args, out)

    return campaigns.run(rest, args, out, uid=kept["uid"], first_run=go_on)


@contextmanager
def _opened(found: Interrupted, args: argparse.Namespace) -> Iterator[Bench]:
    """The bench on which the run was, without a look at what lies on it."""
    from orchestrator.bench import open_bench

    with open_bench(_profile(found, args), data=args.data, laboratory=args.laboratory) as bench:
        began = getattr(args, "began", None)
        if began is not None:
            bench.RE.md["job"] = args.job
            bench.RE.subscribe(lambda _name, doc: began(doc["uid"]), "start")
        yield bench


def _profile(found: Interrupted, args: argparse.Namespace) -> BenchProfile:
    """The profile that is named, else the one that the run was made with."""
    from orchestrator.profile.loading import load_profile
    from orchestrator.profile.models import BenchProfile

    if args.bench is not None:
        return load_profile(args.bench)
    if found.checkpoint is None:
        return load_profile(str(found.start["bench"]))
    return BenchProfile.model_validate(found.checkpoint.profile)


def _check_changes(found: Interrupted, bench: Bench, args: argparse.Namespace, out: Output) -> None:
    """Row 41: what has changed meanwhile is a person's to accept."""
    from orchestrator.errors import ResumeError
    from orchestrator.resuming.resume import changes

    changed = changes(found, bench)
    if not changed:
        return
    text = f"since {found.who} was cut off: {'; '.join(changed)}"
    if args.accept_changes:
        out.line(f"{text}; accepted")
    elif not (sys.stdin.isatty() and _confirmed(text, out)):
        raise ResumeError(found.who, text, remedy="look at it, then add --accept-changes")


def _confirmed(text: str, out: Output) -> bool:
    out.prompt(f"{text}\ngo on all the same? [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _gone_on(found: Interrupted, bench: Bench, args: argparse.Namespace, out: Output) -> RunResult:
    from functools import partial

    from orchestrator.cli.attended import beside
    from orchestrator.resuming.plan import experiment_of
    from orchestrator.resuming.resume import resume_run

    experiment = experiment_of(found.start, found.who)
    go = partial(resume_run, found, bench, ask=_ask(args, out))
    return beside(bench, experiment, out, go)


def _ask(args: argparse.Namespace, out: Output) -> Ask | None:
    """Who decides: the options, a person at the terminal, or nobody."""
    if args.yes or args.skip_step:
        decided: Answer = "skip" if args.skip_step else "continue"

        def told(text: str) -> Answer:
            out.line(text)
            return decided

        return told

    def asked(text: str) -> Answer:
        out.prompt(f"\n{text}; the cell is off.\n{_QUESTION}\n")
        while True:
            out.prompt("> ")
            typed = sys.stdin.readline()
            if not typed:
                return "end"
            answer = _ANSWERS.get(typed.strip().lower()[:1])
            if answer is not None:
                return answer

    return asked if sys.stdin.isatty() else None
