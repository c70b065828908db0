"""Judgements on what an MRI console says and delivers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from devices.roles import ConsoleState, ConsoleStatus


def ended_early(status: ConsoleStatus) -> bool:
    """Whether nothing runs and nothing was finished: somebody ended the scan."""
    return status.state is ConsoleState.IDLE and not math.isfinite(status.t_end_s)


def judge(image: np.ndarray[Any, Any]) -> str:
    """``ok``, or what is wrong with a frame: ``nan``, ``black`` (all the same value)."""
    if not np.isfinite(image).all():
        return "nan"
    return "ok" if float(np.ptp(image)) > 0.0 else "black"
