"""How a rehearsal records: documents as every run does, frames counted and not kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
from typing_extensions import override

from orchestrator.records.directory import DataDirectory
from orchestrator.records.frames import Hdf5Frames
from orchestrator.records.recorder import Recorder

_PER_FRAME_BYTES = 16
"""What an HDF5 file's index takes per frame beside its data (version 4 of the chunk index)."""
_PER_LINE_BYTES = 60
"""What a line of a journal has around its document: number, name, checksum."""
_PER_FILE_BYTES = 20_000
"""What the layout of a file of frames takes."""


class CountedFrames(Hdf5Frames):
    """Checks every frame as the real writer does, counts its bytes and forgets it.

    A rehearsed month of micrographs would fill the disk of the computer that plans it.

    Args:
        directory: The data directory, in which nothing is written.

    Attributes:
        count: Frames by stream.
        sizes: Bytes that the files of the real run will have, by stream.
    """

    def __init__(self, directory: DataDirectory) -> None:
        super().__init__(directory, free=lambda _path: sys.maxsize)
        self.count: dict[str, int] = {}
        self.sizes: dict[str, int] = {}

    @override
    def _create(self, stream: str, one: Any, scalars: Mapping[str, float]) -> None:
        """Called before every frame, since there is never a file."""
        one.path = self._directory.frames(self._uid, stream)
        one.scalars = dict.fromkeys(scalars)
        self.sizes.setdefault(stream, _PER_FILE_BYTES)

    @override
    def _append(
        self, stream: str, one: Any, image: npt.NDArray[Any], scalars: Mapping[str, float]
    ) -> int:
        index = self.count.get(stream, 0)
        self.count[stream] = index + 1
        self.sizes[stream] += image.nbytes + 8 * len(scalars) + _PER_FRAME_BYTES
        return index


class RehearsalRecorder(Recorder):
    """Journals every document in a directory of its own, tells `watch`, and counts frames.

    Args:
        data: A directory for this rehearsal alone.
        keep: Whether frames are written too.

    Attributes:
        watch: Called with each document after it is journaled.
        page_bytes: Size of a page of records without a record, by stream: what one page more
            costs.
    """

    rehearses = True

    def __init__(self, data: Path, *, keep: bool = False) -> None:
        super().__init__(data)
        self.counted: CountedFrames | None = None
        if not keep:
            self.frames = self.counted = CountedFrames(self.directory)
        self.watch: Any = lambda _name, _doc: None
        self.page_bytes: dict[str, int] = {}
        self.pages: dict[str, int] = {}

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Record a document as `Recorder` does."""
        super().__call__(name, doc)
        if name == "event_page":
            self._count_page(doc)
        self.watch(name, doc)

    def _count_page(self, doc: Mapping[str, Any]) -> None:
        descriptor = str(doc["descriptor"])
        self.pages[descriptor] = self.pages.get(descriptor, 0) + 1
        if descriptor not in self.page_bytes:
            self.page_bytes[descriptor] = len(_compact(_emptied(doc))) + _PER_LINE_BYTES

    def frame_bytes(self) -> dict[str, int]:
        """Bytes of the files of frames, by stream."""
        if self.counted is not None:
            return dict(self.counted.sizes)
        files = self.directory.root.glob("frames/*/*.h5")
        sizes: dict[str, int] = {}
        for path in files:
            sizes[path.stem] = sizes.get(path.stem, 0) + path.stat().st_size
        return sizes

    def journal_bytes(self) -> int:
        """Bytes of every journal."""
        return sum(path.stat().st_size for path in self.directory.journals.glob("*.jsonl"))


def _emptied(value: Any) -> Any:
    """A page without its rows: every list empty."""
    if isinstance(value, Mapping):
        return {key: _emptied(inner) for key, inner in value.items()}
    return [] if isinstance(value, list) else value


def _compact(value: Any) -> str:
    """As the journal writes it."""
    return json.dumps(value, separators=(",", ":"))
