"""Messages as people read them: what happened, how the cell is, what to do, where to look."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.alerts.anchors import Anchor
from orchestrator.records.directory import DataDirectory
from orchestrator.telling import Severity, Telling

_LONGEST_SUBJECT = 160
_IN_FULL = 3
_IN_SHORT = 40

WORDS = {
    Severity.NOTICE: "for your information",
    Severity.DECISION: "waits for you",
    Severity.FAILURE: "failed",
    Severity.UNSAFE: "UNSAFE",
}
"""How each severity is said in a subject."""

_NOT_SAID = {
    Severity.NOTICE: "not said",
    Severity.DECISION: "not said: see the run",
    Severity.FAILURE: "not said: see the run",
    Severity.UNSAFE: "NOT KNOWN TO BE OFF",
}
_WHAT_TO_DO = {
    Severity.NOTICE: "nothing",
    Severity.DECISION: "`operando schedule list` says what waits",
    Severity.FAILURE: "look at the run before anything else begins on this bench",
    Severity.UNSAFE: "look at the cell now; switch off by hand if need be, then `operando off "
    "{bench} --acknowledge`",
}


@dataclass(frozen=True)
class Message:
    """What is sent.

    Attributes:
        id: The same each time that it is sent again.
        subject: One line.
        text: Plain text.
        tellings: What it says.
        anchors: Heads of the audit logs that it carries.
    """

    id: str
    subject: str
    text: str
    tellings: Sequence[Telling]
    anchors: Sequence[Anchor]

    def to_document(self) -> dict[str, Any]:
        """As the body of a webhook."""
        return {
            "id": self.id,
            "text": f"{self.subject}\n\n{self.text}",
            "subject": self.subject,
            "simulated": any(one.simulated for one in self.tellings),
            "severity": max(one.severity for one in self.tellings).name.lower(),
            "tellings": [one.to_document() for one in self.tellings],
            "audit": [
                {"data": one.data, "chain": one.chain, "seq": one.seq, "hash": one.hash}
                for one in self.anchors
            ],
        }


def composed(
    tellings: Sequence[Telling],
    anchors: Sequence[Anchor] = (),
    *,
    lab: str | None = None,
    zone: str | None = None,
) -> Message:
    """One message for tellings of one kind about one bench.

    Args:
        tellings: At least one, the most important first: it is the subject.
        anchors: Heads of the audit logs of their data directories.
        lab: Name of the laboratory.
        zone: Time zone of the reader; None is that of this machine.
    """
    full, rest = tellings[:_IN_FULL], tellings[_IN_FULL:]
    parts = [_in_full(one, zone) for one in full]
    if rest:
        parts.append(_in_short(rest, zone))
    parts += [_anchored(one) for one in anchors]
    host = socket.gethostname()
    parts.append(f"Sent by operando on {host}. `operando alerts list` shows what was told.")
    return Message(
        id=f"{tellings[0].uid}.{len(tellings)}",
        subject=_subject(tellings, lab),
        text="\n\n".join(parts) + "\n",
        tellings=tuple(tellings),
        anchors=tuple(anchors),
    )


def _subject(tellings: Sequence[Telling], lab: str | None) -> str:
    first = tellings[0]
    marks = ["[SIMULATED]"] if first.simulated else []
    marks += [f"[{lab}]"] if lab else []
    who = " ".join([*marks, first.bench or first.kind, WORDS[first.severity]])
    more = f" (and {len(tellings) - 1} more)" if len(tellings) > 1 else ""
    text = " ".join(f"{who}: {first.text}".split())
    room = _LONGEST_SUBJECT - len(more)
    return (text if len(text) <= room else text[: room - 3] + "...") + more


def _in_full(one: Telling, zone: str | None) -> str:
    told = {
        "What happened": one.text,
        "The cell": one.cell or _NOT_SAID[one.severity],
        "What to do": one.remedy or _WHAT_TO_DO[one.severity].format(bench=one.bench or "BENCH"),
        "When": _moment(one.time, zone),
        "Bench": f"{one.bench}{' (SIMULATED)' if one.simulated else ''}" if one.bench else "",
        "Run": one.run,
        "Records": _records(one),
    }
    return "\n".join(f"{key + ':':<15}{_hung(text)}" for key, text in told.items() if text)


def _hung(text: str) -> str:
    return ("\n" + " " * 15).join(text.splitlines())


def _records(one: Telling) -> str:
    """Where to look: the run's journal and, if there is one, its report."""
    if not one.data:
        return ""
    directory = DataDirectory(Path(one.data).resolve())
    if not one.run:
        return str(directory.root)
    try:
        journal, report = directory.journal(one.run), directory.report(one.run)
    except Exception:  # noqa: BLE001 - no uid of ours: the directory alone is said
        return str(directory.root)
    shown = [str(journal), *([report.as_uri()] if report.is_file() else [])]
    return "\n".join([*shown, f"operando show {one.run[:8]} --data {directory.root}"])


def _in_short(rest: Sequence[Telling], zone: str | None) -> str:
    lines = [f"{len(rest)} more of this kind, held back until now:"]
    for one in rest[:_IN_SHORT]:
        text = " ".join(one.text.split())
        lines.append(f"  {_moment(one.time, zone)}  {text[:200]}")
    if len(rest) > _IN_SHORT:
        lines.append(f"  and {len(rest) - _IN_SHORT} that `operando alerts list` shows")
    return "\n".join(lines)


def _anchored(one: Anchor) -> str:
    return (
        f"Keep this message: it shows whether the audit log of {one.data} was cut off later.\n"
        f"Audit line {one.seq}, hash {one.hash}\n"
        f"operando audit verify --data {one.data} --head {one.hash}"
    )


def _moment(time_s: float, zone: str | None) -> str:
    moment = datetime.fromtimestamp(time_s, UTC)
    local = moment.astimezone(ZoneInfo(zone) if zone else None)
    utc = "" if local.utcoffset() == moment.utcoffset() else f" ({moment:%H:%M:%S} UTC)"
    return f"{local:%Y-%m-%d %H:%M:%S %Z}{utc}"
