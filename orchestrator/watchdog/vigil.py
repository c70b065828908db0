"""When silence is long enough: the watchdog's only decision, without any I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Vigil:
    """Adds up for how long the engine has been silent.

    Only silence that the watchdog itself was awake for counts: where the whole machine stood
    still (a suspended virtual machine, a starved disk), the engine's beats of that time come
    late for both, and acting on them would switch a healthy experiment off.

    Args:
        timeout_s: Silence after which to act, s.
        tick_s: Longest time between two looks of a watchdog that is not itself held up, s.
        now_s: Monotonic time, s.
    """

    timeout_s: float
    tick_s: float
    now_s: float
    silent_s: float = 0.0

    def heard(self, now_s: float) -> None:
        """The engine has said something."""
        self.now_s, self.silent_s = now_s, 0.0

    def expired(self, now_s: float) -> bool:
        """Whether the engine has been silent for too long."""
        self.silent_s += min(max(now_s - self.now_s, 0.0), 2.0 * self.tick_s)
        self.now_s = now_s
        return self.silent_s >= self.timeout_s
