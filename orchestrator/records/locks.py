"""Locks between processes that the system releases when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import select
from pathlib import Path

from devices.clock import monotonic
from orchestrator.errors import RecordError

_LOOK_EVERY_S = 0.05


class FileLock:
    """An advisory lock (`flock`) on a file, made if it does not exist.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd >= 0

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if nobody else's stands against it."""
        return self._acquire((fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def acquire(self, timeout_s: float, *, shared: bool = False) -> None:
        """Take the lock within `timeout_s` real seconds.

        Raises:
            RecordError: Somebody else kept it.
        """
        deadline_s = monotonic() + timeout_s
        while not self.try_acquire(shared=shared):
            if monotonic() > deadline_s:
                raise RecordError(
                    f"lock {self.path.name}",
                    f"held by another process for {timeout_s:g} s, expected it to end",
                    remedy=f"`fuser {self.path}` names the process",
                )
            select.select([], [], [], _LOOK_EVERY_S)

    def release(self) -> None:
        """Give the lock back; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _acquire(self, operation: int) -> bool:
        if self._fd >= 0:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, operation)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True


class Users(FileLock):
    """Who uses a store: each user shares the lock; what serves them waits to have it alone."""

    def join(self, timeout_s: float) -> None:
        """Become a user; waits for a server that is just ending."""
        self.acquire(timeout_s, shared=True)

    def wait_until_unused(self) -> None:
        """Block until there is no user; then keep new ones waiting until this process ends.

        It has no deadline: it is what a serving process does in its own thread all its life.
        """
        self._acquire(fcntl.LOCK_EX)


def is_locked(path: Path) -> bool:
    """Whether some process holds a lock on a file, without keeping it."""
    if not path.exists():
        return False
    lock = FileLock(path)
    free = lock.try_acquire()
    lock.release()
    return not free


def is_live(journal: Path) -> bool:
    """Whether a journal's writer is alive."""
    return is_locked(journal)
