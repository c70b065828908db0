"""Records of a run for a plot: read as the journal grows, thinned without losing extremes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.errors import RecordError
from orchestrator.http.tails import event_row
from orchestrator.records.reading import Follower

Array = npt.NDArray[np.float64]

_AT_ONCE = 2000
_MOST_RUNS = 4
_MOST_EVENTS = 5000
MOST_POINTS = 20_000


@dataclass
class _Stream:
    """Columns of a stream, in pieces that are joined when they are asked for."""

    keys: dict[str, dict[str, Any]]
    pieces: dict[str, list[Array]] = field(default_factory=dict)

    def add(self, seq_num: list[int], time: list[float], data: dict[str, list[Any]]) -> None:
        given: dict[str, list[Any]] = {"seq_num": seq_num, "time": time, **data}
        for name in ("seq_num", "time", *self.keys):
            values = given.get(name, [None] * len(time))
            self.pieces.setdefault(name, []).append(_numbers(values))

    def column(self, name: str) -> Array:
        pieces = self.pieces.get(name, [])
        if len(pieces) > 1:
            pieces[:] = [np.concatenate(pieces)]
        return pieces[0] if pieces else np.empty(0)


def _numbers(values: list[Any]) -> Array:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


class GrowingRun:
    """The numbers of a run; each call reads only what has come since the last.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Path) -> None:
        self._follower = Follower(journal)
        self._names: dict[str, str] = {}
        self.streams: dict[str, _Stream] = {}
        self.events: list[dict[str, Any]] = []

    def read(self) -> None:
        """Read what has come.

        Raises:
            RecordError: The journal cannot be read.
        """
        while entries := self._follower.read(_AT_ONCE):
            for entry in entries:
                self._take(entry.name, entry.doc)

    def _take(self, name: str, doc: dict[str, Any]) -> None:
        if name == "descriptor":
            self._names[doc["uid"]] = str(doc["name"])
            numeric = {k: d for k, d in doc["data_keys"].items() if _is_number(d)}
            self.streams.setdefault(str(doc["name"]), _Stream({})).keys.update(numeric)
            return
        stream = self.streams.get(self._names.get(doc.get("descriptor", ""), ""))
        if stream is None:
            return
        if name == "event_page":
            stream.add(doc["seq_num"], doc["time"], doc["data"])
        elif name == "event":
            data = {key: [doc["data"].get(key)] for key in stream.keys}
            stream.add([doc["seq_num"]], [doc["time"]], data)
            if self._names[doc["descriptor"]] == "events":
                self.events = [*self.events[-_MOST_EVENTS + 1 :], event_row(doc)]


def _is_number(described: dict[str, Any]) -> bool:
    return (
        described["dtype"] in {"number", "integer", "boolean"}
        and "external" not in described
        and not described.get("shape")
    )


class Growing:
    """The last few runs that were asked for; safe between threads.

    Args:
        most: How many are kept in memory.
    """

    def __init__(self, most: int = _MOST_RUNS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._runs: OrderedDict[Path, tuple[int, GrowingRun]] = OrderedDict()

    def page(
        self, journal: Path, stream: str, *, columns: list[str], after: int, points: int
    ) -> dict[str, Any]:
        """Records of a stream, thinned to about `points`.

        Args:
            journal: The run's journal.
            stream: Name of the stream.
            columns: Data keys; empty for all numeric ones.
            after: Only records with a larger ``seq_num``.
            points: Most records; extremes of every column are among them.

        Raises:
            RecordError: There is no such stream or column.
        """
        with self._lock:
            run = self._grown(journal)
            found = run.streams.get(stream)
            if found is None:
                raise _unknown(journal, f"stream {stream[:60]!r}", list(run.streams))
            names = columns or list(found.keys)
            for name in names:
                if name not in found.keys:
                    raise _unknown(journal, f"column {name[:60]!r}", list(found.keys))
            seq = found.column("seq_num")
            first = int(np.searchsorted(seq, after, side="right")) if len(seq) else 0
            data = {name: found.column(name)[first:] for name in ("seq_num", "time", *names)}
            units = {name: found.keys[name].get("units", "") for name in names}
        rows = len(data["time"])
        kept = thinned([data[name] for name in names], rows, points)
        return {
            "run": journal.stem,
            "stream": stream,
            "rows": rows,
            "thinned": len(kept) < rows,
            "last_seq_num": int(data["seq_num"][-1]) if rows else after,
            "units": units,
            "time": data["time"][kept],
            "columns": {name: data[name][kept] for name in names},
        }

    def events(self, journal: Path, *, after: int, last: int) -> list[dict[str, Any]]:
        """Events of a run, the latest last."""
        with self._lock:
            found = self._grown(journal).events
        return [one for one in found if one["seq_num"] > after][-last:]

    def _grown(self, journal: Path) -> GrowingRun:
        try:
            inode = journal.stat().st_ino
        except OSError as error:
            raise RecordError(
                f"journal {journal.name}", f"cannot be read: {error}", remedy="`operando runs`"
            ) from error
        known = self._runs.pop(journal, None)
        if known is None or known[0] != inode:  # recover replaces a journal
            known = (inode, GrowingRun(journal))
        known[1].read()
        self._runs[journal] = known
        while len(self._runs) > self._most:
            self._runs.popitem(last=False)
        return known[1]


def thinned(columns: list[Array], rows: int, points: int) -> npt.NDArray[np.intp]:
    """Indices of at most about `points` rows that show what all of them show.

    The rows are cut into stretches of equal length; of each, the rows with the least and the
    largest value of every column are kept, so that no spike is lost however few points there are.
    The first and the last row are always kept.

    Args:
        columns: Each of shape (rows,).
        rows: Number of rows.
        points: Wanted number.
    """
    if rows <= points or not columns:
        return np.arange(rows) if rows <= points else _evenly(rows, points)
    stretches = max(1, points // (2 * len(columns)))
    edges = np.linspace(0, rows, stretches + 1).astype(np.intp)
    kept = {0, rows - 1}
    for begin, end in pairwise(edges.tolist()):
        for column in columns:
            piece = column[begin:end]
            if len(piece) and not np.isnan(piece).all():
                kept |= {begin + int(np.nanargmin(piece)), begin + int(np.nanargmax(piece))}
    return np.array(sorted(kept), dtype=np.intp)


def _evenly(rows: int, points: int) -> npt.NDArray[np.intp]:
    return np.unique(np.linspace(0, rows - 1, points).astype(np.intp))


def _unknown(journal: Path, what: str, known: list[str]) -> RecordError:
    return RecordError(
        f"run {journal.stem[:8]}",
        f"has no {what}, expected one of {', '.join(known) or '-'}",
        remedy="see `operando show`",
    )
