"""The installed `operando` command as a process, for tests of what a user sees."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pexpect
from ptyprocess import PtyProcess

from tests.warm import Child

ROOT = Path(__file__).parents[1]
OPERANDO = Path(sys.executable).with_name("operando")
EXAMPLES = ROOT / "examples"

_NOT_INHERITED = (
    "PYTHONDONTWRITEBYTECODE",  # children would compile every library again
    "OPERANDO_BENCH",
    "OPERANDO_DATA",
    "FORCE_COLOR",
    "COLUMNS",
)


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: nothing of this project's own in it but `more`."""
    kept = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    return {**kept, **more}


def default_signals() -> None:
    """In the child before it begins: signals as at a prompt, however the tests were started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def operando(
    *arguments: str | Path, cwd: Path, timeout_s: float = 60.0, cold: bool = False, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end, without a terminal.

    Args:
        arguments: The command line.
        cwd: Folder to run in.
        timeout_s: Fail after this long, s.
        cold: In an interpreter of its own, as a user starts it, instead of a fork.
        env: Environment on top of ours.
    """
    return finished([OPERANDO, *arguments], cwd=cwd, timeout_s=timeout_s, cold=cold, **env)


def python(
    *arguments: str | Path, cwd: Path, timeout_s: float = 60.0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with arguments to its end."""
    return finished([sys.executable, *arguments], cwd=cwd, timeout_s=timeout_s, **env)


def finished(
    argv: Sequence[str | Path], *, cwd: Path, timeout_s: float, cold: bool = False, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    if cold:
        return subprocess.run(
            list(map(str, argv)),
            cwd=cwd,
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    child = Child(argv, cwd=cwd, env=environment(**env))
    try:
        stdout, stderr = child.communicate(timeout_s)
    finally:
        child.kill()
        child.close()
    return subprocess.CompletedProcess(argv, child.wait(10), stdout, stderr)


class _Pty(PtyProcess):
    """A child of the warm process behind a terminal, as pexpect knows those of its own."""

    def __init__(self, child: Child, descriptor: int) -> None:
        super().__init__(child.pid, descriptor)
        self.child = child

    def isalive(self) -> bool:
        return not self._ended(self.child.poll())

    def wait(self) -> int | None:
        self._ended(self.child.wait(60.0))
        return self.exitstatus

    def _ended(self, code: int | None) -> bool:
        if code is not None:
            self.terminated = True
            self.exitstatus = code if code >= 0 else None
            self.signalstatus = -code if code < 0 else None
            self.status = code << 8 if code >= 0 else -code
        return code is not None


def at_terminal(
    *arguments: str | Path, cwd: Path | None = None, timeout_s: float = 30.0, **env: str
) -> pexpect.spawn:
    """Begin a verb at a pseudo-terminal of 80 columns."""
    ours, theirs = pty.openpty()
    child = Child(
        [OPERANDO, *arguments],
        cwd=cwd or Path.cwd(),
        env=environment(TERM="xterm", **env),
        terminal=theirs,
    )
    os.close(theirs)
    process = pexpect.spawn(None, timeout=timeout_s, encoding="utf-8")
    process.ptyproc = _Pty(child, ours)
    process.ptyproc.setwinsize(24, 80)
    process.pid, process.child_fd = child.pid, ours
    process.closed = process.terminated = False
    return process


def only_object(stdout: str) -> dict[str, Any]:
    """The one JSON object that standard output consists of."""
    value = json.loads(stdout)
    assert stdout.count("\n") == 1, stdout
    assert isinstance(value, dict)
    return value


def wait_until(true: Callable[[], Any], *, what: str, timeout_s: float = 30.0) -> Any:
    """Look 20 times a second until something is true; returns it."""
    deadline = time.monotonic() + timeout_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
        time.sleep(0.05)
    return found


def live(data: Path) -> dict[str, Any]:
    """The last state that a run left in its data directory; empty before."""
    try:
        state: dict[str, Any] = json.loads((data / "live.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return state


def energised(data: Path) -> bool:
    """Whether a run is under way and its records show a current."""
    state = live(data)
    return state.get("state") == "running" and bool(state.get("current_ma"))
