"""A simulated laboratory in a process of its own, forked from the test's warm one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.laboratory import AttachedLaboratory, attach
from orchestrator.laboratory.serving import serve_laboratory
from orchestrator.profile.loading import load_profile


@contextmanager
def served(file: Path, profile="sim-mri", sample=None, **told) -> Iterator[AttachedLaboratory]:
    """Serve a laboratory in virtual time; gives who tells and asks it.

    Args:
        file: Where the address file goes.
        profile: The bench.
        sample: What lies on it.
        told: For `serve_laboratory`.
    """
    chosen = load_profile(profile) if isinstance(profile, str | Path) else profile
    pid = os.fork()
    if pid == 0:
        _serve(file, chosen, sample, {"life_s": 300.0, "control": "virtual", **told})
    try:
        deadline_s = time.monotonic() + 20.0
        while not file.exists():
            assert time.monotonic() < deadline_s, "the laboratory did not begin"
            assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the laboratory ended at once"
            time.sleep(0.01)
        there = attach(file)
        try:
            yield there
        finally:
            there.close()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _serve(file, profile, sample, told) -> None:
    """In the child: serve until it is killed or its life is over."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with serve_laboratory(profile, sample, **told) as serving:
            serving.address.write(file)
            serving.wait(told["life_s"] + 10.0)
        code = 0
    finally:
        os._exit(code)
