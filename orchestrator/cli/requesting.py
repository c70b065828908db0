"""What the verbs that control a run have in common: which run, the request, its answer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.remote import Answer, Message

_WAIT_S = 30.0


def add_run(parser: argparse.ArgumentParser, *, optional: bool = True) -> None:
    """Declare the run and the longest wait."""
    parser.add_argument(
        "run",
        metavar="RUN",
        nargs="?" if optional else None,
        help="beginning of a run's uid, or -1 for the latest"
        + ("; without it the one that is under way" if optional else ""),
    )


def add_wait(parser: argparse.ArgumentParser) -> None:
    """Declare the longest wait for an answer."""
    parser.add_argument(
        "--wait",
        type=float,
        default=_WAIT_S,
        metavar="S",
        help=f"longest wait for the answer, s ({_WAIT_S:g})",
    )


def journal_of(args: argparse.Namespace) -> Path:
    """The journal of the run that is meant.

    Raises:
        ControlError: None is named, and not exactly one is under way.
        RecordError: What is named is no run.
    """
    from orchestrator.errors import ControlError
    from orchestrator.records.runs import find_run
    from orchestrator.remote import under_way

    if args.run is not None:
        return find_run(args.data, args.run)
    running = under_way(args.data)
    if len(running) == 1:
        return running[0]
    if not running:
        raise ControlError(
            "runs",
            f"none is under way in {args.data}",
            remedy="name its data directory with --data; `operando runs` lists what there is",
        )
    names = ", ".join(journal.stem[:8] for journal in running)
    raise ControlError("runs", f"{len(running)} are under way: {names}", remedy="name one")


def request(args: argparse.Namespace, out: Output, verb: str, **arguments: Any) -> int:
    """Ask the process of a run for something, and say what it answers.

    Raises:
        ControlError: It was refused, or there is no such run any more.
        NoAnswerError: The process does not answer.
    """
    from orchestrator.errors import ControlError
    from orchestrator.remote import Message, ask

    journal = journal_of(args)
    message = Message(verb, arguments, wait_s=max(0.0, args.wait))
    answer = ask(journal.resolve(), message)
    if answer.standing == "refused":
        raise ControlError(
            f"run {journal.stem[:8]}", f"{verb.replace('_', '-')}: {answer.text}", remedy=_REMEDY
        )
    _tell(answer, message, journal.stem, out)
    return 0


_REMEDY = "nothing was changed; `operando status` shows where the run stands"


def _tell(answer: Answer, message: Message, uid: str, out: Output) -> None:
    text = answer.text if answer.standing != "waiting" else "waits until the run goes on"
    out.line(f"run {uid[:8]}: {text}")
    out.result(
        {
            "run": uid,
            "verb": message.verb.replace("_", "-"),
            "id": message.id,
            "standing": answer.standing,
            "text": text,
            "pid": answer.pid,
        }
    )
