"""`operando alerts`: is anybody told, and what were they told?"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.alerts.model import Alerts, Mail, Webhook

HELP = "send a message to try the alerts, or list what was told"

_EXIT_NOT_SENT = 3


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    test = actions.add_parser("test", help="send a message by every channel now")
    test.add_argument("--channel", metavar="NAME", help="by this one only")
    listing = actions.add_parser("list", help="what was told, to whom, and what waits")
    listing.add_argument("--last", type=int, default=50, metavar="N", help="so many (default 50)")
    from orchestrator.cli.options import common_options

    for sub in actions.choices.values():
        common_options(sub, after_verb=True)


def run(args: argparse.Namespace, out: Output) -> int:
    """Do what was asked."""
    return _test(args, out) if args.action == "test" else _list(args, out)


def _test(args: argparse.Namespace, out: Output) -> int:
    from orchestrator.alerts.sending import NotSentError, send  # keep `--help` fast

    alerts = _alerts(args.data)
    results = []
    for channel in _chosen(alerts, args.channel):
        message = _message(alerts, args.data, channel)
        error, note = "", ""
        try:
            note = send(message, channel)
        except NotSentError as refused:
            error = str(refused)
        said = f"not sent: {error}" if error else f"sent{f', but {note}' if note else ''}"
        out.line(f"{channel.name}: {said}")
        results.append(
            {"channel": channel.name, "sent": not error, "note": note, "error": error or None}
        )
    out.result({"channels": results, "subject": message.subject})
    return 0 if all(one["sent"] for one in results) else _EXIT_NOT_SENT


def _alerts(data: Path) -> Alerts:
    from orchestrator.alerts.loading import load_alerts
    from orchestrator.errors import AlertError
    from orchestrator.state import config_directory
    from orchestrator.telling import ALERTS_FILE

    alerts = load_alerts(data)
    if alerts is None:
        places = f"{data / ALERTS_FILE} or {config_directory() / ALERTS_FILE}"
        raise AlertError("alerts", f"found no file, expected {places}", remedy="see get-told.md")
    return alerts


def _chosen(alerts: Alerts, name: str | None) -> list[Mail | Webhook]:
    from orchestrator.errors import AlertError
    from orchestrator.inputs.problems import name_remedy

    found = [one for one in alerts.channels if name in (None, one.name)]
    if not found:
        names = [one.name for one in alerts.channels]
        remedy = name_remedy(str(name), names)
        raise AlertError("--channel", f"got {name!r}, expected a name of the file", remedy=remedy)
    return found


def _message(alerts: Alerts, data: Path, channel: Mail | Webhook) -> Any:
    from orchestrator.alerts.anchors import present_head
    from orchestrator.alerts.wording import composed
    from orchestrator.telling import Severity, Telling

    telling = Telling(
        "test",
        Severity.NOTICE,
        f"somebody tries the alerts: this went by {channel.name!r}, which is told what is "
        f"{channel.least} or worse",
        cell="nothing has happened to any cell",
        remedy="nothing",
        data=str(data.resolve()),
    )
    head = present_head(data)
    zone = alerts.quiet_hours.zone if alerts.quiet_hours else None
    return composed([telling], [head] if head else [], lab=alerts.lab, zone=zone)


def _list(args: argparse.Namespace, out: Output) -> int:
    from orchestrator.alerts.outbox import Outbox
    from orchestrator.telling import alerts_file

    outbox = Outbox()
    outbox.take_up()
    found = outbox.listed(max(args.last, 1))
    for one in found:
        out.line(_line(one))
        for way in one["deliveries"]:
            out.line(f"    {_way(way)}")
        if one["routed"] and not one["deliveries"]:
            out.line("    nobody is told: too old, or less than any channel wants")
    file = alerts_file(args.data)
    if file is None:
        out.line("there is no alerts.yaml: nobody is told anything")
    out.result({"alerts": found, "file": None if file is None else str(file)})
    return 0


def _line(one: dict[str, Any]) -> str:
    mark = "SIMULATED " if one["simulated"] else ""
    text = " ".join(one["text"].split())
    who = one["bench"] or one["kind"]
    return f"{_moment(one['time'])}  {one['severity']:8}  {mark}{who}: {text[:160]}"


def _way(way: dict[str, Any]) -> str:
    note = f" ({way['note']})" if way["note"] else ""
    if way["state"] == "waiting":
        return f"{way['channel']}: waits until {_moment(way['due_s'])}{note}"
    return f"{way['channel']}: {way['state']} {_moment(way['ended_s'])}{note}"


def _moment(time_s: float) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S}Z"
