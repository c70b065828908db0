"""Who wants to know of every frame that a device takes, and of those it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

FrameListener = Callable[[str, float], None]
"""Told of a frame: its quality, and the difference of its 99th and 1st percentile in its unit; of
one that failed why, and NaN. A frame that was dropped or aborted by us is none."""


class FrameWatchers:
    """Those who watch, in the order in which they came."""

    def __init__(self) -> None:
        self._listeners: list[FrameListener] = []

    def add(self, listener: FrameListener) -> Callable[[], None]:
        """Tell `listener` of every frame; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def spread(self, image: npt.NDArray[Any]) -> float:
        """Difference of the 99th and the 1st percentile; NaN where nobody watches."""
        if not self._listeners or not np.isfinite(image).all():
            return math.nan
        low, high = np.percentile(image, (1.0, 99.0))
        return float(high - low)

    def tell(self, quality: str, spread: float = math.nan) -> None:
        """A frame is there, or failed."""
        for listener in list(self._listeners):
            listener(quality, spread)
