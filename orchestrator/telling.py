"""What somebody should be told: written down at once, delivered by a process of its own.

Whoever notices something calls `tell`: scheduler, runner, watchdog, interlocks, uploader. It never
raises, never waits for a mail server and needs no lock. **Act first, then tell.** A telling is one
file in the state directory of this machine: it outlives the process (it is with the system before
`tell` returns), a power loss (a thread makes it durable) and a data directory that is full or gone.
Where that directory cannot be written either, the deliverer is handed the telling itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum
from pathlib import Path
from typing import Any

import orjson

from devices.clock import wall_time
from orchestrator.state import config_directory, state_directory

log = logging.getLogger(__name__)

LONGEST_TEXT = 4000
"""Characters of each text of a telling that are kept."""

ALERTS_FILE = "alerts.yaml"
"""Name of the file that says who is told what."""

_NOT_PRINTED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Severity(IntEnum):
    """How much it matters.

    NOTICE: something ended as it was to. DECISION: something waits for a person. FAILURE: a run
    or a part of the machinery failed, and the cell is off. UNSAFE: a cell is not known to be off;
    no quiet hours and no limit of rate hold it back.
    """

    NOTICE = 0
    DECISION = 1
    FAILURE = 2
    UNSAFE = 3


@dataclass(frozen=True)
class Telling:
    """Something that somebody should be told.

    Attributes:
        kind: What it is, in a word of small letters and ``_``, for example ``interlock``,
            ``watchdog``, ``unsafe``, ``job``, ``run``, ``records``: rates are limited by it.
        severity: How much it matters.
        text: What happened, in a sentence or some.
        bench: Name of the bench; empty where it is about none.
        run: Uid of the run; empty where there is none.
        cell: What is known of the cell's state, for example ``off, verified``.
        remedy: What to do now.
        data: The data directory.
        simulated: The bench is simulated: a message says so first.
        key: Two tellings with the same key are one; by default each is its own.
        time: Unix s.
        uid: Its own.
    """

    kind: str
    severity: Severity
    text: str
    bench: str = ""
    run: str = ""
    cell: str = ""
    remedy: str = ""
    data: str = ""
    simulated: bool = False
    key: str = ""
    time: float = field(default_factory=wall_time)
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)

    def to_document(self) -> dict[str, Any]:
        """JSON-able; texts without control characters and not longer than `LONGEST_TEXT`."""
        return {
            name: _plain(value) if isinstance(value, str) else value
            for name, value in (asdict(self) | {"severity": self.severity.name.lower()}).items()
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Telling:
        """The telling that `to_document` has written.

        Raises:
            ValueError: It is none.
        """
        known = {one.name for one in fields(cls)}
        try:
            said = {name: value for name, value in document.items() if name in known}
            return cls(**(said | {"severity": Severity[str(said["severity"]).upper()]}))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"no telling: {error}") from error


Tell = Callable[[Telling], None]
"""What those who notice something are given: `tell`, or a test's list."""


def spool_directory() -> Path:
    """Tellings that nobody has taken up yet, one file each, in the order of their names."""
    return state_directory() / "alerts" / "spool"


def deliverer_lock() -> Path:
    """Held by the process that delivers; others hold it for an instant at most."""
    return state_directory() / "alerts" / "deliverer.lock"


def alerts_file(data: Path | str | None) -> Path | None:
    """The file that says who is told: that of the data directory, else that of the user."""
    folders = [config_directory(), *([Path(data)] if data else [])]
    found = [one / ALERTS_FILE for one in reversed(folders)]
    return next((path for path in found if path.is_file()), None)


def tell(telling: Telling) -> None:
    """Write down what somebody should be told, and see to it that it is delivered.

    Never raises: what cannot be written is logged, and what has noticed it goes on.
    """
    log.warning("%s: %s", telling.bench or telling.kind, telling.text)
    path: Path | None = None
    try:
        path = _written(telling, spool_directory())
    except OSError as error:
        log.critical("%s: cannot be written down: %s", telling.kind, error)
    with contextlib.suppress(RuntimeError):  # the interpreter is ending: the system writes it
        threading.Thread(target=_seen_to, args=(telling, path), name="telling").start()


def start_deliverer(*words: str, said: bytes | None = None) -> subprocess.Popen[bytes]:
    """A process that delivers what was told and ends when nothing is left.

    Args:
        *words: More arguments.
        said: What it reads from its standard input.

    Raises:
        OSError: It could not be started.
    """
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", "orchestrator.alerts", *words],
        stdin=subprocess.DEVNULL if said is None else subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a signal to the run is not for it
    )
    with _LOCK:
        _STARTED[:] = [*(one for one in _STARTED if one.poll() is None), process]
    if said is not None and process.stdin is not None:
        with process.stdin as pipe:
            pipe.write(said)
    return process


_LOCK = threading.Lock()
_STARTED: list[subprocess.Popen[bytes]] = []
"""Deliverers that this process has started, to be reaped."""


def _seen_to(telling: Telling, path: Path | None) -> None:
    """Make it durable and start a deliverer where somebody is to be told; in a thread."""
    if path is not None:
        _made_durable(path)
    try:
        if alerts_file(telling.data) is None or (path is not None and _somebody_delivers()):
            return
        said = orjson.dumps(telling.to_document()) if path is None else None
        words = ("--said",) if path is None else ()
        start_deliverer(*words, said=said)
    except OSError as error:
        log.critical("%s: the deliverer was not started: %s", telling.kind, error)


def _somebody_delivers() -> bool:
    """Whether there is a deliverer, which looks at the spool once more when it has let go."""
    try:
        fd = os.open(deliverer_lock(), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _written(telling: Telling, folder: Path) -> Path:
    """Hand a telling to the system; it appears whole or not at all."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    final = folder / f"{int(telling.time * 1e6):020d}-{telling.uid}.json"
    temporary = final.with_suffix(".tmp")
    temporary.write_bytes(orjson.dumps(telling.to_document()))
    temporary.replace(final)
    return final


def _made_durable(path: Path) -> None:
    with contextlib.suppress(OSError):  # taken up meanwhile
        for one in (path, path.parent):
            fd = os.open(one, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _plain(text: str) -> str:
    """Without what could break out of a line of a header or a terminal; new lines stay."""
    return _NOT_PRINTED.sub(" ", text)[:LONGEST_TEXT]
