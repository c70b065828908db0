"""The option ``--points``: some runs of a campaign, by their numbers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.errors import ExperimentError

if TYPE_CHECKING:
    from orchestrator.experiment import Campaign

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def numbers(text: str) -> list[int]:
    """Numbers of runs as people write them: ``2,4-6``.

    Raises:
        argparse.ArgumentTypeError: It is something else.
    """
    chosen: list[int] = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            raise argparse.ArgumentTypeError(f"got {text[:40]!r}, expected numbers such as 2,4-6")
        first, last = int(found[1]), int(found[2] or found[1])
        chosen += range(first, min(last, first + 10_000) + 1)
    return chosen


def some_of(campaign: Campaign, wanted: Sequence[int] | None) -> Campaign:
    """The campaign, or some of its runs.

    Raises:
        ExperimentError: There are no such runs.
    """
    if wanted is None:
        return campaign
    there = {point.number for point in campaign.points}
    wrong = sorted(set(wanted) - there)
    if campaign.sweep is None or wrong or not wanted:
        what = "is one run" if campaign.sweep is None else f"has the runs 1 to {len(there)}"
        raise ExperimentError(
            campaign.name,
            f"{what}, got --points {','.join(map(str, wrong[:5])) or '...'}",
            remedy="choose among these" if campaign.sweep is not None else "leave out --points",
        )
    return campaign.only(wanted)
