"""What is asked for over HTTP: of a run, of the queue, of a bench; by whom, and once."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from orchestrator.http.tokens import Role, TokenFile
from orchestrator.interlocks import Latches
from orchestrator.records.journal import Journal
from orchestrator.remote import Answer, ControlServer
from orchestrator.schedule.job import State
from plans.trip import Trip
from tests.command import EXAMPLES
from tests.http_client import Asking
from tests.sample_run import EPOCH_S, record_run
from tests.unattended.test_watchdog import laboratory_of

UID = "0f0e0d0c-1111-2222-3333-444455556666"


@pytest.fixture
def asking(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))
    asked = Asking(tmp_path / "data", EXAMPLES)
    yield asked
    asked.close()


@pytest.fixture
def run(asking):
    """A run on sim-mri that somebody controls, and what it was asked."""
    asked = []

    def respond(message, peer):
        asked.append(message)
        standing = "refused" if message.verb == "skip_step" else "done"
        return Answer(standing, f"did {message.verb}", UID, 42)

    with closing(Journal.create(asking.data / "journals", UID, ballast_bytes=0)) as journal:
        start = {"uid": UID, "time": EPOCH_S, "plan_name": "p", "sample": "s", "bench": "sim-mri"}
        journal.append("start", start)
        server = ControlServer(asking.data / "control", respond)
        server.run_begins(UID)
        yield asked
        server.close()


VERBS = [
    ("pause", {}, "pause", {}),
    ("resume-now", {}, "resume", {}),
    ("stop", {}, "stop", {"after": "now"}),
    ("stop", {"after": "cycle"}, "stop", {"after": "cycle"}),
    ("image-now", {"device": "mri"}, "image_now", {"device": "mri"}),
    ("note", {"text": "the door\nwas open"}, "note", {"text": "the door was open"}),
    ("set", {"path": "record.time_s", "value": 5}, "set", {"path": "record.time_s", "value": 5}),
]


@pytest.mark.parametrize(("verb", "body", "asked", "arguments"), VERBS)
def test_a_verb_reaches_the_run_with_the_name_of_who_asks(
    asking, run, verb, body, asked, arguments
):
    answer = asking.post(f"/api/runs/{UID[:8]}/{verb}", body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["standing"], answer.json()["verb"]) == ("done", verb)
    (message,) = run
    assert (message.verb, message.arguments) == (asked, arguments)
    assert message.on_behalf == "a-operate over http"
    assert answer.json()["id"] == message.id


def test_the_same_key_is_the_same_request_of_the_run_too(asking, run):
    """Row 36: also where the server has forgotten that it asked, the run knows it by its id."""
    for _ in range(2):
        asking.post(f"/api/runs/{UID}/pause", idempotency_key="pause-it-once")
        (asking.data / "http" / "requests.sqlite").unlink()
    asking.post(f"/api/runs/{UID}/pause", idempotency_key="pause-it-twice")
    first, second, third = (message.id for message in run)
    assert first == second != third


def test_any_operator_may_stop_what_another_has_begun(asking, run):
    """Row 36: stop and off are for everybody who may operate, and for nobody else."""
    for name in ("bob", "carol"):
        tokens = TokenFile(asking.data / "http" / "tokens.json")
        asking.tokens[Role.OPERATE] = tokens.make(name, Role.OPERATE)
        assert asking.post(f"/api/runs/{UID}/stop").status_code == 200
        assert asking.post(f"/api/runs/{UID}/stop", role=Role.READ).status_code == 403
    assert [message.on_behalf for message in run] == ["bob over http", "carol over http"]


def test_what_the_run_refuses_is_refused(asking, run):
    answer = asking.post(f"/api/runs/{UID}/skip-step")
    assert (answer.status_code, answer.json()["what"]) == (409, "skip-step: did skip_step")


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("note", {"text": ""}),
        ("note", {"text": "x" * 2001}),
        ("note", {"text": 5}),
        ("set", {"path": "record.time_s"}),
        ("stop", {"after": "never"}),
        ("stop", {"after": "now", "really": True}),
        ("pause", {"x": 1}),
    ],
)
def test_what_is_no_request_never_reaches_the_run(asking, run, verb, body):
    assert asking.post(f"/api/runs/{UID}/{verb}", body).status_code == 422
    assert not run


def test_a_run_that_has_ended_says_so(asking):
    uid = record_run(asking.data, frames=0)
    answer = asking.post(f"/api/runs/{uid}/pause")
    assert (answer.status_code, answer.json()["what"]) == (409, "has ended: completed")


def test_off_ends_the_runs_of_a_bench_and_is_written_down(asking, run):
    said = asking.post("/api/benches/sim-mri/off").json()
    assert (said["ok"], said["unsafe"], said["simulated_in_process"]) == (True, {}, True)
    assert said["runs"] == [{"run": UID, "ended": True, "text": "did stop"}]
    (message,) = run
    assert (message.verb, message.arguments) == ("stop", {"after": "now"})
    assert message.on_behalf == "a-operate over http, bench off"
    (line,) = asking.audit("off")
    assert (line["who"], line["what"]["bench"]) == ("a-operate over http", "sim-mri")
    asking.post("/api/benches/sim-sem/off")
    assert len(run) == 1  # a run on another bench goes on


def test_off_of_hardware_with_the_engine_hanging(asking, tmp_path, monkeypatch):
    """Row 36: with connections of its own, whatever the run's process does."""
    monkeypatch.setenv("OPERANDO_BENCHES", str(tmp_path))
    release = threading.Event()

    def hang(message, peer):
        release.wait(20)
        return Answer("done", "too late", UID, 42)

    for laboratory in laboratory_of(tmp_path):
        laboratory.profile()
        laboratory.smu.answer(b":OUTP ON")
        with closing(Journal.create(asking.data / "journals", UID, ballast_bytes=0)) as journal:
            start = {"uid": UID, "time": EPOCH_S, "plan_name": "p", "bench": "watched"}
            journal.append("start", start)
            server = ControlServer(asking.data / "control", hang)
            server.run_begins(UID)
            with monkeypatch.context() as patch:
                patch.setattr("orchestrator.http.acting._OFF_WAITS_S", 0.2)
                patch.setattr("orchestrator.remote.client._LONGER_S", 0.2)
                said = asking.post("/api/benches/watched/off").json()
            release.set()
            server.close()
        assert not laboratory.on
        assert (said["ok"], said["off"], said["unsafe"]) == (True, ["pstat"], {})
        assert said["simulated_in_process"] is False
        assert (said["runs"][0]["ended"], said["took_s"] < 2.0) == (False, True)


def test_off_of_a_bench_that_is_not_there(asking):
    for name, status in (("none", 422), ("..", 404), ("%2e%2e%2fx", 404), ("a b", 422)):
        assert asking.post(f"/api/benches/{name}/off").status_code == status, name


def test_a_latched_interlock_is_acknowledged_by_name(asking):
    latches = Latches("b3")
    latches.mark(Trip("pressure", "0.1 MPa, expected 1 MPa or more", 0.1))
    path = "/api/benches/b3/acknowledge"
    assert asking.post(path, {"interlock": "voltage"}).status_code == 409
    assert asking.post(path, {"interlock": "pressure"}, role=Role.READ).status_code == 403
    assert list(latches.read()) == ["pressure"]
    assert asking.post(path, {"interlock": "pressure"}).json()["latched"] == []
    assert not latches.read()
    (line,) = asking.audit("acknowledge")
    assert (line["who"], line["what"]["interlock"]) == ("a-operate over http", "pressure")


def test_a_file_is_queued_once_for_a_key(asking):
    file = {"experiment": str(EXAMPLES / "quick_look.yaml"), "at": "2099-01-01T00:00+01:00"}
    first = asking.post("/api/jobs", file, idempotency_key="queue-it-once")
    assert (first.status_code, first.json()["new"]) == (200, True), first.text
    job = first.json()
    assert (job["state"], job["request"]["by"]) == ("waiting", "a-operate over http")
    (asking.data / "http" / "requests.sqlite").unlink()  # another server
    again = asking.post("/api/jobs", file, idempotency_key="queue-it-once")
    assert (again.json()["new"], again.json()["id"]) == (False, job["id"])
    changes = (("hold", None), ("release", None), ("remove", None))
    states = [asking.post(f"/api/jobs/{job['id']}/{verb}").json() for verb, _ in changes]
    assert [one["held"] for one in states] == [True, False, False]
    assert asking.store.get(job["id"]).state is State.REMOVED
    assert asking.post(f"/api/jobs/{job['id']}/hold").status_code == 409
    kinds = [asking.audit(f"job-{kind}") for kind in ("added", "hold", "release", "remove")]
    assert [len(lines) for lines in kinds] == [1, 1, 1, 1]


def test_text_is_queued_and_kept_only_if_it_can_run(asking):
    text = (EXAMPLES / "quick_look.yaml").read_text()
    job = asking.post("/api/jobs", {"text": text}).json()
    kept = list((asking.data / "http" / "experiments").iterdir())
    assert [str(path.resolve()) for path in kept] == [job["request"]["experiment"]]
    assert kept[0].read_text() == text
    wrong = asking.post("/api/jobs", {"text": text.replace("bench:", "bensch:")})
    assert wrong.status_code == 422
    assert "bensch" in [one["path"] for one in wrong.json()["problems"]]
    assert list((asking.data / "http" / "experiments").iterdir()) == kept


@pytest.mark.parametrize(
    "wish",
    [
        {"experiment": "/etc/passwd"},
        {"experiment": str(EXAMPLES / ".." / "pyproject.toml")},
        {"experiment": "a\0b"},
        {"experiment": str(EXAMPLES / "quick_look.yaml"), "text": "x"},
        {"experiment": str(EXAMPLES / "quick_look.yaml"), "bench": "../bench.yaml"},
        {"experiment": str(EXAMPLES / "quick_look.yaml"), "at": "2001-01-01T00:00Z"},
        {"experiment": str(EXAMPLES / "quick_look.yaml"), "after": ["none"]},
        {"experiment": str(EXAMPLES / "quick_look.yaml"), "grace_s": -1},
        {"text": "x: !!python/object/apply:os.system [id]"},
        {},
    ],
)
def test_what_cannot_be_queued_is_refused(asking, wish):
    answer = asking.post("/api/jobs", wish)
    assert answer.status_code in {409, 422}, answer.text
    assert not asking.store.jobs()
