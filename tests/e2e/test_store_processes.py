"""The catalogue as its users see it: Tiled and databroker, in real processes."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import stat
import subprocess
import sys
import time
import warnings
from collections import Counter

import numpy as np
import psutil
import pytest

from orchestrator.bench import open_bench
from orchestrator.cli import main
from orchestrator.errors import RecordError
from orchestrator.experiment import load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.records.directory import DataDirectory
from orchestrator.records.locks import is_locked
from orchestrator.records.recorder import Recorder
from orchestrator.records.recovery import rebuild_store, recover
from orchestrator.records.store import open_store
from orchestrator.records.uploads import api_key_file, server_lock, uploader_lock, users_lock
from orchestrator.running import run_experiment
from tests import sample_run
from tests.promises import Witness

DEADLINE_S = 60.0
# what libraries say of each other is not ours to repair
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.long,  # seconds of imports of Tiled for each process
]


def until(condition, what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        select.select([], [], [], 0.05)


def ended(data) -> bool:
    directory = DataDirectory(data)
    return not (is_locked(server_lock(directory)) or is_locked(uploader_lock(directory)))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """A data directory with two runs and its opened store."""
    data = tmp_path_factory.mktemp("catalogue")
    uids = [
        sample_run.record_run(data, pages=3, rows=5, frames=2),
        sample_run.record_run(data, pages=2, rows=5, frames=3, operator="somebody else"),
    ]
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries' own, while they are imported
        store = open_store(data, say=said.append)
        store.wait_uploaded()
        import databroker.v1  # noqa: F401
    yield data, uids, store, said
    store.close()
    assert ended(data), "the store's processes outlived their only user"


def test_tiled_reads_streams_and_frames(catalogue):
    _, uids, store, said = catalogue
    run = store.cat[uids[0]]
    pixels = run["mri"]["mri_image"].read()
    assert pixels.dtype == np.dtype("<f4")
    assert np.array_equal(pixels, [sample_run.image(0), sample_run.image(1)])
    assert np.array_equal(
        run["echem"]["pstat_voltage_v"].read(), sample_run.voltage(np.arange(1, 16))
    )
    assert any("waiting for" in text for text in said)


def test_databroker_reads_tables_of_the_declared_types(catalogue):
    _, uids, store, _ = catalogue
    header = store.db[-1]
    assert header.start["uid"] == uids[1]
    table = header.table("echem")
    assert len(table) == 10
    assert table.index.tolist() == list(range(1, 11))
    assert np.array_equal(table["pstat_voltage_v"], sample_run.voltage(np.arange(1, 11)))
    kinds = {key: table[key].dtype.kind for key in table}
    assert kinds.pop("time") == "M"
    assert {key for key, kind in kinds.items() if kind == "i"} == set(sample_run.COUNTS)
    assert {key for key, kind in kinds.items() if kind == "f"} == set(sample_run.ECHEM)
    assert header.table("mri")["mri_quality"].tolist() == ["ok"] * 3


def test_runs_are_found_by_their_metadata(catalogue):
    _, uids, store, _ = catalogue
    db = store.db
    assert [h.start["uid"] for h in db(operator="somebody else")] == [uids[1]]
    assert [h.start["uid"] for h in db(**{"sample.name": "LLZO-7"})] == uids
    assert list(db(**{"sample.name": "another"})) == []
    assert store.cat[uids[0][:8]].start["uid"] == uids[0]


def test_documents_come_back_from_the_catalogue(catalogue):
    _, uids, store, _ = catalogue
    for header in (store.db[uids[0]], store.cat[uids[0]]):
        documents = list(header.documents())
        counts = Counter(name for name, _ in documents)
        assert counts["start"] == counts["stop"] == 1
        assert (counts["descriptor"], counts["event"]) == (3, 15 + 1 + 2)
        assert documents[0][1]["uid"] == uids[0]
        assert documents[-1][1]["reason"] == "completed"
        (datum,) = (doc for name, doc in documents if name == "stream_datum")
        assert datum["indices"] == {"start": 0, "stop": 2}
        (resource,) = (doc for name, doc in documents if name == "stream_resource")
        assert resource["uri"].endswith(f"/frames/{uids[0]}/mri.h5")


def test_databroker_does_not_change_what_tiled_gives(catalogue):
    _, uids, store, _ = catalogue
    store.db[-1].table("echem")
    assert "pstat_voltage_v" in store.cat[uids[0]]["echem"]


def test_runs_that_went_on_with_one_another_are_one_table(catalogue):
    """A run that was cut off and resumed twice is one experiment for databroker."""
    data, others, store, _ = catalogue
    md = {"sample": {"name": "cut off"}, "operator": "nobody"}
    uids = [sample_run.record_run(data, close=False, **md)]
    recover(data)
    for _ in range(2):
        linked = {"resumes": uids[-1], "resumes_first": uids[0]}
        uids.append(sample_run.record_run(data, frames=1, **md, **linked))
    db = store.db
    assert [part.uid for part in db[uids[1]].parts] == uids
    assert [part.uid for part in db[others[0]].parts] == [others[0]]
    table = db[uids[2]].table("echem")
    values = sample_run.voltage(np.arange(1, 16))
    assert np.array_equal(table["pstat_voltage_v"], np.tile(values, 3))
    assert table.index.tolist() == list(range(1, 46))
    assert len(db[uids[0]].table("mri")) == 2 + 1 + 1
    assert len(db[uids[2]].alone.table("echem")) == 15
    assert [len(header.parts) for header in db(resumes_first=uids[0])] == [3, 3]


def test_frames_of_an_open_run_can_be_read(catalogue):
    data, _, store, _ = catalogue
    recorder = Recorder(data)
    recorder.frames.open("mri", "mri_image", sample_run.SHAPE, "<f4")
    recorder("start", sample_run.start("still-open"))
    recorder("descriptor", sample_run.mri_descriptor("still-open"))
    sample_run.take_frame(recorder, "still-open", 0)

    def frames() -> int:
        run = store.cat["still-open"] if "still-open" in list(store.cat) else {}
        return run["mri"]["mri_image"].shape[0] if "mri_image" in run.get("mri", {}) else 0

    until(lambda: frames() == 1, "the open run's frame is not in the catalogue")
    pixels = store.cat["still-open"]["mri"]["mri_image"].read()
    assert np.array_equal(pixels, [sample_run.image(0)])
    with pytest.raises(RecordError, match=r"1 of the runs are not uploaded after 0\.2 s"):
        store.wait_uploaded("still-open", timeout_s=0.2)
    recorder("stop", sample_run.stop("still-open"))
    recorder.close()
    store.wait_uploaded("still-open")


def test_the_key_is_private_and_in_no_argument(catalogue):
    data, _, _, _ = catalogue
    path = api_key_file(DataDirectory(data))
    key = path.read_text()
    assert len(key) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    mine = [p for p in psutil.process_iter(["cmdline"]) if str(data) in (p.info["cmdline"] or [])]
    assert len(mine) == 2
    assert not any(key in word for p in mine for word in p.info["cmdline"])
    logs = b"".join(log.read_bytes() for log in DataDirectory(data).store.glob("*.log"))
    assert key.encode() not in logs


def test_the_server_is_on_loopback_and_wants_the_key(catalogue):
    import httpx

    data, uids, _, _ = catalogue
    address = json.loads((DataDirectory(data).store / "server.json").read_text())
    assert address["url"].startswith("http://127.0.0.1:")
    listening = psutil.Process(address["pid"]).net_connections(kind="inet")
    assert {c.laddr.ip for c in listening if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    denied = httpx.get(f"{address['url']}/api/v1/metadata/{uids[0]}", trust_env=False)
    assert denied.status_code in (401, 403, 404)


def test_a_second_user_shares_the_processes(catalogue):
    data, uids, store, _ = catalogue
    program = (
        "import sys, pathlib\n"
        "from orchestrator.records.store import open_store\n"
        "with open_store(pathlib.Path(sys.argv[1])) as store:\n"
        "    print(sorted(store.cat))\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(data)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert all(uid in result.stdout for uid in uids)
    assert store.cat[uids[0]].start["uid"] == uids[0]  # its end took nothing from us


def test_a_store_in_use_is_not_rebuilt(catalogue):
    data, _, _, _ = catalogue
    with pytest.raises(RecordError, match="is in use, expected nobody"):
        rebuild_store(data)


def test_killed_processes_are_replaced_and_nothing_is_there_twice(catalogue):
    """Row 25: the processes of the store are killed."""
    data, uids, store, _ = catalogue
    directory = DataDirectory(data)
    address = json.loads((directory.store / "server.json").read_text())
    uid = sample_run.record_run(data, pages=40, rows=50, frames=1)
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(data) in words and "orchestrator.records.uploader" in words:
            process.send_signal(signal.SIGKILL)
    os.kill(address["pid"], signal.SIGKILL)
    store.wait_uploaded(uid)
    table = store.db[uid].table("echem")
    assert table.index.tolist() == list(range(1, 2001))
    assert len(store.db[uids[0]].table("echem")) == 15
    assert store.db[-1].start["uid"] == uid


def test_a_run_does_not_notice_a_store_that_hangs(catalogue):
    """Row 25: server and uploader are stopped; what waits is uploaded once when they go on."""
    data, uids, store, _ = catalogue
    sample_run.record_run(data, frames=0)
    store.wait_uploaded()
    pids = [json.loads((DataDirectory(data).store / "server.json").read_text())["pid"]]
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(data) in words and "orchestrator.records.uploader" in words:
            pids.append(process.pid)
    assert len(pids) == 2
    one = load_experiment(example_path("quick_look"), environ={})
    recipe = one.sample.simulate_as.model_dump(exclude_none=True)
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        with open_bench("sim-mri", data=data, sample=recipe) as bench:
            seen = Witness(bench)
            result = run_experiment(one, bench, speak=io.StringIO())
        assert result.stop_reason == "completed"
        echem = [doc for name, doc in seen.promises_kept().documents if name == "event_page"]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    store.wait_uploaded(result.uid)
    rows = sum(len(page["seq_num"]) for page in echem)
    assert store.db[result.uid].table("echem").index.tolist() == list(range(1, rows + 1))
    assert list(store.cat).count(result.uid) == 1
    assert len(store.db[uids[0]].table("echem")) == 15


def test_a_run_that_cannot_come_is_not_waited_for(catalogue):
    data, _, store, _ = catalogue
    with pytest.raises(RecordError, match="run nobody: has no journal"):
        store.wait_uploaded("nobody")
    uid = sample_run.record_run(data, frames=0, close=False)
    with pytest.raises(RecordError, match="is interrupted: `operando recover` closes it"):
        store.wait_uploaded(uid)
    store.wait_uploaded()


def test_every_announced_frame_of_killed_runs_is_in_the_catalogue(catalogue):
    data, _, store, _ = catalogue
    uids = [f"killed-{k}" for k in range(3)]
    for frames, uid in enumerate(uids, start=1):
        pid = os.fork()
        if pid == 0:
            try:
                recorder = Recorder(data)
                recorder.frames.open("mri", "mri_image", sample_run.SHAPE, "<f4")
                recorder("start", sample_run.start(uid))
                recorder("descriptor", sample_run.mri_descriptor(uid))
                for index in range(frames):
                    sample_run.take_frame(recorder, uid, index)
                recorder.journal.sync()
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
    recover(data)
    for frames, uid in enumerate(uids, start=1):
        store.wait_uploaded(uid)
        pixels = store.cat[uid]["mri"]["mri_image"].read()
        assert np.array_equal(pixels, [sample_run.image(k) for k in range(frames)])
        header = store.db[uid]
        assert header.stop["exit_status"] == "abort"
        assert header.table("mri")["mri_frame"].tolist() == list(range(frames))


def test_a_killed_user_s_store_ends_and_is_rebuilt(tmp_path, capsys):
    uids = [sample_run.record_run(tmp_path, frames=1) for _ in range(2)]
    directory = DataDirectory(tmp_path)
    directory.store.mkdir()
    (directory.store / "catalog.db").write_bytes(b"rubbish" * 1000)
    program = (
        "import sys, pathlib, signal\n"
        "from orchestrator.records.store import open_store\n"
        "store = open_store(pathlib.Path(sys.argv[1]))\n"
        "store.wait_uploaded()\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    user = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)], stdout=subprocess.PIPE
    )
    with user:
        assert user.stdout.readline() == b"ready\n"
        assert not ended(tmp_path)
        user.kill()
    until(lambda: ended(tmp_path), "server and uploader live on without a user")
    assert not is_locked(users_lock(directory))
    assert main(["recover", "--data", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["uploaded"] == 2
    assert [run["uid"] for run in result["runs"]] == uids
    assert not any(run["closed"] for run in result["runs"])
    assert ended(tmp_path)
