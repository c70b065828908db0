"""A run as arrays: `load_run` for analysis, reports and exports; `find_run` for people.

run = load_run(find_run(data, "-1"))
run.start["sample"]["name"], run.stop["reason"]
run.streams["echem"]["pstat_voltage_v"]        # float64, one value per record
run.streams["echem"]["time"]                   # Unix s of each record
run.streams["mri"]["mri_charge_start_mah"]     # one value per frame
run.frames("mri")[0]                           # (lines, columns), read when asked for
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.errors import RecordError
from orchestrator.records.directory import DataDirectory
from orchestrator.records.frame_files import FrameReader, JoinedFrames
from orchestrator.records.reading import BadLine, scan

Columns = dict[str, npt.NDArray[Any]]

_DTYPES: Mapping[str, Any] = {
    "number": np.float64, "integer": np.int64, "boolean": np.bool_, "string": object,
}  # fmt: skip


_NOTHING: Mapping[str, npt.NDArray[Any]] = {"time": np.empty(0)}


@dataclass(frozen=True)
class Gap:
    """What was not recorded before a run was resumed.

    Attributes:
        from_s: Unix time of the last record before it; NaN where nobody knows.
        to_s: Unix time up to which nothing was recorded, s.
        bound_mah: Charge that may have flowed meanwhile, in either direction, at most, mAh.
        found: How the instrument was found: ``running``, ``finished``, ``off`` or ``lost``.
        resumed_s: Unix time at which the experiment went on.
    """

    from_s: float
    to_s: float
    bound_mah: float
    found: str
    resumed_s: float


@dataclass(frozen=True)
class Run:
    """A run from its journal, or several that went on with one another: see `records.chains`.

    Attributes:
        path: The journal.
        start: The start document.
        stop: The stop document; None while the run goes on or if it was never closed.
        streams: By stream name, its columns by data key, and ``time`` (Unix s of each record, in
            experiment time) and ``seq_num``: arrays of equal length. Numbers are float64,
            integers int64 (float64 where one is missing), strings objects. Images are not in
            them: see `frames`.
        descriptors: By stream name, its last descriptor (units, configuration).
        resources: By data key, its `stream_resource` document.
        bad: Damaged pieces of the journal that were left out.
        missing: Documents missing by the journal's numbering.
        parts: The runs that it consists of, where it was cut off and resumed; else empty.
        gaps: What was not recorded between them.
    """

    path: Path
    start: dict[str, Any]
    stop: dict[str, Any] | None
    streams: dict[str, Columns]
    descriptors: dict[str, dict[str, Any]]
    resources: dict[str, dict[str, Any]]
    bad: tuple[BadLine, ...] = ()
    missing: int = 0
    parts: tuple[Run, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def uid(self) -> str:
        """Uid of the run."""
        return self.path.stem

    @property
    def duration_s(self) -> float:
        """Experiment time from the start document to the last time in any stream or the stop."""
        begin = float(self.start.get("time", np.nan))
        ends = [float(c["time"][-1]) for c in self.streams.values() if len(c["time"])]
        if self.stop is not None:
            ends.append(float(self.stop["time"]))
        return max(ends, default=begin) - begin

    def frames(self, stream: str) -> FrameReader | JoinedFrames:
        """Frames of a stream, each read from disk when it is asked for.

        Args:
            stream: The stream's name, for example ``mri``.

        Raises:
            RecordError: The stream has no frames, or their file is not there.
        """
        if self.parts:
            return self._joined_frames(stream)
        keys = self.descriptors.get(stream, {}).get("data_keys", {})
        for key, described in keys.items():
            if "external" in described and key in self.resources:
                # beside the journal, wherever the data directory is now: never where a journal
                # that came from elsewhere says
                directory = DataDirectory(self.path.parents[1])
                return FrameReader(directory.frames(self.uid, stream))
        raise RecordError(
            f"run {self.uid[:8]}",
            f"stream {stream} has no frames, expected one of {self.streams_with_frames() or '-'}",
            remedy="see `operando show` for its streams",
        )

    def _joined_frames(self, stream: str) -> JoinedFrames:
        """Frames of every part that announced some."""
        counts = [len(part.streams.get(stream, _NOTHING)["time"]) for part in self.parts]
        taken = [(part, n) for part, n in zip(self.parts, counts, strict=True) if n]
        readers = [(part.frames(stream), n) for part, n in taken or [(self.parts[-1], 0)]]
        return JoinedFrames([(one, n) for one, n in readers if isinstance(one, FrameReader)])

    def streams_with_frames(self) -> list[str]:
        """Names of the streams that have frames on disk."""
        return [
            stream
            for stream, descriptor in self.descriptors.items()
            if any(
                "external" in described and key in self.resources
                for key, described in descriptor["data_keys"].items()
            )
        ]


@dataclass
class _Gathering:
    """Columns of one stream as its events come in."""

    dtypes: dict[str, Any] = field(default_factory=dict)
    pieces: defaultdict[str, list[npt.NDArray[Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    singles: list[dict[str, Any]] = field(default_factory=list)

    def describe(self, descriptor: Mapping[str, Any]) -> None:
        for key, described in descriptor["data_keys"].items():
            if "external" not in described:
                self.dtypes[key] = _DTYPES.get(described["dtype"], object)

    def event(self, doc: Mapping[str, Any]) -> None:
        self.singles.append({**doc["data"], "time": doc["time"], "seq_num": doc["seq_num"]})

    def page(self, doc: Mapping[str, Any]) -> None:
        self._settle()
        n = len(doc["time"])
        self.pieces["time"].append(np.asarray(doc["time"], dtype=np.float64))
        self.pieces["seq_num"].append(_column(doc["seq_num"], np.int64))
        for key, dtype in self.dtypes.items():
            self.pieces[key].append(_column(doc["data"].get(key, [None] * n), dtype))

    def columns(self) -> Columns:
        self._settle()
        dtypes = {"time": np.float64, "seq_num": np.int64, **self.dtypes}
        return {
            key: np.concatenate(self.pieces[key]) if self.pieces[key] else np.empty(0, dtype)
            for key, dtype in dtypes.items()
        }

    def _settle(self) -> None:
        """Turn single events gathered so far into one piece of each column."""
        rows, self.singles = self.singles, []
        if not rows:
            return
        for key, dtype in {"time": np.float64, "seq_num": np.int64, **self.dtypes}.items():
            self.pieces[key].append(_column([row.get(key) for row in rows], dtype))


def _column(values: Iterable[Any], dtype: Any) -> npt.NDArray[Any]:
    """Values as an array; what is missing or does not fit makes the column wider, not wrong."""
    listed = list(values)
    if dtype is object:
        return np.fromiter(listed, dtype=object, count=len(listed))
    try:
        return np.array(listed, dtype=dtype)
    except (TypeError, ValueError):
        return np.array([np.nan if v is None else v for v in listed], dtype=np.float64)


def load_run(path: Path) -> Run:
    """Read a journal, open, finished or damaged, into arrays.

    656,000 records of six columns take a few seconds; nothing but NumPy is needed.

    Args:
        path: The journal, for example from `find_run`.

    Returns:
        The run. Damaged lines are left out and named in `Run.bad`.

    Raises:
        RecordError: The file cannot be read or holds no start document.
    """
    loading = _Loading()
    for piece in scan(path):
        if isinstance(piece, BadLine):
            loading.bad.append(piece)
        else:
            loading.missing += piece.seq - loading.expected
            loading.expected = piece.seq + 1
            loading.take(piece.name, piece.doc)
    if loading.start is None:
        raise RecordError(
            f"journal {path.name}",
            f"has no start document ({len(loading.bad)} damaged lines)",
            remedy="it is not a run's journal, or its first line is lost: see its .bad.jsonl",
        )
    return Run(
        path=path,
        start=loading.start,
        stop=loading.stop,
        streams={name: one.columns() for name, one in loading.streams.items()},
        descriptors=loading.descriptors,
        resources=loading.resources,
        bad=tuple(loading.bad),
        missing=loading.missing,
    )


@dataclass
class _Loading:
    """A run while its journal is read."""

    start: dict[str, Any] | None = None
    stop: dict[str, Any] | None = None
    streams: dict[str, _Gathering] = field(default_factory=dict)
    descriptors: dict[str, dict[str, Any]] = field(default_factory=dict)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_uid: dict[str, _Gathering] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)
    missing: int = 0
    expected: int = 0

    def take(self, name: str, doc: dict[str, Any]) -> None:
        if name in ("event", "event_page"):
            stream = self.by_uid.get(doc["descriptor"])
            if stream is not None:  # its descriptor was lost: the journal's damage says so
                (stream.event if name == "event" else stream.page)(doc)
        elif name == "descriptor":
            stream = self.streams.setdefault(doc["name"], _Gathering())
            stream.describe(doc)
            self.by_uid[doc["uid"]] = stream
            self.descriptors[doc["name"]] = doc
        elif name == "start":
            self.start = doc
        elif name == "stop":
            self.stop = doc
        elif name == "stream_resource":
            self.resources[doc["data_key"]] = doc


def find_run(data: Path, reference: str) -> Path:
    """The journal that a person means.

    Args:
        data: The data directory.
        reference: The beginning of a uid, or ``-1`` for the latest run, ``-2`` for the one
            before it.

    Returns:
        Path of its journal.

    Raises:
        RecordError: No run, or more than one, is meant.
    """
    directory = DataDirectory(data)
    uids = list(directory.runs())
    if reference.startswith("-"):
        back = int(reference) if reference[1:].isdigit() else 0
        found = [uids[back]] if back < 0 and -back <= len(uids) else []
    else:
        found = [uid for uid in uids if reference and uid.startswith(reference)]
    if len(found) == 1:
        return directory.journal(found[0])
    what = f"{len(found)} runs begin so: {', '.join(uid[:12] for uid in found[:5])}"
    raise RecordError(
        f"run {reference[:80]!r}",
        f"{what if found else 'is none'} of the {len(uids)} in {data}, expected one",
        remedy="give more of the uid, or -1 for the latest; `operando runs` lists them",
    )
