"""What the routes share: one data directory, looked at and acted on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.http.acting import Acting
from orchestrator.http.changes import Changes
from orchestrator.http.lookout import Lookout
from orchestrator.http.rows import Growing
from orchestrator.http.state import State
from orchestrator.http.tails import Tails
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import find_run
from orchestrator.schedule.jobs import JobStore


class Service:
    """One data directory.

    Args:
        data: The data directory.
        store: Its queue.
        experiments: Folders whose experiment files may be queued.

    Attributes:
        directory: The data directory.
        state: Looks everything up.
        growing: Reads records.
        acting: Does what is asked for.
        lookout: Tells of changes.
    """

    def __init__(self, data: Path, store: JobStore, experiments: Sequence[Path] = ()) -> None:
        self.directory, self.store = DataDirectory(data), store
        self.state = State(self.directory, store)
        self.growing = Growing()
        self.acting = Acting(self.directory, store, self.state.runs, experiments)
        self.lookout = Lookout(self.state, Tails(self.directory, self.state), Changes())

    def uid(self, run: str) -> str:
        """Uid of the run that is meant: the beginning of one, or ``latest``.

        Raises:
            RecordError: No run, or more than one, is meant.
        """
        return find_run(self.directory.root, "-1" if run == "latest" else run).stem
