"""The process that delivers, and what starts it again.

One at a time for a machine (a lock says so). It ends when nothing waits, or after a day; what still
waits then is in the outbox, and the next that tells, or `operando serve`, starts another.
"""

from __future__ import annotations

import logging
import select
import subprocess
import sys
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

import orjson

from devices.clock import monotonic, wall_time
from orchestrator.alerts.deliverer import Deliverer
from orchestrator.alerts.loading import load_alerts
from orchestrator.alerts.outbox import Outbox, read_telling
from orchestrator.alerts.sending import NotSentError, send
from orchestrator.alerts.wording import composed
from orchestrator.errors import AlertError, RecordError
from orchestrator.records.locks import FileLock, is_locked
from orchestrator.telling import (
    Telling,
    alerts_file,
    deliverer_lock,
    spool_directory,
    start_deliverer,
)

log = logging.getLogger(__name__)

LONGEST_LIFE_S = 86_400.0
_LOOK_S = 1.0
_SOMEBODY_LOOKS_S = 0.5
"""Longer than anybody holds the lock who only wants to know whether there is a deliverer, s."""

_START_EVERY_S = 30.0
_LARGEST_BYTES = 100_000


def deliver_until_done(
    deliverer: Deliverer,
    *,
    life_s: float = LONGEST_LIFE_S,
    wait: Callable[[float], object] = lambda s: select.select([], [], [], s),
) -> None:
    """Deliver until nothing waits, every channel left lacks a secret, or the time is over."""
    ends_s = monotonic() + life_s
    while monotonic() < ends_s:
        again_s = deliverer.step()
        if again_s is None or deliverer.only_missing:
            return  # with another environment another process may know the secret
        wait(min(max(again_s - wall_time(), 0.05), _LOOK_S))


def main(arguments: list[str]) -> int:
    """Run as ``python -m orchestrator.alerts``; who tells starts it."""
    _log_to_file()
    said = _said() if "--said" in arguments else None
    try:
        outbox = Outbox()
        if said is not None:
            outbox.add([said])
            said = None
        return _as_the_only_one(outbox)
    except (RecordError, OSError) as error:
        log.critical("the outbox cannot be used, what was told is sent at once: %s", error)
        return send_without_outbox(said)


def _as_the_only_one(outbox: Outbox) -> int:
    while True:
        lock = FileLock(deliverer_lock())
        try:
            lock.acquire(_SOMEBODY_LOOKS_S)
        except RecordError:
            return 0  # whoever holds it looks every second
        try:
            outbox.prune()
            deliver_until_done(Deliverer(outbox))
        finally:
            lock.release()
        if not _left_behind():
            return 0


def _left_behind() -> bool:
    """Whether somebody told and saw the lock just before it was let go."""
    folder = spool_directory()
    return folder.is_dir() and any(folder.glob("*.json"))


def _said() -> Telling | None:
    try:
        return Telling.from_document(orjson.loads(sys.stdin.buffer.read(_LARGEST_BYTES)))
    except ValueError as error:
        log.critical("what was said on the standard input is no telling: %s", error)
        return None


def send_without_outbox(said: Telling | None) -> int:
    """Nothing can be written here: send what is there once, to everybody who is told.

    What is in the spool leaves it once everybody has it: that needs no space.
    """
    found = [(path, read_telling(path)) for path in sorted(spool_directory().glob("*.json"))]
    left = 0 if said is None or _sent_to_all(said) else 1
    for path, telling in found:
        if telling is not None and _sent_to_all(telling):
            path.unlink(missing_ok=True)
        else:
            left = 1
    return left


def _sent_to_all(telling: Telling) -> bool:
    try:
        alerts = load_alerts(Path(telling.data) if telling.data else None)
    except AlertError as error:
        log.critical("nobody is told: %s", error)
        return False
    sent = True
    for channel in alerts.channels if alerts is not None else ():
        try:
            if telling.severity >= channel.threshold:
                send(composed([telling]), channel)
        except NotSentError as error:
            log.critical("%s: %s", channel.name, error)
            sent = False
    return sent


def _log_to_file() -> None:
    try:
        folder = spool_directory().parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler: logging.Handler = RotatingFileHandler(
            folder / "deliverer.log", maxBytes=200_000, backupCount=1, delay=True
        )
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.raiseExceptions = False  # a full disk must not keep a message from being sent
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs addresses, which may be secret


class Courier:
    """Sees to it that there is a deliverer while something waits; `operando serve` has one.

    Args:
        data: The data directory that is served.
        now: Monotonic s.
    """

    def __init__(self, data: Path, now: Callable[[], float] = monotonic) -> None:
        self._data, self._now = data, now
        self._looked_s = -_START_EVERY_S
        self._child: subprocess.Popen[bytes] | None = None

    def tick(self) -> None:
        """Start one if something waits and nobody delivers; never raises, never waits."""
        now_s = self._now()
        if now_s - self._looked_s < _START_EVERY_S:
            return
        self._looked_s = now_s
        if self._child is not None and self._child.poll() is None:
            return
        try:
            if alerts_file(self._data) and not is_locked(deliverer_lock()) and _something_waits():
                self._child = start_deliverer()
        except (OSError, RecordError) as error:
            log.warning("nobody can be told for now: %s", error)


def _something_waits() -> bool:
    return _left_behind() or Outbox().next_due_s() is not None
