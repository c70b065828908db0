"""Writes docs/reference/http-api.md from the routes that `operando serve` has.

python docs/http_page.py
"""

import tempfile
from pathlib import Path

from orchestrator.http import bodies, head, listening, lookout, once, rows
from orchestrator.http.app import routes
from orchestrator.http.service import Service
from orchestrator.schedule.asking import queue

PAGE = Path(__file__).parent / "reference" / "http-api.md"

# ruff: noqa: E501 - lines of tables

HEAD = f"""# HTTP interface

<!-- Written by docs/http_page.py from the routes; a test compares. -->

What [`operando serve`](cli.md#serve) tells and does over HTTP, for a page, a script or another
machine behind a tunnel: [how to use it](../how-to/watch-from-elsewhere.md). It stands on one data
directory. `/` is a page that shows the state as it changes; it holds nothing itself and asks for a
token. `/healthz` says `{{"ok": true}}` to anybody.

## Asking

Every address below needs `Authorization: Bearer TOKEN`; [`operando token`](cli.md#token) makes
one. `GET` looks, and any token may. `POST` changes something and needs:

| what | why |
|---|---|
| a token with the role `operate` | one with `read` is refused with 403 |
| `X-Operando-Time`: Unix s, within {head.FRESH_S:g} s of this machine's clock | what somebody recorded is worth nothing later |
| `Idempotency-Key`: 8 to 64 letters, digits, `-`, `_`, new for each request | the same key again is answered as before (`Idempotency-Replayed: true`) and not done again, also by a server that was started anew; known for {once.KEPT_S / 3600:g} h |
| `Content-Type: application/json`, if there is a body | unknown keys are refused |

A request that changes something is a line of the [audit log](data-directory.md#the-audit-log)
with the token's name before it is done, and one with the answer. A request to a run is an event of
that run too, with the origin `NAME over http`. Refusals with 401 and 403 are lines of the audit log
as well (at most 60 a minute; what comes beyond is counted in the next). What cannot be written down
is not done, but for `stop`, `pause` and `off`.

| answer | when |
|---|---|
| 200 | done, or waiting for the run: see `standing` |
| 400, 422 | not understood; `problems` says where |
| 401 | no token, or one that is not known, revoked or over |
| 403 | role, host, origin or time: see `what` |
| 404 | there is no such thing |
| 409 | refused as things stand, or the key was used for something else |
| 413, 431 | too long: {head.MAX_BODY_BYTES} bytes of body, {head.MAX_HEAD_BYTES} of path and headers |
| 503 | cannot be written down, or too much at once |
| 504 | the run's process does not answer; ask again with the same key |

An error is `{{"who", "what", "remedy"}}`, as on the command line. Numbers that JSON lacks (NaN) are
`null`.

Host names other than `127.0.0.1`, `localhost`, `::1` and those of `--host-name` are refused, so are
requests that a page of another origin makes. There is no CORS, there are no WebSockets and no
cookies. At most {listening.MOST_CONNECTIONS} connections and {lookout.MOST_STREAMS} streams are open at once;
one that does not ask within {listening.HEAD_WITHIN_S:g} s is closed.

## Changes as they happen

`GET /api/changes` is a stream of [Server-Sent
Events](https://html.spec.whatwg.org/multipage/server-sent-events.html). The first is `state`:
everything. Each later one has an id; sent back as `Last-Event-ID`, the stream goes on after it, or
begins with `state` again where that is not known any more. While nobody listens nothing is looked
at; while somebody does, once in {lookout.PERIOD_S:g} s.

| event | data |
|---|---|
| `state` | everything: by kind, then by name; the same as `GET /api/state` |
| `bench`, `job`, `run`, `live`, `interlock`, `watchdog`, `disk`, `alert`, `told` | `name` and `value`: the whole thing as it is now |
| `gone` | `kind` and `name` of what is no more |
| `event` | an event of a run: `run, time, seq_num, kind, text, value, origin` |
| `rows` | `run, stream, rows`: so many records have come; fetch what you show |
| `audit` | a line of the audit log |

`event`, `rows` and `audit` are never merged. A bench is `unsafe`, `interlocked`, `running`, `paused`,
`busy` (a job between its runs), `waiting` (a job of it needs a person) or `idle`, the first that
holds. `live` has what [`operando status`](cli.md#status) shows, and `bench`. An alert has a `level`:
`unsafe`, `decide`, `warning` or `notice`; `told` is what [people were told](../how-to/get-told.md) and whether
it has reached them.

## Looking

`{{run}}` is the beginning of a uid, or `latest`; `{{job}}` the beginning of a job's.

"""

RECORDS = f"""
Of a stream that has more rows than `points`, of each stretch the rows with the least and the largest
value of every column are told, so that no spike is lost; the first and the last row always are.
`after` asks for rows with a larger `seq_num` only, so that a page adds what is new. At most
{rows.MOST_POINTS} points. A frame is grey from the 1st to the 99th percentile, of a volume the slice
in the middle; the numbers are in the frame's file. A simulated one says so in the PNG's text.

## Changing

"""

TAIL = f"""
A request to a run waits at most {bodies.WAIT_S:g} s for its answer (`done`, `accepted`, or `waiting` where
the run is paused or busy; then the event tells). Any token with `operate` may stop any run and
switch off any bench. `off` uses connections of its own, as `operando off` does, and asks the runs
of that bench to end at the same time; `ok` says whether everything is known to be off, `unsafe` what
is not. A bench that is UNSAFE is acknowledged at the machine only: `operando off BENCH --acknowledge`.

## In Python

```python
import time
import uuid

import httpx


def ask(url, token, path, body=None):
    headers = {{"Authorization": f"Bearer {{token}}"}}
    if body is None:
        return httpx.get(f"{{url}}{{path}}", headers=headers, timeout=30)
    headers |= {{"Idempotency-Key": uuid.uuid4().hex, "X-Operando-Time": str(time.time())}}
    return httpx.post(f"{{url}}{{path}}", headers=headers, json=body, timeout=30)
```

The machine-readable description is `/api/openapi.json`.
"""


def page() -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as folder:
        described = routes(Service(Path(folder), queue(Path(folder)))).openapi()
    looks = _table(described, "get", "query")
    changes = _table(described, "post", "body")
    return HEAD + looks + RECORDS + changes + TAIL


def _table(described: dict, method: str, last: str) -> str:
    lines = [f"| {method.upper()} | what | {last} |", "|---|---|---|"]
    for path, methods in described["paths"].items():
        if method in methods:
            one = methods[method]
            taken = _body(described, one) if method == "post" else _query(one)
            lines.append(f"| `{path}` | {one['summary']} | {taken} |")
    return "\n".join(lines) + "\n"


def _query(one: dict) -> str:
    found = [p for p in one.get("parameters", []) if p["in"] == "query"]
    names = [f"`{p['name']}`{_default(p['schema'])}" for p in found]
    return ", ".join(names)


def _body(described: dict, one: dict) -> str:
    schema = one["requestBody"]["content"]["application/json"]["schema"]
    schema = schema.get("$ref") or schema["allOf"][0]["$ref"]
    body = described["components"]["schemas"][schema.rsplit("/", 1)[1]]
    needed = body.get("required", [])
    names = [
        f"`{name}`{'' if name in needed else _default(value)}"
        for name, value in body.get("properties", {}).items()
    ]
    return ", ".join(names)


def _default(schema: dict) -> str:
    default = schema.get("default")
    return f" ({default})" if default not in (None, "", []) else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
