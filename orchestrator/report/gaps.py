"""Where nothing was recorded because a run had been cut off, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.records.runs import Run

_FOUND = {
    "running": "the instrument was found still running, and its records were read",
    "finished": "the step had ended by itself meanwhile, and its records were read",
    "off": "the cell was found off",
    "lost": "what had run on the instrument could not be told",
}


@dataclass(frozen=True)
class Pause:
    """A time that nobody recorded.

    Attributes:
        from_s: Seconds since the experiment began; NaN where nobody knows.
        to_s: Up to then nothing was recorded, s.
        resumed_s: When the experiment went on, s.
        bound_mah: Charge that may have flowed meanwhile, at most, mAh; NaN where nobody knows.
        found: How the instrument was found.
    """

    from_s: float
    to_s: float
    resumed_s: float
    bound_mah: float
    found: str


def gaps_of(run: Run, begin_s: float) -> tuple[Pause, ...]:
    """The gaps of an experiment, in seconds since it began."""
    return tuple(
        Pause(
            from_s=one.from_s - begin_s,
            to_s=one.to_s - begin_s,
            resumed_s=one.resumed_s - begin_s,
            bound_mah=one.bound_mah,
            found=one.found,
        )
        for one in run.gaps
    )


def gap_rows(gaps: Sequence[Pause], unit_s: float) -> list[list[str]]:
    """Rows of a table: when the experiment went on, what is missing, and what was found."""
    return [
        [
            f"{one.resumed_s / unit_s:.4g}",
            _length(one),
            "unknown" if math.isnan(one.bound_mah) else f"{one.bound_mah:.3g}",
            _FOUND.get(one.found, one.found or "not recorded"),
        ]
        for one in gaps
    ]


def _length(one: Pause) -> str:
    seconds = one.to_s - one.from_s
    if math.isnan(seconds):
        return "unknown"
    return "none" if seconds <= 0.0 else f"{seconds:.6g} s"
