"""The installed `operando` command as a process, for tests of what a user sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    *arguments: str | Path, cwd: Path, timeout_s: float = 60.0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end, without a terminal."""
    return subprocess.run(
        [OPERANDO, *map(str, arguments)],
        cwd=cwd,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


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
