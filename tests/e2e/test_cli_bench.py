"""The simulated laboratory as a process of its own, and clients that know nothing of us."""

from __future__ import annotations

import json
import re
import runpy
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import yaml

from orchestrator.cli.main import main
from orchestrator.laboratory import attach
from tests.command import (
    EXAMPLES,
    OPERANDO,
    ROOT,
    environment,
    only_object,
    operando,
    python,
)
from tests.warm import Child

pytestmark = pytest.mark.e2e

LIFE_S = 60
SLOPE_OHM = 49.0e-3 / 12.57e-6
"""Resistance of the default cell at the currents of the examples (the demo's 49 mV)."""

TTL_PULSE = (
    "*RST", ":OUTP1:LOAD INF", ":SOUR1:FUNC SQU", ":SOUR1:VOLT 4", ":SOUR1:VOLT:OFFS 2",
    ":TRIG1:SOUR BUS", ":SOUR1:BURS:STAT ON", ":OUTP1 ON", "*TRG",
)  # fmt: skip
"""One cycle between 0 V and 4 V at the generator's first output."""


@dataclass
class Serving:
    """A laboratory that runs."""

    process: Child
    said: dict

    def resource(self, who: str) -> str:
        return self.said["resources"][who]

    @contextmanager
    def client(self, who: str, timeout_s: float = 5.0) -> Iterator[socket.SocketIO]:
        """A socket, and no library at all."""
        _, host, port, _ = self.resource(who).split("::")
        with (
            socket.create_connection((host, int(port)), timeout=timeout_s) as stream,
            stream.makefile("rwb", buffering=0) as lines,
        ):
            yield lines

    def ask(self, who: str, *messages: str) -> str:
        with self.client(who) as lines:
            return asked(lines, *messages)

    def end(self, number: int) -> tuple[int, str, str]:
        """Send a signal; exit code and what was printed since the first line."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=10)
        return self.process.returncode, out, err


def asked(lines, *messages: str) -> str:
    """Send messages, of which the last is a query; returns its reply."""
    for message in messages:
        lines.write(f"{message}\n".encode())
    return lines.readline().decode().removesuffix("\n")


@contextmanager
def serving(cwd, *arguments: str, ignored: Sequence[int] = ()) -> Iterator[Serving]:
    """Start `operando bench` and wait for what it prints."""
    process = Child(
        [OPERANDO, "bench", "--json", "--life-s", str(LIFE_S), *arguments],
        cwd=cwd,
        env=environment(),
        ignored=ignored,
    )
    try:
        line = process.stdout.readline()  # ends at once if the process does
        if not line:
            pytest.fail(process.communicate(timeout=10)[1])
        yield Serving(process, json.loads(line))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """A sound laboratory, and the profile that leads to it."""
    folder = tmp_path_factory.mktemp("laboratory")
    with serving(folder, "--write-profile", "served.yaml") as one:
        yield one, folder
        code, out, err = one.end(signal.SIGTERM)
        assert (code, out) == (0, "")
        assert "ended by a signal" in err
        assert "Traceback" not in err


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A laboratory in which two of the three instruments are not well."""
    faults = ("garble:pstat:0:inf:match=:READ", "silence:console:0:inf")
    with serving(tmp_path_factory.mktemp("faulty"), *(f"--fault={one}" for one in faults)) as one:
        yield one


def example(name: str, *arguments: str) -> str:
    """What an example prints, with every warning an error."""
    done = python("-W", "error", EXAMPLES / name, *arguments, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- clients ------------------------------------------------------------------------------------


def test_what_it_says_of_itself(laboratory):
    one, _ = laboratory
    assert one.said["bench"] == "sim-mri"
    assert one.said["simulated"] is True
    assert one.said["sample"] == {"model": "llzo_cell", "preset": "small_4p8", "seed": 0}
    assert list(one.said["resources"]) == ["pstat", "mri.console", "mri.trigger"]
    for who, identity in one.said["identities"].items():
        assert re.fullmatch(r"TCPIP0::127\.0\.0\.1::\d+::SOCKET", one.resource(who))
        assert one.ask(who, "*IDN?") == identity
        assert identity.split(",")[2].startswith("SIM-")


def test_plain_pyvisa(laboratory):
    one, _ = laboratory
    shown = example("plain_pyvisa.py", *one.said["resources"].values())
    for who, identity in one.said["identities"].items():
        assert f"{one.resource(who)}: {identity}\n" in shown
    rows = re.findall(r"^ *([\d.]+) s +(\S+) mV +(\S+) µA$", shown, re.MULTILINE)
    times_s, millivolts, microamperes = ([float(row[k]) for row in rows] for k in range(3))
    assert times_s == pytest.approx([0.1 * k for k in range(20)], abs=0.03)
    assert microamperes == pytest.approx([12.57] * 20, abs=0.01)
    assert millivolts == pytest.approx([12.57e-3 * SLOPE_OHM] * 20, rel=0.01)
    assert "output off: True" in shown
    assert one.ask("pstat", ":OUTP?") == "0"


def test_plain_pymeasure(laboratory):
    one, _ = laboratory
    shown = example("plain_pymeasure.py", one.resource("pstat"))
    assert shown.startswith(one.said["identities"]["pstat"])
    rows = [tuple(map(float, row)) for row in re.findall(r"(\S+) µA +(\S+) mV", shown)]
    assert [microamperes for microamperes, _ in rows] == [0, 5, 10, -10]
    for microamperes, millivolts in rows:
        assert millivolts == pytest.approx(1e-3 * microamperes * SLOPE_OHM, rel=0.02, abs=0.1)
    assert "output off: True" in shown


@pytest.mark.parametrize("name", ["plain_pyvisa.py", "plain_pymeasure.py"])
def test_the_examples_are_plain(name, monkeypatch):
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    ours = re.findall(r"^(?:from|import) (?:orchestrator|devices|plans|sim)\b", text, re.MULTILINE)
    assert not ours
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(SystemExit, match="operando bench"):
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_a_command_that_an_instrument_lacks_is_its_own_error(laboratory):
    one, _ = laboratory
    with one.client("pstat") as lines:
        assert asked(lines, "*CLS", ":NO:SUCH:HEADER 1", ":SYST:ERR?").startswith("-113,")
        assert asked(lines, "*IDN?") == one.said["identities"]["pstat"]


def test_the_trigger_is_wired_to_the_console(laboratory):
    one, _ = laboratory
    with one.client("mri.console") as console, one.client("mri.trigger") as trigger:
        console.write(b"ACQ:ARM\n")
        assert json.loads(asked(console, "ACQ:STAT?"))["state"] in {"armed", "waiting_trigger"}
        asked(trigger, *TTL_PULSE, "*OPC?")
        state = json.loads(asked(console, "ACQ:STAT?"))["state"]
        console.write(b"ACQ:ABOR\n")
        assert state == "acquiring"


def test_our_own_stack_is_a_client_through_the_written_profile(laboratory, capsys):
    one, folder = laboratory
    path = folder / "served.yaml"
    document = yaml.safe_load(path.read_text())
    assert document["bench"] == "sim-mri-over-tcp"
    assert document["devices"]["mri"]["trigger"]["resource"] == one.resource("mri.trigger")
    assert main(["doctor", "--json", "--data", str(folder / "data"), "--bench", str(path)]) == 0
    findings = only_object(capsys.readouterr().out)["findings"]
    found = {finding["check"]: finding["text"] for finding in findings}
    for who, identity in one.said["identities"].items():
        assert identity.split(",")[2] in found[who]
        assert "SIMULATED" in found[who]


# --- faults -------------------------------------------------------------------------------------


def test_a_fault_is_seen_by_its_own_instrument_and_messages_only(faulty):
    assert faulty.said["faults"] == ["garble:pstat:0:inf:match=:READ", "silence:console:0:inf"]
    for who in ("pstat", "mri.trigger"):
        assert faulty.ask(who, "*IDN?") == faulty.said["identities"][who]
    garbled = faulty.ask("pstat", ":READ?")
    with pytest.raises(ValueError, match="could not convert"):
        float(garbled)
    with faulty.client("mri.console", timeout_s=0.3) as lines, pytest.raises(TimeoutError):
        asked(lines, "*IDN?")


# --- its end ------------------------------------------------------------------------------------


def test_it_ends_with_ctrl_c_and_in_the_background_too(tmp_path):
    # as a shell starts what stands before an `&` in a script
    with serving(tmp_path, ignored=[signal.SIGINT]) as one:
        stream = socket.create_connection(("127.0.0.1", int(one.resource("pstat").split("::")[2])))
        with stream:  # a client that stays does not keep it
            code, out, err = one.end(signal.SIGINT)
    assert (code, out) == (0, "")
    assert "ended by a signal" in err
    assert "Traceback" not in err


def test_it_ends_by_itself(tmp_path):
    began_s = time.monotonic()
    done = operando("bench", "--life-s", "0.5", cwd=tmp_path, timeout_s=20)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began_s > 0.5
    assert "SIMULATED laboratory of sim-mri" in done.stdout
    assert len(re.findall(r"TCPIP0::127\.0\.0\.1::\d+::SOCKET", done.stdout)) == 3
    assert done.stdout.endswith("sim-mri: ended after 0.5 s\n")
    assert not list(tmp_path.iterdir())  # it measures nothing and so records nothing


# --- in virtual time ----------------------------------------------------------------------------


def test_a_laboratory_in_virtual_time_outlives_the_engines_that_use_it(tmp_path, capsys):
    experiment, data = str(EXAMPLES / "quick_look.yaml"), str(tmp_path / "data")
    file = tmp_path / "lab.json"
    told = ("--virtual-time", "--address-file", str(file), "--experiment", experiment)
    run = ["run", experiment, "--data", data, "--json", "--no-report", "--laboratory", str(file)]
    with serving(tmp_path, *told) as one:
        assert one.said["virtual_time"] is True
        assert one.said["address_file"] == str(file)
        charges = []
        for _ in range(2):  # the second finds the cell as the first has left it
            assert main(run) == 0
            charges.append(only_object(capsys.readouterr().out)["throughput_mah"])
        there = attach(file)
        cell = there.cell()
        assert cell["t_s"] > 40.0
        assert cell["on"] == []
        assert cell["throughput_mah"] == pytest.approx(sum(charges), rel=0.03)
        assert main(["off", "sim-mri", "--laboratory", str(file)]) == 0
        assert "off, verified (pstat" in capsys.readouterr().out
        assert main(["bench", *told]) == 2
        assert "leads to a laboratory that runs" in capsys.readouterr().err
        there.stop()
        there.close()
        out, err = one.process.communicate(timeout=10)
        assert (one.process.returncode, out) == (0, "")
        assert "ended over its control channel" in err
    assert not file.exists()
    assert main(run) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_beside_a_real_device_there_is_no_virtual_time(tmp_path, capsys):
    document = yaml.safe_load(HARDWARE)
    document["devices"]["sem"] = {"kind": "sem", "driver": "sem_bridge", "resource": "sim://sem"}
    path = tmp_path / "half.yaml"
    path.write_text(yaml.safe_dump(document))
    assert main(["bench", str(path), "--virtual-time", "--address-file", str(tmp_path / "a")]) == 2
    assert "neither time nor faults can be controlled" in capsys.readouterr().err


# --- what it is told ----------------------------------------------------------------------------


@contextmanager
def free_port() -> Iterator[int]:
    """A port on which somebody listens while the context lasts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_port_may_be_given(capsys):
    with free_port() as port:
        pass
    assert main(["bench", "--json", "--life-s", "0.1", "--port", f"mri.console={port}"]) == 0
    said = only_object(capsys.readouterr().out)
    assert said["resources"]["mri.console"] == f"TCPIP0::127.0.0.1::{port}::SOCKET"


def test_a_port_in_use_is_bad_input(capsys):
    with free_port() as port:
        assert main(["bench", "--life-s", "0.1", "--port", f"console={port}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"{port}" in printed.err
    assert "choose another --port" in printed.err


def test_the_sample_of_an_experiment(tmp_path, capsys):
    document = yaml.safe_load((EXAMPLES / "quick_look.yaml").read_text())
    document["sample"]["simulate_as"] |= {"seed": 5}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    assert main(["bench", "--json", "--life-s", "0.1", "--experiment", str(path)]) == 0
    assert only_object(capsys.readouterr().out)["sample"]["seed"] == 5


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no-such-bench"], "found no such bench profile"),
        (["lab.yaml"], "lab: nothing on it is simulated"),
        (["--fault", "slow:pstat:0:1"], "--fault slow:pstat:0:1: kind: got 'slow'"),
        (["--fault", "late:psat:0:1"], "got 'psat'"),
        (["--fault", "late:psat:0:1"], "did you mean pstat?"),
        (["--port", "pstat"], "got 'pstat', expected DEVICE=PORT"),
        (["--port", "pstat=70000"], "a port from 1 to 65535"),
        (["--port", "sem=5025"], "--port sem: got 'sem'"),
        (["--life-s", "0"], "--life-s: got '0'"),
        (["--life-s", "inf"], "--life-s: got 'inf'"),
        (["--life-s", "long"], "--life-s: got 'long'"),
        (["--experiment", "none.yaml"], "none.yaml"),
        (["--write-profile", "no/such/folder.yaml"], "cannot be written"),
    ],
)
def test_bad_input_is_exit_code_2(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yaml").write_text(HARDWARE)
    assert main(["bench", "--life-s", "0.1", *arguments]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""


HOW_TO = ROOT / "docs" / "how-to" / "serve-the-laboratory.md"


def test_examples_are_named_where_they_are_explained():
    named = re.findall(r"`examples/(\w+\.py)`", HOW_TO.read_text())
    assert named == ["plain_pyvisa.py", "plain_pymeasure.py"]
