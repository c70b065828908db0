"""The simulated laboratory over real TCP: one port per instrument, for any client.

The server runs on an asyncio loop of its own in a thread, which is the only one that talks to the
instruments it serves. It listens on loopback unless told otherwise, lives for a bounded time, and
an exception in an instrument (an unknown command, in strict mode) closes the connection and is
raised again where the server was started.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sim.wire.carrying import Client, Instrument, Outcome, Receptionist, exchanger, refuses
from sim.wire.framing import Framing, MessageTooLong

LIFE_S = 600.0
"""A server that nobody stops ends by itself after this time, s."""

_WATCH_S = 0.02
"""How often a listening socket is opened or closed by a ``refuse`` fault, s."""

_START_S = 10.0


@dataclass
class Served:
    """A running server.

    Attributes:
        host: Address it listens on.
        ports: Port of each instrument.
        dead_socket_port: Port at which a connection ends all others; 0 where there is none.
        errors: What instruments raised while they were served, oldest first.
        ended: Set when the server has ended, by itself or not.
        told_to_end: Whether what is served has ended the server.
        end: Ends the server; for what is served, which is asked on the server's own thread.
        drop: Resets every connection to the instruments; as `end`.
    """

    host: str
    ports: dict[str, int]
    dead_socket_port: int = 0
    errors: list[BaseException] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    told_to_end: bool = False
    end: Callable[[], None] = lambda: None
    drop: Callable[[], None] = lambda: None

    def resource(self, name: str) -> str:
        """VISA resource string of one instrument."""
        return f"TCPIP0::{self.host}::{self.ports[name]}::SOCKET"


class _Connection(asyncio.Protocol):
    """One client of one instrument."""

    def __init__(self, door: _Door) -> None:
        self._door = door
        self._client: Client | None = None
        self._feed: Callable[[bytes], list[bytes]]
        self._exchange: Callable[[bytes], Outcome]
        if isinstance(door.instrument, Receptionist):
            self._client = door.instrument.client()
            self._feed, self._exchange = self._client.feed, self._client.exchange
        else:
            self._feed, self._exchange = Framing().feed, exchanger(door.instrument)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"tcp: got {type(transport).__name__}, expected a stream")
        self._transport = transport
        stream = transport.get_extra_info("socket")
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._door.admit(self):
            self.end("reset")

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._door.leave(self)
        if self._client is not None:
            self._client.left()

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._feed(data):
                if self._transport is None or self._transport.is_closing():
                    return
                self._carry(self._exchange(message))
        except MessageTooLong:
            self.end("close")
        except Exception as error:  # noqa: BLE001 - raised again where the server was started
            self._door.errors.append(error)
            self.end("close")

    def _carry(self, outcome: Outcome) -> None:
        if outcome.reply is not None:
            data = outcome.reply + (b"\n" if outcome.terminated else b"")
            if outcome.delay_s > 0.0:
                asyncio.get_running_loop().call_later(outcome.delay_s, self._send, data)
            else:
                self._send(data)
        if outcome.ending != "open":
            self.end(outcome.ending)

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def end(self, how: str) -> None:
        """Close in order (FIN), or reset (RST: lingering for no time at all)."""
        if self._transport is None:
            return
        if how == "reset":
            stream = self._transport.get_extra_info("socket")
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()


class _Door:
    """The port of one instrument and the clients behind it."""

    def __init__(
        self,
        instrument: Instrument | Receptionist,
        errors: list[BaseException],
        *,
        exclusive: bool,
        port: int = 0,
    ) -> None:
        self.instrument, self.errors = instrument, errors
        self._exclusive = exclusive and not isinstance(instrument, Receptionist)
        self._clients: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.port = port

    def admit(self, client: _Connection) -> bool:
        """Whether a client may stay: an instrument may have room for one only."""
        if self._refuses() or (self._exclusive and self._clients):
            return False
        self._clients.add(client)
        return True

    def leave(self, client: _Connection) -> None:
        """Forget a client."""
        self._clients.discard(client)

    async def open(self, host: str) -> None:
        """Listen: at the port given, or at any the first time and at the same one again."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), host, self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def watch(self, host: str) -> None:
        """Stop and start listening as the instrument refuses connections or not."""
        while True:
            await asyncio.sleep(_WATCH_S)
            if self._refuses() and self._server is not None:
                self._server.close()
                self._server = None
            elif not self._refuses() and self._server is None:
                await self.open(host)

    def _refuses(self) -> bool:
        return not isinstance(self.instrument, Receptionist) and refuses(self.instrument)

    def close(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
        self.clear("close")

    def clear(self, how: str) -> None:
        """Close or reset every connection, and go on listening."""
        for client in list(self._clients):
            client.end(how)
            self._clients.discard(client)


async def _run(
    served: Served,
    doors: Mapping[str, _Door],
    life_s: float,
    ready: Callable[[asyncio.Event], None],
) -> None:
    """Serve until the event is set or the life is over."""
    stop = asyncio.Event()
    dead: list[asyncio.Server] = []
    watches: list[asyncio.Task[None]] = []
    try:
        for name, door in doors.items():
            await door.open(served.host)
            served.ports[name] = door.port
        watches += [
            asyncio.create_task(door.watch(served.host))
            for door in doors.values()
            if hasattr(door.instrument, "refuses")
        ]
        if served.dead_socket_port < 0:
            dead.append(await _dead_socket(served, doors))

        def end() -> None:
            served.told_to_end = True
            stop.set()

        served.end, served.drop = end, lambda: _drop(doors)
        ready(stop)
        async with asyncio.timeout(life_s):
            await stop.wait()
    except TimeoutError:
        pass
    finally:
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        for server in dead:
            server.close()
        for door in doors.values():
            door.close()
        await asyncio.sleep(0)


async def _dead_socket(served: Served, doors: Mapping[str, _Door]) -> asyncio.Server:
    """Listen at a port of its own; whoever connects there ends all other connections."""

    def end_all(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _drop(doors)
        writer.close()

    server = await asyncio.start_server(end_all, served.host, 0)
    served.dead_socket_port = int(server.sockets[0].getsockname()[1])
    return server


def _drop(doors: Mapping[str, _Door]) -> None:
    """Reset every connection to an instrument."""
    for door in doors.values():
        if not isinstance(door.instrument, Receptionist):
            door.clear("reset")


class _Thread(threading.Thread):
    """Thread with the server's loop."""

    def __init__(self, served: Served, doors: Mapping[str, _Door], life_s: float) -> None:
        super().__init__(name="simulated laboratory", daemon=True)
        self._served, self._doors, self._life_s = served, doors, life_s
        self.started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(_run(self._served, self._doors, self._life_s, self._ready))
        except Exception as error:  # noqa: BLE001 - raised again where the server was started
            self.error = error
        finally:
            self.started.set()
            self._served.ended.set()

    def _ready(self, stop: asyncio.Event) -> None:
        self._loop, self._end = asyncio.get_running_loop(), stop
        self.started.set()

    def stop(self) -> None:
        """End the server and wait for its thread, a bounded time."""
        if self._loop is not None and self._end is not None and self.is_alive():
            with contextlib.suppress(RuntimeError):  # its life ended just now
                self._loop.call_soon_threadsafe(self._end.set)
        self.join(_START_S)


@contextlib.contextmanager
def serve(
    instruments: Mapping[str, Instrument | Receptionist],
    *,
    host: str = "127.0.0.1",
    ports: Mapping[str, int] | None = None,
    life_s: float = LIFE_S,
    exclusive: bool = False,
    dead_socket: bool = False,
) -> Iterator[Served]:
    """Serve instruments over TCP until the context ends, or for `life_s` at most.

    Args:
        instruments: Instrument by name.
        host: Address to listen on.
        ports: Port by name of the instrument; any free one for those not named.
        life_s: Longest life of the server, s.
        exclusive: Whether each instrument takes one client at a time and resets others.
        dead_socket: Whether there is a port at which a connection ends all others.

    Raises:
        OSError: It cannot listen on `host`, or a port is in use.
        Exception: The first exception that an instrument raised while it was served.
    """
    served = Served(host, {}, -1 if dead_socket else 0)
    wanted = ports or {}
    doors = {
        name: _Door(instrument, served.errors, exclusive=exclusive, port=wanted.get(name, 0))
        for name, instrument in instruments.items()
    }
    thread = _Thread(served, doors, life_s)
    thread.start()
    try:
        if not thread.started.wait(_START_S):
            raise OSError(f"tcp: no answer from the server's thread within {_START_S:g} s")
        if thread.error is not None:
            raise thread.error
        yield served
    finally:
        thread.stop()
    if served.errors:
        raise served.errors[0]
