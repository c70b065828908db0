"""What a page is told: runs, records thinned without losing a spike, frames, benches, alerts."""

from __future__ import annotations

import asyncio
import io
import os
import re
from contextlib import closing
from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from orchestrator.alerts.anchors import keep, present_head
from orchestrator.alerts.outbox import Outbox
from orchestrator.http.changes import Changes
from orchestrator.http.rows import thinned
from orchestrator.http.tails import described
from orchestrator.interlocks import Latches
from orchestrator.records.journal import Journal
from orchestrator.schedule.job import Request, State
from orchestrator.telling import Severity, Telling
from orchestrator.watchdog.latch import Latch
from plans.trip import Trip
from tests import sample_run
from tests.http_client import Asking
from tests.sample_run import record_run

UID = "0f0e0d0c-1111-2222-3333-444455556666"


@pytest.fixture
def asking(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))
    asked = Asking(tmp_path / "data")
    yield asked
    asked.close()


def test_a_run_is_told_whole(asking):
    uid = record_run(asking.data, pages=3, rows=5, frames=2, bench="b1")
    assert [run["uid"] for run in asking.get("/api/runs").json()["runs"]] == [uid]
    run = asking.get(f"/api/runs/{uid[:8]}").json()
    assert (run["state"], run["bench"], run["simulated"]) == ("success", "b1", True)
    assert run["start"]["sample"]["name"] == "LLZO-7"
    assert run["stop"]["reason"] == "completed"
    rows = asking.get("/api/runs/latest/streams/echem?columns=pstat_voltage_v").json()
    assert (rows["rows"], rows["thinned"], rows["units"]) == (15, False, {"pstat_voltage_v": "V"})
    assert rows["columns"]["pstat_voltage_v"] == pytest.approx(
        sample_run.voltage(np.arange(1, 16)).tolist()
    )
    more = asking.get(f"/api/runs/{uid}/streams/echem?after=12").json()
    assert (more["rows"], more["last_seq_num"]) == (3, 15)
    (event,) = asking.get(f"/api/runs/{uid}/events").json()["events"]
    assert (event["kind"], event["text"], event["value"]) == ("note", "ünïcode", None)
    assert asking.get(f"/api/runs/{uid}/status").json()["state"] == "success"


def test_the_latest_frame_is_a_picture(asking):
    uid = record_run(asking.data, frames=3)
    answer = asking.get(f"/api/runs/{uid}/frames/mri/latest.png")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-operando-frame"] == "2"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.text["simulated"] == "true"
    grey = np.asarray(picture)
    assert grey.shape == sample_run.SHAPE
    assert np.all(np.diff(grey.astype(int).ravel()) >= 0)  # as the frame itself
    assert (grey.min(), grey.max()) == (0, 255)
    assert asking.get(f"/api/runs/{uid}/frames/mri/0.png").status_code == 200
    for wrong in ("mri/3.png", "echem/latest.png", "mri/-1.png", "..%2f/0.png"):
        assert asking.get(f"/api/runs/{uid}/frames/{wrong}").status_code in {404, 422}


@pytest.mark.parametrize(
    "path",
    ["runs/zzzz", "runs/..%2f..", "runs/latest", "jobs/zzzz", "runs/latest/streams/echem",
     "benches/none", "runs/" + "a" * 200],
)  # fmt: skip
def test_what_is_not_there_is_said(asking, path):
    answer = asking.get(f"/api/{path}")
    assert answer.status_code in {404, 409, 422}
    assert answer.json()["what"]


def test_a_running_run_grows_and_only_what_is_new_is_read(asking):
    with closing(Journal.create(asking.data / "journals", UID, ballast_bytes=0)) as journal:
        journal.append("start", sample_run.start(UID, bench="b1"))
        journal.append("descriptor", sample_run.echem_descriptor(UID))
        journal.append("event_page", sample_run.page(UID, 1, 5))
        path = f"/api/runs/{UID}/streams/echem"
        assert asking.get(path).json()["rows"] == 5
        read = asking.service.growing._runs[asking.service.directory.journal(UID)][1]._follower
        before = read.offset
        journal.append("event_page", sample_run.page(UID, 6, 5))
        assert asking.get(path).json()["rows"] == 10
        assert before < read.offset == asking.service.directory.journal(UID).stat().st_size
        streams, end = described(asking.service.directory.journal(UID))
        assert (streams, end) == ({f"{UID}-echem": "echem"}, read.offset)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(float, st.integers(0, 400), elements=st.floats(-1e6, 1e6) | st.just(np.nan)),
    st.integers(2, 300),
)
def test_no_spike_is_lost_by_thinning(values, points):
    other = np.arange(len(values), dtype=float)
    kept = thinned([values, other], len(values), points)
    assert len(kept) <= max(points, 4) + 2
    assert np.all(np.diff(kept) > 0)
    assert set(kept) <= set(range(len(values)))
    if len(values) and not np.isnan(values).all():
        assert np.nanmax(values[kept]) == np.nanmax(values)
        assert np.nanmin(values[kept]) == np.nanmin(values)
    if len(values):
        assert (kept[0], kept[-1]) == (0, len(values) - 1)


def test_benches_jobs_and_what_needs_a_person(asking):
    job, _ = asking.store.add(Request("e.yaml", "b1", "b1.yaml", "k"))
    Latch("b2").set({"pstat": "no answer"}, "the engine's process ended")
    asking.store.claim(runner="r", boot_id="")
    asking.store.finish(job.id, State.INTERRUPTED, "its runner ended")
    dog = {"time": 1.0, "bench": "b1", "what": "acted", "off": ["pstat"]}
    (asking.data / "watchdog.jsonl").write_bytes(orjson.dumps(dog) + b"\n{torn")
    Latches("b3").mark(Trip("pressure", "0.1 MPa, expected 1 MPa or more", 0.1))
    Latches("b3").seen_path.write_bytes(b'{"pressure": {"value": 0.1}}')
    now = asking.get("/api/state").json()
    assert now["bench"]["b3"]["state"] == "interlocked"
    assert now["bench"]["b3"]["latched"]["pressure"]["value"] == 0.1
    assert now["interlock"]["b3"] == {"pressure": {"value": 0.1}}
    assert now["alert"]["interlock/b3/pressure"]["level"] == "decide"
    assert not [name for name in now["bench"] if "seen" in name]
    assert now["bench"]["b1"]["state"] == "waiting"
    assert now["bench"]["b2"]["state"] == "unsafe"
    assert now["bench"]["b2"]["unsafe"]["devices"] == {"pstat": "no answer"}
    assert now["bench"]["sim-mri"]["state"] == "idle"
    assert now["alert"][f"job/{job.id}"]["level"] == "decide"
    assert now["alert"]["bench/b2"]["level"] == "unsafe"
    assert now["watchdog"] == {"b1": dog}
    assert asking.get("/api/benches/b1").json()["watchdog"]["what"] == "acted"
    assert (
        asking.get(f"/api/jobs/{job.id[:8]}")
        .json()["history"][-1]["what"]
        .startswith("interrupted")
    )
    answer = asking.post(f"/api/jobs/{job.id}/ack", {"decision": "failed"})
    assert answer.json()["state"] == "failed"
    assert f"job/{job.id}" not in asking.get("/api/alerts").json()["now"]
    assert [one["id"] for one in asking.get("/api/jobs?all=true").json()["jobs"]] == [job.id]
    assert asking.get("/api/jobs").json()["jobs"] == []


def test_the_audit_log_and_whether_it_is_as_it_was_written(asking):
    asking.get("/api/state", None)
    said = asking.get("/api/audit").json()
    assert said["lines"][-1]["kind"] == "http-refused"
    check = asking.get(f"/api/audit/verify?head={said['head']}").json()
    assert (check["ok"], check["head"]) == (True, said["head"])
    path = asking.data / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"nobody", b"somebody"))
    check = asking.get(f"/api/audit/verify?head={said['head']}").json()
    assert check["ok"] is False
    assert check["problems"]


def test_what_people_were_told_and_what_was_sent_with_it(asking):
    """The head that went out with a message must still be in the log."""
    assert asking.get("/api/alerts").json()["told"] == []
    asking.get("/api/state", None)
    asking.get("/api/state", None)
    telling = Telling("job", Severity.UNSAFE, "it failed", data=str(asking.data))
    Outbox().add([telling, replace(telling, uid="other", data="/elsewhere")])
    (told,) = asking.get("/api/alerts").json()["told"]
    assert (told["text"], told["deliveries"]) == ("it failed", [])
    anchor = present_head(asking.data)
    keep(replace(anchor, time=1e9, channel="mail"))
    assert asking.get("/api/audit/verify").json()["ok"] is True
    path = asking.data / "audit.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    check = asking.get("/api/audit/verify").json()
    assert (check["ok"], len(check["problems"])) == (False, 1)


def test_what_a_runner_printed_is_text(asking):
    job, _ = asking.store.add(Request("e.yaml", "b1", "b1.yaml", "k"))
    (asking.data / "jobs").mkdir()
    (asking.data / "jobs" / f"{job.id}.log").write_text("<script>alert(1)</script>")
    answer = asking.get(f"/api/jobs/{job.id}/log")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "<script>alert(1)</script>"


# --- changes ------------------------------------------------------------------------------------


def pieces(changes, last_id, n):
    """The next `n` events of a stream."""

    async def take():
        stream = changes.stream(last_id)
        try:
            return [await anext(stream) for _ in range(n)]
        finally:
            await stream.aclose()

    return [parsed(piece) for piece in asyncio.run(take())]


def parsed(piece):
    number, kind, data = re.fullmatch(
        rb"id: (\S+)\nevent: (\w+)\ndata: ([^\n]*)\n\n", piece
    ).groups()
    return number.decode(), kind.decode(), orjson.loads(data)


def test_changes_are_resumed_where_the_other_side_was():
    changes = Changes()
    changes.seen({"job": {"a": {"state": "waiting"}}}, [])
    ((number, kind, data),) = pieces(changes, "", 1)
    assert (kind, data) == ("state", {"job": {"a": {"state": "waiting"}}})
    changes.seen({"job": {"a": {"state": "running"}, "b": {}}}, [("audit", {"seq": 0})])
    changes.seen({"job": {"b": {}}}, [])
    told = pieces(changes, number, 4)
    assert [kind for _, kind, _ in told] == ["job", "job", "audit", "gone"]
    assert told[-1][2] == {"kind": "job", "name": "a"}
    assert pieces(changes, told[1][0], 2) == told[2:]
    for unknown in ("", "other-1", f"{number.split('-')[0]}-999", "x", "-", number + "1"):
        assert pieces(changes, unknown, 1)[0][1] == "state", unknown


def test_who_falls_too_far_behind_is_told_everything_again():
    changes = Changes()
    changes.seen({"n": {"n": 0}}, [])
    ((number, _, _),) = pieces(changes, "", 1)
    for n in range(1, 6000):
        changes.seen({"n": {"n": n}}, [])
    ((_, kind, data),) = pieces(changes, number, 1)
    assert (kind, data) == ("state", {"n": {"n": 5999}})


def test_text_from_a_run_cannot_end_an_event():
    changes = Changes()
    changes.seen({}, [("event", {"text": "a\n\nid: 9\nevent: state\ndata: {}\n\n\r\u2028"})])
    ((_, kind, data),) = pieces(changes, f"{changes.server}-0", 1)
    assert (kind, data["text"][:3]) == ("event", "a\n\n")


def test_a_stream_ends_with_its_server():
    changes = Changes()

    async def both():
        stream = changes.stream("")
        await anext(stream)
        changes.end()
        return [piece async for piece in stream]

    assert asyncio.run(both()) == []


def test_everything_that_is_looked_at_stays_cheap(asking):
    """Ended runs are summed up once, however often a page looks."""
    uids = [record_run(asking.data, frames=0) for _ in range(3)]
    state = asking.service.state
    first = state.everything()["run"]
    journal = asking.service.directory.journal(uids[0])
    stat = journal.stat()
    journal.write_bytes(bytes(stat.st_size))
    os.utime(journal, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert state.everything()["run"] == first
