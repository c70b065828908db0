"""Who looks at the readings of a sensor or of an analysis."""

from __future__ import annotations

from collections.abc import Callable

from devices.roles import Reading

Listener = Callable[[Reading], None]


class Listeners:
    """Those who want to see every reading, in the order in which they came."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Show every reading to `listener`; returns how to end that, which is idempotent."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def tell(self, reading: Reading) -> None:
        """Show a reading to everybody."""
        for listener in list(self._listeners):
            listener(reading)
