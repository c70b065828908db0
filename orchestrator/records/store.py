"""The catalogue of a data directory: Tiled and databroker, in processes of their own.

    with open_store(data) as store:
        store.cat[uid]["mri"]["mri_image"].read()
        store.db[-1].table("echem")

The first user starts a server and an uploader; they serve every process that opens the same
directory and end with the last one, however it ends. Nothing here is the truth: the store can be
deleted at any time and comes back from the journals.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from devices.clock import monotonic
from orchestrator.errors import RecordError
from orchestrator.records.directory import DataDirectory
from orchestrator.records.locks import FileLock, Users, is_live, is_locked
from orchestrator.records.reading import is_closed
from orchestrator.records.uploads import (
    INTERRUPTED,
    api_key_file,
    read_uploads,
    server_lock,
    server_url,
    uploader_lock,
    uploads_file,
    users_lock,
)

START_TIMEOUT_S = 90.0
"""Real seconds a server may take; its imports alone take several."""

UPLOAD_TIMEOUT_S = 120.0
_JOIN_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 15.0
_GRACE_S = 0.3
_LOOK_EVERY_S = 0.05
_TAIL_BYTES = 2000

_TILED_ENVIRONMENT = {"TILED_RETRY_ATTEMPTS": "3", "TILED_RETRY_TIMEOUT": "10"}
"""The uploader begins a run again rather than wait for a server that is gone."""

_outliving: list[subprocess.Popen[bytes]] = []
"""Processes that somebody else still used when their starter closed its store."""


def open_store(data: Path, *, say: Callable[[str], None] | None = None) -> Store:
    """Open the catalogue of a data directory; returns at once, its processes start meanwhile.

    Args:
        data: The data directory.
        say: Told when something takes long enough to wonder.

    Raises:
        RecordError: The store cannot be made or is kept by a process that does not end.
    """
    return Store(DataDirectory(data.resolve()), say=say)


class Store:
    """A user of a data directory's catalogue; use `open_store`.

    Args:
        directory: The data directory.
        say: Told when something takes long enough to wonder.
    """

    def __init__(
        self, directory: DataDirectory, *, say: Callable[[str], None] | None = None
    ) -> None:
        self._directory = directory
        self._say = say or _silent
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._client: Any = None
        self._url = ""
        directory.store.mkdir(parents=True, exist_ok=True)
        self._users = Users(users_lock(directory))
        self._users.join(_JOIN_TIMEOUT_S)
        _make_api_key(directory)
        self._ensure()

    @property
    def cat(self) -> Any:
        """Tiled's catalogue of runs, complete up to the last finished one: ``cat[uid]``.

        Raises:
            RecordError: The server does not start, or a finished run is not uploaded in time.
        """
        self.wait_uploaded()
        return self._connected().v3

    @property
    def db(self) -> Any:
        """Databroker's view of the same: ``db[-1].table("echem")``, ``db(sample=...)``.

        Runs that went on with one another are one experiment: see `records.broker`.

        Raises:
            RecordError: As for `cat`.
        """
        from orchestrator.records.broker import ExperimentBroker

        self.wait_uploaded()
        return ExperimentBroker(self._connected())

    def wait_uploaded(self, uid: str | None = None, *, timeout_s: float = UPLOAD_TIMEOUT_S) -> None:
        """Wait until a finished run, or every finished run, is in the catalogue.

        Args:
            uid: The run; None for all. Runs that go on, and runs that were cut off and not yet
                recovered, are waited for only if they are named.
            timeout_s: Longest wait, real seconds.

        Raises:
            RecordError: It takes longer, or the run cannot be uploaded.
        """
        self._check_can_come(uid)
        deadline_s, told = monotonic() + timeout_s, False
        while waiting := self._not_uploaded(uid):
            self._ensure()
            if monotonic() > deadline_s:
                errors = {run[:8]: error for run, error in waiting.items() if error}
                raise RecordError(
                    "store",
                    f"{len(waiting)} of the runs are not uploaded after {timeout_s:g} s"
                    + (f": {errors}" if errors else ""),
                    remedy="the journals are complete; `operando recover` rebuilds the store",
                )
            if not told:
                told = True
                self._say(f"waiting for {len(waiting)} run(s) to reach the catalogue")
            select.select([], [], [], _LOOK_EVERY_S)

    def close(self) -> None:
        """Stop using the store; its processes end if nobody else does. Idempotent."""
        if not self._users.held:
            return
        self._disconnect()
        self._users.release()
        children, self._children = list(self._children.values()), {}
        self._await_end(children)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- inside ---

    def _not_uploaded(self, uid: str | None) -> dict[str, str]:
        """Runs to wait for, with what keeps them; of all runs, those that have an end."""
        said = read_uploads(uploads_file(self._directory))
        waiting = {}
        for run in [uid] if uid is not None else self._directory.runs():
            state = said.get(run, {})
            if state.get("complete"):
                continue
            journal = self._directory.journal(run)
            if uid is None and not (journal.exists() and is_closed(journal)):
                continue
            waiting[run] = str(state.get("error", ""))
        return waiting

    def _check_can_come(self, uid: str | None) -> None:
        """Raise if a named run will not reach the catalogue by itself."""
        if uid is None:
            return
        journal = self._directory.journal(uid)
        if not journal.exists() or not (is_closed(journal) or is_live(journal)):
            raise RecordError(
                f"run {uid[:8]}",
                f"is {INTERRUPTED}" if journal.exists() else "has no journal",
                remedy="`operando runs` lists the runs",
            )

    def _connected(self) -> Any:
        """Tiled's client; waits for the server to start."""
        from orchestrator.records.uploader import connect

        deadline_s, told = monotonic() + START_TIMEOUT_S, False
        while True:
            self._ensure()
            with contextlib.suppress(OSError, httpx.TransportError):
                url = server_url(self._directory)
                if self._client is None or self._url != url:
                    self._disconnect()
                    self._client, self._url = connect(self._directory), url
                return self._client
            if monotonic() > deadline_s:
                raise self._failed("server", f"does not answer within {START_TIMEOUT_S:g} s")
            if not told:
                told = True
                self._say("waiting for the catalogue's server to start")
            select.select([], [], [], _LOOK_EVERY_S)

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.context.http_client.close()
            self._client = None

    def _ensure(self) -> None:
        """Start the server and the uploader if none runs."""
        if not self._users.held:
            raise RecordError("store", "is closed", remedy="open it again")
        self._ensure_one("server", "tiled_server", server_lock(self._directory))
        self._ensure_one("uploader", "uploader", uploader_lock(self._directory))

    def _ensure_one(self, name: str, module: str, lock: Path) -> None:
        child = self._children.get(name)
        if (child is not None and child.poll() is None) or is_locked(lock):
            return
        if child is not None and child.returncode > 0:
            raise self._failed(name, f"ended with code {child.returncode}")
        with (self._directory.store / f"{name}.log").open("wb") as log:
            self._children[name] = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [sys.executable, "-m", f"orchestrator.records.{module}", str(self._directory.root)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **_TILED_ENVIRONMENT},
                start_new_session=True,  # Ctrl-C is for the program at the terminal
            )

    def _failed(self, name: str, what: str) -> RecordError:
        log = self._directory.store / f"{name}.log"
        lines = log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip().splitlines()
        return RecordError(
            f"store's {name}",
            f"{what}: {lines[-1] if lines else 'nothing in its log'}",
            remedy=f"see {log}; the journals are not affected",
        )

    def _await_end(self, children: list[subprocess.Popen[bytes]]) -> None:
        """Wait for our processes unless somebody else uses them."""
        begun_s = monotonic()
        while running := [child for child in children if child.poll() is None]:
            waited_s = monotonic() - begun_s
            if waited_s > _GRACE_S and self._is_used():
                _outliving.extend(running)
                return
            if waited_s > _END_TIMEOUT_S:
                for child in running:
                    child.kill()
                    child.wait(_END_TIMEOUT_S)
            select.select([], [], [], _LOOK_EVERY_S)

    def _is_used(self) -> bool:
        """Whether other users keep the processes from having the lock alone."""
        lock = FileLock(users_lock(self._directory))
        shared = lock.try_acquire(shared=True)
        lock.release()
        return shared


def discard_store(directory: DataDirectory) -> None:
    """Delete the catalogue; the next user fills it again from the journals.

    Raises:
        RecordError: Somebody uses it.
    """
    users = FileLock(users_lock(directory))
    if not users.try_acquire():
        raise RecordError(
            "store",
            "is in use, expected nobody",
            remedy="close the programs that use it (shell, serve, run) and try again",
        )
    try:
        # the lock's own file stays: a user that waits for it must find the same one
        for path in directory.store.iterdir():
            if path == users.path:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    finally:
        users.release()


def _silent(text: str) -> None:
    """Say nothing."""
    del text


def _make_api_key(directory: DataDirectory) -> None:
    """Draw the server's key once; it is never in arguments, journals or reports."""
    with contextlib.suppress(FileExistsError):
        fd = os.open(api_key_file(directory), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_hex(32))
