"""The control verbs as people use them: from another process, on a real run in real time."""

from __future__ import annotations

import io
import signal
import subprocess
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.records.audit import read_audit, verify
from orchestrator.records.runs import find_run, load_run
from tests.command import (
    EXAMPLES,
    OPERANDO,
    energised,
    environment,
    live,
    only_object,
    operando,
    wait_until,
)
from tests.e2e.test_shell import ESCAPES, Shell
from tests.warm import Child

pytestmark = pytest.mark.e2e

CURRENT_MA = 0.1 * 0.1257


def experiment(path: Path) -> Path:
    """The quick look with three long steps."""
    text = (EXAMPLES / "quick_look.yaml").read_text(encoding="utf-8")
    head, _, tail = text.partition("  method:\n")
    images = tail[tail.index("images:") :]
    steps = (
        "    - {step: constant_current, current_mA_per_cm2: 0.1, until_time_s: 600}\n"
        "    - {step: open_circuit_voltage, until_time_s: 600}\n"
        "    - {step: constant_current, current_mA_per_cm2: -0.1, until_time_s: 600}\n"
    )
    path.write_text(f"{head}  method:\n{steps}{images}", encoding="utf-8")
    return path


class Run:
    """A run without a terminal that would last half an hour."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.process = Child(
            [OPERANDO, "run", experiment(folder / "long.yaml"), "--real-time", "--json",
             "--data", self.data, "--no-report"],
            cwd=folder, env=environment(),
        )  # fmt: skip

    def verb(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A verb in this process, which asks the run's own."""
        argv = [*words, "--data", str(self.data), "--json"]
        stdout, stderr = io.StringIO(), io.StringIO()
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code = main(argv)
        return subprocess.CompletedProcess(argv, code, stdout.getvalue(), stderr.getvalue())

    def asked(self, *words: str) -> dict:
        done = self.verb(*words)
        assert done.returncode == 0, done.stderr
        return only_object(done.stdout)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs side by side: one is controlled to its end, the other one dies."""
    both = [Run(tmp_path_factory.mktemp("control")) for _ in range(2)]
    for one in both:
        wait_until(lambda one=one: energised(one.data), what="energised", timeout_s=60.0)
    yield both
    for one in both:
        one.close()


def test_a_run_without_a_terminal_is_controlled_to_its_end(runs):
    run, _ = runs
    status = run.asked("status")
    assert (status["state"], status["source"]) == ("running", "process")
    assert (status["energised"], status["simulated"]) == (["pstat"], True)
    assert status["pid"] == run.process.pid
    uid = status["run"]
    assert run.asked("note", uid[:8], "the", "door", "was", "open")["standing"] == "done"

    assert run.asked("pause")["text"] == "paused, the cell is off"
    paused = live(run.data)
    assert paused["state"] == "paused"
    time.sleep(1.0)
    status = run.asked("status")
    assert (status["state"], status["energised"]) == ("paused", [])
    assert "process" in status["reason"]
    assert status["throughput_mah"] == paused["throughput_mah"]
    assert run.asked("set", uid, "method[2].until_time_s=1.5")["standing"] == "waiting"
    assert run.asked("resume-now")["text"] == "the run goes on"

    refused = run.verb("set", uid, "safety.max_voltage_V=9")
    assert refused.returncode == 2
    assert "can only be tightened" in refused.stderr
    assert not refused.stdout
    assert run.asked("skip-step")["text"].startswith("step 1 in cycle 1 ends with")
    assert run.asked("image-now", "--device", "mri")["standing"] == "done"
    assert run.asked("stop", "-1", "--after", "frame")["standing"] == "done"

    stdout, stderr = run.process.communicate(timeout=30)
    result = only_object(stdout)
    assert (result["exit_status"], result["stop_reason"]) == ("success", "stopped"), stderr
    assert "waits for resume-now or stop" in stderr
    recorded = load_run(find_run(run.data, "-1"))
    events = recorded.streams["events"]
    kinds = [k for k, who in zip(events["event_kind"], events["event_origin"], strict=True) if who]
    assert kinds == [
        *("note", "pause", "resume", "set", "refused", "skip_step", "image_now", "stop"),
    ] or kinds == [*("note", "pause", "set", "resume", "refused", "skip_step", "image_now", "stop")]
    assert "the door was open" in list(events["event_text"])
    echem = recorded.streams["echem"]
    flowed_s = 3600 * result["throughput_mah"] / CURRENT_MA
    assert 0 < flowed_s < echem["time"][-1] - echem["time"][0] - 1.0  # it rested for a second

    assert run.asked("status")["state"] == "success"
    late = run.verb("stop", "-1")
    assert late.returncode == 2
    assert "has ended: stopped" in late.stderr
    audit = run.data / "audit.jsonl"
    assert verify(audit).ok
    verbs = [line["what"]["verb"] for line in read_audit(audit) if line["kind"] == "request"]
    assert verbs == ["note", "pause", "set", "resume", "set", "skip_step", "image_now", "stop"]


def test_a_run_whose_process_is_dead_is_said_to_be(runs):
    _, run = runs
    run.process.send_signal(signal.SIGKILL)
    run.process.wait(timeout=10)
    status = run.asked("status")
    assert (status["state"], status["pid"]) == ("interrupted", 0)
    assert status["throughput_mah"] >= 0
    for words in (["pause", "-1"], ["note", "-1", "hello"]):
        dead = run.verb(*words)
        assert dead.returncode == 2
        assert f"was cut off: process {run.process.pid} is gone" in dead.stderr
    assert "none is under way" in run.verb("stop").stderr


def shown(session: Shell, text: str, *, within_s: float = 60.0) -> str:
    """What is drawn until a text stands on the screen; a progress line never stops drawing."""
    drawn, deadline_s = "", time.monotonic() + within_s
    while text not in drawn:
        assert time.monotonic() < deadline_s, f"{text!r} not within {within_s} s: {drawn[-500:]!r}"
        session.child.expect(r".+", timeout=within_s)
        drawn = ESCAPES.sub("", drawn + session.child.after)
    return drawn


def test_a_plan_at_the_prompt_is_paused_and_goes_on_from_another_terminal(tmp_path):
    session = Shell(tmp_path, "--real-time")
    try:
        session.do(
            "from plans import in_situ_mri",
            "from devices import CellLimits",
            "few = dict(area_cm2=0.1257, limits=CellLimits(-5, 5, -1, 1), max_capacity_mah=1)",
        )
        session.child.send("RE(in_situ_mri(pstat, mri, half_cycle_s=600, **few))\r")
        wait_until(lambda: live(session.data).get("state") == "running", what="begun")
        paused = operando("pause", "--data", session.data, cwd=tmp_path)
        assert "paused, the cell is off" in paused.stdout, paused.stderr
        assert ", process" in shown(session, "bench.resume()")  # who, and what to do now
        session.child.send("half = 'typed")  # kept for the next prompt
        shown(session, "'typed")

        def goes_on() -> bool:  # refused, and nothing changed, until the prompt stands there
            on = operando("resume-now", "--data", session.data, cwd=tmp_path)
            assert "the run goes on" in on.stdout or "prompt that is busy" in on.stderr, on.stderr
            return "the run goes on" in on.stdout

        wait_until(goes_on, what="going on")
        stopped = operando("stop", "--data", session.data, cwd=tmp_path)
        assert "the run ends" in stopped.stdout, stopped.stderr
        shown(session, "half = 'typed")  # after all that was drawn, it stands there again
        session.child.send("'\r")
        assert session.ask("(half, str(RE.state))") == "('typed', 'idle')"
    finally:
        session.child.kill(signal.SIGKILL)
        session.child.close()
    recorded = load_run(find_run(session.data, "-1"))
    assert recorded.stop["reason"] == "stopped"
    events = recorded.streams["events"]
    kinds = [k for k, who in zip(events["event_kind"], events["event_origin"], strict=True) if who]
    assert kinds == ["pause", "resume", "stop"]
