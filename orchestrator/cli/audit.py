"""`operando audit`: who decided what, and is that still as it was written?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from orchestrator.cli.output import Output

HELP = "list who decided what, or verify that nothing of it was changed"

_EXIT_RECORDS = 5


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = actions.add_parser("verify", help="follow the chain, and compare with what was sent")
    verify.add_argument(
        "--head",
        action="append",
        default=[],
        metavar="HASH",
        help="a hash that was kept elsewhere, from a message for example; repeatable",
    )
    verify.add_argument(
        "--anchors", type=Path, metavar="FILE", help="a copy of anchors.jsonl kept elsewhere"
    )
    listing = actions.add_parser("list", help="who decided what and when")
    listing.add_argument("--last", type=int, metavar="N", help="only the last N")
    from orchestrator.cli.options import common_options

    for sub in actions.choices.values():
        common_options(sub, after_verb=True)


def run(args: argparse.Namespace, out: Output) -> int:
    """Do what was asked; 5 where the log is not as it was written."""
    return _verify(args, out) if args.action == "verify" else _list(args, out)


def _verify(args: argparse.Namespace, out: Output) -> int:
    from orchestrator.alerts.anchors import anchors_file, anchors_of  # keep `--help` fast
    from orchestrator.records.audit import Kept, verify
    from orchestrator.records.directory import DataDirectory

    path = DataDirectory(args.data).audit
    anchors = anchors_of(args.data, anchors_file())
    if args.anchors is not None:
        anchors += anchors_of(args.data, args.anchors, must_exist=True)
    kept = [Kept(one.hash, f"{one.said}, line {one.seq}") for one in anchors]
    kept += [Kept(head.strip().lower(), "given with --head") for head in args.head]
    check = verify(path, kept=kept)
    for problem in check.problems:
        out.line(f"{path}: {problem}")
    against = f"{len(kept)} heads that were kept elsewhere" if kept else "no head kept elsewhere"
    said = "as it was written" if check.ok else "NOT as it was written"
    out.line(f"{path}: {check.lines} lines, {said}; compared with {against}")
    if check.ok and not kept:
        out.line("whether its end was cut off cannot be known: see `operando alerts test`")
    out.line(f"head: {check.head}")
    out.result(
        {
            "file": str(path),
            "ok": check.ok,
            "lines": check.lines,
            "head": check.head,
            "first_broken_line": check.first_broken,
            "problems": check.problems,
            "compared": len(kept),
        }
    )
    return 0 if check.ok else _EXIT_RECORDS


def _list(args: argparse.Namespace, out: Output) -> int:
    from orchestrator.records.audit import read_audit
    from orchestrator.records.directory import DataDirectory

    lines = read_audit(DataDirectory(args.data).audit)
    shown = lines[-args.last :] if args.last else lines
    for line in shown:
        what = json.dumps(line["what"], ensure_ascii=False)
        out.line(f"{line['seq']:6}  {line['time']}  {line['kind']:10}  {line['who']}  {what}")
    out.result({"lines": shown})
    return 0
