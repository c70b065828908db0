"""What a person sees while a run goes on, in real time and in virtual time."""

from __future__ import annotations

import re
import time

import pytest

from orchestrator.records.runs import find_run, load_run
from tests.command import EXAMPLES, OPERANDO, at_terminal, environment, only_object
from tests.warm import Child

QUICK = EXAMPLES / "quick_look.yaml"
CURRENT_MA = 0.1 * 0.1257
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROGRESS = re.compile(r"cycle \d+  step \d/6 .*frame \d+.*left")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """One cycle of the quick look on the system's clock, without a terminal."""
    folder = tmp_path_factory.mktemp("plain")
    text = QUICK.read_text(encoding="utf-8").replace("cycle_count: 2", "cycle_count: 1")
    (folder / "plain.yaml").write_text(text, encoding="utf-8")
    process = Child(
        [OPERANDO, "run", "plain.yaml", "--real-time", "--json", "--no-report"],
        cwd=folder,
        env=environment(),
    )
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate(timeout=10)


@pytest.fixture(scope="module")
def real_time(tmp_path_factory, plain):
    """The quick look, once, on the system's clock, at a terminal of 80 columns."""
    folder = tmp_path_factory.mktemp("real_time")
    del plain  # begun before, so that both go on side by side
    began_s = time.time()
    child = at_terminal("run", QUICK, "--real-time", "--data", folder, timeout_s=90)
    said = child.read()
    child.wait()
    assert child.exitstatus == 0, said
    return folder, said, began_s, time.time()


def test_real_time_takes_the_time_it_takes(real_time):
    folder, _, began_s, ended_s = real_time
    run = load_run(find_run(folder, "-1"))
    echem = run.streams["echem"]
    assert began_s < run.start["time"] < echem["time"][0] < echem["time"][-1] < ended_s
    assert 19.0 < echem["time"][-1] - echem["time"][0] < 30.0
    assert echem["pstat_throughput_mah"][-1] == pytest.approx(CURRENT_MA * 16 / 3600, rel=0.02)
    assert abs(echem["pstat_charge_mah"][-1]) < 0.02 * CURRENT_MA * 16 / 3600
    assert len(run.frames("mri")) >= 4
    assert run.start["simulated"] == {"pstat": True, "mri": True}
    assert (run.stop["exit_status"], run.stop["reason"]) == ("success", "completed")
    assert echem["pstat_current_ma"][-1] == pytest.approx(0.0, abs=1e-5)


def test_a_terminal_shows_one_line_and_erases_it(real_time):
    _, said, _, _ = real_time
    drawn = [text for text in re.split(r"[\r\n]+", said) if PROGRESS.search(ESCAPE.sub("", text))]
    assert len(drawn) > 20, "redrawn at 4 Hz for 20 s"
    assert max(len(ESCAPE.sub("", text)) for text in drawn) <= 80
    # the cursor goes up over the last one and erases it, then the result is said
    end = said[said.rindex("left") :]
    assert re.search(r"\x1b\[1A\x1b\[2K.*completed at \d+ s", end, re.DOTALL)


def test_without_a_terminal_a_line_comes_now_and_then(plain):
    stdout, stderr = plain.communicate(timeout=60)
    assert plain.returncode == 0, stderr
    lines = [line for line in stderr.splitlines() if PROGRESS.search(line)]
    assert 1 <= len(lines) <= 3, "one each five seconds of ten"
    assert "\x1b" not in stderr
    assert "\r" not in stderr
    assert only_object(stdout)["simulated"] == {"pstat": True, "mri": True}


@pytest.mark.parametrize("option", ["--no-progress", "-q"])
def test_progress_can_be_left_out(tmp_path, option):
    child = at_terminal("run", QUICK, option, "--no-report", "--data", tmp_path, timeout_s=60)
    said = child.read()
    child.wait()
    assert child.exitstatus == 0, said
    assert "cycle" not in said
    assert ("completed" in said) is (option != "-q")
