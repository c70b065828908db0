"""Listens while runs go on, and hands what comes to whoever answers; a few at a time."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

from orchestrator.remote.addresses import Peer, listening, peer_of, write_pointer
from orchestrator.remote.messages import (
    Answer,
    BadMessage,
    Message,
    decode_message,
    encode,
    read_line,
)

log = logging.getLogger(__name__)

Respond = Callable[[Message, Peer], Answer]
"""Answers a question; called in a thread of its own, may wait as long as the message says."""

_AT_ONCE = 4
_READ_WITHIN_S = 5.0
_JOIN_WITHIN_S = 10.0


class ControlServer:
    """A socket for the runs of this process, while there are any.

    It lives in threads of its own and answers while the engine's loop hangs. It never acts by
    itself: whoever responds puts the request into the plan's mailbox.

    Args:
        folder: Where pointers to it are: ``control`` of the data directory.
        respond: Answers.
    """

    def __init__(self, folder: Path, respond: Respond) -> None:
        self._folder, self._respond = folder, respond
        self._listener: _Listener | None = None
        self._pointers: set[Path] = set()

    def run_begins(self, uid: str) -> None:
        """Be reachable for a run; where that cannot be, the run goes on without."""
        try:
            if self._listener is None:
                self._listener = _Listener(self._folder, self._respond)
            pointer = self._folder / f"{uid}.json"
            write_pointer(pointer, self._listener.path)
            self._pointers.add(pointer)
        except OSError as error:
            log.warning("run %s cannot be controlled from elsewhere: %s", uid[:8], error)

    def run_ends(self, uid: str) -> None:
        """A run has ended: nobody is to look for it here."""
        self._forget(self._folder / f"{uid}.json")
        if not self._pointers and self._listener is not None:
            self._listener.end()
            self._listener = None

    def close(self) -> None:
        """Listen no more; idempotent."""
        listener = self._listener
        for pointer in list(self._pointers):
            self.run_ends(pointer.stem)
        if listener is not None:
            listener.end()
            listener.join()

    def _forget(self, pointer: Path) -> None:
        self._pointers.discard(pointer)
        with suppress(OSError):
            pointer.unlink(missing_ok=True)


class _Listener:
    """Listens until it is told to end; then its thread takes everything away by itself.

    Raises:
        OSError: There can be no socket.
    """

    def __init__(self, folder: Path, respond: Respond) -> None:
        self._respond = respond
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        with ExitStack() as stack:
            socket_, self.path = stack.enter_context(listening(folder))
            pool = stack.enter_context(ThreadPoolExecutor(_AT_ONCE, "control"))
            ended, self._end = socket.socketpair()
            stack.enter_context(ended)
            everything = stack.pop_all()
        self._thread = threading.Thread(
            target=self._run, args=(everything, socket_, ended, pool), name="control", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Listen no more; what is being answered still is. Never waits; idempotent."""
        self._end.close()

    def join(self) -> None:
        """Wait, with a bound, until everything is taken away."""
        self._thread.join(_JOIN_WITHIN_S)

    def _run(
        self,
        everything: ExitStack,
        listener: socket.socket,
        ended: socket.socket,
        pool: ThreadPoolExecutor,
    ) -> None:
        """Take what calls until the other end of `ended` is closed."""
        with everything:
            while True:
                ready, _, _ = select.select([listener, ended], [], [])
                if ended in ready:
                    return
                try:
                    connection, _ = listener.accept()
                except OSError:  # whoever called has gone again
                    continue
                if self._free.acquire(blocking=False):
                    pool.submit(self._serve, connection)
                else:
                    connection.close()  # too many at once: they may ask again

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                answer = self._answered(connection)
                connection.settimeout(_READ_WITHIN_S)
                connection.sendall(encode(answer))
        except (OSError, BadMessage) as error:
            log.info("a request was not read or not answered: %s", error)
        finally:
            self._free.release()

    def _answered(self, connection: socket.socket) -> Answer:
        try:
            peer = peer_of(connection)
            message = decode_message(read_line(connection, _READ_WITHIN_S))
            return self._respond(message, peer)
        except (BadMessage, PermissionError) as error:
            return Answer("refused", str(error))
        except Exception as error:
            log.exception("a request could not be answered")
            return Answer("refused", f"{type(error).__name__}: {error}")
