"""Numbers of the papers that follow from other numbers of the same papers, as rows.

Where a paper disagrees with itself the row says so instead of silently taking one of the two; no
program can agree with such a number.
"""

from __future__ import annotations

import numpy as np

from orchestrator.analysis.arithmetic import ArithmeticCheck, arithmetic_checks
from orchestrator.analysis.isotopes import TracerCell, tracer_exchange
from orchestrator.reproduce.row import Line, Row

_SCRIPT = TracerCell(electrodes=100.0, electrolyte=300.47, per_cycle=0.1088)
"""Constants of the script that Liu et al. 2025 published: coulombs per pool and half cycle."""
_X6_ELECTRODES, _X6_ELECTROLYTE, _UPDATES = 0.95, 0.069825, 844

_TRACER = tuple(
    Line("liu", f"x6_{pool}_844", f"6Li in the {words} after 844 updates", published, "",
         "arithmetic", "equations (1) and (2) with the constants of the authors' script", 1e-4)
    for pool, words, published in (
        ("electrodes", "electrodes", 0.48374), ("electrolyte", "electrolyte", 0.22500)
    )
)  # fmt: skip


def rows(paper: str) -> list[Row]:
    """Rows of one paper that need no run."""
    found = [_row(check) for check in arithmetic_checks() if check.paper == paper]
    if paper == "liu":
        pair = tracer_exchange(_X6_ELECTRODES, _X6_ELECTROLYTE, _SCRIPT, np.array([_UPDATES]))
        found += [line.row(float(x6[0])) for line, x6 in zip(_TRACER, pair, strict=True)]
    return found


def _row(check: ArithmeticCheck) -> Row:
    line = Line(
        check.paper,
        check.id,
        check.quantity,
        check.published,
        check.unit,
        "arithmetic",
        check.note if check.agrees else f"impossible: {check.note}",
        check.tolerance * abs(check.published),
        "within" if check.agrees else "impossible",
    )
    return line.row(check.computed)
