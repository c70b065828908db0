"""Asks the HTTP interface of a data directory in process, without a socket."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

from orchestrator.http.app import make_app
from orchestrator.http.service import Service
from orchestrator.http.tokens import Role, TokenFile
from orchestrator.records.audit import read_audit
from orchestrator.schedule.jobs import JobStore

HOST = "127.0.0.1:8123"


class Asking:
    """A served data directory, a token of each role, and somebody who asks.

    Args:
        data: The data directory.
        experiments: Folders whose experiment files may be queued.
    """

    def __init__(self, data: Path, *experiments: Path) -> None:
        self.data = data
        data.mkdir(exist_ok=True)
        self.store = JobStore(data / "jobs.sqlite")
        self.service = Service(data, self.store, experiments)
        self.app = make_app(self.service, names=frozenset({"lab.example"}))
        tokens = TokenFile(data / "http" / "tokens.json")
        self.tokens = {role: tokens.make(f"a-{role}", role) for role in Role}
        self.loop = asyncio.new_event_loop()
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=f"http://{HOST}"
        )
        self._numbers = itertools.count()

    def close(self) -> None:
        self.loop.run_until_complete(self.client.aclose())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def get(self, path: str, role: Role | None = Role.READ, **headers: str) -> httpx.Response:
        return self.ask("GET", path, role, **headers)

    def ask(
        self, method: str, path: str, role: Role | None, *, content: bytes = b"", **headers: str
    ) -> httpx.Response:
        """Ask; an underscore in a header's name is a dash."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if role is not None:
            sent.setdefault("authorization", f"Bearer {self.tokens[role]}")
        request = self.client.request(method, path, content=content, headers=sent)
        return self.loop.run_until_complete(request)

    def post(
        self, path: str, body: Any = None, role: Role | None = Role.OPERATE, **headers: str
    ) -> httpx.Response:
        """Ask for a change, with a fresh time and a key of its own unless told otherwise."""
        fresh = {"idempotency_key": uuid.uuid4().hex, "x_operando_time": f"{time.time():.3f}"}
        if body is not None:
            headers.setdefault("content_type", "application/json")
        content = b"" if body is None else httpx.Request("POST", "http://x", json=body).content
        return self.ask("POST", path, role, content=content, **(fresh | headers))

    def audit(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in read_audit(self.data / "audit.jsonl") if line["kind"] == kind]
