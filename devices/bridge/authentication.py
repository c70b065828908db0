"""Challenge and response with a shared token: neither side ever sends it.

The client proves that it knows the token by HMAC-SHA256 (RFC 2104) over both sides' nonces, and
the agent then proves the same to the client. A nonce of 32 random bytes belongs to one connection
and is used once, so that a recorded exchange is worth nothing. What follows on the connection is
neither encrypted nor signed: off one's own machine it goes through TLS or a tunnel.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from devices.errors import DeviceError

TOKEN_VARIABLE = "OPERANDO_BRIDGE_TOKEN"  # noqa: S105 - the name of a variable, not a token

_LABEL = "operando-bridge-1"
_NONCE_BYTES = 32
MIN_TOKEN_CHARACTERS = 16


def read_token(path: Path | None, environment: Mapping[str, str]) -> str | None:
    """The shared token from a file that only its owner reads, or from the environment.

    Raises:
        DeviceError: The file is missing or readable by others.
    """
    if path is None:
        return environment.get(TOKEN_VARIABLE) or None
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise DeviceError(
            "bridge token", f"file {path}: {error.strerror}", remedy="check the path"
        ) from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise DeviceError(
            "bridge token", f"file {path}: others may use it", remedy="chmod 600 the file"
        )
    return text


def token_for(who: str, environment: Mapping[str, str]) -> str | None:
    """The token that a client shares with the agent of one device.

    Of ``mri.console`` it is in ``OPERANDO_BRIDGE_TOKEN_MRI_CONSOLE`` or in the file that
    ``OPERANDO_BRIDGE_TOKEN_MRI_CONSOLE_FILE`` names; where neither is there, in
    ``OPERANDO_BRIDGE_TOKEN`` or the file of ``OPERANDO_BRIDGE_TOKEN_FILE``.

    Raises:
        DeviceError: The file is missing or readable by others.
    """
    own = "".join(c if c.isascii() and c.isalnum() else "_" for c in who.upper())
    for name in (f"{TOKEN_VARIABLE}_{own}", TOKEN_VARIABLE):
        file = environment.get(f"{name}_FILE")
        if file:
            return read_token(Path(file), {})
        if environment.get(name):
            return environment[name]
    return None


def new_nonce() -> str:
    """32 random bytes in hexadecimal."""
    return secrets.token_hex(_NONCE_BYTES)


def client_mac(token: str, nonce: str, client_nonce: str) -> str:
    """What the client answers to a challenge, hexadecimal."""
    return _mac(token, "client", nonce, client_nonce)


def agent_mac(token: str, nonce: str, client_nonce: str) -> str:
    """What the agent answers in turn, hexadecimal."""
    return _mac(token, "agent", nonce, client_nonce)


def _mac(token: str, side: str, nonce: str, client_nonce: str) -> str:
    message = f"{_LABEL} {side} {nonce} {client_nonce}".encode("ascii", "backslashreplace")
    return hmac.new(token.encode(), message, hashlib.sha256).hexdigest()


class Authentication:
    """The agent's side, for one connection.

    Args:
        token: The shared token.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._nonce: str | None = None
        self.passed = False
        self.failures = 0

    def challenge(self) -> str:
        """A fresh nonce; the one before is void."""
        self._nonce = new_nonce()
        return self._nonce

    def respond(self, client_nonce: object, mac: object) -> str | None:
        """The agent's own proof, or None where the client's is wrong. Uses up the nonce."""
        nonce, self._nonce = self._nonce, None
        texts = isinstance(client_nonce, str) and isinstance(mac, str)
        if nonce is None or not texts or len(str(client_nonce)) != 2 * _NONCE_BYTES:
            self.failures += 1
            return None
        expected = client_mac(self._token, nonce, str(client_nonce))
        if not hmac.compare_digest(expected.encode(), str(mac).encode("utf-8", "replace")):
            self.failures += 1
            return None
        self.passed = True
        return agent_mac(self._token, nonce, str(client_nonce))
