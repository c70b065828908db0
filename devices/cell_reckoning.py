"""When a program began whose start nobody saw, and by how much somebody set the host's clock."""

from __future__ import annotations

import math

import numpy as np

from devices.adoption import Attached
from devices.cell_program import Page, ProgramState
from devices.cell_run import CellRun

_SAME_CLOCK_S, _DRIFT = 1.0, 1e-4
"""Clocks that differ by no more than this, and this part of the time, go together [A]."""


def began_s(
    run: CellRun, page: Page, found: Attached, known: tuple[float, float], journaled_s: float
) -> float:
    """When a program began whose start no checkpoint has seen, Unix s.

    It was about to be started at the checkpoint. If the journal has a record of it, its rows are
    those of the journal; else the instrument's own time counts, or its last row does.

    Args:
        run: The program.
        page: Its rows.
        found: What the driver found.
        known: When it was about to be started, and the present, Unix s.
        journaled_s: Time of the last record in the journal, Unix s.
    """
    about_s, now_s = known
    rows_s = page.elapsed_s
    if journaled_s > about_s and len(rows_s):
        nearest = int(np.argmin(np.abs(about_s + rows_s - journaled_s)))
        return float(journaled_s - rows_s[nearest])
    if page.state is not ProgramState.RUNNING:
        return about_s
    if math.isfinite(found.elapsed_s):
        return max(about_s, now_s - found.elapsed_s)
    ran_s = float(rows_s[-1]) if len(rows_s) else 0.0
    period_s = run.programs[0].period_s
    return float(np.clip(about_s, now_s - ran_s - period_s, now_s - ran_s))


def skew_s(run: CellRun, page: Page, found: Attached, now_s: float) -> float:
    """How much the host's clock was moved since the program's start, s; 0 if by nothing to see."""
    elapsed_s = now_s - run.began_s
    allowed_s = _SAME_CLOCK_S + _DRIFT * abs(elapsed_s)
    if page.state is not ProgramState.RUNNING:  # its end lies in the past, if nobody set the clock
        return min(0.0, elapsed_s - run.ran_s + allowed_s)
    if math.isfinite(found.elapsed_s):
        low_s = high_s = found.elapsed_s
    else:
        program = run.programs[min(page.technique, len(run.programs) - 1)]
        low_s, high_s = run.ran_s, run.ran_s + program.period_s
    if low_s - allowed_s <= elapsed_s <= high_s + allowed_s:
        return 0.0
    return elapsed_s - 0.5 * (low_s + high_s)
