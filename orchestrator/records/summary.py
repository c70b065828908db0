"""What a run was, from the first and last lines of its journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.records.locks import is_live
from orchestrator.records.reading import Entry, last_document, scan


@dataclass(frozen=True)
class RunSummary:
    """One line about a run.

    Attributes:
        uid: The run.
        state: ``success``, ``abort`` or ``fail`` (its exit status), ``running``, or
            ``interrupted`` (cut off and not yet recovered).
        reason: Why it ended, empty while it runs.
        began: Start in experiment time, ISO 8601 in UTC; empty if the start document is lost.
        duration_s: Experiment time from start to stop, s; None before the stop.
        plan_name: Name of its plan.
        sample: Name of its sample.
        simulated: Whether any of its devices was simulated; None if it does not say.
        events: Number of events by stream, from the stop document.
        size_bytes: Size of the journal.
        resumes: Uid of the run that it goes on with; empty where with none.
        parts: Uids of the runs summed up here, where they are one experiment; else empty.
        campaign: Uid, number, number of runs and values, where the run is one of a campaign.
    """

    uid: str
    state: str
    reason: str
    began: str
    duration_s: float | None
    plan_name: str
    sample: str
    simulated: bool | None
    events: dict[str, int]
    size_bytes: int
    campaign: dict[str, Any] | None = None
    resumes: str = ""
    parts: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For a JSON result."""
        return asdict(self)


def summarise(path: Path, *later: Path) -> RunSummary:
    """Sum up a run without reading its events.

    Args:
        path: Its journal.
        *later: Journals of the runs that went on with it, in their order: see `records.chains`.

    Raises:
        RecordError: A file cannot be read.
    """
    first = next(iter(scan(path)), None)
    start = first.doc if isinstance(first, Entry) and first.name == "start" else {}
    paths = (path, *later)
    stops = [_stop(one) for one in paths]
    stop, events = stops[-1], Counter[str]()
    for one in stops:
        events.update({str(k): int(v) for k, v in one.get("num_events", {}).items()})
    begin_s, sample = start.get("time"), start.get("sample", {})
    campaign = start.get("campaign")
    ended = bool(stop) and begin_s is not None
    return RunSummary(
        uid=path.stem,
        state=stop.get("exit_status") or ("running" if is_live(paths[-1]) else "interrupted"),
        reason=str(stop.get("reason", "")),
        began="" if begin_s is None else _iso(float(begin_s)),
        duration_s=round(float(stop["time"]) - float(begin_s or 0.0), 3) if ended else None,
        plan_name=str(start.get("plan_name", "")),
        sample=str(sample.get("name", "") if isinstance(sample, Mapping) else sample),
        simulated=_any(start.get("simulated")),
        events=dict(events),
        size_bytes=sum(one.stat().st_size for one in paths),
        campaign=dict(campaign) if isinstance(campaign, Mapping) else None,
        resumes=str(start.get("resumes") or ""),
        parts=tuple(one.stem for one in paths) if later else (),
    )


def _stop(path: Path) -> dict[str, Any]:
    last = last_document(path)
    return last[1] if last is not None and last[0] == "stop" else {}


def _iso(t_s: float) -> str:
    return datetime.fromtimestamp(t_s, UTC).isoformat(timespec="seconds")


def _any(simulated: Any) -> bool | None:
    if isinstance(simulated, Mapping):
        return any(simulated.values())
    return None if simulated is None else bool(simulated)
