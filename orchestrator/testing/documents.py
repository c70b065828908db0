"""Documents of a test, kept in memory, by name and by stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Documents:
    """Documents in the order in which the engine emitted them; a subscriber.

    Args:
        data: The data directory, for frames.

    Attributes:
        all: Pairs of name and document.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self.all: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        """Keep one document."""
        self.all.append((name, dict(doc)))

    def __len__(self) -> int:
        return len(self.all)

    @property
    def names(self) -> list[str]:
        """Names of all documents in order: ``start``, ``descriptor``, ``event``, ``stop``, ..."""
        return [name for name, _ in self.all]

    def of(self, name: str) -> list[dict[str, Any]]:
        """Documents of one name."""
        return [doc for kind, doc in self.all if kind == name]

    @property
    def start(self) -> dict[str, Any]:
        """The last run's start document.

        Raises:
            LookupError: No run has begun.
        """
        return self._last("start")

    @property
    def stop(self) -> dict[str, Any]:
        """The last run's stop document.

        Raises:
            LookupError: No run has ended.
        """
        return self._last("stop")

    @property
    def streams(self) -> list[str]:
        """Names of the last run's streams in the order of their descriptors."""
        run = self.start["uid"]
        return [doc["name"] for doc in self.of("descriptor") if doc["run_start"] == run]

    def stream(self, name: str) -> dict[str, list[Any]]:
        """Columns of a stream of the last run with the column ``time``; events and pages alike.

        Raises:
            LookupError: The run has no such stream.
        """
        if name not in self.streams:
            raise LookupError(f"no stream {name!r} in this run, there are {self.streams}")
        run = self.start["uid"]
        uids = {
            doc["uid"]
            for doc in self.of("descriptor")
            if doc["name"] == name and doc["run_start"] == run
        }
        columns: dict[str, list[Any]] = {"time": []}
        for kind, doc in self.all:
            if doc.get("descriptor") not in uids or kind not in ("event", "event_page"):
                continue
            page = kind == "event_page"
            columns["time"] += doc["time"] if page else [doc["time"]]
            for key, values in doc["data"].items():
                columns.setdefault(key, []).extend(values if page else [values])
        return columns

    def frames(self, stream: str) -> Any:
        """Images of a stream of the last run, as `orchestrator.records.runs.Run.frames`."""
        from orchestrator.records.directory import DataDirectory  # h5py loads only now
        from orchestrator.records.runs import load_run

        journal = DataDirectory(self._data).journal(self.start["uid"])
        return load_run(journal).frames(stream)

    def _last(self, name: str) -> dict[str, Any]:
        found = self.of(name)
        if not found:
            raise LookupError(f"no {name} document yet: nothing was run")
        return found[-1]
