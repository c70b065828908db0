"""Judgement on a frame that an instrument delivers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def judge(image: npt.NDArray[Any]) -> str:
    """``ok``, or what is wrong with a frame: ``nan``, ``black`` (all the same value)."""
    if not np.isfinite(image).all():
        return "nan"
    return "ok" if float(np.ptp(image)) > 0.0 else "black"
