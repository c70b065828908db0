"""Bytes to and from one instrument, with deadlines: what the link stands on.

PyVISA opens every resource. Where PyVISA-py has opened a TCP socket, the bytes then go through
that socket directly: its own reader spins at 100 % CPU once the peer has closed, and its write
leaves Nagle's algorithm on (measured with PyVISA-py 0.8.1; tests/wire/test_link_faults_tcp.py
shows each). Everything else (USB, GPIB, serial, a vendor's VISA, the simulated laboratory) goes
through the VISA library's own read and write.

Deadlines are readings of `devices.clock.monotonic`. Every failure is a `LinkError`.
"""

from __future__ import annotations

import contextlib
import select
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import pyvisa
from pyvisa import constants

from devices.clock import monotonic
from devices.errors import LinkError

MAX_REPLY_BYTES = 64 * 1024 * 1024
"""A longer reply, or a block that announces one, is refused before it fills memory."""

_CHUNK_BYTES = 64 * 1024

_TIMEOUT_STEP_S = 0.005
"""How far a socket's timeout may be from the deadline, s."""


class Channel(Protocol):
    """An open connection.

    Attributes:
        connection: The PyVISA resource, for drivers that set attributes on it.
    """

    connection: Any

    def disturbance(self) -> str:
        """What makes the connection unfit for a new command; empty where it is quiet.

        Bytes nobody asked for (a late reply) and the end of the connection are disturbances.
        """
        ...

    def excess(self) -> bool:
        """Whether bytes of a further reply are already here, as far as can be told for free."""
        ...

    def send(self, data: bytes, deadline_s: float) -> None:
        """Send all of `data`."""
        ...

    def peek(self, deadline_s: float) -> bytes:
        """Next byte, which stays to be received."""
        ...

    def receive_line(self, deadline_s: float) -> bytes:
        """Next reply up to the terminator, which is taken off."""
        ...

    def receive_exactly(self, count: int, deadline_s: float) -> bytes:
        """Next `count` bytes."""
        ...

    def close(self) -> None:
        """Close the connection; idempotent."""
        ...


class _Buffered(ABC):
    """Lines and blocks out of chunks of bytes."""

    def __init__(self, who: str, connection: Any, termination: bytes) -> None:
        self._who, self.connection, self._termination = who, connection, termination
        self._buffer = bytearray()

    @abstractmethod
    def _receive(self, count: int, deadline_s: float) -> bytes:
        """At least one byte and, where the transport cares, at most `count`."""

    def excess(self) -> bool:
        """Whether bytes of a further reply are already here."""
        return bool(self._buffer) and not self._only_blank()

    def peek(self, deadline_s: float) -> bytes:
        """Next byte, which stays to be received."""
        if not self._buffer:
            self._buffer += self._receive(1, deadline_s)
        return bytes(self._buffer[:1])

    def receive_line(self, deadline_s: float) -> bytes:
        """Next reply up to the terminator, which is taken off."""
        buffer, searched = self._buffer, 0
        while (end := buffer.find(self._termination, searched)) < 0:
            searched = max(0, len(buffer) - len(self._termination) + 1)
            self._require_room(len(buffer))
            buffer += self._receive(_CHUNK_BYTES, deadline_s)
        line = bytes(buffer[:end])
        del buffer[: end + len(self._termination)]
        return line

    def receive_exactly(self, count: int, deadline_s: float) -> bytes:
        """Next `count` bytes."""
        buffer = self._buffer
        self._require_room(count)
        while len(buffer) < count:
            buffer += self._receive(count - len(buffer), deadline_s)
        data = bytes(buffer[:count])
        del buffer[:count]
        return data

    def close(self) -> None:
        """Close the connection; idempotent."""
        _close(self.connection)

    def _require_room(self, size: int) -> None:
        if size > MAX_REPLY_BYTES:
            raise LinkError(
                self._who,
                f"reply of {size} bytes, expected at most {MAX_REPLY_BYTES}",
                remedy="read the data in smaller pieces",
            )

    def _only_blank(self) -> bool:
        """Forget a terminator that followed a block read by its length."""
        if self._buffer.replace(self._termination, b""):
            return False
        self._buffer.clear()
        return True

    def _late(self) -> LinkError:
        got = f"{len(self._buffer)} bytes without terminator" if self._buffer else "nothing"
        return LinkError(
            self._who,
            f"no reply in time, got {got}",
            remedy="check power and cable; a slow command needs a longer timeout_s",
        )


class SocketChannel(_Buffered):
    """A TCP socket that PyVISA-py has opened.

    Args:
        who: Name for error messages.
        connection: PyVISA resource that owns the socket and closes it.
        stream: Its connected socket.
        termination: Bytes that end a reply.
    """

    def __init__(
        self, who: str, connection: Any, stream: socket.socket, termination: bytes
    ) -> None:
        super().__init__(who, connection, termination)
        self._socket, self._timeout_s = stream, 0.0
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN)
        # PyVISA-py takes a refused connection for an open one: select() calls it writable.
        refused = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refused:
            raise self._gone(OSError(refused, "connection refused"))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def disturbance(self) -> str:
        """Look at the socket without waiting."""
        if self._poll.poll(0):
            try:
                data = self._socket.recv(_CHUNK_BYTES)
            except OSError as error:
                return f"connection lost: {error.strerror or error}"
            if not data:
                return "peer closed the connection"
            self._buffer += data
        if self._buffer and not self._only_blank():
            return f"unexpected reply {bytes(self._buffer[:40])!r}"
        return ""

    def send(self, data: bytes, deadline_s: float) -> None:
        """Send all of `data`."""
        self._within(deadline_s)
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise self._late() from error
        except OSError as error:
            raise self._gone(error) from error

    def _receive(self, count: int, deadline_s: float) -> bytes:
        del count
        self._within(deadline_s)
        try:
            data = self._socket.recv(_CHUNK_BYTES)
        except TimeoutError as error:
            raise self._late() from error
        except OSError as error:
            raise self._gone(error) from error
        if not data:
            raise LinkError(
                self._who,
                f"peer closed the connection, got {len(self._buffer)} bytes of a reply",
                remedy="check that the instrument runs and serves nobody else",
            )
        return data

    def _within(self, deadline_s: float) -> None:
        """Let the next operation take until the deadline; each change is a system call."""
        left_s = deadline_s - monotonic()
        if left_s <= 0.0:
            raise self._late()
        if abs(left_s - self._timeout_s) > _TIMEOUT_STEP_S:
            self._socket.settimeout(left_s)
            self._timeout_s = left_s

    def _gone(self, error: OSError) -> LinkError:
        return LinkError(
            self._who,
            f"connection lost: {error.strerror or error}",
            remedy="check address, port, power and cable",
        )


class VisaChannel(_Buffered):
    """Any resource through its VISA library.

    The library's `read` and `write` are called directly with the session: the resource's own
    methods add logging and two context managers to each, about as long as a simulated exchange.

    Args:
        who: Name for error messages.
        connection: Open PyVISA message-based resource.
        termination: Bytes that end a reply.
        timeout_s: How long a reply may take in process, s.
    """

    def __init__(
        self, who: str, connection: Any, termination: bytes, *, timeout_s: float = 1.0
    ) -> None:
        super().__init__(who, connection, termination)
        # In process a reply is there at once or never: what time goes by is the machine's load,
        # and no result may depend on that.
        in_process = connection.resource_name.upper().startswith("SIM://")
        self._fixed_ms = max(1, round(1000.0 * timeout_s)) if in_process else 0
        self._library, self._session = connection.visalib, connection.session
        waiting = getattr(self._library, "bytes_waiting", None)
        self._waiting: Callable[[Any], int] = waiting or (lambda _session: 0)
        # GPIB, USB and VXI-11 mark the end of a message; a stream (socket, serial) does not.
        stream = connection.resource_name.upper().startswith(("SIM://", "ASRL"))
        self._message_ends = not (stream or connection.resource_name.upper().endswith("::SOCKET"))

    def disturbance(self) -> str:
        """Look for bytes nobody asked for, where the library can tell."""
        try:
            unexpected = self.excess()
        except LinkError as error:
            return error.what
        return f"unexpected reply {bytes(self._buffer[:40])!r}" if unexpected else ""

    def excess(self) -> bool:
        """Whether bytes of a further reply are already here, where the library can tell."""
        try:
            waiting = self._waiting(self._session)
            if waiting:
                self._buffer += self._library.read(self._session, waiting)[0]
        except (pyvisa.Error, OSError) as error:
            raise self._failed(error) from error
        return super().excess()

    def send(self, data: bytes, deadline_s: float) -> None:
        """Send all of `data`."""
        try:
            self._limit(deadline_s)
            self._library.write(self._session, data)
        except (pyvisa.Error, OSError) as error:
            raise self._failed(error) from error

    def receive_exactly(self, count: int, deadline_s: float) -> bytes:
        """Next `count` bytes; none of them ends a read, whatever it looks like.

        With the termination character enabled each 0x0A in a binary block ends a read (viRead):
        a megabyte of floats then takes thousands of them.
        """
        if count - len(self._buffer) < _CHUNK_BYTES:
            return super().receive_exactly(count, deadline_s)
        enabled = constants.ResourceAttribute.termchar_enabled
        self._set(enabled, value=False)
        try:
            return super().receive_exactly(count, deadline_s)
        finally:
            self._set(enabled, value=True)

    def _set(self, attribute: constants.ResourceAttribute, *, value: bool) -> None:
        try:
            self._library.set_attribute(self._session, attribute, value)
        except (pyvisa.Error, OSError) as error:
            raise self._failed(error) from error

    def _receive(self, count: int, deadline_s: float) -> bytes:
        try:
            self._limit(deadline_s)
            with self._library.ignore_warning(
                self._session,
                constants.StatusCode.success_max_count_read,
                constants.StatusCode.success_device_not_present,
            ):
                data, status = self._library.read(self._session, count)
        except (pyvisa.Error, OSError) as error:
            raise self._failed(error) from error
        received = bytes(data)
        if (
            self._message_ends
            and status == constants.StatusCode.success
            and not received.endswith(self._termination)
        ):
            received += self._termination
        return received

    def _limit(self, deadline_s: float) -> None:
        """Set the library's timeout each time: a driver may have set it to infinite."""
        timeout_ms = self._fixed_ms
        if not timeout_ms:
            remaining_s = deadline_s - monotonic()
            if remaining_s <= 0.0:
                raise self._late()
            timeout_ms = max(1, int(remaining_s * 1000.0))
        self._library.set_attribute(
            self._session, constants.ResourceAttribute.timeout_value, timeout_ms
        )

    def _failed(self, error: Exception) -> LinkError:
        code = getattr(error, "error_code", None)
        if code == constants.StatusCode.error_timeout:
            return self._late()
        return LinkError(
            self._who, f"connection lost: {error}", remedy="check power, cable and VISA library"
        )


def open_channel(
    resource: str, visa_library: Any, *, who: str, termination: bytes, timeout_s: float
) -> Channel:
    """Open a VISA resource.

    Args:
        resource: VISA resource name, or ``sim://NAME`` with a simulated laboratory's library.
        visa_library: PyVISA library object or specification such as ``"@py"``.
        who: Name for error messages.
        termination: Bytes that end a reply.
        timeout_s: How long opening may take, s.

    Raises:
        LinkError: The resource cannot be opened, or nobody listens there.
    """
    connection: Any = None
    try:
        manager = pyvisa.ResourceManager(visa_library)
        connection = manager.open_resource(resource, open_timeout=max(1, int(timeout_s * 1000)))
        stream = _pyvisa_py_socket(connection)
        if stream is not None:
            return SocketChannel(who, connection, stream, termination)
        connection.read_termination = termination.decode("ascii")
        return VisaChannel(who, connection, termination, timeout_s=timeout_s)
    except LinkError:
        _close(connection)
        raise
    except Exception as error:  # PyVISA-py's sessions raise bare Exception
        _close(connection)
        raise LinkError(
            who, f"cannot open {resource}: {error}", remedy="check the resource string and power"
        ) from error


def _close(connection: Any) -> None:
    """Close a PyVISA resource; a connection that is already lost may complain."""
    if connection is not None:
        with contextlib.suppress(pyvisa.Error, OSError):
            connection.close()


def _pyvisa_py_socket(connection: Any) -> socket.socket | None:
    """Connected socket of a PyVISA-py SOCKET session; None for everything else."""
    sessions = getattr(connection.visalib, "sessions", {})
    stream = getattr(sessions.get(connection.session), "interface", None)
    return stream if isinstance(stream, socket.socket) else None
