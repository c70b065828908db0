"""Signals to a real process in real time: the run ends in order, or rests and asks."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from orchestrator.records.reading import read_journal
from orchestrator.records.runs import find_run, load_run
from tests.command import (
    EXAMPLES,
    OPERANDO,
    at_terminal,
    energised,
    environment,
    live,
    only_object,
    wait_until,
)
from tests.warm import Child

CURRENT_MA = 0.1 * 0.1257
STEP_S = 8.0
"""A step long enough to be interrupted twice also on a machine that has much to do, s."""

ASKED = "r: resume   s: stop here, counts as a success   a: abort"


def experiment(path: Path, step_s: float) -> Path:
    """The quick look with one step of current, long enough to be interrupted."""
    text = (EXAMPLES / "quick_look.yaml").read_text(encoding="utf-8")
    head, _, tail = text.partition("  method:\n")
    images = tail[tail.index("images:") :]
    step = f"    - {{step: constant_current, current_mA_per_cm2: 0.1, until_time_s: {step_s}}}\n"
    path.write_text(f"{head}  method:\n{step}{images}", encoding="utf-8")
    return path


def check_left_in_order(data: Path, *, exit_status: str, reason: str) -> None:
    """The journal is whole and closed, and ends with the cell off.

    The potentiostat's last record is read when it is switched off, and its read-back verified, so
    the charge stands still from there on; a stop document is written only after that.
    """
    journal = find_run(data, "-1")
    read = read_journal(journal)
    assert not read.bad
    assert not read.missing
    assert read.documents[-1][0] == "stop"
    stop = read.documents[-1][1]
    assert (stop["exit_status"], stop["reason"]) == (exit_status, reason)
    run = load_run(journal)
    echem = run.streams["echem"]
    assert echem["time"][-1] <= stop["time"] + 0.1  # the instrument counts from its own start
    moved_mah = CURRENT_MA * (echem["time"][-1] - echem["time"][0]) / 3600
    assert 0 < echem["pstat_throughput_mah"][-1] <= moved_mah * 1.02 + 1e-12
    assert live(data)["state"] == "ended"
    frames = len(run.frames("mri")) if "mri" in run.streams_with_frames() else 0
    assert frames == stop["num_events"].get("mri", 0)


# --- without a terminal -------------------------------------------------------------------------


@dataclass
class Ended:
    """A run that a signal ended."""

    process: Child
    data: Path
    stdout: str = ""
    stderr: str = ""
    took_s: float = 0.0


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """One run for each signal, side by side: they mostly wait."""
    folder = tmp_path_factory.mktemp("signals")
    file = experiment(folder / "long.yaml", 600.0)
    runs = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        data = folder / number.name
        process = Child(
            [OPERANDO, "run", file, "--real-time", "--json", "--data", data, "--no-report"],
            cwd=folder,
            env=environment(),
        )
        runs[number] = Ended(process, data)
    try:
        for number, run in runs.items():
            wait_until(lambda at=run.data: energised(at), what=f"energised before {number.name}")
            sent_s = time.monotonic()
            run.process.send_signal(number)
            run.stdout, run.stderr = run.process.communicate(timeout=30)
            run.took_s = time.monotonic() - sent_s
        yield runs
    finally:
        for run in runs.values():
            if run.process.poll() is None:
                run.process.kill()
                run.process.communicate(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_without_a_terminal_a_signal_aborts_in_order(ended, number, latency):
    """Row 27: unattended."""
    run = ended[number]
    assert run.process.returncode == 130, run.stderr
    check_left_in_order(run.data, exit_status="abort", reason=f"stopped by {number.name}")
    result = only_object(run.stdout)
    assert (result["exit_status"], result["stop_reason"]) == ("abort", "aborted")
    assert result["throughput_mah"] > 0
    assert "Traceback" not in run.stderr
    latency(27, f"{number.name} to the end of the process", run.took_s, promised_s=10.0)


def test_signals_again_and_again_while_the_first_is_carried_out(tmp_path):
    """Row 39: SIGTERM, then every one of the three each 2 ms until the run has ended."""
    data = tmp_path / "data"
    file = experiment(tmp_path / "long.yaml", 600.0)
    process = Child(
        [OPERANDO, "run", file, "--real-time", "--json", "--data", data, "--no-report"],
        cwd=tmp_path,
        env=environment(),
    )
    try:
        wait_until(lambda: energised(data), what="energised")
        numbers = cycle([signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
        deadline_s = time.monotonic() + 20.0
        while live(data).get("state") != "ended" and process.poll() is None:
            assert time.monotonic() < deadline_s
            process.send_signal(next(numbers))
            time.sleep(0.002)
        process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=10)
    reason = read_journal(find_run(data, "-1")).documents[-1][1]["reason"]
    assert reason in {f"stopped by {name}" for name in ("SIGTERM", "SIGINT", "SIGHUP")}
    check_left_in_order(data, exit_status="abort", reason=reason)


# --- at a terminal ------------------------------------------------------------------------------


class Terminal:
    """A run at a pseudo-terminal of 80 columns."""

    def __init__(self, folder: Path, step_s: float, *options: str) -> None:
        self.data = folder / "data"
        file = experiment(folder / "long.yaml", step_s)
        self.child = at_terminal(
            "run", file, "--real-time", "--data", self.data, "--no-report", *options
        )

    def interrupt(self) -> None:
        wait_until(lambda: energised(self.data), what="energised")
        self.child.sendcontrol("c")
        self.child.expect_exact("the cell is off.")
        self.child.expect_exact(ASKED)

    def end(self) -> str:
        """The rest of what it says; it must end by itself."""
        rest = self.child.read()
        self.child.wait()
        return rest

    def close(self) -> None:
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
        self.child.close()


@pytest.fixture
def short_run(tmp_path):
    run = Terminal(tmp_path, STEP_S)
    yield run
    run.close()


@pytest.fixture(scope="module")
def terminals(tmp_path_factory):
    """Runs that would last ten minutes, begun side by side."""
    names = ("a", "s", "Ctrl-C", "end of input", "SIGTERM", "twice", "hang-up")
    opened = {
        name: Terminal(tmp_path_factory.mktemp("terminal"), 600.0, *(["--json"] * (name == "s")))
        for name in names
    }
    yield opened
    for one in opened.values():
        one.close()


def test_ctrl_c_rests_and_r_goes_on_to_the_end(short_run):
    """Row 27: attended."""
    run = short_run
    run.interrupt()
    paused = live(run.data)
    rested_mah = paused["throughput_mah"]
    time.sleep(1.0)
    assert live(run.data)["throughput_mah"] == rested_mah
    run.child.sendline("what?")
    run.child.expect_exact(ASKED)
    run.child.sendline("r")
    wait_until(lambda: live(run.data)["throughput_mah"] > rested_mah, what="going on")
    run.child.sendcontrol("c")  # a second pause is asked about like the first
    run.child.expect_exact(ASKED)
    run.child.sendline("r")
    rest = run.end()
    assert run.child.exitstatus == 0, rest
    assert "completed" in rest
    echem = load_run(find_run(run.data, "-1")).streams["echem"]
    assert echem["pstat_throughput_mah"][-1] == pytest.approx(CURRENT_MA * STEP_S / 3600, rel=0.02)
    assert max(echem["time"][1:] - echem["time"][:-1]) > 1.0  # nothing flowed while it rested
    check_left_in_order(run.data, exit_status="success", reason="completed")


@pytest.mark.parametrize("answer", ["a", "Ctrl-C", "end of input", "SIGTERM"])
def test_ctrl_c_and_then_no_more(terminals, answer):
    run = terminals[answer]
    run.interrupt()
    if answer == "a":
        run.child.sendline("a")
    elif answer == "Ctrl-C":
        run.child.sendcontrol("c")
    elif answer == "end of input":
        run.child.sendeof()
    else:
        run.child.kill(signal.SIGTERM)
    rest = run.end()
    assert run.child.exitstatus == 130, rest
    assert "Traceback" not in rest
    assert "aborted at" in rest
    check_left_in_order(run.data, exit_status="abort", reason="aborted at the prompt")


def test_ctrl_c_and_stop_here_counts_as_a_success(terminals):
    run = terminals["s"]
    run.interrupt()
    run.child.sendline("s")
    rest = run.end()
    assert run.child.exitstatus == 0, rest
    assert re.search(r'"stop_reason": "stopped"', rest)
    check_left_in_order(run.data, exit_status="success", reason="stopped")


def test_ctrl_c_twice_in_a_row_aborts(terminals):
    """Row 27: twice.

    However near to each other: while it pauses, when it has paused, when it asks.
    """
    run = terminals["twice"]
    wait_until(lambda: energised(run.data), what="energised")
    run.child.sendcontrol("c")
    time.sleep(0.02)
    run.child.sendcontrol("c")
    rest = run.end()
    assert run.child.exitstatus == 130, rest
    assert "Traceback" not in rest
    reason = read_journal(find_run(run.data, "-1")).documents[-1][1]["reason"]
    assert reason in ("stopped by SIGINT", "aborted at the prompt", "the bench was closed")
    check_left_in_order(run.data, exit_status="abort", reason=reason)


def test_a_terminal_that_hangs_up_ends_the_run(terminals):
    """Row 27: SIGHUP of a terminal."""
    run = terminals["hang-up"]
    wait_until(lambda: energised(run.data), what="energised")
    run.child.close(force=False)  # closes the terminal: the kernel sends SIGHUP
    wait_until(lambda: live(run.data).get("state") == "ended", what="ended after hang-up")
    wait_until(lambda: not run.child.isalive(), what="process gone")
    check_left_in_order(run.data, exit_status="abort", reason="stopped by SIGHUP")
