"""`operando status`: where a run stands, also where its process is dead."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.output import Output
from orchestrator.cli.requesting import add_run, under_way

if TYPE_CHECKING:
    from orchestrator.remote import RunStatus

HELP = "show where a run stands"

_ANSWER_WITHIN_S = 3.0


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add_run(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Show where one run stands; without a name all that are under way, else the latest."""
    from orchestrator.records.runs import find_run

    running = under_way(args.data) if args.run is None else []
    journals = running or [find_run(args.data, args.run or "-1")]
    found = [_status(journal.resolve()) for journal in journals]
    for one in found:
        out.line(str(one))
    out.result({**found[-1].as_dict(), "runs": [one.as_dict() for one in found]})
    return 0


def _status(journal: Path) -> RunStatus:
    """From the process; from what it has left where there is none, or it does not answer."""
    from orchestrator.errors import ControlError, NoAnswerError
    from orchestrator.remote import Message, RunStatus, ask, recorded_status

    try:
        answer = ask(journal, Message("status", wait_s=_ANSWER_WITHIN_S))
    except (ControlError, NoAnswerError):
        return recorded_status(journal)
    told = RunStatus(**(answer.status or {}))
    return told if told.run == journal.stem else recorded_status(journal)
