"""One plan through a real RE Manager of bluesky-queueserver, with a real Redis beside it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq

from orchestrator.records.directory import DataDirectory
from orchestrator.records.recovery import recover
from orchestrator.records.runs import load_run
from tests.command import ROOT, default_signals, environment, wait_until

DEADLINE_S = 60.0
IN_SITU: dict[str, Any] = {
    "item_type": "plan",
    "name": "in_situ_mri",
    "args": ["pstat", "mri"],
    "kwargs": {
        "area_cm2": 0.1257,
        "limits": {
            "min_voltage_v": -5.0,
            "max_voltage_v": 5.0,
            "min_current_ma": -1.0,
            "max_current_ma": 1.0,
        },
        "max_capacity_mah": 10.0,
        "cycles": 2,
        "md": {"operator": "the queue"},
    },
}


@dataclass
class Manager:
    """A running RE Manager."""

    address: str
    process: subprocess.Popen[bytes]
    data: Path

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One request; what the package's own client sends, which leaves its context open."""
        with zmq.Context() as context, context.socket(zmq.REQ) as socket_:
            socket_.setsockopt(zmq.LINGER, 0)
            socket_.setsockopt(zmq.RCVTIMEO, int(1e3 * DEADLINE_S))
            socket_.connect(self.address)
            socket_.send_json({"method": method, "params": params})
            return dict(socket_.recv_json())

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        answer = self.ask(method, **params)
        assert answer["success"], f"{method}: {answer['msg']}"
        return answer

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        seen: dict[str, Any] = {}

        def looked() -> bool:
            seen.update(self.ask("status"))
            return holds(seen)

        try:
            wait_until(looked, what="the manager", timeout_s=DEADLINE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}") from None

    def run(self, item: dict[str, Any]) -> dict[str, Any]:
        """Run one item alone; its entry in the history. What failed before is no longer queued."""
        self.do("queue_clear")
        before = self.ask("status")["items_in_history"]
        self.do("queue_item_add", item=item, user="x", user_group="primary")
        self.do("queue_start")
        self.until(lambda s: s["items_in_history"] > before and s["manager_state"] == "idle")
        return dict(self.do("history_get")["items"][-1])

    def worker(self) -> psutil.Process:
        """The process that runs plans: the one that writes the journal."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        writes = [one for one in children if _writes_journal(one.pid)]
        assert len(writes) == 1, children
        return writes[0]


def _writes_journal(pid: int) -> bool:
    """Psutil does not list it: the file was linked to its name after it had been opened."""
    files = Path(f"/proc/{pid}/fd").iterdir()
    return any("/journals/" in str(one.readlink()) for one in files)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    """An RE Manager with its worker on the simulated bench."""
    redis = shutil.which("redis-server")
    if redis is None and os.geteuid() != 0:
        pytest.skip("redis-server is not installed (Debian's package of that name)")
    assert redis is not None, "redis-server is not installed: `make programs` does it"
    where = tmp_path_factory.mktemp("queue")
    permissions = subprocess.check_output(
        [sys.executable, "-m", "orchestrator.queueserver"], cwd=ROOT, text=True
    ).strip()
    redis_port, port, info = _free_port(), _free_port(), _free_port()
    env = environment(OPERANDO_BENCH="sim-mri", OPERANDO_DATA=str(where / "data"))
    env["PYTHONPATH"] = str(ROOT)
    start = Path(sys.executable).with_name("start-re-manager")
    with (
        (where / "log").open("wb") as log,
        _running(
            [redis, "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", where],
            env, log,
        ),
        _running(
            [
                *(start, "--startup-module", "orchestrator.queueserver.startup"),
                *("--user-group-permissions", permissions),
                *("--existing-plans-devices", where / "existing.yaml"),
                *("--redis-addr", f"127.0.0.1:{redis_port}"),
                *("--zmq-control-addr", f"tcp://127.0.0.1:{port}"),
                *("--zmq-info-addr", f"tcp://127.0.0.1:{info}"),
            ],
            env, log,
        ) as process,
    ):  # fmt: skip
        one = Manager(f"tcp://127.0.0.1:{port}", process, where / "data")
        try:
            one.until(lambda status: status["manager_state"] == "idle")
            one.do("environment_open")
            one.until(lambda status: status["worker_environment_exists"])
            yield one
            if one.ask("status")["worker_environment_exists"]:
                one.do("environment_close")
                one.until(lambda status: not status["worker_environment_exists"])
            one.do("manager_stop", option="safe_on")
            process.wait(DEADLINE_S)
        except BaseException:
            sys.stderr.write((where / "log").read_text(errors="replace")[-8000:])
            raise


@contextmanager
def _running(
    command: list[Any], env: dict[str, str], log: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A child that is killed, with its children, when the block is left."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=default_signals,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)


def test_plans_and_devices_are_listed_for_operators_only(manager):
    import plans

    operators = manager.do("plans_allowed", user_group="primary")["plans_allowed"]
    assert set(operators) == set(plans.PLANS)
    devices = manager.do("devices_allowed", user_group="primary")["devices_allowed"]
    assert set(devices) == {"pstat", "mri"}
    assert manager.do("plans_allowed", user_group="observers")["plans_allowed"] == {}
    refused = manager.ask("queue_item_add", item=IN_SITU, user="x", user_group="observers")
    assert not refused["success"]


def test_a_plan_runs_to_its_end_and_is_journaled(manager):
    """The documents are ours: journal, frames, simulated said, the caller's metadata."""
    result = manager.run(IN_SITU)["result"]
    # the manager waits half a second for its worker's report, which a busy machine may exceed
    late = result["msg"].startswith("Internal RE Manager error")
    assert result["exit_status"] == "completed" or late, result
    (uid,) = DataDirectory(manager.data).runs()
    assert result["run_uids"] == [uid] or late
    run = load_run(DataDirectory(manager.data).journal(uid))
    assert (run.start["plan_name"], run.start["operator"]) == ("in_situ_mri", "the queue")
    assert run.start["simulated"] == {"pstat": True, "mri": True}
    assert run.stop is not None
    assert run.stop["reason"] == "completed"
    echem = run.streams["echem"]
    assert abs(echem["pstat_current_ma"]).max() == pytest.approx(0.01257, rel=0.01)
    assert echem["time"][-1] - echem["time"][0] == pytest.approx(2 * 4200.0, rel=0.01)
    assert len(run.frames("mri")) == len(run.streams["mri"]["time"]) >= 1


def test_a_wrong_argument_fails_before_anything_is_energised(manager):
    kwargs = {**IN_SITU["kwargs"], "area_cm2": -1.0}
    wrong = {**IN_SITU, "kwargs": kwargs}
    before = len(list(DataDirectory(manager.data).runs()))
    last = manager.run(wrong)
    assert last["result"]["exit_status"] == "failed"
    assert "area_cm2" in last["result"]["msg"]
    assert len(list(DataDirectory(manager.data).runs())) == before


def test_a_killed_worker_leaves_a_journal_that_recovery_closes(manager):
    """What bluesky-queueserver does with the item is its own affair; the records are ours."""
    long = {**IN_SITU, "kwargs": {**IN_SITU["kwargs"], "cycles": 100_000}}
    known = set(DataDirectory(manager.data).runs())
    manager.do("queue_clear")
    manager.do("queue_item_add", item=long, user="x", user_group="primary")
    manager.do("queue_start")
    wait_until(lambda: set(DataDirectory(manager.data).runs()) - known, what="a run")
    (uid,) = set(DataDirectory(manager.data).runs()) - known
    journal = DataDirectory(manager.data).journal(uid)
    wait_until(lambda: journal.stat().st_size > 200_000, what="records")
    manager.worker().kill()
    manager.do("environment_destroy")
    manager.until(lambda status: not status["worker_environment_exists"])
    (item,) = manager.do("queue_get")["items"]
    assert item["name"] == "in_situ_mri", "it would run again from its beginning: the page says so"
    manager.do("queue_clear")
    acknowledged = load_run(journal)
    assert acknowledged.stop is None
    (done,) = [one for one in recover(manager.data) if one.changed]
    assert (done.uid, done.closed, done.error) == (uid, True, "")
    closed = load_run(journal)
    assert closed.stop is not None
    assert closed.stop["exit_status"] == "abort"
    assert len(closed.streams["echem"]["time"]) >= len(acknowledged.streams["echem"]["time"]) > 0
