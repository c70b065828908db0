"""`live.json`: what goes on now, for progress lines and pages that must not load the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from devices.clock import monotonic

PERIOD_S = 1.0
"""Real seconds between two replacements of the file, at least."""


class LiveState:
    """Replaces a small JSON file atomically, at most once a second of real time.

    It is only a view: a failure to write it is kept in `failure` and never ends a run. Values
    that JSON lacks (NaN) become null.

    Args:
        path: The file.
        now: Monotonic real seconds.
        period_s: Least real time between two replacements, s.

    Attributes:
        failure: Why the file could not be replaced the last time, empty if it was.
    """

    def __init__(
        self, path: Path, *, now: Callable[[], float] = monotonic, period_s: float = PERIOD_S
    ) -> None:
        self.path, self._now, self._period_s = path, now, period_s
        self._state: dict[str, Any] = {}
        self._written_s = float("-inf")
        self.failure = ""

    @property
    def due(self) -> bool:
        """Whether an update would replace the file now."""
        return self._now() - self._written_s >= self._period_s

    def update(self, **state: Any) -> bool:
        """Take over new values; returns whether the file was replaced."""
        self._state.update(state)
        return self.flush() if self.due else False

    def flush(self) -> bool:
        """Replace the file now; returns whether that worked."""
        temporary = self.path.with_suffix(".tmp")
        self._written_s = self._now()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(orjson.dumps(self._state, option=orjson.OPT_SERIALIZE_NUMPY))
            temporary.replace(self.path)
        except (OSError, TypeError) as error:
            self.failure = str(error)
            return False
        self.failure = ""
        return True


def read_live(path: Path) -> dict[str, Any]:
    """The last state; empty if there is none."""
    try:
        state: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return state
