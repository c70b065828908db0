"""What a request says of itself, and what is checked of it before anything is done."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from devices.clock import wall_time
from orchestrator.http.refusals import Asked, Refused

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

FRESH_S = 60.0
"""A request that changes something may be so old, or so far ahead, s."""

MAX_BODY_BYTES = 600_000
"""Largest body: an experiment file of the longest kind, as JSON."""

MAX_HEAD_BYTES = 16_384
"""Longest path and headers together."""

BODY_WITHIN_S = 10.0
TIME_HEADER, KEY_HEADER = "x-operando-time", "idempotency-key"
_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True)
class Head:
    """What a request says of itself.

    Attributes:
        method: HTTP method.
        path: Its path.
        headers: The first of each name, lower case.
        repeated: Names that came more than once.
        client: Address it came from.
        scheme: ``http`` or ``https``.
        size_bytes: Of path, query and headers.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    repeated: frozenset[str]
    client: str
    scheme: str = "http"
    size_bytes: int = 0

    @classmethod
    def of(cls, scope: Scope) -> Head:
        """From an ASGI scope."""
        headers: dict[str, str] = {}
        repeated: set[str] = set()
        for raw_name, raw in scope["headers"]:
            name = raw_name.decode("latin-1").lower()
            if name in headers:
                repeated.add(name)
            headers.setdefault(name, raw.decode("latin-1"))
        client = scope.get("client") or ("",)
        return cls(
            scope["method"],
            scope["path"],
            headers,
            frozenset(repeated),
            str(client[0]),
            scope.get("scheme", "http"),
            sum(len(name) + len(raw) + 4 for name, raw in scope["headers"])
            + len(scope["path"])
            + len(scope["query_string"]),
        )

    def asked(self, who: str) -> Asked:
        """For the audit log."""
        return Asked(who, self.method, self.path, self.headers.get(KEY_HEADER, ""))


def check_host(head: Head, names: Collection[str]) -> None:
    """Refuse what is too long, and names that are not ours.

    Args:
        head: What the request says of itself.
        names: Host names that are ours.

    Raises:
        Refused: A page that makes its own name point here asks, for example.
    """
    if head.size_bytes > MAX_HEAD_BYTES:
        raise Refused(431, f"path and headers are longer than {MAX_HEAD_BYTES} bytes", "send less")
    host = head.headers.get("host", "")
    if "host" in head.repeated or _host_name(host) not in names:
        raise Refused(
            403,
            f"the host {host[:60]!r} is not one of this server",
            "ask by 127.0.0.1 or localhost, or start it with --host-name",
        )


def check_origin(head: Head) -> None:
    """Refuse pages that are not ours.

    Raises:
        Refused: A page of another origin asks.
    """
    host, origin = head.headers.get("host", ""), head.headers.get("origin")
    if origin is not None and (
        "origin" in head.repeated or not _same_origin(origin, host, head.scheme)
    ):
        raise Refused(403, f"the origin {origin[:60]!r} is another", "use the page at /")
    if head.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Refused(403, "another page asks", "use the page at /")


def _same_origin(origin: str, host: str, scheme: str) -> bool:
    """Whether a page of this server asks; behind a tunnel with TLS the page's scheme is https."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.netloc.lower() == host.lower() and parts.scheme in {scheme, "https"}


def _host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises where it is none
    except ValueError:
        return ""
    plain = parts.path == "" and parts.query == "" and parts.username is None
    return (parts.hostname or "") if plain else ""


def checked_key(head: Head) -> str:
    """The idempotency key.

    Raises:
        Refused: There is none, or not such a one.
    """
    key = head.headers.get(KEY_HEADER, "")
    if KEY_HEADER in head.repeated or _KEY.fullmatch(key) is None:
        raise Refused(
            400,
            f"no {KEY_HEADER}, expected 8 to 64 letters, digits, '-' and '_'",
            "send a new random one with each request, and the same one when you send it again",
        )
    return key


def check_fresh(head: Head) -> None:
    """Refuse a request that was made long ago: somebody may have recorded it.

    Raises:
        Refused: It was, or does not say when.
    """
    try:
        made_s = float(head.headers.get(TIME_HEADER, "nan"))
    except ValueError:
        made_s = math.nan
    late_s = wall_time() - made_s
    if not abs(late_s) <= FRESH_S or TIME_HEADER in head.repeated:
        raise Refused(
            403,
            f"{TIME_HEADER} is not within {FRESH_S:g} s of this machine's clock (Unix s)",
            "set the clock, and send the time of the request",
        )


async def whole_body(head: Head, receive: Receive) -> bytes:
    """A body within its cap and time.

    Raises:
        Refused: It is too long, too slow, or never came.
    """
    length = head.headers.get("content-length", "0")
    if re.fullmatch(r"[0-9]{1,9}", length) is None or int(length) > MAX_BODY_BYTES:
        raise Refused(413, f"the body is longer than {MAX_BODY_BYTES} bytes", "send less")
    body, more = b"", True
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while more:
                event = await receive()
                if event["type"] == "http.disconnect":
                    raise Refused(400, "the body never came", "send it again")
                body, more = body + event.get("body", b""), event.get("more_body", False)
                if len(body) > MAX_BODY_BYTES:
                    raise Refused(
                        413, f"the body is longer than {MAX_BODY_BYTES} bytes", "send less"
                    )
    except TimeoutError:
        raise Refused(408, f"no body within {BODY_WITHIN_S:g} s", "send it again") from None
    return body
