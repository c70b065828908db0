"""The units for systemd: well formed, and every command in them does what it is there for."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.cli.main import VERBS, _parser
from orchestrator.errors import ControlError
from orchestrator.units.writing import UNITS, Machine, filled_in, this_machine, write_units
from tests.command import OPERANDO, environment, wait_until
from tests.warm import Child

ODD = Machine(
    Path('/data/a week "of" $HOME 100%'), "lab", ("/opt/op erando/bin/operando",), {"A_B": "x y%"}
)


@pytest.fixture
def units(tmp_path, capsys):
    """Units of this machine for a data directory of the test, by name."""
    out = tmp_path / "units"
    assert main(["units", "--out", str(out), "--data", str(tmp_path / "data")]) == 0
    said = capsys.readouterr().out
    assert "systemctl --user enable --now" in said
    assert "enable-linger" in said
    return {path.name: path.read_text(encoding="utf-8") for path in out.iterdir()}


def commands(text):
    """(key, words) of every command in a unit, as systemd splits and expands them."""
    for key, line in re.findall(r"^(Exec\w+)=-?(.*)$", text, re.MULTILINE):
        program, *words = [word.replace("%%", "%") for word in shlex.split(line)]
        yield key, [program, *(word.replace("$$", "$") for word in words)]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("manager", ["user", "system"])
@pytest.mark.parametrize("machine", ["this", "odd"])
def test_systemd_takes_them(tmp_path, monkeypatch, manager, machine):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = this_machine(tmp_path, user="root")
    if machine == "odd":
        script = tmp_path / "a $b 50%" / "operando"
        script.parent.mkdir()
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
        made = Machine(ODD.data, "root", (str(script),), ODD.environment)
    paths = write_units(filled_in(made, manager), tmp_path / "units")
    scope = ["--user"] if manager == "user" else []
    said = subprocess.run(
        ["systemd-analyze", "verify", *scope, *paths], capture_output=True, text=True, timeout=60
    )
    ours = [line for line in said.stderr.splitlines() if "operando" in line]
    assert (said.returncode, ours) == (0, [])


@pytest.mark.parametrize("manager", ["user", "system"])
def test_nothing_in_a_path_is_expanded(manager):
    for text in filled_in(ODD, manager).values():
        assert not re.search(r"@\w+@", text)
        for _, words in commands(text):
            assert words[0] == ODD.operando[0]
            assert words[words.index("--data") + 1] == str(ODD.data)
        assert 'Environment="A_B=x y%%"' in text
    with pytest.raises(ControlError, match="no control characters"):
        filled_in(Machine(Path("/a\nExecStart=/bin/evil"), "", ("x",), {}), manager)


def test_every_command_is_one_of_ours(units):
    assert set(units) == set(UNITS)
    found = [words for text in units.values() for _, words in commands(text)]
    assert [words[1] for words in found].count("off") == 3
    for words in found:
        begin = next(k for k, word in enumerate(words) if word in VERBS)
        assert _parser(words[begin]).parse_args(words[begin:]).verb == words[begin]


def test_what_the_units_promise(units):
    serve, safe = units["operando-serve.service"], units["operando-safe.service"]
    for line in ("Type=notify", "KillMode=process", "OOMPolicy=continue", "Restart=on-failure"):
        assert f"\n{line}\n" in serve
    assert re.search(r"\nExecStopPost=-\S*operando off --abandoned ", serve)
    assert "\nAfter=operando-safe.service operando-recover.service\n" in serve
    assert "\nBefore=operando-serve.service\n" in safe
    assert re.search(r"\nExecStop=\S*operando off --all ", safe)
    system = filled_in(ODD, "system")
    assert all("\nUser=lab\n" in text for text in system.values())
    for taken_away in ("PrivateDevices", "ProtectClock", "PrivateTmp"):  # instruments need them
        assert not any(taken_away in text for text in system.values())


def test_units_are_not_written_over(tmp_path, capsys):
    words = ["units", "--system", "--run-as", "lab", "--out", str(tmp_path / "u")]
    assert main(words) == 0
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0
    assert main(["units", "--run-as", "lab", "--out", str(tmp_path / "v")]) == 2
    (tmp_path / "file").touch()
    assert main(["units", "--out", str(tmp_path / "file" / "x")]) == 2


def test_the_commands_run_where_there_is_nothing_to_do(units, tmp_path, monkeypatch, capsys):
    """Row 30: the first boot of all."""
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))
    for name in ("operando-safe.service", "operando-recover.service"):
        for _, words in commands(units[name]):
            assert main(words[1:]) == 0, words


@pytest.fixture
def manager(tmp_path):
    """systemd's end of the line, and the environment that it gives a service."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(path))
        ear.setblocking(False)
        yield ear, {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2000000"}


class Heard:
    """What a service has said so far."""

    def __init__(self, ear):
        self.ear, self.lines = ear, []

    def listen(self):
        while True:
            try:
                self.lines.append(self.ear.recv(4096).decode())
            except BlockingIOError:
                return self.lines

    def beats(self):
        return self.listen().count("WATCHDOG=1")


def test_serve_as_systemd_runs_it(units, tmp_path, manager):
    """Row 29: ready, beats from its own loop, silence when that hangs, a word when it ends."""
    ear, told = manager
    heard = Heard(ear)
    ((_, words), (_, after)) = commands(units["operando-serve.service"])
    state = {"OPERANDO_STATE": str(tmp_path / "state")}
    service = Child(
        [OPERANDO, *words[1:], "--no-http"], cwd=tmp_path, env=environment(**told, **state)
    )
    try:
        wait_until(lambda: heard.beats() >= 2, what="it beats", timeout_s=60)
        assert heard.lines[0] == "READY=1"
        assert "STATUS=0 running, 0 waiting" in heard.lines
        service.send_signal(signal.SIGSTOP)  # as a loop that hangs
        wait_until(lambda: stopped(service.pid), what="it is stopped")
        before = heard.beats()
        with pytest.raises(AssertionError):
            wait_until(lambda: heard.beats() > before, what="a beat", timeout_s=1.0)
        service.send_signal(signal.SIGCONT)
        wait_until(lambda: heard.beats() > before, what="it beats again")
        service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0
        assert "STOPPING=1" in heard.listen()
    finally:
        service.kill()
        service.communicate(timeout=10)
    assert main(after[1:]) == 0


def stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
