"""A loop of the trigger model that can be evaluated for many timer events at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.instruments.smu_trigger_blocks import Block, Counter, LimitBranch, Measure, Nop, Wait
from sim.world import Floats


@dataclass(frozen=True)
class Loop:
    """A loop that can be evaluated for many timer events at once."""

    timer: int
    buffer: str
    branches: tuple[LimitBranch, ...]
    counter: int
    count: int
    after: int


@dataclass(frozen=True)
class Ahead:
    """Rows that were looked at, some of them before they are due.

    Attributes:
        key: Conditions under which they hold.
        first: Number of the timer event of the first row.
        times_s: Time of each row.
        readings: What is measured.
        sources: What is sourced.
        rows: How many of them are valid.
        hit: First row on which a branch is taken; `rows` if none.
        target: Where that branch goes.
    """

    key: tuple[float, ...]
    first: int
    times_s: Floats
    readings: Floats
    sources: Floats
    rows: int
    hit: int
    target: int


def find_loop(blocks: Mapping[int, Block], start: int) -> Loop | None:
    """The loop that begins at a wait block, if it has the shape."""
    wait, measure = blocks[start], blocks.get(start + 1)
    if not isinstance(wait, Wait) or len(wait.timers) != 1:
        return None
    if not isinstance(measure, Measure) or measure.count != 1:
        return None
    branches: list[LimitBranch] = []
    number = start + 2
    while isinstance(block := blocks.get(number), LimitBranch | Nop):
        if isinstance(block, LimitBranch):
            branches.append(block)
        number += 1
    if not isinstance(block, Counter) or block.target != start:
        return None
    (timer,) = wait.timers
    return Loop(timer, measure.buffer, tuple(branches), number, block.count, number + 1)


def meets(branch: LimitBranch, reading: float) -> bool:
    """Whether a reading takes the branch."""
    return bool(_criterion(branch, np.array([reading]))[0])


def first_hit(branch: LimitBranch, readings: Floats) -> int:
    """Index of the first reading that meets the criterion; the number of readings if none."""
    met = _criterion(branch, readings)
    index = int(met.argmax())
    return index if met[index] else len(readings)


def _criterion(branch: LimitBranch, readings: Floats) -> npt.NDArray[np.bool_]:
    if branch.kind == "ABOV":
        return readings > branch.high
    if branch.kind == "BEL":
        return readings < branch.low
    inside = (readings >= branch.low) & (readings <= branch.high)
    return inside if branch.kind == "IN" else ~inside
