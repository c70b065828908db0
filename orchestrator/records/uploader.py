"""Replays journals, finished or growing, into Tiled: ``python -m`` this module ``DATA``.

One process per data directory (a lock says so). It holds nothing that matters: a run that Tiled
has with its stop document is left alone, any other is taken out of Tiled and replayed from its
first line, so that an upload that was cut short anywhere is repeated, never continued blindly.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tiled.client import from_uri

from devices.clock import monotonic
from orchestrator.records.directory import DataDirectory
from orchestrator.records.locks import FileLock, Users, is_live
from orchestrator.records.reading import Follower, is_closed
from orchestrator.records.tiled_run import BATCH_ROWS, RunUpload
from orchestrator.records.uploads import (
    INTERRUPTED,
    NO_START,
    Uploads,
    api_key_file,
    server_url,
    uploader_lock,
    uploads_file,
    users_lock,
)

log = logging.getLogger(__name__)

FLUSH_EVERY_S = 5.0
"""Real seconds after which the records of an open run are sent though a batch is not full."""

LOOK_EVERY_S = 0.2
_ENTRIES_AT_ONCE = 50
_RETRY_AFTER_S = 2.0
_HEALTH_TIMEOUT_S = 5.0


@dataclass
class _Upload:
    """A run that is being uploaded."""

    follower: Follower
    run: RunUpload
    inode: int
    seq: int = -1
    sent_s: float = 0.0
    waiting: bool = False


class Uploader:
    """Uploads every journal of a data directory; call `step` again and again.

    Args:
        directory: The data directory.
        client: Tiled's client of the catalogue.
        now: Monotonic real seconds.
        batch_rows: Records that are sent together.
    """

    def __init__(
        self,
        directory: DataDirectory,
        client: Any,
        *,
        now: Callable[[], float] = monotonic,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self._directory, self._client = directory, client
        self._now, self._batch_rows = now, batch_rows
        self._open: dict[str, _Upload] = {}
        self._retry_at_s: dict[str, float] = {}
        self.uploads = Uploads(uploads_file(directory))
        self._in_tiled = {uid: "stop" in run.metadata for uid, run in client.items()}
        for uid, complete in self._in_tiled.items():
            if complete:
                self.uploads.runs[uid] = {"seq": -1, "complete": True, "error": ""}
        self.uploads.write()

    def step(self) -> bool:
        """Upload what is there, a bounded piece of each run; returns whether there was anything.

        Raises:
            httpx.TransportError: Tiled does not answer; make another uploader when it does.
        """
        for uid in self._directory.runs():
            if self._in_tiled.get(uid) or self._now() < self._retry_at_s.get(uid, 0.0):
                continue
            try:
                if self._advance(uid):
                    return True  # older runs first: the catalogue keeps the order of uploading
            except httpx.TransportError:
                raise
            except Exception as error:  # noqa: BLE001 - one run must not keep the others out
                log.warning("run %s is not uploaded: %s", uid, error)
                self.uploads.set(uid, seq=-1, complete=False, error=str(error)[:500])
                self._open.pop(uid, None)
                self._in_tiled[uid] = False
                self._retry_at_s[uid] = self._now() + _RETRY_AFTER_S
        return False

    def _advance(self, uid: str) -> bool:
        upload = self._open.get(uid)
        if upload is None and not self._can_begin(uid):
            return False
        if upload is None or upload.inode != _inode(self._directory, uid):
            upload = self._begin(uid)  # recovery replaced the journal, or it is new here
        entries = upload.follower.read(_ENTRIES_AT_ONCE)
        if entries and upload.seq < 0 and entries[0].name != "start":
            self._open.pop(uid)
            self._in_tiled[uid] = True
            self.uploads.set(uid, seq=-1, complete=True, error=NO_START)
            return True
        for entry in entries:
            upload.run(entry.name, entry.doc)
            upload.seq, upload.waiting = entry.seq, True
            if entry.name == "start":
                self._in_tiled[uid] = False
            if entry.name == "stop":
                self._finish(uid, upload)
                return True
        if upload.waiting and self._now() - upload.sent_s >= FLUSH_EVERY_S:
            upload.run.flush()
            upload.sent_s, upload.waiting = self._now(), False
            self.uploads.set(uid, seq=upload.seq, complete=False)
        return bool(entries)

    def _can_begin(self, uid: str) -> bool:
        """Whether a run is live or closed; one that was cut off waits for its recovery."""
        journal = self._directory.journal(uid)
        if is_live(journal) or is_closed(journal):
            return True
        self.uploads.set(uid, seq=-1, complete=False, error=INTERRUPTED)
        return False

    def _begin(self, uid: str) -> _Upload:
        if uid in self._in_tiled:
            # its HDF5 files are external: only what Tiled itself made is deleted
            self._client.delete_contents(uid, recursive=True, external_only=False)
            del self._in_tiled[uid]
        run = RunUpload(self._client, batch_rows=self._batch_rows)
        inode = _inode(self._directory, uid)
        upload = _Upload(Follower(self._directory.journal(uid)), run, inode, sent_s=self._now())
        self._open[uid] = upload
        return upload

    def _finish(self, uid: str, upload: _Upload) -> None:
        self._open.pop(uid)
        self._in_tiled[uid] = True
        bad, orphans = len(upload.follower.bad), upload.run.orphans
        lost = f"{bad} damaged lines, {orphans} events left out" if bad or orphans else ""
        self.uploads.set(uid, seq=upload.seq, complete=True, error=lost)


def _inode(directory: DataDirectory, uid: str) -> int:
    return directory.journal(uid).stat().st_ino


def connect(directory: DataDirectory) -> Any:
    """Tiled's client of a data directory's catalogue.

    Raises:
        OSError: No server has said where it is.
        httpx.TransportError: It does not answer.
    """
    url = server_url(directory)
    api_key = api_key_file(directory).read_text().strip()
    # one that is gone is known at once; Tiled's client would try for a minute
    httpx.get(f"{url}/healthz", timeout=_HEALTH_TIMEOUT_S, trust_env=False)
    return from_uri(f"{url}/api/v1", api_key=api_key)


def upload_until(directory: DataDirectory, ended: threading.Event) -> None:
    """Upload, and connect again whenever Tiled went away, until told to end."""
    uploader: Uploader | None = None
    while not ended.is_set():
        try:
            if uploader is None:
                uploader = Uploader(directory, connect(directory).v3)
            if uploader.step():
                continue
        except (OSError, httpx.HTTPError) as error:
            log.info("Tiled does not answer: %s", error)
            uploader = None
        ended.wait(LOOK_EVERY_S)


def main(argv: list[str]) -> int:
    """Upload the journals of the data directory named on the command line."""
    directory = DataDirectory(Path(argv[0]).resolve())
    lock = FileLock(uploader_lock(directory))
    if not lock.try_acquire():
        return 0
    ended = threading.Event()

    def end_when_unused() -> None:
        Users(users_lock(directory)).wait_until_unused()
        ended.set()

    threading.Thread(target=end_when_unused, daemon=True).start()
    upload_until(directory, ended)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
