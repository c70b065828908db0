"""CPU time in units of one plain Python loop, so that benchmarks compare between machines."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np


def cpu_s(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """CPU seconds of the fastest of some repetitions, and its result."""
    best, result = np.inf, None
    for _ in range(repeats):
        gc.collect()
        began_s = time.process_time()
        result = work()
        best = min(best, time.process_time() - began_s)
    return best, result


def _loop() -> float:
    x = 0.0
    for _ in range(1_000_000):
        x = x * 0.5 + 1.0
    return x


@cache
def loop_s() -> float:
    """CPU seconds of a million multiplications and additions of floats."""
    return cpu_s(_loop, repeats=5)[0]


def report(what: str, taken_s: float, unit_s: float, bound: float) -> None:
    """Print what something cost and hold it to a bound in loops."""
    print(f"\n{what}: {taken_s:.4f} s CPU = {taken_s / unit_s:.3f} loops (bound {bound})")
    assert taken_s < bound * unit_s
