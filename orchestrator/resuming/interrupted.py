"""Which run was cut off, whether it may go on, and what its journal says beyond its checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devices.adoption import Journaled
from orchestrator.errors import BusyError, ResumeError
from orchestrator.records.chains import resumed_by
from orchestrator.records.checkpoint import Checkpoint, read_checkpoint
from orchestrator.records.directory import DataDirectory
from orchestrator.records.reading import Entry, scan
from orchestrator.records.recovery import INTERRUPTED, Recovery, recover_run
from orchestrator.records.runs import find_run
from plans.imaging import SPECTRA
from plans.progress import ECHEM

_LATEST = "-1"
"""How the latest run is named where its uid is not."""


@dataclass
class Since:
    """What a journal has beyond a checkpoint, and the newest of everything in it.

    Attributes:
        noted: Events by kind and text.
        frames: Frames and pages of spectra by stream.
        recorded: All frames of the run that the checkpoint belongs to, by stream.
        journaled: The last record of the cell, and the number of spectra.
        last_s: Time of the last document, Unix s.
    """

    noted: Counter[tuple[str, str]] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    recorded: Counter[str] = field(default_factory=Counter)
    journaled: Journaled = field(default_factory=Journaled)
    last_s: float = 0.0


@dataclass(frozen=True)
class Interrupted:
    """A run that was cut off and may go on.

    Attributes:
        uid: The run.
        start: Its start document.
        chain: Uids of the runs that are one experiment so far, the first first, this one last.
        checkpoint: Where it stood; None where it was cut off before it had begun anything.
        since: What its journal has beyond that.
        recovery: What was done to close it.
    """

    uid: str
    start: Mapping[str, Any]
    chain: tuple[str, ...]
    checkpoint: Checkpoint | None
    since: Since
    recovery: Recovery

    @property
    def who(self) -> str:
        """As messages name it."""
        return f"run {self.uid[:8]}"


def find_interrupted(data: Path, reference: str) -> Interrupted:
    """The run that a person means, closed by recovery if it was not yet.

    May be repeated, and cut off anywhere: nothing is changed but what recovery does.

    Args:
        data: The data directory.
        reference: The beginning of its uid, or ``-1`` for the latest run.

    Raises:
        RecordError: No run is meant, or its journal or checkpoint cannot be read.
        BusyError: It is being written.
        ResumeError: It was not interrupted, goes on in another run already, or has left nothing
            that could go on.
    """
    directory = DataDirectory(data.resolve())
    uid = find_run(directory.root, reference).name.removesuffix(".jsonl")
    who = f"run {uid[:8]}"
    pid = _pid(directory, uid)
    recovery = recover_run(directory, uid)
    if recovery.live:
        process = f"process {pid}" if pid else "another process"
        raise BusyError(who, f"is being written by {process}", remedy="it needs no resuming")
    if recovery.removed and reference == _LATEST and any(directory.runs()):
        return find_interrupted(data, reference)  # killed before it was there: the one before is it
    if recovery.error or recovery.removed:
        what = recovery.error or "had recorded nothing and was removed"
        raise ResumeError(who, what, remedy="run the experiment again")
    start = _start_of(directory, uid, who)
    later = resumed_by(directory, uid)
    if later:
        what = f"goes on in run {later[0]} already"
        raise ResumeError(who, what, remedy=f"operando resume {later[0][:8]}, if that was cut off")
    chain = _chain_to(directory, start, uid)
    checkpoint = _checkpoint(directory, chain)
    since = _since(directory, chain, checkpoint)
    if checkpoint is None and since.recorded.total():
        what = "its laboratory was part of the program that ended, and its cell ended with it"
        remedy = "serve the laboratory for itself (`operando bench`), or run the experiment again"
        raise ResumeError(who, what, remedy=remedy)
    return Interrupted(uid, start, chain, checkpoint, since, recovery)


def _pid(directory: DataDirectory, uid: str) -> int:
    checkpoint = read_checkpoint(directory.checkpoint(uid))
    return 0 if checkpoint is None else checkpoint.pid


def _start_of(directory: DataDirectory, uid: str, who: str) -> Mapping[str, Any]:
    """The start document of a run that was cut off.

    Raises:
        ResumeError: It ended in order, or its start document is lost.
    """
    start: Mapping[str, Any] | None = None
    stop: Mapping[str, Any] = {}
    for piece in scan(directory.journal(uid)):
        if isinstance(piece, Entry) and piece.name in ("start", "stop"):
            start, stop = (piece.doc, stop) if piece.name == "start" else (start, piece.doc)
    if start is None:
        raise ResumeError(who, "has lost its start document", remedy="run the experiment again")
    if not str(stop.get("reason")).startswith(INTERRUPTED):
        ended = f"{stop.get('exit_status')}, {stop.get('reason') or 'no reason given'}"
        what = f"was not cut off: it ended in order ({ended})"
        raise ResumeError(who, what, remedy="run the experiment again")
    return start


def _chain_to(directory: DataDirectory, start: Mapping[str, Any], uid: str) -> tuple[str, ...]:
    """The runs that a run goes on with, and it."""
    chain = [uid]
    before = str(start.get("resumes") or "")
    while before and before not in chain and directory.journal(before).exists():
        chain.insert(0, before)
        first = next(scan(directory.journal(before)), None)
        before = str(first.doc.get("resumes") or "") if isinstance(first, Entry) else ""
    return tuple(chain)


def _checkpoint(directory: DataDirectory, chain: Sequence[str]) -> Checkpoint | None:
    """The newest checkpoint of a chain: a run may have been cut off before it wrote its first."""
    for uid in reversed(chain):
        checkpoint = read_checkpoint(directory.checkpoint(uid))
        if checkpoint is not None:
            return checkpoint
    return None


def _since(directory: DataDirectory, chain: Sequence[str], checkpoint: Checkpoint | None) -> Since:
    """Read the journals from the newest back: what counts stands in the newest that has it."""
    since, spectra = Since(), 0
    cell: dict[str, Any] | None = None
    run, seq = (chain[0], -1) if checkpoint is None else (checkpoint.run, checkpoint.seq)
    for uid in reversed(chain):
        reading = _Reading(seq if uid == run else -1, since)
        reading.counts = chain.index(uid) >= chain.index(run)
        for piece in scan(directory.journal(uid)):
            if isinstance(piece, Entry) and piece.name != "stop":
                reading.take(piece)
        since.last_s = since.last_s or reading.last_s
        cell, spectra = cell or reading.cell, spectra or reading.spectra
    since.journaled = Journaled(**(cell or {}), spectra=spectra)
    return since


class _Reading:
    """One journal while it is read.

    Args:
        seq: Number of the last document that the checkpoint knows.
        since: Where what lies beyond is counted.

    Attributes:
        cell: The last record of the cell.
        spectra: Number of the last spectrum, counted from 1 over the whole chain.
        last_s: Time of the last document, Unix s.
        counts: Whether what lies beyond is counted at all.
    """

    def __init__(self, seq: int, since: Since) -> None:
        self._seq, self._since, self._streams = seq, since, dict[str, str]()
        self.cell: dict[str, Any] | None = None
        self.spectra, self.last_s, self.counts = 0, 0.0, True

    def take(self, entry: Entry) -> None:
        """Take note of a document."""
        name, doc = entry.name, entry.doc
        times = doc.get("time", [])
        times = times if isinstance(times, list) else [times]
        self.last_s = max([self.last_s, *times])
        if name == "descriptor":
            self._streams[doc["uid"]] = doc["name"]
        elif name in ("event", "event_page"):
            self._event(self._streams.get(doc["descriptor"], ""), doc, times, entry.seq)

    def _event(self, stream: str, doc: Mapping[str, Any], times: Sequence[float], seq: int) -> None:
        data = doc["data"]
        if stream == ECHEM and times:
            charge, through, step, cycle = (
                next(values[-1] for key, values in data.items() if key.endswith(f"_{name}"))
                for name in ("charge_mah", "throughput_mah", "step_index", "cycle")
            )
            self.cell = {
                "until_s": times[-1],
                "charge_mah": charge,
                "throughput_mah": through,
                "place": (int(step), int(cycle)),
            }
        elif stream == SPECTRA and times:
            numbers = next(values for key, values in data.items() if key.endswith("_spectrum"))
            self.spectra = int(numbers[-1]) + 1
        if self.counts:
            self._since.recorded[stream] += 1
        if seq <= self._seq or not self.counts:
            return
        if stream == "events":
            self._since.noted[data["event_kind"], data["event_text"]] += 1
        else:
            self._since.frames[stream] += 1
