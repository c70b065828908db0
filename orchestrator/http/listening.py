"""Uvicorn on the loop of `operando serve`: bounded connections, no signals of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator.errors import ControlError
from orchestrator.http.head import LOOPBACK_NAMES, MAX_HEAD_BYTES

MOST_CONNECTIONS = 64
HEAD_WITHIN_S = 5.0
"""A connection that has not asked for anything whole after so long is closed, s."""

_IDLE_S = 20
_END_WITHIN_S = 3


@dataclass(frozen=True)
class Where:
    """Where to listen.

    Attributes:
        host: Address; loopback unless told otherwise.
        port: Port; 0 for any that is free.
        names: Host names it answers to besides those of loopback.
        tls: Files of certificate and key; None without TLS.
        tunnel: Something else encrypts what goes to that address.
    """

    host: str = "127.0.0.1"
    port: int = 0
    names: frozenset[str] = frozenset()
    tls: tuple[Path, Path] | None = None
    tunnel: bool = False

    def check(self) -> None:
        """Refuse to speak in clear with anybody but this machine.

        Raises:
            ControlError: It would.
        """
        if self.host not in LOOPBACK_NAMES and self.tls is None and not self.tunnel:
            raise ControlError(
                f"--listen {self.host}",
                "is not loopback, and tokens would pass in clear",
                remedy="leave it out and use an SSH tunnel, or give --tls-cert and --tls-key, or "
                "say --behind-tunnel where something else encrypts",
            )


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 for so many connections at once, none of which may dawdle."""

    _dawdles: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.close()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; what is not whole in time is not waited for."""
        if self._dawdles is None:
            self._watch()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._dawdles is not None:
            self._dawdles.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        self._dawdles = self.loop.call_later(HEAD_WITHIN_S, self._late)

    def _late(self) -> None:
        self._dawdles = None
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answering and not self.transport.is_closing() and self._between():
            self.transport.close()

    def _between(self) -> bool:
        """Whether it is not merely kept alive after an answer, which has its own bound."""
        return self.timeout_keep_alive_task is None


class Server(uvicorn.Server):
    """Uvicorn that leaves signals to whoever runs it.

    Args:
        app: The ASGI application.
        where: Where it listens.
        told: Told the url, once it answers.

    Attributes:
        url: Where it listens, once it is bound.
    """

    def __init__(self, app: Any, where: Where, told: Callable[[str], None]) -> None:
        where.check()
        self._where, self._app, self._told = where, app, told
        self._socket = _bound(where)
        scheme = "http" if where.tls is None else "https"
        host, port = self._socket.getsockname()[:2]
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        super().__init__(self._config())

    def _config(self) -> uvicorn.Config:
        cert, key = self._where.tls or (None, None)
        try:
            config = uvicorn.Config(
                self._app,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                timeout_keep_alive=_IDLE_S,
                timeout_graceful_shutdown=_END_WITHIN_S,
                ssl_certfile=cert,
                ssl_keyfile=key,
            )
            config.load()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self._socket.close()
            raise ControlError(
                "--tls-cert", f"cannot be used: {error}", remedy="give PEM files, certificate first"
            ) from error
        return config

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        self._told(self.url)

    async def until_told(self) -> None:
        """Serve until `leave` is called; then what is being answered still is, with a bound."""
        try:
            await self.serve(sockets=[self._socket])
        finally:
            self.close()

    def leave(self) -> None:
        """Take nothing more."""
        self.should_exit = True

    def close(self) -> None:
        """Let go of the port; idempotent."""
        self._socket.close()


def _bound(where: Where) -> socket.socket:
    """A socket at the address.

    Raises:
        ControlError: It cannot be had.
    """
    host = "127.0.0.1" if where.host == "localhost" else where.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, where.port))
    except OSError as error:
        listening.close()
        raise ControlError(
            f"{where.host}:{where.port}",
            f"cannot be listened on: {error.strerror or error}",
            remedy="choose another --port, or leave it out for any that is free",
        ) from error
    return listening
