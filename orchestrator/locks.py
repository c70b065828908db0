"""One controller at a time for each instrument, whatever its data directory.

A lock is a file named after the instrument's address that the operating system lets go of when its
owner dies (`flock` on POSIX, through filelock). It keeps two programs of ours apart; it cannot keep
others away.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import filelock

from devices.clock import wall_time
from orchestrator.errors import BusyError
from orchestrator.state import state_directory


def lock_directory() -> Path:
    """Where locks are; on a disk of this machine, since `flock` does not hold across machines."""
    return state_directory() / "locks"


@contextmanager
def controlling(resources: Iterable[str], *, bench: str) -> Iterator[None]:
    """Own instruments for a ``with`` block.

    Args:
        resources: Their addresses; the same instrument should have one spelling in all profiles.
        bench: Name of the bench, to tell others who owns them.

    Raises:
        BusyError: Another process, or another bench of this one, controls one of them.
    """
    folder = lock_directory()
    with ExitStack() as stack:
        for resource in sorted({one.strip().upper() for one in resources}):
            folder.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(resource.encode()).hexdigest()[:24]
            lock, owner = filelock.FileLock(folder / f"{name}.lock"), folder / f"{name}.json"
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                raise BusyError(
                    bench,
                    f"{resource} is controlled by {_described(owner)}",
                    remedy="end that first; `operando off` works meanwhile",
                ) from None
            stack.callback(lock.release)
            said = {
                "pid": os.getpid(), "bench": bench, "resource": resource, "since": wall_time()
            }  # fmt: skip
            owner.write_text(json.dumps(said), encoding="utf-8")
        yield


def _described(owner: Path) -> str:
    """Who owns it, as far as it has said so."""
    try:
        said: Any = json.loads(owner.read_text(encoding="utf-8"))
        return f"process {said['pid']} for the bench {said['bench']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
