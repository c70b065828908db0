"""What the runs before one that goes on have recorded, as analyses were given it then."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from devices.derived_past import Delivered
from devices.roles import SpectrumPoints
from devices.spectra_adopting import COLUMNS, points_of
from orchestrator.records.chains import joined
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import Columns, Run, load_run
from plans.imaging import SPECTRA


class RecordedPast:
    """Implements `plans.keeping.Past`; reads the journals when it is first asked.

    Args:
        data: The data directory.
        chain: Uids of the runs, the first first.
    """

    def __init__(self, data: Path, chain: Sequence[str]) -> None:
        self._directory, self._chain = DataDirectory(data.resolve()), chain
        self._known: dict[str, list[Delivered]] = {}

    def delivered(self, source: str) -> Sequence[Delivered]:
        """Frames or spectra of a device, in order; each is read when it is asked for."""
        if source not in self._known:
            spectra = self._run.streams.get(SPECTRA, {})
            numbers = spectra.get(f"{source}_spectrum")
            found = self._frames(source) if numbers is None else _spectra(source, spectra, numbers)
            self._known[source] = list(found)
        return self._known[source]

    def taken_last(self, stream: str) -> tuple[int, float] | None:
        """Index of the last frame or spectrum of a stream, and when it began, Unix s.

        A spectrum's beginning is that of its first point.
        """
        columns = self._run.streams.get(stream, {})
        kind = "_spectrum" if stream == SPECTRA else "_frame"
        key = next((one for one in columns if one.endswith(kind)), "")
        if not key or not len(columns[key]):
            return None
        number = columns[key][-1]
        first = int(np.flatnonzero(columns[key] == number)[0])
        began_s = columns.get(f"{stream}_t_start_s", columns["time"])[first]
        return int(number), float(began_s)

    def last_s(self, stream: str) -> float:
        """Time of the last record of a stream, Unix s; minus infinity where there is none."""
        times = self._run.streams.get(stream, {}).get("time")
        return -math.inf if times is None or not len(times) else float(times[-1])

    @cached_property
    def _run(self) -> Run:
        return joined([load_run(self._directory.journal(uid)) for uid in self._chain])

    def _frames(self, source: str) -> Iterator[Delivered]:
        columns = self._run.streams.get(source, {})
        ends = columns.get(f"{source}_t_end_s")
        if ends is None or not len(ends):
            return
        frames, qualities = self._run.frames(source), columns[f"{source}_quality"]
        for index, (end_s, quality) in enumerate(zip(ends, qualities, strict=True)):
            read = partial(frames.__getitem__, index)
            yield Delivered(index - len(ends), float(end_s), read, str(quality))


def _spectra(source: str, columns: Columns, numbers: Any) -> Iterator[Delivered]:
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        read = partial(_points, source, columns, rows)
        yield Delivered(int(number), float(columns["time"][rows[-1]]), read)


def _points(source: str, columns: Columns, rows: Any) -> SpectrumPoints:
    named = {name: columns[f"{source}_{name}"][rows] for name in COLUMNS}
    return points_of(columns["time"][rows], named)
