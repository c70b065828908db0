"""Switches off what processes left energised: those that died, and on request those that live."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.profile.models import BenchProfile
from orchestrator.registered import Registered, registered, taken_over
from orchestrator.safe_off import OffReport, switch_off
from orchestrator.telling import Severity, Tell, Telling, tell
from orchestrator.watchdog.latch import Latch

LEAVE_WITHIN_S = 30.0
"""Longest time that a process may take to end its run in order when it is asked to, s."""

_WHY = "its process ended without switching it off"


@dataclass(frozen=True)
class Left:
    """What became of one registered bench.

    Attributes:
        bench: Its name.
        report: What is off; None where a living process keeps it.
        asked: Whether a living process was asked to end.
    """

    bench: str
    report: OffReport | None
    asked: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing of it is on without somebody who watches."""
        return self.report is None or self.report.ok


def switch_off_left(
    *,
    also_living: bool = False,
    off: Callable[[BenchProfile], OffReport] = switch_off,
    tell: Tell = tell,
    leave_within_s: float = LEAVE_WITHIN_S,
) -> list[Left]:
    """Switch off each registered bench whose process is gone, verified.

    What cannot be switched off is latched as UNSAFE, and people are told.

    Args:
        also_living: End the processes that live, too, in order where they do, and switch off what
            they had.
        off: Switches a bench off.
        tell: Tells people.
        leave_within_s: Longest wait for a living process, s.
    """
    return [_one(one, also_living, off, tell, leave_within_s) for one in registered()]


def _one(
    one: Registered,
    also_living: bool,  # noqa: FBT001 - handed through
    off: Callable[[BenchProfile], OffReport],
    tell: Tell,
    leave_within_s: float,
) -> Left:
    asked = also_living and one.held
    if asked:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one.pid, signal.SIGTERM)
    with taken_over(one, wait_s=leave_within_s if asked else 0.0) as mine:
        if mine is None and not one.path.exists():
            return Left(one.bench, OffReport(), asked)  # it has left in order
        if mine is None and not asked:
            return Left(one.bench, None)  # its process lives
        report = off(BenchProfile.model_validate(one.profile))
        if report.ok and mine is not None:
            mine.forget()
    if not report.ok:
        Latch(one.bench).set(report.unsafe, _WHY)
    if mine is not None or not report.ok:
        tell(_telling(one, report))
    return Left(one.bench, report, asked)


def _telling(one: Registered, report: OffReport) -> Telling:
    """What people are told of a bench that was left."""
    boot = "; the machine was started since" if one.from_another_boot else ""
    not_off = "; ".join(f"{name}: {why}" for name, why in report.unsafe.items())
    off = f"off, verified ({', '.join(report.off)})"
    return Telling(
        "left",
        Severity.FAILURE if report.ok else Severity.UNSAFE,
        f"process {one.pid} ended without switching off{boot}",
        bench=one.bench,
        cell=off if report.ok else f"NOT KNOWN TO BE OFF: {not_off}",
        remedy=(
            "`operando recover`; then see what has become of its run"
            if report.ok
            else f"disconnect the cell by hand; then `operando off {one.bench} --acknowledge`"
        ),
        data=str(Path(one.data)),
        key=f"left:{one.bench}:{one.since}:{report.ok}",
    )
