"""The bridge agent: serves one plug-in over TCP and makes it safe when its client is lost.

Everything runs on one asyncio loop in one thread, plug-in included: vendor libraries (COM among
them) are rarely safe to call from several. A call that blocks in the vendor's library therefore
blocks the agent; plug-ins keep theirs short.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import Protocol

from devices.bridge.authentication import MIN_TOKEN_CHARACTERS, Authentication
from devices.bridge.protocol import MAX_LINE_BYTES, CommandTable, Refusal, Session
from devices.errors import DeviceError

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 8
MAX_FAILURES = 3
IDLE_DEADLINE_S = 86_400.0
SEND_DEADLINE_S = 30.0


class Plugin(Protocol):
    """A vendor's instrument behind the protocol."""

    @property
    def identity(self) -> str:
        """Reply to ``*IDN?``: manufacturer, model, serial, firmware."""
        ...

    def commands(self) -> CommandTable:
        """Its commands by header."""
        ...

    def active(self) -> bool:
        """Whether something goes on that must not outlive its client."""
        ...

    def make_safe(self, reason: str) -> None:
        """End what goes on: output off, acquisition aborted. Idempotent; may be repeated."""
        ...


class Agent:
    """Serves a plug-in to clients of the line protocol.

    Args:
        plugin: The instrument.
        host: Address to listen on; any but loopback needs a token and a tunnel.
        port: Port to listen on; 0 takes a free one.
        token: Token shared with the clients; None: none is required.
        lost_client_s: The plug-in is made safe when it is active and no authenticated client has
            been connected for this long, s. A dead host is noticed by TCP keep-alive.
        silent_client_s: The same when clients are connected but none has said anything for this
            long, s; for plug-ins that energise something. None: a client may be silent.
        login_s: Who has not proved the token by then is disconnected, s.
        tunnel: Something else encrypts what goes to that address.

    Raises:
        DeviceError: Not on loopback without token or tunnel, a short token, or a time that is
            not finite.
    """

    def __init__(
        self,
        plugin: Plugin,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        lost_client_s: float = 120.0,
        silent_client_s: float | None = None,
        login_s: float = 10.0,
        tunnel: bool = False,
    ) -> None:
        _check_access(host, token, tunnel=tunnel)
        _check_time("lost_client_s", lost_client_s)
        if silent_client_s is not None:
            _check_time("silent_client_s", silent_client_s)
        self._plugin, self._host, self._port, self._token = plugin, host, port, token
        self._lost_client_s, self._silent_client_s = lost_client_s, silent_client_s
        self._login_s = login_s
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients = 0
        self._heard_s = 0.0

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=MAX_LINE_BYTES + 2
        )
        self._heard_s = asyncio.get_running_loop().time()
        self._watch()
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, let clients go and leave the plug-in safe."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SEND_DEADLINE_S)
        if self._plugin.active():
            self._plugin.make_safe("the bridge agent stopped")

    def _watch(self) -> None:
        """Look for a lost client, four times in the allowed time."""
        loop = asyncio.get_running_loop()
        allowed_s = self._lost_client_s if self._clients == 0 else self._silent_client_s
        silent_s = loop.time() - self._heard_s
        try:
            if allowed_s is not None and silent_s > allowed_s and self._plugin.active():
                log.warning("no client for %.1f s: making the instrument safe", silent_s)
                self._plugin.make_safe(f"client lost for more than {allowed_s:g} s")
        except Exception:
            log.exception("making the instrument safe failed: it is tried again")
        finally:
            shortest_s = min(self._lost_client_s, self._silent_client_s or self._lost_client_s)
            self._timer = loop.call_later(shortest_s / 4, self._watch)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._writers) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._writers.add(writer)
        self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.info("connection ended: %s", type(error).__name__)
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        _keep_alive(writer)
        authentication = None if self._token is None else Authentication(self._token)
        session = Session(self._plugin.identity, self._plugin.commands(), authentication)
        login_until_s = loop.time() + self._login_s
        counted = False
        try:
            while authentication is None or authentication.failures < MAX_FAILURES:
                if session.authenticated and not counted:
                    counted = True
                    self._clients += 1
                until_s = loop.time() + IDLE_DEADLINE_S if counted else login_until_s
                async with asyncio.timeout_at(until_s):
                    line = await reader.readuntil(b"\n")
                self._heard_s = loop.time() if session.authenticated else self._heard_s
                await self._reply(writer, self._answer(session, line[:-1]))
        except asyncio.LimitOverrunError:
            await self._reply(writer, b"!" + Refusal(-223, "line too long").entry().encode())
        finally:
            if counted:
                self._clients -= 1
                self._heard_s = loop.time()

    @staticmethod
    async def _reply(writer: asyncio.StreamWriter, reply: bytes | None) -> None:
        if reply is not None:
            writer.write(reply + b"\n")
            async with asyncio.timeout(SEND_DEADLINE_S):
                await writer.drain()

    @staticmethod
    def _answer(session: Session, line: bytes) -> bytes | None:
        """The session's answer; a plug-in that fails is an answer, too, not a dead connection."""
        try:
            return session.answer(line)
        except Exception as error:
            log.exception("plug-in failed")
            refusal = Refusal(-240, f"plug-in: {type(error).__name__}: {error}"[:200])
            return session.fail(line, refusal)


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Notice within about two minutes that a client's host is gone (RFC 1122, 4.2.3.6)."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _check_time(name: str, time_s: float) -> None:
    if not 0 < time_s < float("inf"):
        raise DeviceError(
            "bridge agent",
            f"{name}: got {time_s}, expected a finite time above 0 s",
            remedy="an instrument must not run on for ever without its client",
        )


def _check_access(host: str, token: str | None, *, tunnel: bool) -> None:
    if token is not None and len(token) < MIN_TOKEN_CHARACTERS:
        raise DeviceError(
            "bridge agent",
            f"token: got {len(token)} characters, expected at least {MIN_TOKEN_CHARACTERS}",
            remedy="make one with: python -c 'import secrets; print(secrets.token_hex(32))'",
        )
    if token is None and not _loopback(host):
        raise DeviceError(
            "bridge agent",
            f"listening on {host}: got no token, expected one off loopback",
            remedy="give --token-file, or listen on 127.0.0.1",
        )
    if not tunnel and not _loopback(host):
        raise DeviceError(
            "bridge agent",
            f"listening on {host}: what follows the proof of the token would pass in clear",
            remedy="listen on 127.0.0.1 and let clients come through SSH, or say --behind-tunnel "
            "where something else encrypts (VPN, TLS)",
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
