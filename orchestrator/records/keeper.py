"""Writes the checkpoint of the run that goes on."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from devices.clock import Clock
from orchestrator.errors import RecordError
from orchestrator.records.checkpoint import Checkpoint
from orchestrator.records.recorder import Recorder
from orchestrator.records.software import software_hash
from orchestrator.state import boot_id
from plans.keeping import Place, State

log = logging.getLogger(__name__)


class CheckpointKeeper:
    """Implements `plans.keeping.Keeper` with a file in the data directory.

    Where the file cannot be written the run goes on, and only cannot be resumed from there: an
    instrument that runs something else than the checkpoint says is switched off.

    Args:
        recorder: Its journal is fsynced before each checkpoint.
        profile: That of the bench, an `orchestrator.profile.models.BenchProfile`.
        clock: The experiment's clock.

    Attributes:
        place: Where the run goes on that begins next; None: it begins at its beginning.
        chain: Uids of the runs that it goes on with then.
        campaign: Which campaign the run belongs to, and where that is written.
        written: How many checkpoints were written.
        size_bytes: Size of the last one.
        failure: Why the last one could not be written; empty if it was.
    """

    def __init__(self, recorder: Recorder, profile: Any, clock: Clock) -> None:
        self._directory, self._journal = recorder.directory, recorder.journal
        self._clock = clock
        self._facts = {
            "bench": profile.bench,
            "profile": profile.to_document(),
            "profile_hash": profile.profile_hash,
            "boot_id": boot_id(),
        }
        self.place: Place | None = None
        self.chain: tuple[str, ...] = ()
        self.campaign: Mapping[str, Any] = {}
        self.written, self.size_bytes, self.failure = 0, 0, ""
        self._uid = ""
        self._state: Callable[[], State] | None = None
        self._asked = self._kept = 0
        self._lock = threading.Lock()

    def follow(self, state: Callable[[], State]) -> None:
        """A run begins whose state is asked for so."""
        self._state = state

    def keep(self) -> None:
        """Write what the run would go on from; the journal is on the disk first.

        Raises:
            RecordError: The disk refuses the journal.
        """
        self.prepared()()

    def prepared(self) -> Callable[[], None]:
        """As `plans.keeping.Keeper.prepared`."""
        if self._state is None or not self._uid:
            return lambda: None
        self._asked += 1
        checkpoint = self._checkpoint(self._state())
        return partial(self._write, checkpoint, self._asked)

    def _write(self, checkpoint: Checkpoint, number: int) -> None:
        """Bring the journal and then a checkpoint onto the disk, unless there is a later one."""
        self._journal.sync()
        with self._lock:
            if number < self._kept or checkpoint.run != self._uid:
                return
            path = self._directory.checkpoint(checkpoint.run)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self.size_bytes = checkpoint.write(path)
            except (OSError, RecordError) as error:
                if not self.failure:
                    text = "%s: not written, the run could not be resumed: %s"
                    log.warning(text, path.name, error)
                self.failure = str(error)
            else:
                self._kept = number
                self.written, self.failure = self.written + 1, ""

    def document(self, name: str, doc: dict[str, Any]) -> None:
        """A run begins or ends; one that was closed in order is not resumed."""
        if name == "start":
            self._uid, self._state = doc["uid"], None
        elif name == "stop" and doc["run_start"] == self._uid:
            with self._lock:
                for uid in (self._uid, *self.chain):
                    self._directory.checkpoint(uid).unlink(missing_ok=True)
                self._uid, self._state = "", None

    def _checkpoint(self, state: State) -> Checkpoint:
        return Checkpoint(
            run=self._uid,
            seq=self._journal.written,
            time_s=self._clock.time(),
            pid=os.getpid(),
            software=software_hash(),
            potentiostat=state["name"],
            plan=state,
            chain=self.chain,
            campaign=self.campaign,
            **self._facts,
        )
