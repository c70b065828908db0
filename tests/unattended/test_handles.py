"""Files, threads and sockets: as many after a thousand runs as after the first few."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from multiprocessing import get_context
from typing import Any

import psutil
import pytest

from orchestrator.bench import open_bench
from orchestrator.cli import main
from orchestrator.experiment import load_experiment
from orchestrator.running import run_experiment
from orchestrator.schedule.job import Request, State
from orchestrator.schedule.jobs import JobStore
from orchestrator.schedule.supervisor import Supervisor
from tests.command import EXAMPLES, OPERANDO, environment, wait_until
from tests.soak_record import kept
from tests.warm import Child

pytestmark = pytest.mark.unattended

FEW = 3
"""Runs after which everything has been opened that stays open."""

RUNS = int(os.environ.get("OPERANDO_RUNS", "1000"))

RUNNER = """
import sys
from pathlib import Path
from orchestrator.schedule.jobs import JobStore, State
from orchestrator.schedule.supervisor import running_job
data, job = Path(sys.argv[1]), sys.argv[2]
with running_job(data, job):
    store = JobStore(data / "jobs.sqlite")
    store.began_run(job, "uid")
    store.finish(job, State.DONE, "completed")
"""


Held = tuple[dict[str, int], dict[str, int]]
"""What a process holds after a few runs, and after all of them."""


def held(pid: int) -> dict[str, int]:
    """What a process holds of the kernel's."""
    process = psutil.Process(pid)
    return {
        "files": process.num_fds(),
        "threads": process.num_threads(),
        "sockets": len(process.net_connections(kind="all")),
    }


@pytest.fixture
def file(tmp_path):
    """The quick look, with images, in its shortest form."""
    text = (EXAMPLES / "quick_look.yaml").read_text(encoding="utf-8")
    path = tmp_path / "short.yaml"
    path.write_text(text.replace("cycle_count: 2", "cycle_count: 1"), encoding="utf-8")
    return path


def apart(work: Callable[..., Held], *arguments: Any) -> Held:
    """Do it in a process of its own: what other tests left in this one comes and goes."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(work, *arguments).result()


def in_one_session(file, data, runs: int) -> Held:
    """What this process holds after a few runs on one bench, and after all of them."""
    experiment, looks = load_experiment(file), []
    with open_bench("sim-mri", data=data, sample=experiment.sample.simulate_as.model_dump()) as it:
        for k in range(1, runs + 1):
            result = run_experiment(experiment, it, speak=StringIO())
            assert result.exit_status == "success"
            if k in (FEW, runs):
                wait_until(_no_control, what="the end of what takes requests to a run")
                looks.append(held(os.getpid()))
    few, all_ = looks
    return few, all_


def _no_control() -> bool:
    """It ends in a thread of its own, a moment after its run."""
    return not any(thread.name == "control" for thread in threading.enumerate())


def test_twenty_runs_in_one_session_hold_nothing(file, tmp_path):
    few, all_ = apart(in_one_session, file, tmp_path / "data", 20)
    assert all_ == few


def of_one_scheduler(tmp_path) -> Held:
    """What this process holds after a few runners, and after ten."""
    store = JobStore(tmp_path / "jobs.sqlite")
    jobs = [store.add(Request("e", "b", "p", f"key {k}"))[0] for k in range(10)]
    supervisor = Supervisor(
        store,
        tmp_path,
        tell=lambda _: None,
        command=lambda job, data: [sys.executable, "-c", RUNNER, str(data), job.id],
    )

    def ended(number: int) -> bool:
        supervisor.tick()
        return store.get(jobs[number - 1].id).state is State.DONE and not supervisor._children

    wait_until(lambda: ended(FEW), what="a few runs", timeout_s=60)
    few = held(os.getpid())
    wait_until(lambda: ended(len(jobs)), what="all runs", timeout_s=120)
    return few, held(os.getpid())


def test_ten_runners_of_one_scheduler_leave_nothing(tmp_path):
    few, all_ = apart(of_one_scheduler, tmp_path)
    assert all_ == few


@pytest.mark.soak
def test_a_thousand_runs_in_one_session(file, tmp_path):
    few, all_ = apart(in_one_session, file, tmp_path / "data", RUNS)
    kept("handles of one session", {"runs": RUNS, "after_a_few": few, "after_all": all_})
    assert all_ == few


@pytest.mark.soak
def test_a_thousand_runs_of_one_serve(file, tmp_path):
    data = tmp_path / "data"
    server = Child([OPERANDO, "serve", "--data", data], cwd=tmp_path, env=environment())
    looks = []
    try:
        for number in (FEW, RUNS):
            store = JobStore(data / "jobs.sqlite") if looks else None
            for k in range(FEW if looks else 0, number):
                words = ["schedule", "add", file, "--data", data, "--key", f"run {k}"]
                with redirect_stdout(StringIO()):
                    assert main([str(word) for word in words]) == 0
            store = store or JobStore(data / "jobs.sqlite")
            wait_until(
                lambda store=store: not store.jobs(ended=False),
                what=f"{number} runs",
                timeout_s=60.0 * number,
            )
            looks.append(held(server.pid))
        states = {job.state for job in store.jobs(ended=True)}
    finally:
        server.kill()
        server.communicate(timeout=10)
    few, all_ = looks
    kept("handles of one serve", {"runs": RUNS, "after_a_few": few, "after_all": all_})
    assert states == {State.DONE}
    assert all_ == few
