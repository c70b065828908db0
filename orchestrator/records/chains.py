"""Runs that go on with one another, as one experiment.

A run that was cut off (a crash, a power loss) and resumed is continued by a new run, whose start
document says ``resumes: <uid>``. Together they are one experiment: `load_chain` gives its records,
frames and gaps as one `Run`, whichever of its parts is meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.records.directory import DataDirectory
from orchestrator.records.reading import Entry, scan
from orchestrator.records.runs import Columns, Gap, Run, load_run
from orchestrator.records.summary import RunSummary, summarise

_NUMBERS = ("_spectrum", "_frame")
"""Ends of the data keys that number a run's spectra and frames; each run may begin anew."""


def chain_of(directory: DataDirectory, uid: str) -> tuple[str, ...]:
    """Uids of the runs that are one experiment with this one, the first first.

    Where two runs claim to go on with the same one, the experiment ends before them unless `uid`
    is one of them or lies behind one.

    Args:
        directory: The data directory.
        uid: Any of the runs.
    """
    former = _former(directory)
    chain = [uid]
    while (before := former.get(chain[0], "")) in former and before not in chain:
        chain.insert(0, before)
    later: dict[str, list[str]] = {}
    for one, before in former.items():
        later.setdefault(before, []).append(one)
    while len(after := later.get(chain[-1], [])) == 1 and after[0] not in chain:
        chain.append(after[0])
    return tuple(chain)


def resumed_by(directory: DataDirectory, uid: str) -> tuple[str, ...]:
    """Uids of the runs that go on with this one; one at most unless something went wrong."""
    return tuple(one for one, before in _former(directory).items() if before == uid)


def _former(directory: DataDirectory) -> dict[str, str]:
    """By run, which run it goes on with; empty where with none."""
    found = {}
    for uid in directory.runs():
        first = next(scan(directory.journal(uid)), None)
        start = first.doc if isinstance(first, Entry) and first.name == "start" else {}
        found[uid] = str(start.get("resumes") or "")
    return found


def load_chain(path: Path) -> Run:
    """Read a run with everything that it goes on with, and that goes on with it.

    Args:
        path: Journal of any part, for example from `find_run`.

    Returns:
        One run: the start document and uid are those of the first part, the stop document that of
        the last. Streams are joined in order; rows, frames and spectra are numbered through; what
        a part did not record is NaN (None for text) in its rows. `Run.parts` has the parts,
        `Run.gaps` what was not recorded between them. A run that stands alone is as `load_run`
        gives it.

    Raises:
        RecordError: A part cannot be read.
    """
    directory = DataDirectory(path.parents[1])
    uids = chain_of(directory, path.name.removesuffix(".jsonl"))
    if len(uids) == 1:
        return load_run(path)
    return joined([load_run(directory.journal(uid)) for uid in uids])


def summarise_chain(path: Path) -> RunSummary:
    """Sum up an experiment, whichever of its parts is meant; as `load_chain`.

    Raises:
        RecordError: A part cannot be read.
    """
    directory = DataDirectory(path.parents[1])
    first, *later = chain_of(directory, path.name.removesuffix(".jsonl"))
    return summarise(directory.journal(first), *map(directory.journal, later))


def joined(parts: Sequence[Run]) -> Run:
    """Runs that follow one another, as one.

    Args:
        parts: At least one, in their order.
    """
    names = dict.fromkeys(name for part in parts for name in part.streams)
    streams = {name: _join([part.streams.get(name, {}) for part in parts]) for name in names}
    for name in names:
        streams[name].update(_frames_meant(parts, name))
    return replace(
        parts[0],
        stop=_stop(parts),
        streams=streams,
        descriptors={name: one for part in parts for name, one in part.descriptors.items()},
        resources={key: one for part in parts for key, one in part.resources.items()},
        bad=tuple(bad for part in parts for bad in part.bad),
        missing=sum(part.missing for part in parts),
        parts=tuple(parts),
        gaps=tuple(_gaps(parts)),
    )


def _stop(parts: Sequence[Run]) -> dict[str, Any] | None:
    """The stop document of the last part, with the events of all."""
    last = parts[-1].stop
    if last is None:
        return None
    events: Counter[str] = Counter()
    for part in parts:
        events.update((part.stop or {}).get("num_events", {}))
    return {**last, "num_events": dict(events)}


def _gaps(parts: Sequence[Run]) -> Iterator[Gap]:
    for part in parts[1:]:
        told = part.start.get("resumption")
        told = told if isinstance(told, Mapping) else {}
        from_s = _number(told.get("last_record_s"))
        yield Gap(
            from_s=from_s,
            to_s=from_s + _number(told.get("gap_s")),
            bound_mah=_number(told.get("gap_mah_bound")),
            found=str(told.get("found") or ""),
            resumed_s=_number(part.start.get("time")),
        )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _join(pieces: Sequence[Columns]) -> Columns:
    """Columns of one stream after another; rows and spectra are numbered through."""
    pieces = [piece for piece in pieces if piece and len(piece["time"])] or [pieces[-1]]
    keys = dict.fromkeys(key for piece in pieces for key in piece)
    whole = {key: _column(pieces, key) for key in keys}
    if "seq_num" in whole:
        whole["seq_num"] = np.arange(1, len(whole["time"]) + 1, dtype=np.int64)
    return whole


def _column(pieces: Sequence[Columns], key: str) -> npt.NDArray[Any]:
    kinds = {piece[key].dtype.kind for piece in pieces if key in piece}
    gathered: list[npt.NDArray[Any]] = []
    for piece in pieces:
        values = piece.get(key)
        if values is None:
            missing: Any = None if kinds == {"O"} else np.nan
            values = np.full(len(piece["time"]), missing)
        elif key.endswith(_NUMBERS) and gathered and values.dtype.kind in "iuf":
            values = _numbered_on(gathered[-1], values)
        gathered.append(values)
    return np.concatenate(gathered)


def _frames_meant(parts: Sequence[Run], name: str) -> Columns:
    """Which frames the rows of a number out of images are of, counted through all parts.

    A part may have the number of a frame that a part before it has recorded: it is below 0 there.
    """
    key, before = f"{name}_frame", 0
    meant: list[npt.NDArray[Any]] = []
    for part in parts:
        described = part.descriptors.get(name, {}).get("data_keys", {}).get(key, {})
        kind, _, source = str(described.get("source")).partition(":")
        if kind != "analysis" or source not in part.streams_with_frames():
            continue
        if len(part.streams.get(name, {}).get("time", ())):
            meant.append(part.streams[name][key] + before)
        before += len(part.streams[source]["time"])
    return {key: np.concatenate(meant)} if meant else {}


def _numbered_on(before: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What is numbered from the beginning again is not what the part before had."""
    last, first = np.nanmax(before), np.nanmin(values)
    return values + (last + 1 - first) if first <= last else values
