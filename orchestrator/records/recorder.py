"""Everything a bench records with: the engine calls one object with each document."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from orchestrator.errors import RecordError
from orchestrator.records.bench_metadata import BenchMetadata
from orchestrator.records.directory import DataDirectory
from orchestrator.records.frames import Hdf5Frames
from orchestrator.records.journal import JournalWriter
from orchestrator.records.live import LiveState
from orchestrator.records.metadata import check_start


class Disk(Protocol):
    """Waits for the disk off the engine's loop."""

    async def run(self, work: Callable[[], None]) -> None:
        """Do something that may take long, and raise what it raises."""
        ...


class Recorder:
    """The engine's first consumer: journals every document and keeps the frame files.

    Args:
        data: The data directory.

    Attributes:
        directory: Its layout.
        journal: Writes the journals.
        frames: Where devices write frames; give it to them as their `FrameSink`.
        live: State for those who watch.
        rehearses: Whether nothing of what is recorded has happened.
    """

    rehearses = False

    def __init__(self, data: Path) -> None:
        self.directory = DataDirectory(data.resolve())
        self.journal = JournalWriter(self.directory)
        self.frames = Hdf5Frames(self.directory)
        self.live = LiveState(self.directory.live)

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Record a document.

        A start document is checked first, so that nothing is energised for a run that could not
        be kept; at a stop the frame files are closed first, so that a finished journal means
        finished frames.

        Raises:
            RecordError: It cannot be recorded; nothing must be measured then.
        """
        if name == "start":
            check_start(doc)
            self.journal(name, doc)
            self.frames(name, doc)
            return
        try:
            if name == "stop":
                self.frames(name, doc)
        except RecordError as error:
            self.journal(name, {**doc, "reason": f"{doc.get('reason', '')} [{error}]".strip()})
            raise
        self.journal(name, doc)

    def durable_by(self, disk: Disk) -> Callable[[], Coroutine[Any, Any, None] | None]:
        """Leave it to the caller to have the journal fsynced, by `disk`, after each document.

        Returns:
            To be called after each document; gives what is to be awaited, if anything is.
        """
        self.journal.defers = True
        return lambda: disk.run(self.journal.sync) if self.journal.due else None

    def metadata_of(self, bench: str) -> BenchMetadata:
        """The standing metadata of a bench in this data directory."""
        return BenchMetadata(self.directory.bench(bench), bench)

    @property
    def uid(self) -> str:
        """Uid of the run begun last, empty before the first."""
        journal = self.journal.journal
        return "" if journal is None else journal.uid

    @property
    def acknowledged(self) -> int:
        """Sequence number of the last fsynced document of the run begun last; -1 if none is."""
        return self.journal.acknowledged

    def close(self) -> None:
        """Close every file as it stands; a run without a stop document is for recovery."""
        try:
            self.frames.close()
        finally:
            self.journal.close()
