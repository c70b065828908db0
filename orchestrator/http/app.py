"""The ASGI application: routes behind the gate."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import Response

from orchestrator.http.answers import Json, explain_errors
from orchestrator.http.changing import changing
from orchestrator.http.gate import Gate
from orchestrator.http.looking import described, looking
from orchestrator.http.once import Once
from orchestrator.http.places import HttpFiles
from orchestrator.http.refusals import Book
from orchestrator.http.service import Service
from orchestrator.http.tokens import TokenFile
from orchestrator.records.audit import AuditLog

_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}


def make_app(service: Service, *, names: frozenset[str] = frozenset()) -> Gate:
    """The application that serves a data directory.

    Args:
        service: The data directory.
        names: Host names it answers to besides those of loopback.
    """
    place = HttpFiles(service.directory.root)
    place.make()
    return Gate(
        routes(service),
        TokenFile(place.tokens),
        Once(place.requests, secrets.token_hex(8)),
        book=Book(AuditLog(service.directory.audit)),
        names=names,
    )


def routes(service: Service) -> FastAPI:
    """The routes, without the gate: nobody is to reach them past it."""
    app = FastAPI(
        **described(), docs_url=None, redoc_url=None, openapi_url="/api/openapi.json",
        redirect_slashes=False,
        default_response_class=Json,
    )  # fmt: skip
    explain_errors(app)
    app.include_router(looking(service))
    app.include_router(changing(service))

    @app.get("/healthz", summary="Whether it answers", include_in_schema=False)
    async def healthy() -> Json:
        return Json({"ok": True})

    @app.get("/favicon.ico", include_in_schema=False)
    async def no_icon() -> Response:
        return Response(status_code=204)

    for path, (name, kind) in _PAGE.items():
        app.add_api_route(path, _file(name, kind), include_in_schema=False)
    return app


def _file(name: str, kind: str) -> Callable[[], Awaitable[Response]]:
    content = (files("orchestrator.http") / "page" / name).read_bytes()

    async def page() -> Response:
        return Response(content, media_type=kind)

    return page
