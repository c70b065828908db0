"""What numbers out of frames and spectra need of a run that was cut off."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from devices.roles import Reading


@dataclass(frozen=True)
class Delivered:
    """A frame or spectrum that a run which was cut off has recorded.

    Attributes:
        frame: Its index in the stream of the run that goes on; the frames of the runs before it
            count back from -1.
        t_s: As of the readings that are got out of it, Unix s.
        read: Reads it.
        quality: What the device said of it.
    """

    frame: int
    t_s: float
    read: Callable[[], Any]
    quality: str = "ok"


_MAYBE = ("value", "error", "known_s")


def reading_state(reading: Reading) -> dict[str, Any]:
    """A reading as JSON knows it: None where there is no number."""
    kept = asdict(reading)
    return kept | {name: kept[name] if math.isfinite(kept[name]) else None for name in _MAYBE}


def reading_of(kept: Mapping[str, Any]) -> Reading:
    """The reading that `reading_state` has written."""
    numbers = {name: math.nan if kept[name] is None else kept[name] for name in _MAYBE}
    return Reading(**{**kept, **numbers})
