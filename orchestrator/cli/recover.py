"""`operando recover`: close torn journals and frame files, rebuild the catalogue."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from orchestrator.cli.output import Output, counted

if TYPE_CHECKING:
    from orchestrator.records.recovery import Recovery

HELP = "close runs that were cut off and rebuild the catalogue from the journals"

_EXIT_RECORDS = 5


def register(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "--no-store", action="store_true", help="leave the catalogue to its next user"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Recover every run; returns 5 if one could not be recovered."""
    from orchestrator.records.recovery import rebuild_store, recover

    found = recover(args.data)
    for one in found:
        for text in _said(one):
            out.line(f"run {one.uid[:8]}: {text}")
    failed = [one for one in found if one.error or one.frames_lost or one.frames_missing]
    uploaded = None
    if not args.no_store and any(not one.live for one in found):
        uploaded = rebuild_store(args.data, say=out.line)
        out.line(f"catalogue: {counted(uploaded)}")
    changed = sum(one.changed for one in found)
    out.line(f"{counted(len(found))}, {changed} recovered now, {len(failed)} with losses")
    out.result({"runs": [one.as_dict() for one in found], "uploaded": uploaded})
    return _EXIT_RECORDS if failed else 0


def _said(one: Recovery) -> list[str]:
    said = [
        ("is being written and was left alone", one.live),
        ("had no end and was closed", one.closed),
        ("nothing had been recorded; removed", one.removed),
        (f"{one.bad_lines} damaged lines moved to {one.uid}.bad.jsonl", one.bad_lines),
        (f"{one.missing} documents missing", one.missing),
        (f"frames rewritten: {', '.join(one.frames_rewritten)}", one.frames_rewritten),
        (f"frames that cannot be read: {one.frames_lost}", one.frames_lost),
        (
            f"frames written but not yet announced, kept: {one.frames_unannounced}",
            one.frames_unannounced,
        ),
        (f"events whose frame is missing: {one.frames_missing}", one.frames_missing),
        (f"not recovered: {one.error}", one.error),
    ]
    return [text for text, true in said if true]
