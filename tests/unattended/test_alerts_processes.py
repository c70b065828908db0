"""Who tells is dead or stuck, and people are told: real processes, real servers on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import orjson
import pytest
import yaml

from orchestrator import telling
from orchestrator.alerts import process
from orchestrator.alerts.outbox import Outbox
from orchestrator.alerts.process import Courier, send_without_outbox
from orchestrator.cli import main
from orchestrator.records.audit import AuditLog, read_audit
from orchestrator.records.locks import FileLock, is_locked
from orchestrator.safe_off import OffReport
from orchestrator.schedule.job import State
from orchestrator.schedule.jobs import JobStore
from orchestrator.telling import Severity, Telling, deliverer_lock, spool_directory, tell
from orchestrator.watchdog.guardian import Charge, Guardian
from orchestrator.watchdog.latch import Latch
from tests.command import EXAMPLES, environment, wait_until
from tests.message_servers import Hook, hook_server


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("OPERANDO_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def hook():
    with hook_server(Hook()) as server:
        yield server


@pytest.fixture
def data(tmp_path, hook):
    """A data directory of which a webhook is told everything."""
    folder = tmp_path / "data"
    folder.mkdir()
    written(folder / "alerts.yaml", hook)
    yield folder
    wait_until(lambda: not is_locked(deliverer_lock()), what="the deliverer has ended")
    for thread in threading.enumerate():
        if thread.name == "telling":
            thread.join(10)
    for child in telling._STARTED:
        child.wait(20)
    telling._STARTED.clear()


def written(path, hook, **more):
    path.parent.mkdir(exist_ok=True)
    document = {"webhook": [{"name": "chat", "url": hook.url, "least": "notice"}]} | more
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def posts(hook):
    return [orjson.loads(body) for _, body in list(hook.posts)]


def told(hook):
    return [one["text"] for post in posts(hook) for one in post["tellings"]]


def failure(text, data, **more):
    return Telling("run", Severity.FAILURE, text, data=str(data), **more)


def test_a_process_that_is_killed_as_soon_as_it_has_told_is_heard(data, hook):
    """Row 28: with no scheduler, its telling is taken along by whoever tells next."""
    code = (
        "import os, signal, sys\n"
        "from orchestrator.telling import *\n"
        "tell(Telling('watchdog', Severity.UNSAFE, 'last words', data=sys.argv[1]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, str(data)]
    subprocess.run(command, env=environment(), timeout=30, check=False)
    tell(failure("somebody else's", data))
    wait_until(lambda: len(told(hook)) == 2, what="both are told")
    assert told(hook)[0] == "last words"
    wait_until(lambda: not is_locked(deliverer_lock()), what="the deliverer has ended")
    assert Outbox().next_due_s() is None


def test_a_watchdog_tells_that_it_has_acted_and_that_it_could_not(data, hook, tmp_path):
    """Rows 4, 17, 18: off by every path, or UNSAFE, latched, and told before anything else."""
    profile = {
        "bench": "cryo-1",
        "instrument_name": "x",
        "devices": {
            "pstat": {
                "kind": "potentiostat",
                "driver": "keithley_2450",
                "resource": "TCPIP::127.0.0.1::1::SOCKET",
                "limits": {"max_voltage_v": 5, "max_current_ma": 10},
            }
        },
    }
    outcomes = [OffReport(("pstat",)), OffReport((), {"pstat": "no answer"})]
    latched = []

    def tell_(one):
        latched.append(Latch("cryo-1").read() is not None)
        tell(one)

    for outcome in outcomes:
        ears, mouth = os.pipe()
        os.close(mouth)  # the engine is gone
        charge = Charge(profile, os.getpid(), 10.0, str(data / "watchdog.jsonl"))
        guardian = Guardian(
            charge, ears, lambda _: None, off=lambda _, one=outcome: one, tell=tell_,
            now=iter([float(k * 400) for k in range(200)]).__next__, wait=lambda _: None,
        )  # fmt: skip
        guardian._owner.kill = lambda: False
        guardian.serve()
        os.close(ears)
    wait_until(lambda: len(told(hook)) == 2, what="both are told")
    assert latched == [False, True]
    safe, unsafe = sorted(posts(hook), key=lambda post: post["severity"])
    assert (safe["severity"], unsafe["severity"]) == ("failure", "unsafe")
    assert safe["tellings"][0]["cell"] == "off, verified (pstat)"
    assert "NOT KNOWN TO BE OFF: pstat: no answer" in unsafe["text"]
    assert "operando off cryo-1 --acknowledge" in unsafe["text"]


def test_a_run_of_the_queue_that_fails_is_told_once_though_nobody_serves(data, hook, capsys):
    """Rows 4, 18: its runner tells; the scheduler, when there is one again, says nothing twice."""
    file = data.parent / "quick.yaml"
    text = (EXAMPLES / "quick_look.yaml").read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    assert main(["schedule", "add", str(file), "--data", str(data), "--json"]) == 0
    job = json.loads(capsys.readouterr().out)["id"]
    store = JobStore(data / "jobs.sqlite")
    store.claim(runner="test", boot_id="")
    AuditLog(data / "audit.jsonl").append("request", "somebody")
    code = main(
        ["run", str(file), "--data", str(data), "--job", job, "--no-progress", "--no-report",
         "--fault", "silence:smu:3:inf"]
    )  # fmt: skip
    assert code != 0
    assert store.get(job).state is State.FAILED
    assert main(["serve", "--once", "--data", str(data)]) == 0
    wait_until(lambda: len(told(hook)) >= 2, what="it is told")
    wait_until(lambda: not is_locked(deliverer_lock()), what="the deliverer has ended")
    found, hashes = posts(hook), [line["hash"] for line in read_audit(data / "audit.jsonl")]
    assert sorted(post["severity"] for post in found) == ["failure", "unsafe"]
    for post in found:
        (one,) = post["tellings"]
        assert post["subject"].startswith("[SIMULATED] sim-mri ")
        assert one["run"] == store.get(job).runs[0]
        assert post["audit"][0]["hash"] in hashes
        assert "not known to be off: pstat" in post["text"]
        assert "NOT KNOWN TO BE OFF" in post["text"]
    capsys.readouterr()
    assert main(["alerts", "list", "--data", str(data)]) == 0
    said = capsys.readouterr().out
    assert "SIMULATED" in said
    assert "chat: sent" in said


def test_where_nothing_can_be_written_the_deliverer_is_handed_the_telling(
    data, hook, tmp_path, monkeypatch
):
    """Row 23: no space for a telling, and people are told of it."""
    (tmp_path / "full").touch()
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "full"))
    tell(failure("the disk is full", data))
    wait_until(lambda: told(hook) == ["the disk is full"], what="it is told")
    for child in telling._STARTED:
        assert child.wait(20) == 0
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))


def test_without_an_outbox_what_is_in_the_spool_is_sent_and_leaves_it(data, hook, monkeypatch):
    monkeypatch.setattr(telling, "start_deliverer", lambda *_, **__: None)
    tell(failure("first", data))
    tell(failure("second", data))
    hook.statuses = [200, 200, 500]
    assert send_without_outbox(failure("third", data)) == 1
    assert told(hook)[:2] == ["third", "first"]
    assert len(list(spool_directory().glob("*.json"))) == 1  # that which was refused
    assert send_without_outbox(None) == 0
    assert told(hook)[-1] == "second"
    assert list(spool_directory().glob("*.json")) == []


def test_one_delivers_and_the_scheduler_starts_it_again(data, hook, monkeypatch):
    monkeypatch.setattr(telling, "start_deliverer", lambda *_, **__: None)
    now = [0.0]
    courier = Courier(data, lambda: now[0])
    courier.tick()
    assert courier._child is None  # nothing waits
    tell(failure("waits", data))
    now[0] += 60.0
    with_lock = FileLock(deliverer_lock())
    assert with_lock.try_acquire()
    assert process.main([]) == 0  # somebody else delivers
    courier.tick()
    assert courier._child is None
    with_lock.release()
    courier.tick()
    assert courier._child is None  # it looked a moment ago
    now[0] += 60.0
    courier.tick()
    wait_until(lambda: told(hook) == ["waits"], what="it is told")
    assert courier._child.wait(20) == 0


def test_a_state_directory_that_fails_does_not_end_the_scheduler(
    data, tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "file"))
    monkeypatch.setattr(process, "_left_behind", lambda: False)
    Courier(data).tick()
    assert "nobody can be told for now" in caplog.text
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))


def test_nobody_is_told_where_no_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(telling, "start_deliverer", lambda *_, **__: pytest.fail("started"))
    tell(failure("nobody cares", tmp_path / "elsewhere"))
    assert len(list(spool_directory().glob("*.json"))) == 1


# --- the verbs ----------------------------------------------------------------------------------


def asked(capsys, *words):
    code = main([*map(str, words), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else said.err


def test_trying_the_alerts(data, hook, capsys):
    code, said = asked(capsys, "alerts", "test", "--data", data)
    assert (code, said["channels"][0]["sent"]) == (0, True)
    assert "nothing has happened to any cell" in posts(hook)[0]["text"]
    hook.statuses = [404]
    code, said = asked(capsys, "alerts", "test", "--data", data)
    assert (code, said["channels"][0]["error"]) == (3, "answered 404")
    code, said = asked(capsys, "alerts", "test", "--channel", "chatt", "--data", data)
    assert code == 2
    assert "did you mean chat?" in said or "choose chat" in said
    (data / "alerts.yaml").write_text("webhooks: []\n")
    code, said = asked(capsys, "alerts", "test", "--data", data)
    assert code == 2
    assert "alerts.yaml:1:1: webhooks: is not a known key (did you mean webhook?)" in said


def test_without_a_file_trying_says_where_it_belongs(tmp_path, capsys):
    code, said = asked(capsys, "alerts", "test", "--data", tmp_path)
    assert code == 2
    assert str(tmp_path / "alerts.yaml") in said
    code, said = asked(capsys, "alerts", "list", "--data", tmp_path)
    assert (code, said) == (0, {"alerts": [], "file": None})


def test_an_audit_log_that_was_cut_off_is_found_out_by_what_was_sent(data, hook, capsys, tmp_path):
    """The chain alone cannot know: the message does, and so does the file of anchors."""
    log = AuditLog(data / "audit.jsonl")
    for number in range(3):
        log.append("request", "somebody", number=number)
    code, said = asked(capsys, "audit", "verify", "--data", data)
    assert (code, said["ok"], said["lines"], said["compared"]) == (0, True, 3, 0)
    outbox = Outbox()
    outbox.add([failure("failed", data)])
    process.main([])
    (mailed,) = [one["hash"] for one in posts(hook)[0]["audit"]]
    assert mailed == said["head"]
    log.append("request", "somebody", number=3)
    code, said = asked(capsys, "audit", "verify", "--data", data, "--head", mailed[:16])
    assert (code, said["compared"]) == (0, 2)
    whole = log.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:2]))
    code, said = asked(capsys, "audit", "verify", "--data", data)
    assert (code, said["ok"], said["first_broken_line"]) == (5, False, None)
    assert "sent " in said["problems"][0]
    assert "by chat, line 2" in said["problems"][0]
    moved = tmp_path / "moved"
    data.rename(moved)  # it is known by its first line
    assert asked(capsys, "audit", "verify", "--data", moved)[0] == 5
    moved.rename(data)
    log.path.unlink()  # written anew from the beginning: every hash of it is right
    for number in range(5):
        log.append("request", "somebody else", number=number)
    assert asked(capsys, "audit", "verify", "--data", data)[0] == 5
    log.path.write_bytes(whole)
    assert asked(capsys, "audit", "verify", "--data", data)[0] == 0
    copy = tmp_path / "anchors"
    anchor = replace(next(iter(process_anchors(data))), hash="a" * 64)
    copy.write_bytes(orjson.dumps(anchor.__dict__) + b"\ntorn")
    code, said = asked(capsys, "audit", "verify", "--data", data, "--anchors", copy)
    assert (code, said["compared"]) == (5, 2)
    code, said = asked(capsys, "audit", "verify", "--data", data, "--anchors", tmp_path / "no")
    assert code == 5
    assert "cannot be read" in said


def process_anchors(data):
    from orchestrator.alerts.anchors import anchors_file, anchors_of

    return anchors_of(data, anchors_file())


def test_the_first_line_that_was_changed_is_named(tmp_path, capsys):
    log = AuditLog(tmp_path / "audit.jsonl")
    for number in range(4):
        log.append("request", "somebody", number=number)
    log.path.write_bytes(log.path.read_bytes().replace(b'"number":1', b'"number":7'))
    assert main(["audit", "verify", "--data", str(tmp_path)]) == 5
    said = capsys.readouterr().out
    assert "line 2 is not as it was written" in said
    assert "NOT as it was written" in said
    code, lines = asked(capsys, "audit", "list", "--last", "2", "--data", tmp_path)
    assert (code, [line["seq"] for line in lines["lines"]]) == (0, [2, 3])
