"""Faults from the command line: options, files, and what is refused."""

from __future__ import annotations

import pytest

from orchestrator.cli.main import main
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from tests.command import EXAMPLES, only_object

pytestmark = pytest.mark.e2e

QUICK = str(EXAMPLES / "quick_look.yaml")
HARDWARE = """
bench: lab
instrument_name: lab
devices:
  pstat:
    kind: potentiostat
    driver: keithley_2450
    resource: "TCPIP::192.0.2.7::5025::SOCKET"
    limits: {max_voltage_v: 5, max_current_ma: 10}
"""


def test_a_run_with_faults_says_so_everywhere(tmp_path, capsys):
    (tmp_path / "faults.yaml").write_text("- {kind: black, device: mri, start_s: 0, end_s: 3}\n")
    code = main([
        "run", QUICK, "--json", "--no-report", "--data", str(tmp_path / "data"),
        "--fault", "stuck_reading:pstat:6:8", "--faults", str(tmp_path / "faults.yaml"),
    ])  # fmt: skip
    printed = capsys.readouterr()
    assert code == 0, printed.err
    result = only_object(printed.out)
    faults = ["black:mri:0:3", "stuck_reading:pstat:6:8"]
    assert all(f"injected fault: {fault}" in printed.err for fault in faults)
    run = load_run(DataDirectory(tmp_path / "data").journal(result["uid"]))
    assert run.start["simulation"]["faults"] == faults
    assert run.streams["mri"]["mri_quality"][0] == "black"


def test_an_instrument_that_falls_silent_is_exit_code_3(tmp_path, capsys):
    code = main([
        "run", QUICK, "--no-report", "--data", str(tmp_path), "--fault", "silence:pstat:2:inf",
    ])  # fmt: skip
    printed = capsys.readouterr()
    assert code == 3
    assert "pstat" in printed.err
    assert "disconnect the cell by hand" in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--fault", "slow:pstat:0:1"], "--fault slow:pstat:0:1: kind: got 'slow'"),
        (["--fault", "late:psat:0:1"], "--fault late:psat:0:1: got 'psat'"),
        (["--fault", "black:pstat:0:1"], "got pstat, which cannot have the fault black"),
        (["--faults", "none.yaml"], "none.yaml"),
        (["--faults", "wrong.yaml"], "wrong.yaml:2:10: [1].kind: got 'shrt'"),
        (["--faults", "wrong.yaml"], "wrong.yaml:1:3: [0].device: got 'sem'"),
    ],
)
def test_bad_faults_are_exit_code_2(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text(
        "- black:sem:0:1\n- {kind: shrt, device: cell, start_s: 1}\n"
    )
    assert main(["run", QUICK, "--data", "data", *arguments]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("verb", ["shell", "bench"])
def test_hardware_has_no_faults(verb, tmp_path, capsys):
    (tmp_path / "lab.yaml").write_text(HARDWARE)
    bench = str(tmp_path / "lab.yaml")
    given = [bench] if verb == "bench" else ["--bench", bench, "--data", str(tmp_path / "data")]
    assert main([verb, *given, "--fault", "late:pstat:0:1"]) == 2
    assert "got faults, and pstat of bench lab is real" in capsys.readouterr().err
