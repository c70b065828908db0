"""Rows 28, 30, 34, 41: a queue that is served, with real runner processes."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest

from orchestrator import state
from orchestrator.cli import main
from orchestrator.errors import BusyError
from orchestrator.records.audit import read_audit
from orchestrator.schedule import supervisor as supervisors
from orchestrator.schedule.job import Request, State
from orchestrator.schedule.jobs import JobStore
from orchestrator.schedule.supervisor import Supervisor, only_scheduler
from tests.command import EXAMPLES, OPERANDO, environment, operando, wait_until
from tests.warm import Child

RUNNER = """
import sys, time
from pathlib import Path
from orchestrator.schedule.jobs import JobStore, State
from orchestrator.schedule.supervisor import running_job
data, job, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
with running_job(data, job):
    store = JobStore(data / "jobs.sqlite")
    store.began_run(job, "uid")
    if how == "dies":
        sys.exit(7)
    while how == "waits" and not (data / "go").exists():
        time.sleep(0.02)
    store.finish(job, State.DONE, "completed")
"""


@pytest.fixture
def store(tmp_path):
    return JobStore(tmp_path / "jobs.sqlite")


SERVING: list[Supervisor] = []


@pytest.fixture(autouse=True)
def _no_runner_is_left():
    yield
    while SERVING:
        for child in SERVING.pop()._children.values():
            child.wait(20)


def serving(store, how, told=None):
    """A supervisor whose runners do no experiment."""
    data = store.path.parent
    SERVING.append(made(store, data, how, told))
    return SERVING[-1]


def made(store, data, how, told):
    return Supervisor(
        store,
        data,
        tell=(lambda job: told.append((job.id, job.state))) if told is not None else lambda _: None,
        command=lambda job, _data: [sys.executable, "-c", RUNNER, str(data), job.id, how],
    )


def ask(store, key="a", **more):
    return store.add(Request(experiment="e", bench="b", profile="p", key=key, **more))[0]


def ticked_until(supervisor, store, job, state):
    def seen():
        supervisor.tick()
        return store.get(job.id).state is state

    wait_until(seen, what=f"{state}")
    return store.get(job.id)


def test_one_job_after_the_other_and_what_became_of_them_is_told(store):
    told = []
    first, second = ask(store), ask(store, "b")
    supervisor = serving(store, "works", told)
    ticked_until(supervisor, store, second, State.DONE)
    assert store.get(first.id).ended_s <= store.get(second.id).began_s
    assert (first.id, State.DONE) in told
    assert store.get(first.id).runs == ("uid",)
    assert not supervisor.due()


def test_a_runner_that_dies_leaves_a_job_that_asks(store):
    """Row 28: its job waits for a person."""
    job = ask(store)
    supervisor = serving(store, "dies")
    found = ticked_until(supervisor, store, job, State.INTERRUPTED)
    assert found.message == "its runner ended with exit code 7 without a word"
    ask(store, "b")
    supervisor.tick()
    assert not supervisor.due()  # the bench waits for a decision
    store.acknowledge(job.id, "failed")
    assert supervisor.due()


def test_a_job_that_asked_for_it_goes_on_after_everybody_was_told(store):
    """Row 28: its run is resumed by itself, again and again but not for ever."""
    told = []
    job = ask(store, on_interruption="resume")
    supervisor = serving(store, "dies", told)
    wait_until(lambda: supervisor.tick() or store.resumptions(job.id) == 2, what="resumed twice")
    assert told.count((job.id, State.INTERRUPTED)) == 2
    assert store.get(job.id).resumes == "policy"
    command = supervisors.run_command(store.get(job.id), store.path.parent)
    assert "resume" in command
    assert "uid" in command
    assert "--yes" not in command


def test_a_job_that_cannot_go_on_by_itself_waits_for_a_person(store):
    """Row 28: what was refused is not tried again until somebody has decided."""
    job = ask(store, on_interruption="resume")
    supervisor = serving(store, "dies")
    store.claim(runner="me", boot_id="")
    store.began_run(job.id, "uid")
    store.finish(job.id, State.INTERRUPTED, "found another program", refused=True)
    for _ in range(3):
        supervisor.tick()
    assert (store.get(job.id).state, store.resumptions(job.id)) == (State.INTERRUPTED, 0)
    store.acknowledge(job.id, "resume", by="me")
    command = supervisors.run_command(store.get(job.id), store.path.parent)
    assert command[3:7] == ("resume", "uid", "--yes", "--accept-changes")


def test_a_runner_outlives_its_scheduler_and_the_next_one_knows_it(store):
    job = ask(store)
    former = serving(store, "waits")
    former.tick()
    wait_until(lambda: store.get(job.id).runs, what="runs")
    following = serving(store, "waits")  # as after a restart: it is no child of this one
    following.tick()
    assert store.get(job.id).state is State.RUNNING
    (store.path.parent / "go").touch()
    ticked_until(following, store, job, State.DONE)
    former.tick()


def test_after_a_reboot_nothing_that_ran_is_run_again(store, monkeypatch):
    """Row 30: another boot id."""
    job = ask(store)
    store.claim(runner="before", boot_id="former boot")
    found = ticked_until(serving(store, "works"), store, job, State.INTERRUPTED)
    assert found.message.endswith("the machine has been started since")


def test_a_runner_that_cannot_be_started_fails_its_job(store):
    job = ask(store)
    supervisor = Supervisor(store, store.path.parent, command=lambda _job, _data: ["/nowhere/x"])
    assert "could not be started" in ticked_until(supervisor, store, job, State.FAILED).message


def test_there_is_one_scheduler(tmp_path):
    """Row 34: two schedulers."""
    with (
        only_scheduler(tmp_path),
        pytest.raises(BusyError, match="for the bench scheduler"),
        only_scheduler(tmp_path),
    ):
        pass


def test_boot_id_is_that_of_the_machine(monkeypatch, tmp_path):
    assert len(state.boot_id()) == 36
    monkeypatch.setattr(state, "BOOT_ID_FILE", tmp_path / "none")
    assert state.boot_id() == ""


# --- through the command line -------------------------------------------------------------------


def asked(capsys, *words):
    code = main([*map(str, words), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else said.err


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text((EXAMPLES / "quick_look.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_queued_served_and_run(tmp_path, file, capsys):
    data = tmp_path / "data"
    code, job = asked(capsys, "schedule", "add", file, "--data", data)
    assert (code, job["state"], job["new"]) == (0, "waiting", True)
    assert asked(capsys, "schedule", "add", file, "--data", data)[1]["new"] is False
    served = operando("serve", "--once", "--data", data, "--json", cwd=tmp_path, timeout_s=90)
    assert served.returncode == 0, served.stderr
    (done,) = json.loads(served.stdout)["jobs"]
    assert (done["state"], done["message"], len(done["runs"])) == ("done", "completed", 1)
    _, runs = asked(capsys, "runs", "--data", data)
    assert [run["uid"] for run in runs["runs"]] == list(done["runs"])
    start = (data / "journals" / f"{done['runs'][0]}.jsonl").read_text().splitlines()[0]
    assert json.loads(start)["doc"]["job"] == job["id"]
    again = asked(capsys, "schedule", "add", file, "--data", data)[1]
    assert again["new"]  # the first has ended
    assert asked(capsys, "schedule", "remove", again["id"][:8], "--data", data)[0] == 0


def test_files_that_changed_meanwhile_are_asked_about(tmp_path, file, capsys):
    """Row 41: the experiment's file."""
    data = tmp_path / "data"
    _, job = asked(capsys, "schedule", "add", file, "--data", data, "--key", "k")
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("quick-look", "another"), encoding="utf-8")
    store = JobStore(data / "jobs.sqlite")
    store.claim(runner="test", boot_id="")
    run = ["run", file, "--data", data, "--job", job["id"], "--no-progress"]
    assert main([str(word) for word in run]) == 0
    assert "not as it was asked for: experiment" in capsys.readouterr().out
    assert store.get(job["id"]).state is State.CHANGED
    assert not list((data / "journals").glob("*")) if (data / "journals").exists() else True
    assert asked(capsys, "schedule", "ack", job["id"], "again", "--data", data)[0] == 0
    store.claim(runner="test", boot_id="")
    assert main([str(word) for word in [*run, "--no-report"]]) == 0
    assert store.get(job["id"]).state is State.DONE


def test_who_changes_the_queue_is_written_down(tmp_path, file, capsys):
    data = tmp_path / "data"
    _, job = asked(capsys, "schedule", "add", file, "--data", data)
    asked(capsys, "schedule", "add", file, "--data", data)  # it is queued already
    for verb in ("hold", "release", "remove"):
        asked(capsys, "schedule", verb, job["id"], "--data", data)
    lines = read_audit(data / "audit.jsonl")
    assert [line["kind"] for line in lines] == [
        "job-added",
        "job-hold",
        "job-release",
        "job-remove",
    ]
    assert {line["what"]["job"] for line in lines} == {job["id"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "2020-01-01T00:00Z"], "which is past"),
        (["--at", "2026-12-01T18:00"], "without a zone"),
        (["--after", "nothing"], "0 match"),
        (["--grace", "nan"], "expected 0 or more"),
    ],
)
def test_what_cannot_be_queued_is_refused(tmp_path, file, capsys, words, said):
    """Row 33: by the command."""
    code = main(["schedule", "add", str(file), *words, "--data", str(tmp_path / "data")])
    assert code == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_wrong_is_refused_when_it_is_queued(tmp_path, file, capsys):
    file.write_text(file.read_text(encoding="utf-8").replace("method:", "methods:"))
    assert main(["schedule", "add", str(file), "--data", str(tmp_path / "data")]) == 2
    assert "quick.yaml:" in capsys.readouterr().err
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").glob("journals/*"))


def test_serve_ends_in_order_while_a_run_goes_on(tmp_path, file):
    data = tmp_path / "data"
    command = [OPERANDO, "serve", "--data", data, "--life-s", "60"]
    process = Child(command, env=environment(), cwd=tmp_path)
    try:
        assert "serving the queue" in process.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
        assert "SIGTERM: runs that are under way go on" in process.communicate(timeout=20)[0]
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
