"""The IPython session at a pseudo-terminal: names, a plan, its records, time that stands still."""

from __future__ import annotations

import re
import time

import pexpect
import psutil
import pytest

from orchestrator.records.runs import find_run, load_run
from tests.command import at_terminal

IDLE_S = 5.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ASK = "print('@' + '@%s@' % ({},) + '@')"
STEP = (
    "Technique(ConstantCurrent(current_mA=0.01, until_time_s=36000),"
    " CellLimits(-5, 5, -1, 1), 10.0, 1.0)"
)


class Shell:
    """A session of `operando shell` with the prompt that people get."""

    def __init__(self, folder, *options):
        self.data = folder / "data"
        self.child = at_terminal(
            "shell", "--bench", "sim-mri", "--data", self.data, *options,
            timeout_s=90,  # a busy machine takes 20 s to start the store
            IPYTHONDIR=str(folder / "ipython"), PROMPT_TOOLKIT_NO_CPR="1",
        )  # fmt: skip
        self.child.expect(r"In \[")
        self.drawn = ""
        self.greeting = ESCAPES.sub("", self.child.before)

    def ask(self, expression: str) -> str:
        """Have an expression evaluated at the prompt; returns it as text."""
        self.child.send(ASK.format(expression) + "\r")
        self.child.expect(r"@@(.*?)@@")
        return self.child.match.group(1).replace("\r\n", "\n")

    def sees(self, text: str) -> None:
        """Wait until a text stands on the screen, in however many pieces it was drawn."""
        drawn = ""
        while text not in drawn:
            self.child.expect(r".+")  # fails at its timeout
            drawn = ESCAPES.sub("", drawn + self.child.after)

    def do(self, *statements: str) -> None:
        """Have statements run, and wait until they have."""
        for statement in statements:
            self.child.send(statement + "\r")
            assert self.ask("'done'") == "done"
            self.drawn = self.child.before

    def busy_while_idle(self) -> float:
        """Share of one processor that the process uses while nobody types."""
        process = psutil.Process(self.child.pid)
        before, began_s = process.cpu_times(), time.monotonic()
        time.sleep(IDLE_S)
        after, took_s = process.cpu_times(), time.monotonic() - began_s
        return (after.user - before.user + after.system - before.system) / took_s


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    session = Shell(tmp_path_factory.mktemp("shell"))
    yield session
    if session.child.isalive():
        session.child.kill(9)
    session.child.close()


def test_names_are_there_and_the_greeting_says_so(shell):
    for name in ("RE", "bench", "cat", "db", "bp", "bps", "plans", "pstat", "mri"):
        assert name in shell.greeting
    assert "SIMULATED" in shell.greeting
    assert "bench.md: none yet; last scan id 0" in shell.greeting
    assert max(map(len, shell.greeting.splitlines())) <= 80
    kinds = shell.ask("[type(x).__name__ for x in (RE, bench, cat, db, pstat, mri)]")
    assert kinds == "['Engine', 'Bench', 'Late', 'Late', 'Potentiostat', 'MriScanner']"
    assert shell.ask("(bp.__name__, bps.__name__)") == ("('bluesky.plans', 'bluesky.plan_stubs')")
    # nothing slow has been started for somebody who never asks for it
    assert shell.ask("repr(db)") == "<db: starts the store at first use>"


def test_the_bench_can_be_read(shell):
    lines = shell.ask("repr(bench)").splitlines()
    assert "simulated, virtual time, engine idle" in lines[0]
    assert "pstat: idle, cell off" in lines[1]
    assert "nan" not in lines[1]
    assert max(map(len, lines)) <= 80


def test_completion_offers_devices_and_plans(shell):
    shell.child.send("bench.psta\t")
    shell.sees("bench.pstat")
    shell.child.send("\r")
    shell.child.expect("Potentiostat pstat")


def test_virtual_time_stands_still_with_the_cell_on_at_the_prompt(shell):
    shell.do(
        "from aurora_unicycler import ConstantCurrent",
        "from devices import CellLimits, Technique",
        "_ = pstat.stage(), pstat.prepare(" + STEP + "), pstat.kickoff()",
        "then = bench.clock.time()",
    )
    assert shell.ask("pstat.energised") == "True"
    busy = shell.busy_while_idle()
    assert shell.ask("bench.clock.time() - then") == "0.0"
    assert busy < 0.05


def test_time_passes_when_somebody_waits(shell):
    shell.do("_ = [bench.wait(6) for _ in range(100)]", "pstat.poll()")
    assert float(shell.ask("bench.clock.time() - then")) == pytest.approx(600.0, abs=1e-6)
    assert float(shell.ask("pstat.charge_mah.get()")) == pytest.approx(0.01 / 6, rel=0.02)
    shell.do("_ = bench.off(), pstat.unstage()")
    assert shell.ask("pstat.energised") == "False"


def test_a_plan_is_run_and_read_back_in_every_way(shell):
    shell.do(
        "from plans import in_situ_mri",
        "short = dict(area_cm2=0.1257, limits=CellLimits(-5, 5, -1, 1), max_capacity_mah=1)",
        "done = RE(in_situ_mri(pstat, mri, cycles=1, settings={'averages': 64}, **short))",
    )
    assert shell.ask("done.exit_status") == "success"
    uid = shell.ask("done.run_start_uids[0]")
    drawn = ESCAPES.sub("", shell.drawn)
    for words in ("  cycle  step     voltage", "run " + uid[:8], "of experiment time"):
        assert words in drawn
    assert max(len(line) for line in drawn.splitlines() if " min " in line) <= 80
    rows = int(shell.ask("len(db[-1].table('echem'))"))
    recorded = load_run(find_run(shell.data, uid))
    assert rows == len(recorded.streams["echem"]["time"]) > 400
    assert shell.ask("db[-1].start['uid']") == uid
    assert shell.ask("list(cat)") == f"['{uid}']"
    charge = shell.ask("float(db[-1].table('echem')['pstat_throughput_mah'].iloc[-1])")
    assert float(charge) == pytest.approx(0.01257, rel=1e-3)
    assert int(shell.ask("len(db[-1].table('mri'))")) == len(recorded.frames("mri")) > 3


def test_virtual_time_stands_still_while_a_plan_is_paused(shell):
    shell.child.send("RE(in_situ_mri(pstat, mri, md={'sample': 'paused'}, **short))\r")
    shell.child.expect(r"scan \d+")  # the table says that the run has begun
    shell.child.expect(r" min ")
    shell.child.sendcontrol("c")
    shell.child.expect_exact("bench.resume()")
    told = ESCAPES.sub("", shell.child.before)
    assert "Traceback" not in told
    for words in ("PAUSED after", "cell off, read back; the rest of the step waits"):
        assert words in told
    assert shell.ask("RE.state") == "paused"
    assert shell.ask("(pstat.energised, mri.name)") == "(False, 'mri')"
    shell.do("then = bench.clock.time()")
    busy = shell.busy_while_idle()
    assert shell.ask("bench.clock.time() - then") == "0.0"
    assert busy < 0.05
    shell.do("bench.abort()")
    assert shell.ask("RE.state") == "idle"
    assert load_run(find_run(shell.data, "-1")).stop["exit_status"] == "abort"


def test_metadata_is_in_a_file_that_the_next_session_says(shell):
    shell.do("bench.md['operator'] = 'A. Person'")
    assert "operator: A. Person" in (shell.data / "benches" / "sim-mri.yaml").read_text()
    assert "last scan id 2" in shell.ask("repr(bench.md)")


def test_an_error_of_a_device_is_one_message_not_a_traceback(shell):
    shell.child.send("mri.configure({'averages': -1})\r")
    shell.child.expect_exact("%tb shows where")
    told = ESCAPES.sub("", shell.child.before)
    assert "LimitError: mr" in told
    assert "Traceback" not in told


def test_leaving_switches_the_cell_off(shell):
    shell.do(
        "smu = bench.laboratory.instruments['smu']",
        "_ = pstat.stage(), pstat.prepare(" + STEP + "), pstat.kickoff()",
        "import atexit",
        "_ = atexit.register(lambda smu=smu: print('@' + '@%s@' % smu.output_on + '@'))",
    )
    assert shell.ask("smu.output_on") == "True"
    shell.child.send("exit\r")
    shell.child.expect_exact("sim-mri: off and closed")
    shell.child.expect(r"@@(.*?)@@")
    assert shell.child.match.group(1) == "False"
    shell.child.expect(pexpect.EOF)
    shell.child.wait()
    assert shell.child.exitstatus == 0
