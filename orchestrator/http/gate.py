"""What every request passes before any route sees it, in this order.

1. Host and Origin: a page from elsewhere that makes its own name point here (DNS rebinding), or
   asks from another origin, is refused. There are no WebSockets and no CORS.
2. A token (the page itself, which says nothing, needs none).
3. Anything but GET and HEAD: the role ``operate``, a time that is fresh, an idempotency key, a
   body within its cap; a line of the audit log before it is done and one after.

A refusal with 401 or 403 is a line of the audit log. The same key again is answered as before.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping

import orjson
from starlette.concurrency import run_in_threadpool

from orchestrator.errors import ControlError
from orchestrator.http.head import (
    LOOPBACK_NAMES,
    Event,
    Head,
    Receive,
    Scope,
    check_fresh,
    check_host,
    check_origin,
    checked_key,
    whole_body,
)
from orchestrator.http.once import Given, Once, OtherRequest, StillDone
from orchestrator.http.refusals import Book, Refused
from orchestrator.http.tokens import Caller, Role, TokenFile

log = logging.getLogger(__name__)

Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PUBLIC = frozenset({"/", "/healthz", "/page.js", "/page.css", "/favicon.ico"})

_SAFE = frozenset({"GET", "HEAD"})
_NEEDED = re.compile(r"/api/(runs/[^/]+/(stop|pause)|benches/[^/]+/off)")
"""What is carried out even where nothing can be written down."""

SECURITY_HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Gate:
    """The ASGI application around all others.

    Args:
        app: What is behind it.
        tokens: Who may ask.
        once: What was asked for before.
        book: Writes into the audit log.
        names: Host names it answers to besides those of loopback.
    """

    def __init__(
        self, app: App, tokens: TokenFile, once: Once, *, book: Book, names: frozenset[str]
    ) -> None:
        self._app, self._tokens, self._once, self._book = app, tokens, once, book
        self._names = LOOPBACK_NAMES | {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no WebSockets
            await send({"type": "websocket.close", "code": 1008})
            return
        head, guarded = Head.of(scope), _with_headers(send)
        try:
            caller = await self._admitted(head)
        except Refused as refusal:
            await self._refuse(head, refusal, guarded)
            return
        scope.setdefault("state", {}).update(caller=caller, still=lambda: self._still(head))
        if caller is None or head.method in _SAFE:
            await self._app(scope, receive, guarded)
            return
        try:
            await self._change(head, caller, scope, receive, guarded)
        except Refused as refusal:
            await self._refuse(head, refusal, guarded, caller)

    # --- who may ask ----------------------------------------------------------------------------

    async def _admitted(self, head: Head) -> Caller | None:
        """Who asks; None for the page, which needs nobody.

        Raises:
            Refused: Not from there, or nobody that is known.
        """
        check_host(head, self._names)
        if head.path in PUBLIC:  # a link to the page may be followed from anywhere
            if head.method not in _SAFE:
                raise Refused(405, f"{head.path[:40]} is only read", "use GET")
            return None
        check_origin(head)
        kind, _, token = head.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token or "authorization" in head.repeated:
            raise Refused(401, "no token", "send `Authorization: Bearer TOKEN`")
        try:
            caller = await run_in_threadpool(self._tokens.caller, token.strip())
        except ControlError as error:
            raise Refused(503, error.what, error.remedy) from None
        if caller is None:
            raise Refused(
                401, "the token is not known, revoked or over", "`operando token new` makes one"
            )
        return caller

    def _still(self, head: Head) -> bool:
        """Whether who asked is still known: an answer that lasts ends when the token does."""
        token = head.headers.get("authorization", "").partition(" ")[2]
        try:
            return self._tokens.caller(token.strip()) is not None
        except ControlError:
            return False

    # --- requests that change something ---------------------------------------------------------

    async def _change(
        self, head: Head, caller: Caller, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Carry a request out once.

        Raises:
            Refused: It is not carried out.
        """
        if caller.role is not Role.OPERATE:
            raise Refused(403, f"the token {caller.name} may only read", "use one with operate")
        key = checked_key(head)
        check_fresh(head)
        body = await whole_body(head, receive)
        digest = hashlib.sha256(
            b"\0".join((head.method.encode(), scope["path"].encode(), scope["query_string"], body))
        ).hexdigest()
        name = f"{caller.id}/{key}"
        needed = _NEEDED.fullmatch(head.path) is not None
        given = await self._begun(name, digest, needed=needed)
        if given is not None:
            await _answer(send, given.status, given.answer, {"idempotency-replayed": "true"})
            return
        asked = head.asked(f"{caller.name} over http from {head.client}")
        scope["state"]["request_id"] = hashlib.sha256(name.encode()).hexdigest()[:32]
        if not await run_in_threadpool(self._book.write, "http", asked) and not needed:
            await self._forgotten(name)
            raise Refused(503, "the audit log cannot be written", "check the disk")
        status, answer = await self._carried_out(scope, body)
        await run_in_threadpool(self._book.write, "http-answer", asked, status=status)
        await self._kept(name, status, answer)
        await _answer(send, status, answer)

    async def _carried_out(self, scope: Scope, body: bytes) -> tuple[int, bytes]:
        """Let the route answer; goes on to its end also where nobody waits any more."""
        status, pieces = 500, [b""]

        async def given() -> Event:
            return {"type": "http.request", "body": body, "more_body": False}

        async def took(event: Event) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
            else:
                pieces.append(event.get("body", b""))

        try:
            await self._app(scope, given, took)
        except Exception:
            log.exception("%s failed", scope["path"])
            if status == 500:
                pieces = [orjson.dumps({"who": "http", "what": "failed", "remedy": "see its log"})]
        return status, b"".join(pieces)

    async def _begun(self, name: str, digest: str, *, needed: bool) -> Given | None:
        try:
            return await run_in_threadpool(self._once.begin, name, digest)
        except OtherRequest:
            raise Refused(
                409, "the key was used for something else", "use a new one for each request"
            ) from None
        except StillDone:
            raise Refused(409, "the same request is being carried out", "ask again") from None
        except sqlite3.Error as error:
            if needed:
                return None
            raise Refused(503, f"requests cannot be kept: {error}", "check the disk") from None

    async def _kept(self, name: str, status: int, answer: bytes) -> None:
        try:
            if status >= 500:
                await run_in_threadpool(self._once.forget, name)
            else:
                await run_in_threadpool(self._once.end, name, status, answer)
        except sqlite3.Error:
            return  # the answer is given all the same

    async def _forgotten(self, name: str) -> None:
        await self._kept(name, 503, b"")

    async def _refuse(
        self, head: Head, refusal: Refused, send: Send, caller: Caller | None = None
    ) -> None:
        name = "nobody known" if caller is None else caller.name
        if refusal.status in {401, 403}:
            asked = head.asked(f"{name} over http from {head.client}")
            await run_in_threadpool(self._book.refused, asked, refusal)
        more = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
        # what of the body was not read is not read any more
        await _answer(
            send, refusal.status, orjson.dumps(refusal.body()), {**more, "connection": "close"}
        )


async def _answer(
    send: Send, status: int, body: bytes, more: Mapping[str, str] | None = None
) -> None:
    headers = {"content-type": "application/json", "content-length": str(len(body)), **(more or {})}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    """The same, with the headers that every answer has."""

    async def guarded(event: Event) -> None:
        if event["type"] == "http.response.start":
            own = {name.lower() for name, _ in event.get("headers", [])}
            added = [
                (name.encode(), value.encode())
                for name, value in SECURITY_HEADERS.items()
                if name.encode() not in own
            ]
            event["headers"] = [*event.get("headers", []), *added]
        await send(event)

    return guarded
