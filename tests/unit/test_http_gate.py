"""Who may ask over HTTP, from where, how often: nothing changes unless all of it is right."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import sqlite3
import time
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.http.app import routes
from orchestrator.http.gate import PUBLIC, SECURITY_HEADERS
from orchestrator.http.head import FRESH_S, MAX_BODY_BYTES
from orchestrator.http.once import KEPT_S, Once, OtherRequest, StillDone
from orchestrator.http.refusals import Asked, Book, Refused
from orchestrator.http.tokens import Role
from orchestrator.records.audit import AuditLog, read_audit, verify
from orchestrator.schedule.job import Request
from tests.http_client import HOST, Asking
from tests.sample_run import record_run


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    asked = Asking(tmp_path_factory.mktemp("http") / "data")
    yield asked
    asked.close()


@pytest.fixture
def job(asking):
    """A job that waits; each test has one of its own."""
    key = hashlib.sha256(str(time.monotonic_ns()).encode()).hexdigest()
    added, _ = asking.store.add(Request("e.yaml", "b1", "b1.yaml", key, not_before_s=4e9))
    return added.id


def held(asking, job):
    return asking.store.get(job).held


REFUSED = {
    "no token": (401, None, {}),
    "no such token": (401, None, {"authorization": f"Bearer op_{'0' * 8}_{'a' * 43}"}),
    "no token at all": (401, None, {"authorization": "Bearer x"}),
    "another scheme": (401, None, {"authorization": "Basic YWJjOmRlZg=="}),
    "reads only": (403, Role.READ, {}),
    "another host": (403, Role.OPERATE, {"host": "evil.example"}),
    "a host that begins alike": (403, Role.OPERATE, {"host": "127.0.0.1.evil.example"}),
    "a host with a name in it": (403, Role.OPERATE, {"host": "127.0.0.1@evil.example"}),
    "no host": (403, Role.OPERATE, {"host": ""}),
    "another origin": (403, Role.OPERATE, {"origin": "http://evil.example"}),
    "another port": (403, Role.OPERATE, {"origin": "http://127.0.0.1:9"}),
    "no origin of ours": (403, Role.OPERATE, {"origin": "null"}),
    "another site": (403, Role.OPERATE, {"sec_fetch_site": "cross-site"}),
    "old": (403, Role.OPERATE, {"x_operando_time": f"{time.time() - 2 * FRESH_S - 3600:.0f}"}),
    "from the future": (403, Role.OPERATE, {"x_operando_time": f"{time.time() + 7200:.0f}"}),
    "never": (403, Role.OPERATE, {"x_operando_time": "nan"}),
    "no time": (403, Role.OPERATE, {"x_operando_time": "soon"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_line_of_the_audit_log_and_nothing_changed(asking, job, case):
    """Row 36: unauthorised, read-only, wrong host, late: refused, written down, no change."""
    status, role, headers = REFUSED[case]
    before = len(asking.audit("http-refused"))
    answer = asking.post(f"/api/jobs/{job}/hold", {}, role, **headers)
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"who", "what", "remedy"}
    assert not held(asking, job)
    lines = asking.audit("http-refused")
    assert len(lines) == before + 1
    assert lines[-1]["what"]["status"] == status
    assert lines[-1]["what"]["path"] == f"/api/jobs/{job}/hold"
    assert (lines[-1]["who"].split()[0] == "a-read") == (role is Role.READ)
    assert verify(asking.data / "audit.jsonl").ok


def test_what_is_right_is_done_once_and_written_down(asking, job):
    """Row 36: the same request again, by accident or replayed, changes nothing."""
    key = {"idempotency_key": "k" * 20}
    first = asking.post(f"/api/jobs/{job}/hold", {}, **key)
    assert (first.status_code, held(asking, job)) == (200, True)
    asking.store.hold(job, held=False, by="somebody else")
    again = asking.post(f"/api/jobs/{job}/hold", {}, **key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert not held(asking, job)
    (line,) = [one for one in asking.audit("job-hold") if one["what"]["job"] == job]
    assert line["who"] == "a-operate over http"
    assert [what for _, what, by in asking.store.history(job) if by == "a-operate over http"] == [
        "held"
    ]


def test_a_key_is_for_one_request_of_one_token(asking, job):
    key = {"idempotency_key": "same-key-for-two"}
    assert asking.post(f"/api/jobs/{job}/hold", {}, **key).status_code == 200
    other = asking.post(f"/api/jobs/{job}/release", {}, **key)
    assert (other.status_code, held(asking, job)) == (409, True)
    for wrong in ("short", "with space", "x" * 65, "../../etc"):
        answer = asking.post(f"/api/jobs/{job}/release", {}, idempotency_key=wrong)
        assert (answer.status_code, held(asking, job)) == (400, True), wrong


@pytest.mark.parametrize("host", [HOST, "localhost", "localhost:9", "[::1]:80", "LAB.example:443"])
def test_own_names_are_answered_behind_any_port_of_a_tunnel(asking, host):
    assert asking.get("/api", host=host, origin=f"http://{host}").status_code == 200


def test_a_link_to_the_page_may_be_followed_from_anywhere_and_nothing_else(asking):
    from_elsewhere = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert asking.get("/", None, **from_elsewhere).status_code == 200
    assert asking.get("/api/state", **from_elsewhere).status_code == 403
    assert asking.get("/", None, host="evil.example").status_code == 403


def test_no_page_of_another_origin_is_let_in(asking):
    """No CORS: neither an answer nor a preflight names an origin that may read."""
    answers = [
        asking.get("/api"),
        asking.get("/"),
        asking.ask("OPTIONS", "/api/jobs", None, access_control_request_method="POST"),
        asking.ask("OPTIONS", "/api/jobs", Role.OPERATE, origin="http://evil.example"),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert [one.status_code for one in answers[2:]] == [401, 403]


@pytest.mark.parametrize("path", [*sorted(PUBLIC), "/api", "/api/nothing", "/api/jobs/zzzz"])
def test_every_answer_has_the_security_headers(asking, path):
    answer = asking.get(path)
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


def test_bodies_have_a_cap(asking, job):
    long = asking.post(f"/api/jobs/{job}/hold", "x" * MAX_BODY_BYTES)
    said = asking.post(f"/api/jobs/{job}/hold", {}, content_length="99999999999999999999")
    assert (long.status_code, said.status_code, held(asking, job)) == (413, 413, False)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("hold", {"unknown": 1}),
        ("hold", [1]),
        ("ack", {"decision": "again", "md": {"a.b": 1}}),
        ("ack", {"decision": "perhaps"}),
        ("ack", {}),
    ],
)
def test_a_body_that_is_not_understood_changes_nothing(asking, job, path, body):
    answer = asking.post(f"/api/jobs/{job}/{path}", body)
    assert (answer.status_code, held(asking, job)) == (422, False)
    assert answer.json()["problems"]


def test_a_deep_body_is_refused(asking, job):
    deep = b"[" * 100_000 + b"]" * 100_000
    fresh = {"idempotency-key": "d" * 10, "x-operando-time": f"{time.time():.0f}"}
    fresh |= {"content-type": "application/json"}
    answer = asking.ask("POST", f"/api/jobs/{job}/hold", Role.OPERATE, content=deep, **fresh)
    assert answer.status_code in {400, 422}


def test_there_are_no_websockets(asking):
    sent = []

    async def send(event):
        sent.append(event)

    scope = {"type": "websocket", "path": "/api/changes", "headers": []}
    asyncio.run(asking.app(scope, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_headers_that_come_twice_are_refused(asking, job):
    """A proxy and this server must not read different ones."""
    token = f"Bearer {asking.tokens[Role.OPERATE]}"
    headers = [("authorization", token), ("x-operando-time", f"{time.time():.0f}")]
    headers += [("idempotency-key", "twice-twice")]
    for name, value in [*headers, ("host", "evil.example"), ("origin", "http://evil.example")]:
        host = [("host", HOST)]
        twice = [*host, *headers, ("origin", f"http://{HOST}"), (name, value)]
        request = asking.client.build_request("POST", f"/api/jobs/{job}/hold", headers=twice)
        answer = asking.loop.run_until_complete(asking.client.send(request))
        assert answer.status_code in {400, 401, 403}, name
    assert not held(asking, job)


def test_a_flood_of_refusals_does_not_fill_the_disk(tmp_path):
    now = [0.0]
    book = Book(AuditLog(tmp_path / "audit.jsonl"), now=lambda: now[0])
    for _ in range(1000):
        book.refused(Asked("nobody", "GET", "/" + "x" * 500), Refused(401, "no token", "send one"))
    assert len(read_audit(tmp_path / "audit.jsonl")) == 60
    now[0] = 61.0
    book.refused(Asked("nobody\n\x1b[2J", "GET", "/"), Refused(401, "no token", "send one"))
    last = read_audit(tmp_path / "audit.jsonl")[-1]
    assert last["what"]["more_before"] == 940
    assert last["who"] == "nobody ?[2J"


def test_without_an_audit_log_only_what_is_needed_most_is_done(tmp_path, monkeypatch):
    asked = Asking(tmp_path / "data")
    try:
        job, _ = asked.store.add(Request("e.yaml", "b1", "b1.yaml", "k", not_before_s=4e9))
        uid = record_run(asked.data, frames=0)
        (asked.data / "audit.jsonl").unlink(missing_ok=True)
        (asked.data / "audit.jsonl").mkdir()
        answer = asked.post(f"/api/jobs/{job.id}/hold", {}, idempotency_key="once-more-1")
        assert (answer.status_code, held(asked, job.id)) == (503, False)
        stopped = asked.post(f"/api/runs/{uid}/stop", {})
        assert (stopped.status_code, stopped.json()["what"]) == (409, "has ended: completed")
        (asked.data / "audit.jsonl").rmdir()
        answer = asked.post(f"/api/jobs/{job.id}/hold", {}, idempotency_key="once-more-1")
        assert (answer.status_code, held(asked, job.id)) == (200, True)  # the key is not used up
    finally:
        asked.close()


def test_what_was_begun_and_never_answered_is_done_again_by_the_next_server(tmp_path):
    path, now = tmp_path / "requests.sqlite", [1e9]
    one, two = (Once(path, owner, now=lambda: now[0]) for owner in "ab")
    assert one.begin("k", "digest") is None
    with pytest.raises(StillDone):
        one.begin("k", "digest")
    assert two.begin("k", "digest") is None
    two.end("k", 200, b"{}")
    assert one.begin("k", "digest").answer == b"{}"
    with pytest.raises(OtherRequest):
        one.begin("k", "another")
    now[0] += KEPT_S + 1
    assert one.begin("k", "another") is None
    assert KEPT_S > 10 * FRESH_S


def fingerprint(asking):
    """Everything of a data directory that a request could change, the audit log left out."""
    with closing(sqlite3.connect(asking.data / "jobs.sqlite")) as db:
        tables = ("SELECT * FROM jobs", "SELECT * FROM history")
        rows = [db.execute(one).fetchall() for one in tables]
    files = {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in asking.data.rglob("*")
        if path.is_file() and path.name.startswith(("audit", "jobs.sqlite")) is False
    }
    return rows, files


@pytest.fixture(scope="module")
def paths(asking):
    """Every path of the interface, with names in braces."""
    described = routes(asking.service).openapi()["paths"]
    assert len(described) > 25
    return sorted({*described, *PUBLIC, "/api/openapi.json", "/api/nothing"})


@pytest.fixture(scope="module")
def ran(asking):
    """The uid of a run with frames."""
    return record_run(asking.data)


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def test_no_route_that_is_only_read_changes_anything(asking, job, ran, paths):
    """Row 36: each with names of things that are there, with a token and without."""
    names = {"{job}": job, "{run}": ran, "{bench}": "sim-mri", "{stream}": "mri", "{frame}": "0"}
    answered = set()
    for template in paths:
        path = template
        for name, value in names.items():
            path = path.replace(name, value)
        path += "/" if path.endswith("changes") else ""  # the stream has no end
        for method, role in itertools.product(METHODS, (None, Role.READ)):
            before = fingerprint(asking)
            status = asking.ask(method, path, role).status_code
            assert fingerprint(asking) == before, f"{method} {path}"
            answered |= {template} if status == 200 else set()
    assert len(answered) > 20


WORDS = ("", "latest", "sim-mri", "again", "0", "-1", "..", "%2e%2e%2f", "a" * 200, "\u00e9")
BODIES = (b"", b"{}", b'{"decision": "done"}', b'{"text": "x"}', b'{"after": "now"}', b"\xff")


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_nothing_that_changes_anything_is_reachable_without_operate(asking, job, ran, paths, data):
    """Row 36: every route, every method, no token or a reading one: nothing changes."""
    template = data.draw(st.sampled_from(paths))
    words = st.sampled_from([*WORDS, job, ran, "mri", "echem"])
    path = template
    while "{" in path:
        begin, end = path.index("{"), path.index("}")
        path = path[:begin] + data.draw(words) + path[end + 1 :]
    method = data.draw(st.sampled_from(METHODS))
    role = data.draw(st.sampled_from([None, Role.READ]))
    fresh = {"idempotency-key": "k" * 9, "x-operando-time": f"{time.time():.0f}"}
    fresh |= {"content-type": "application/json"}
    if path.endswith("changes"):
        path += "/"  # the stream has no end
    before = fingerprint(asking)
    answer = asking.ask(method, path, role, content=data.draw(st.sampled_from(BODIES)), **fresh)
    assert fingerprint(asking) == before
    public = template in PUBLIC
    if role is None and not public:
        assert answer.status_code == 401
    elif method not in {"GET", "HEAD"}:
        assert answer.status_code == (405 if public else 403)


def test_every_route_that_changes_something_is_a_post_and_every_other_a_get(asking):
    described = asking.get("/api/openapi.json").json()["paths"]
    methods = {path: set(one) for path, one in described.items()}
    assert all(one in ({"get"}, {"post"}, {"get", "post"}) for one in methods.values())
    verbs = {"pause", "resume-now", "stop", "skip-step", "image-now", "note", "set"}
    assert {f"/api/runs/{{run}}/{verb}" for verb in verbs} <= {
        path for path, one in methods.items() if "post" in one
    }
