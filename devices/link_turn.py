"""Whose turn it is on a link, and until when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from devices.clock import monotonic
from devices.errors import LinkError


class Turn:
    """Lock and deadline of a link: ``with turn:`` holds it for one transaction.

    It may be held several times by the same thread; the outermost holder starts the time. A
    thread that has asked by writing and not yet read keeps its turn until the reply is late.

    Args:
        who: Name for error messages.
        budget_s: Time for a transaction, s, waiting for the turn not counted.

    Attributes:
        deadline_s: When the present transaction must be over, in monotonic seconds.
    """

    def __init__(self, who: str, budget_s: float) -> None:
        self._who, self._budget_s = who, budget_s
        self._lock = threading.RLock()
        self._passed = threading.Condition(self._lock)
        self._depth = 0
        self._reader: int | None = None
        self._reader_until_s = 0.0
        self.deadline_s = 0.0

    def __enter__(self) -> None:
        self._take(self._budget_s)

    def __exit__(self, *failure: object) -> None:
        self._depth -= 1
        self._lock.release()

    @contextmanager
    def within(self, budget_s: float | None) -> Iterator[None]:
        """Hold it with another budget, s; None: the usual one.

        Raises:
            LinkError: Another thread kept it all that time.
        """
        self._take(self._budget_s if budget_s is None else budget_s)
        try:
            yield
        finally:
            self.__exit__()

    def keep_for_reply(self, until_s: float) -> None:
        """Keep other threads out after this transaction until the reply is read, or `until_s`."""
        self._reader, self._reader_until_s = threading.get_ident(), until_s

    def reply_taken(self) -> None:
        """Let other threads go on: the reply was read, or will never be."""
        self._reader = None
        self._passed.notify_all()

    @property
    def busy(self) -> bool:
        """Whether another thread is in a transaction now."""
        if not self._lock.acquire(blocking=False):
            return True
        self._lock.release()
        return False

    @property
    def kept(self) -> bool:
        """Whether the thread inside still has a reply to read."""
        return self._reader is not None

    def _take(self, budget_s: float) -> None:
        if not self._lock.acquire(timeout=budget_s):
            raise LinkError(
                self._who,
                f"busy for more than {budget_s:g} s with another thread's transaction",
                remedy="shorten that transaction or give it a connection of its own",
            )
        if self._depth == 0:
            try:
                self._wait_for_reader()
            except BaseException:
                self._lock.release()
                raise
            self.deadline_s = monotonic() + budget_s
        self._depth += 1

    def _wait_for_reader(self) -> None:
        """Let another thread read the reply it has asked for, until that reply is late."""
        me = threading.get_ident()
        while self._reader not in (None, me):
            left_s = self._reader_until_s - monotonic()
            if left_s <= 0.0:
                self._reader = None
            else:
                self._passed.wait(left_s)
