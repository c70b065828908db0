"""Tells systemd how a service is (`sd_notify(3)`); does nothing where nobody listens.

The protocol is one datagram of ``KEY=value`` lines to the Unix socket that $NOTIFY_SOCKET names, a
leading ``@`` being an abstract address; $WATCHDOG_USEC says how long the manager waits for
``WATCHDOG=1`` before it ends the service.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, MutableMapping

from devices.clock import monotonic

_BEATS_PER_TIMEOUT = 4.0


class Notifier:
    """One service's line to its manager.

    The variables are taken out of the environment: they are for this process, not for those that
    it starts.

    Args:
        environ: The environment.
        now: Monotonic s.

    Attributes:
        listening: Whether there is a manager.
        watchdog_s: How long it waits for a beat, s; 0 where it does not wait for any.
    """

    def __init__(
        self,
        environ: MutableMapping[str, str] = os.environ,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._now = now
        self._address = environ.pop("NOTIFY_SOCKET", "")
        self.listening = self._address[:1] in ("/", "@") and len(self._address) > 1
        self.watchdog_s = _watchdog_s(environ)
        self._beaten_s = -1e9
        self._status = ""

    def ready(self) -> None:
        """The service does its work from now on."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The service ends."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """What it does, in a line for ``systemctl status``."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + " ".join(text.split()))

    def beat(self) -> None:
        """Say that the service's own loop goes round; call it in each round and nowhere else."""
        now_s = self._now()
        if self.watchdog_s > 0.0 and now_s - self._beaten_s >= self.watchdog_s / _BEATS_PER_TIMEOUT:
            self._beaten_s = now_s
            self._send("WATCHDOG=1")

    def _send(self, line: str) -> None:
        if not self.listening:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with (
            contextlib.suppress(OSError),  # a manager that is away or slow must not stop the work
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to,
        ):
            to.settimeout(0.0)
            to.sendto(line.encode(), address)


def _watchdog_s(environ: MutableMapping[str, str]) -> float:
    """The manager's patience, s; meant for this process only where $WATCHDOG_PID says so."""
    said, meant = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if not said.isdecimal() or (meant and meant != str(os.getpid())):
        return 0.0
    return int(said) / 1e6
