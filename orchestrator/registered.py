"""Benches that a process may have energised: what must be looked at when it is gone.

One file for each in `state_directory`, durable before anything is energised and taken away when
everything reads back as off. Its process holds the lock beside it as long as it lives, so that a
file without a holder is a bench that somebody left: killed, or ended by a power loss. `operando off
--abandoned` switches those off, at each boot and whenever the scheduler ends.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devices.clock import wall_time
from orchestrator.errors import RecordError, UnsafeBenchError
from orchestrator.profile.models import BenchProfile
from orchestrator.records.directory import replace_durably, sync_directory
from orchestrator.records.locks import FileLock, is_locked
from orchestrator.state import boot_id, state_directory

_LOCK_WITHIN_S = 5.0


@dataclass(frozen=True)
class Registered:
    """A bench that may be energised.

    Attributes:
        bench: Its name.
        profile: It, as a document.
        pid: Process that may have energised it.
        boot_id: Boot of the machine in which that number means that process.
        data: Its data directory.
        since: Unix s.
    """

    bench: str
    profile: dict[str, Any]
    pid: int
    boot_id: str
    data: str
    since: float

    @property
    def path(self) -> Path:
        """The file."""
        return _path(self.bench, self.profile)

    @property
    def held(self) -> bool:
        """Whether its process lives."""
        return is_locked(_lock(self.path))

    @property
    def from_another_boot(self) -> bool:
        """Whether the machine has been started since."""
        return self.boot_id != boot_id()

    def forget(self) -> None:
        """Everything on it is off."""
        self.path.unlink(missing_ok=True)
        sync_directory(self.path.parent)


class Registration:
    """The mark of the bench that this process may energise.

    Args:
        profile: The bench, with the addresses at which others reach it.
        data: Its data directory.
    """

    def __init__(self, profile: BenchProfile, data: Path) -> None:
        document = profile.to_document()
        self._said = Registered(
            profile.bench, document, os.getpid(), boot_id(), str(data.resolve()), wall_time()
        )
        self._lock = FileLock(_lock(self._said.path))

    def begin(self) -> None:
        """Say that the bench may be energised from now on; it is known after a power loss, too.

        Raises:
            UnsafeBenchError: It cannot be said: nobody would switch it off after a crash.
        """
        path = self._said.path
        try:
            self._lock.acquire(_LOCK_WITHIN_S)
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(asdict(self._said)), encoding="utf-8")
            replace_durably(temporary, path)
        except (OSError, RecordError) as error:
            self._lock.release()
            raise UnsafeBenchError(
                self._said.bench,
                f"cannot be registered as in use, so that it would be found after a crash: {error}",
                remedy=f"see to {path.parent}, or end who switches it off at this moment",
            ) from error

    def end(self, *, everything_off: bool) -> None:
        """This process leaves the bench; idempotent.

        Args:
            everything_off: Whether all of it reads back as off. Otherwise it stays on the list.
        """
        if self._lock.held and everything_off:
            self._said.forget()
        self._lock.release()


def registered() -> list[Registered]:
    """Every bench that is, or may have been left, energised."""
    found = [_read(path) for path in sorted(_folder().glob("*.json"))]
    return [one for one in found if one is not None]


@contextmanager
def taken_over(one: Registered, *, wait_s: float = 0.0) -> Iterator[Registered | None]:
    """Keep others from using a bench for a ``with`` block; None where its process lives, or left.

    Args:
        one: The bench.
        wait_s: Longest wait for its process to leave, s.
    """
    lock = FileLock(_lock(one.path))
    try:
        lock.acquire(wait_s)
    except RecordError:
        yield None
        return
    try:
        yield _read(one.path)
    finally:
        lock.release()


def forget_abandoned(profile: BenchProfile) -> None:
    """A watchdog has switched off what its dead engine had energised."""
    one = _read(_path(profile.bench, profile.to_document()))
    if one is not None:
        with taken_over(one) as mine:
            if mine is not None:
                mine.forget()


def _folder() -> Path:
    return state_directory() / "energised"


def _path(bench: str, profile: dict[str, Any]) -> Path:
    """One file for a bench at its addresses: two benches may have the same name."""
    said = json.dumps([bench, profile], sort_keys=True).encode()
    return _folder() / f"{hashlib.sha256(said).hexdigest()[:24]}.json"


def _lock(path: Path) -> Path:
    return path.with_suffix(".lock")


def _read(path: Path) -> Registered | None:
    """What is said there; None where nothing is, any more."""
    try:
        return Registered(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise RecordError(
            str(path),
            f"cannot be read: {error}",
            remedy="look at every cell of this machine, then remove the file",
        ) from error
