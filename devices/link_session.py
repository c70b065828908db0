"""One connection at a time to one instrument: locked, timed, verified, replaced when in doubt."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from devices.clock import monotonic, pause
from devices.errors import IdentityError, LinkError
from devices.link_channel import Channel, open_channel
from devices.link_message import parse_identity
from devices.link_numbers import GarbledReplyError
from devices.link_turn import Turn
from devices.roles import Identity
from devices.transcript import Transcript

T = TypeVar("T")

BUDGET_FACTOR = 1.5
"""A transaction, reconnect included, may take this many reply timeouts: with the default timeout
of 1 s, the 1.5 s that the engine's heartbeat allows."""

IN_PROCESS_BUDGET_S = 60.0
"""Budget of a transaction with an instrument simulated in this process: the machine's load alone
decides how long that takes, and no result may depend on it."""

MAX_SPACING_S = 0.2
"""Longest spacing between commands: waiting longer would starve the engine's loop."""


@dataclass
class LinkCounters:
    """What has happened on a link.

    Attributes:
        queries: Replies received and used.
        writes: Commands sent that have no reply.
        retries: Queries sent again after a failure.
        reconnects: Connections opened and verified after the first.
        garbled: Replies that arrived and could not be used.
    """

    queries: int = 0
    writes: int = 0
    retries: int = 0
    reconnects: int = 0
    garbled: int = 0


@dataclass(frozen=True)
class LinkSettings:
    """What a link is told once; see `open_link` for each.

    Raises:
        LinkError: A time is missing, infinite or out of range, or replies have no terminator.
    """

    resource: str
    who: str
    expect: str | None
    visa_library: Any
    timeout_s: float
    budget_s: float | None
    read_termination: str
    write_termination: str
    min_spacing_s: float
    read_retries: int
    identify: str | None

    def __post_init__(self) -> None:
        self._require("timeout_s", self.timeout_s, 1e-3, 600.0)
        self._require("budget_s", self.transaction_s, self.timeout_s, 3600.0)
        self._require("min_spacing_s", self.min_spacing_s, 0.0, MAX_SPACING_S)
        if not self.read_termination:
            raise LinkError(
                self.who, "read_termination is empty", remedy="say what ends a reply, e.g. '\\n'"
            )

    @property
    def transaction_s(self) -> float:
        """Time for a whole transaction, s."""
        if self.budget_s is not None:
            return self.budget_s
        if self.in_process:
            return max(IN_PROCESS_BUDGET_S, BUDGET_FACTOR * self.timeout_s)
        return BUDGET_FACTOR * self.timeout_s

    @property
    def in_process(self) -> bool:
        """Whether the instrument is simulated in this process, where nothing waits."""
        return self.resource.startswith("sim://")

    def _require(self, name: str, value: Any, low: float, high: float) -> None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and low <= value <= high):
            raise LinkError(
                self.who,
                f"{name}: got {value!r}, expected {low:g} to {high:g} s",
                remedy="no wait goes without a deadline: give a finite time",
            )


class Session:
    """The part of a link that keeps its connection fit for use.

    A connection is dropped at the first doubt (a late, garbled or unexpected reply, the end of
    the stream, an exception in the middle of an exchange) and replaced before the next command.
    There is no connection (`_channel` is None) exactly while there is trouble.

    Attributes:
        resource: Its resource string.
        who: Name used in error messages.
        counters: What has happened so far.
    """

    def __init__(self, settings: LinkSettings, transcript: Transcript | None = None) -> None:
        self._settings, self._transcript = settings, transcript
        self.resource, self.who = settings.resource, settings.who
        self.counters = LinkCounters()
        self._turn = Turn(settings.who, settings.transaction_s)
        self._callbacks: list[Callable[[], None]] = []
        self._channel: Channel | None = None
        self._trouble = ""
        self._identity: Identity | None = None
        self._closed = self._recovering = False
        self._unbroken = 0
        self._sent_s = 0.0
        self._reply_due = False
        self._write_end = settings.write_termination.encode("ascii")
        try:
            with self._turn:
                self._ready()
        except BaseException:
            self.close()
            raise

    @property
    def identity(self) -> Identity:
        """Who answered when the link was opened; every reconnect found the same."""
        if self._identity is None:
            raise self._error("has no identity", "open it first")
        return self._identity

    @property
    def connection(self) -> Any:
        """The PyVISA resource now in use; a reconnect replaces it."""
        if self._channel is None:
            raise self._error(f"has no connection: {self._trouble}", "the next command opens one")
        return self._channel.connection

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call back after each reconnect, before anything else is sent.

        The callback reads back the instrument's output state and limits over this link. A
        `LinkError` in it means that the reconnect failed. Any other exception goes to whoever
        caused the reconnect, whose command is not sent; the verified connection stays open, so
        that a safe state can be commanded.
        """
        self._callbacks.append(callback)

    def distrust(self, trouble: str) -> None:
        """Drop the connection; the next command opens and verifies a new one."""
        channel, self._channel, self._trouble = self._channel, None, trouble
        if channel is not None:
            self._record("error", trouble.encode())
            channel.close()

    def close(self) -> None:
        """Close the link for good; idempotent."""
        self._closed = True
        with contextlib.suppress(LinkError), self._turn:
            self.distrust("the link is closed")
            if self._transcript is not None:
                self._transcript.close()

    def _ready(self) -> Channel:
        """A connection that may take a command; replaced and verified first where in doubt."""
        if self._closed:
            self.distrust("the link is closed")
        channel = self._channel
        if self._recovering and channel is not None:
            return channel
        if channel is not None:
            unread = "the last reply was not read" if self._reply_due else ""
            trouble = unread or channel.disturbance()
            if not trouble:
                return channel
            self.distrust(trouble)
        self._reply_due = False
        self._turn.reply_taken()
        if self._closed or self._recovering or self._unbroken:
            raise self._error(
                f"nothing was sent: {self._trouble}",
                "begin the sequence again after reading the state back",
            )
        return self._connect()

    def _connect(self) -> Channel:
        """Open a connection, verify it, and let the driver read its state back.

        Raises:
            LinkError: It cannot be opened or answers badly.
            IdentityError: Another instrument answers than expected, or than before.
        """
        self._recovering = True
        try:
            self._channel = channel = self._open()
            self._verify()
            for callback in self._callbacks:
                callback()
        except (LinkError, IdentityError) as error:
            self.distrust(error.what)
            raise
        finally:
            self._recovering = False
        return channel

    def _open(self) -> Channel:
        settings = self._settings
        left_s = self._turn.deadline_s - monotonic()
        if settings.in_process:
            left_s = settings.timeout_s
        if left_s <= 0.0:
            raise self._error(f"no time left to reconnect: {self._trouble}", "try again later")
        self._record("open", self.resource.encode())
        return open_channel(
            self.resource,
            settings.visa_library,
            who=self.who,
            termination=settings.read_termination.encode("ascii"),
            timeout_s=min(left_s, settings.timeout_s),
        )

    def _verify(self) -> None:
        """Ask who is there; a wrong answer counts only when it is given twice."""
        if self._settings.identify is None:
            found = Identity("", "", "", "")
        else:
            found = self._who_answers()
            if self._mismatch(found) and self._who_answers() != found:
                raise self._error("garbled identity, two replies differ", "check the cable")
        mismatch = self._mismatch(found)
        if mismatch:
            raise IdentityError(
                self.who, mismatch, remedy="check the resource string in the bench profile"
            )
        if self._identity is not None:
            self.counters.reconnects += 1
        self._identity = found

    def _who_answers(self) -> Identity:
        query = f"{self._settings.identify}{self._settings.write_termination}"
        return self._once(query.encode("ascii"), lambda by_s: parse_identity(self._line(by_s)))

    def _mismatch(self, found: Identity) -> str:
        """What is wrong with an identity; empty where nothing is."""
        text = f"{found.manufacturer},{found.model},{found.serial},{found.firmware}"
        expect = self._settings.expect
        if self._identity is not None and found != self._identity:
            return f"got identity {text!r} after a reconnect, expected {self._identity}"
        if expect is not None and re.search(expect, text) is None:
            return f"got identity {text!r}, expected a match of {expect!r}"
        return ""

    def _once(self, data: bytes, receive: Callable[[float], T]) -> T:
        """Send a query and receive its reply, once, on the connection there is."""
        self._send(data)
        reply = self._received(receive)
        if self._channel is not None and self._channel.excess():
            self.counters.garbled += 1
            self.distrust("more than one reply to one query")
            raise self._error(self._trouble, "check that nobody else uses this connection")
        self.counters.queries += 1
        return reply

    def _send(self, data: bytes) -> None:
        channel, spacing_s = self._channel, self._settings.min_spacing_s
        if channel is None:
            raise self._error(f"nothing was sent: {self._trouble}", "try again")
        if spacing_s and not self._settings.in_process:
            pause(min(spacing_s, self._sent_s + spacing_s - monotonic()))
            self._sent_s = monotonic()
        if self._transcript is not None:
            self._record("write", data.removesuffix(self._write_end))
        try:
            channel.send(data, self._by_s())
        except BaseException as error:
            self.distrust(f"failed while sending: {error}")
            raise

    def _received(self, receive: Callable[[float], T]) -> T:
        """What `receive` makes of the next reply; the connection is dropped if it raises."""
        try:
            return receive(self._by_s())
        except (GarbledReplyError, UnicodeDecodeError) as error:
            self.counters.garbled += 1
            self.distrust(f"garbled reply: {error}")
            raise self._error(f"garbled reply, {error}", "check cable and other users") from error
        except BaseException as error:
            self.distrust(f"failed while receiving: {error}")
            raise

    def _line(self, by_s: float) -> str:
        line = self._open_channel().receive_line(by_s)
        if self._transcript is not None:
            self._record("read", line)
        return line.decode("utf-8").removesuffix("\r")

    def _open_channel(self) -> Channel:
        if self._channel is None:
            raise self._error(f"no reply can come: {self._trouble}", "send the query again")
        return self._channel

    def _by_s(self) -> float:
        """When the present exchange must be over, in monotonic seconds."""
        return min(monotonic() + self._settings.timeout_s, self._turn.deadline_s)

    def _record(self, what: str, data: bytes) -> None:
        if self._transcript is not None:
            self._transcript.record(what, data)

    def _error(self, what: str, remedy: str) -> LinkError:
        return LinkError(self.who, what, remedy=remedy)
