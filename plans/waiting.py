"""Waiting for a condition in a plan: always with a deadline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from plans.conditions import Condition
from plans.criteria import Met
from plans.stubs import is_done, wait_any


def wait_until(
    condition: Condition,
    timeout_s: float,
    *,
    read: Sequence[Any] = (),
    every_s: float = 30.0,
) -> MsgGenerator[Met | None]:
    """Wait until a condition is met, at most so long; whatever runs goes on meanwhile.

    Nothing is driven here: a condition on records needs a step that runs, one on images frames
    that are taken. What does not measure by itself, a chamber or a load cell, is read here. It
    may be paused at any message; on every way out the condition is stopped.

    Args:
        condition: What to wait for.
        timeout_s: Longest wait in experiment time, s.
        read: Sensors to read again and again meanwhile.
        every_s: Time between their readings, s.

    Returns:
        When and how it was met; None if it was not, by the deadline.
    """
    yield from bpp.finalize_wrapper(
        _waiting(condition, timeout_s, read, every_s), bps.stop(condition)
    )
    return condition.met


def _waiting(
    condition: Condition, timeout_s: float, read: Sequence[Any], every_s: float
) -> MsgGenerator[None]:
    clock = condition.clock
    deadline_s = clock.time() + timeout_s
    status = yield from bps.trigger(condition, group=condition.name)
    while not is_done(status):
        for sensor in read:
            yield from bps.trigger(sensor, wait=True)
        left_s = deadline_s - clock.time()
        if left_s <= 0.0:
            break
        yield from wait_any([status], min(left_s, every_s) if read else left_s)
