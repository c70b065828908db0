"""`operando runs`: what was measured, one line per run."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.records.summary import RunSummary

HELP = "list the runs of a data directory"

_COLUMNS = ("uid", "began", "ended", "sample", "plan", "events", "")
_MAY_SHRINK = (2, 3, 4)
_NARROWEST = 8
_SIDE_STREAMS = ("events", "interruptions")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--last", type=int, metavar="N", help="only the last N runs")


def run(args: argparse.Namespace, out: Output) -> int:
    """List the runs, the latest last."""
    from orchestrator.records.directory import DataDirectory  # keep `--help` fast
    from orchestrator.records.summary import summarise

    directory = DataDirectory(args.data)
    uids = list(directory.runs())
    shown = [summarise(directory.journal(uid)) for uid in uids[-args.last if args.last else None :]]
    if not shown:
        out.line(f"no runs in {args.data}; `operando demo` makes one")
    else:
        rows = [_COLUMNS, *(_row(one) for one in shown)]
        columns = shutil.get_terminal_size().columns if out.people.isatty() else None
        widths, gap = _layout(rows, columns)
        told: set[str] = set()
        for one, row in zip([None, *shown], rows, strict=True):
            if one is not None and one.campaign is not None:
                _head(one, shown, told, out)
            padded = (_cut(cell, width) for cell, width in zip(row, widths, strict=True))
            out.line(gap.join(padded).rstrip())
    out.result({"data": str(args.data), "runs": [one.as_dict() for one in shown]})
    return 0


def _head(run: RunSummary, shown: Sequence[RunSummary], told: set[str], out: Output) -> None:
    """A line above the first run of a campaign."""
    from orchestrator.records.campaigns import campaigns_of  # keep `--help` fast

    one = next(c for c in campaigns_of(shown) if run in c.runs)
    if one.uid not in told:
        told.add(one.uid)
        name = _harmless(one.name)
        out.line(f"campaign {one.uid[:8]}: {name}, {len(one.runs)} of {one.planned} runs")


def _row(one: RunSummary) -> tuple[str, ...]:
    events = " ".join(
        f"{count} {stream}" for stream, count in one.events.items() if stream not in _SIDE_STREAMS
    )
    ended = one.reason or one.state if one.state == "success" else f"{one.state} {one.reason}"
    kind = {True: "SIM", False: "", None: "?"}[one.simulated]
    began = one.began[:16].replace("T", " ")
    uid, plan = one.uid[:8], one.plan_name
    if one.resumes:
        plan = f"goes on with {one.resumes[:8]}: {plan}"
    if one.campaign is not None:
        from orchestrator.experiment.campaign import worded
        from orchestrator.records.campaigns import number_of

        values = one.campaign.get("values")
        uid = f"  {uid}"
        plan = f"{number_of(one)}: {worded(values)}" if isinstance(values, dict) else plan
    cells = (uid, began, ended.strip(), one.sample, plan, events)
    return (*(_harmless(cell) for cell in cells), kind)


def _layout(rows: Sequence[Sequence[str]], columns: int | None) -> tuple[list[int], str]:
    """Widths of the columns and what is between them.

    On a terminal the gaps give way first, then the widest of the free texts until all fits.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    gaps = len(widths) - 1
    if columns is None or sum(widths) + 2 * gaps <= columns:
        return widths, "  "
    while sum(widths) + gaps > columns:
        widest = max(_MAY_SHRINK, key=lambda index: widths[index])
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    return widths, " "


def _cut(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 1] + "…"


def _harmless(text: str) -> str:
    """Text from a run's metadata without what a terminal would act on."""
    return "".join(c if c.isprintable() else "?" for c in text[:60])
