"""The link to one instrument: from a resource string to a connection that can be trusted.

`open_link` connects, checks who answers, and gives a `Link` whose `adapter` serves any unmodified
PyMeasure driver. The link keeps one command and its reply together across threads, gives every
exchange a deadline, notices a closed peer, a late or a garbled reply at once, and after any such
event opens a new connection, on which it verifies the identity and lets the driver read back its
instrument's state (`Link.on_reconnect`) before anything else is sent. No reply of an old
connection is ever used. Only queries are repeated; nothing that may change the instrument's state
ever is.

The faults of plain PyMeasure on PyVISA-py that this answers are shown one by one in
``tests/wire/test_link_faults_*.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from devices.clock import monotonic
from devices.errors import LinkError
from devices.link_adapter import LinkAdapter
from devices.link_block import receive_block
from devices.link_message import Message, encode
from devices.link_numbers import GarbledReplyError, without_markers
from devices.link_session import LinkCounters, LinkSettings, Session
from devices.link_strict import StrictInstrumentMixin
from devices.transcript import Transcript

__all__ = ["Link", "LinkCounters", "StrictInstrumentMixin", "open_link"]

T = TypeVar("T")


class Link(Session):
    """A verified connection to one instrument; made by `open_link`.

    Safe to use from several threads. Within `transaction` the connection is never replaced.

    Attributes:
        adapter: PyMeasure adapter for drivers.
    """

    def __init__(self, settings: LinkSettings, transcript: Transcript | None = None) -> None:
        super().__init__(settings, transcript)
        self.adapter = LinkAdapter(self)

    def ask(self, command: str, *, repeat: bool | None = None) -> str:
        """Send a query and return its reply without terminator.

        Args:
            command: One line.
            repeat: Whether the query may be sent again after a failure; by default where every
                part of it is a query and none pops a queue.

        Raises:
            LinkError: No usable reply came in time.
            IdentityError: After a reconnect another instrument answers.
        """
        return self.ask_for(command, str, repeat=repeat)

    def ask_for(self, command: str, parse: Callable[[str], T], *, repeat: bool | None = None) -> T:
        """Send a query and return what `parse` makes of its reply.

        A reply on which `parse` raises `GarbledReplyError` is discarded and counted.

        Raises:
            LinkError: No usable reply came in time.
            IdentityError: After a reconnect another instrument answers.
        """
        return self._exchange(command, lambda limit_s: parse(self._line(limit_s)), repeat=repeat)

    def query_binary(
        self, command: str, dtype: npt.DTypeLike = "<f4", *, repeat: bool | None = None
    ) -> npt.NDArray[Any]:
        """Send a query and return the values of the IEEE 488.2 block that answers it, shape (n,).

        Floats that are markers for overflow or no number become infinite or NaN.

        Raises:
            LinkError: No whole block came in time, or its length does not fit `dtype`.
            IdentityError: After a reconnect another instrument answers.
        """
        kind = np.dtype(dtype)
        return self._exchange(command, lambda limit_s: self._array(limit_s, kind), repeat=repeat)

    def query_bytes(
        self, command: str, count: int, parse: Callable[[bytes], T], *, repeat: bool | None = None
    ) -> T:
        """Send a query and return what `parse` makes of the `count` bytes that answer it.

        For replies whose length is known and whose end is not marked, such as blocks of unknown
        length (``#0``). A reply on which `parse` raises `GarbledReplyError` is discarded and
        counted.

        Raises:
            LinkError: They did not come in time, or are not what was asked for.
            IdentityError: After a reconnect another instrument answers.
        """
        return self._exchange(
            command,
            lambda limit_s: parse(self._bytes(count, limit_s, to_line_end=False)),
            repeat=repeat,
        )

    def write(self, command: str | bytes) -> None:
        """Send a command at most once.

        If the connection was in doubt it is replaced and verified first. Bytes are sent as they
        are, without terminator.

        Raises:
            LinkError: It could not be sent, or may have been sent in part.
            IdentityError: After a reconnect another instrument answers.
        """
        message = self._message(command)
        with self._turn:
            self._ready()
            self._send(message.data)
            if message.asks:
                self._reply_due = True
                self._turn.keep_for_reply(monotonic() + self._settings.timeout_s)
            else:
                self.counters.writes += 1

    def write_once(self, command: str, *, confirm: str = "*OPC?") -> str:
        """Send a command that energises something, exactly once or not at all.

        It is not sent if the connection has to be replaced first: whoever sends it must then
        look at the state again and decide anew.

        Args:
            command: One line.
            confirm: Query sent behind it, whose reply shows that it has arrived.

        Returns:
            The reply to `confirm`.

        Raises:
            LinkError: It was not sent, or (the message says so) it may have been.
            IdentityError: After a reconnect another instrument answers.
        """
        with self._turn:
            reconnects = self.counters.reconnects
            self._ready()
            if self.counters.reconnects != reconnects:
                raise self._error(
                    f"{command!r} was not sent, the connection was lost before and is replaced",
                    "look at the state just read back, then decide again",
                )
            with self.transaction():
                try:
                    self.write(command)
                    return self.ask(confirm, repeat=False)
                except LinkError as error:
                    raise self._error(
                        f"{command!r} was sent at most once and may have acted: {error.what}",
                        "read back the state before anything else; do not repeat it blindly",
                    ) from error

    def read(self) -> str:
        """Next reply, for drivers that write and read separately.

        Raises:
            LinkError: None came in time, or the connection it belonged to is gone.
        """
        with self._turn:
            try:
                self._require_reply()
                return self._received(self._line)
            finally:
                self._reply_due = False
                self._turn.reply_taken()

    def read_bytes(self, count: int = -1, *, break_on_termchar: bool = False) -> bytes:
        """Next `count` bytes of a reply; -1: one whole reply, a block or a line, with terminator.

        Raises:
            LinkError: They did not come in time, or the connection they belonged to is gone.
        """
        with self._turn:
            self._require_reply()
            self._reply_due = False
            return self._received(
                lambda limit_s: self._bytes(count, limit_s, to_line_end=break_on_termchar)
            )

    @property
    def busy(self) -> bool:
        """Whether another thread is in a transaction now, a download for example."""
        return self._turn.busy

    def barrier(self, query: str = "*OPC?") -> None:
        """Wait until the instrument has taken every command sent before, by asking something.

        Raises:
            LinkError: No reply came in time.
            IdentityError: After a reconnect another instrument answers.
        """
        self.ask(query)

    @contextmanager
    def transaction(self, *, budget_s: float | None = None) -> Iterator[Link]:
        """Keep other threads out, and the connection the same, over several exchanges.

        If the connection fails inside, every further command raises: half a sequence is never
        continued on a new connection. The next transaction begins with a verified one.

        Args:
            budget_s: Time for everything inside, s; by default that of the link.

        Raises:
            LinkError: Another thread held the link for the whole budget, or it cannot connect.
            IdentityError: After a reconnect another instrument answers.
        """
        with self._turn.within(budget_s):
            self._ready()
            self._unbroken += 1
            try:
                yield self
            finally:
                self._unbroken -= 1

    def _exchange(self, command: str, receive: Callable[[float], T], *, repeat: bool | None) -> T:
        message = self._message(command)
        repeatable = message.repeatable if repeat is None else repeat
        left = self._settings.read_retries if repeatable else 0
        with self._turn:
            while True:
                try:
                    self._ready()
                    return self._once(message.data, receive)
                except LinkError:
                    fixed = self._unbroken or self._recovering or self._closed
                    if left == 0 or fixed or monotonic() >= self._turn.deadline_s:
                        raise
                left -= 1
                self.counters.retries += 1

    def _message(self, command: str | bytes) -> Message:
        if isinstance(command, bytes):
            return Message(command, asks=False, repeatable=False)
        try:
            return encode(command, self._settings.write_termination)
        except ValueError as error:
            raise self._error(str(error), "send one line at a time") from error

    def _array(self, by_s: float, kind: np.dtype[Any]) -> npt.NDArray[Any]:
        data = self._block(by_s)[1]
        if len(data) % kind.itemsize:
            raise GarbledReplyError(
                f"got a block of {len(data)} bytes, expected a multiple of {kind.itemsize}"
            )
        return without_markers(np.frombuffer(data, dtype=kind))

    def _block(self, by_s: float) -> tuple[bytes, bytes]:
        """Header and bytes of a block, after taking the terminator behind it."""
        channel = self._open_channel()
        header, data = receive_block(channel, self.who, by_s)
        self._record("bytes", header + data)
        end = channel.receive_line(by_s)
        if end.strip(b"\r"):
            raise GarbledReplyError(f"got {end[:40]!r} after a block, expected its end")
        return header, data

    def _bytes(self, count: int, by_s: float, *, to_line_end: bool) -> bytes:
        channel = self._open_channel()
        end = self._settings.read_termination.encode("ascii")
        if count < 0 and not to_line_end and channel.peek(by_s) == b"#":
            return b"".join(self._block(by_s)) + end
        if count < 0 or to_line_end:
            line = channel.receive_line(by_s)
            self._record("read", line)
            return line + end
        data = channel.receive_exactly(count, by_s)
        self._record("bytes", data)
        return data

    def _require_reply(self) -> None:
        if self._channel is None or (self._reply_due and not self._turn.kept):
            trouble = self._trouble or "the reply came too late"
            raise self._error(f"no reply can come: {trouble}", "send the query again")


def open_link(
    resource: str,
    *,
    who: str,
    expect: str | None = None,
    visa_library: Any = None,
    timeout_s: float = 1.0,
    budget_s: float | None = None,
    read_termination: str = "\n",
    write_termination: str = "\n",
    min_spacing_s: float = 0.0,
    read_retries: int = 1,
    identify: str | None = "*IDN?",
    transcript: Path | None = None,
    bench_time: Callable[[], float] | None = None,
) -> Link:
    """Open a link and verify who answers.

    Args:
        resource: VISA resource name, such as ``TCPIP0::192.168.1.5::5025::SOCKET``, or
            ``sim://NAME`` with the VISA library of a simulated laboratory. Give addresses rather
            than host names: looking a name up has no deadline.
        who: Name of the device for error messages.
        expect: Regular expression that the identity must match; None accepts anybody.
        visa_library: PyVISA library object or specification; by default ``"@py"``, so that it
            never depends on what else is installed on the host.
        timeout_s: How long a reply may take, s.
        budget_s: How long a whole transaction may take, s, reconnect and retries included; by
            default `BUDGET_FACTOR` reply timeouts.
        read_termination: What ends a reply.
        write_termination: What ends a command.
        min_spacing_s: Shortest time between commands, s, for instruments that lose faster ones.
        read_retries: How often a query is sent again after a failure, within the budget.
        identify: Query for the identity; None for an instrument that has none.
        transcript: File of JSON lines for everything on the wire; None: none is kept.
        bench_time: Experiment time for the transcript, Unix s.

    Raises:
        LinkError: Nobody listens or answers, or a setting is out of range.
        IdentityError: Another instrument answers than `expect` says.
    """
    settings = LinkSettings(
        resource=resource,
        who=who,
        expect=expect,
        visa_library="@py" if visa_library is None else visa_library,
        timeout_s=timeout_s,
        budget_s=budget_s,
        read_termination=read_termination,
        write_termination=write_termination,
        min_spacing_s=min_spacing_s,
        read_retries=read_retries,
        identify=identify,
    )
    return Link(settings, Transcript(transcript, bench_time) if transcript else None)
