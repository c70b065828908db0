"""The one clock of a bench; the only file that may read wall time.

Everything that happens later is scheduled here, on the engine's event loop, so that the same
code runs on hardware (`SystemClock`) and in virtual time (`LoopClock` on a jumping loop).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol, runtime_checkable


class Handle(Protocol):
    """A scheduled callback."""

    def cancel(self) -> None:
        """Forget the callback; harmless if it has run."""
        ...


@runtime_checkable
class Owner(Protocol):
    """Something that schedules callbacks and answers for their failures."""

    name: str

    def callback_failed(self, error: BaseException) -> None:
        """Fail whatever the owner promised; called when its callback raised."""
        ...


class Clock(Protocol):
    """Time of the experiment and the only way to do something later."""

    @property
    def simulated(self) -> bool:
        """True where hours may pass in microseconds."""
        ...

    def time(self) -> float:
        """Seconds since the Unix epoch, in experiment time."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None], *, owner: Owner) -> Handle:
        """Call back once after `delay_s` seconds of experiment time.

        An exception in the callback fails the owner (`Owner.callback_failed`) and then goes to
        the clock's `on_failure`, which the engine sets to its safe state.
        """
        ...

    def cancel_all(self, owner: Owner) -> None:
        """Cancel every pending callback of one owner."""
        ...


class _Timer:
    """One pending callback; cancellable from any thread."""

    def __init__(self, clock: LoopClock, callback: Callable[[], None], owner: Owner) -> None:
        self._clock, self._callback, self._owner = clock, callback, owner
        self._handle: asyncio.TimerHandle | None = None
        self._cancelled = False

    def arm(self, delay_s: float) -> None:
        if not self._cancelled:
            self._handle = self._clock.loop.call_later(delay_s, self._fire)

    def cancel(self) -> None:
        self._cancelled = True
        self._clock.discard(self._owner, self)
        if self._handle is not None:
            self._handle.cancel()

    def _fire(self) -> None:
        if self._cancelled:
            return
        self._clock.discard(self._owner, self)
        try:
            self._callback()
        except Exception as error:  # noqa: BLE001 - asyncio would only log it: the owner must fail
            self._clock.fail(self._owner, error)


class LoopClock:
    """A clock whose callbacks run on an asyncio event loop.

    Args:
        loop: The engine's event loop.
        now: Returns seconds since the Unix epoch in experiment time.
        simulated: Whether the loop's time is virtual.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, now: Callable[[], float], *, simulated: bool
    ) -> None:
        self.loop = loop
        self._now = now
        self._simulated = simulated
        self._timers: defaultdict[str, set[_Timer]] = defaultdict(set)
        self.on_failure: Callable[[Owner, BaseException], None] | None = None

    @property
    def simulated(self) -> bool:
        """True where hours may pass in microseconds."""
        return self._simulated

    def time(self) -> float:
        """Seconds since the Unix epoch, in experiment time."""
        return self._now()

    def call_later(self, delay_s: float, callback: Callable[[], None], *, owner: Owner) -> Handle:
        """Call back once after `delay_s` seconds; see `Clock.call_later`."""
        timer = _Timer(self, callback, owner)
        self._timers[owner.name].add(timer)
        if self._on_loop_thread():
            timer.arm(max(0.0, delay_s))
        else:
            self.loop.call_soon_threadsafe(timer.arm, max(0.0, delay_s))
        return timer

    def cancel_all(self, owner: Owner) -> None:
        """Cancel every pending callback of one owner."""
        for timer in list(self._timers.get(owner.name, ())):
            timer.cancel()

    def pending(self, owner: Owner) -> int:
        """Number of callbacks that one owner still waits for."""
        return len(self._timers.get(owner.name, ()))

    def discard(self, owner: Owner, timer: _Timer) -> None:
        """Forget a timer that fired or was cancelled."""
        self._timers[owner.name].discard(timer)

    def fail(self, owner: Owner, error: BaseException) -> None:
        """Report a failed callback to its owner, then to `on_failure`."""
        try:
            owner.callback_failed(error)
        finally:
            if self.on_failure is not None:
                self.on_failure(owner, error)

    def _on_loop_thread(self) -> bool:
        return getattr(self.loop, "_thread_id", None) == threading.get_ident()


class SystemClock(LoopClock):
    """Real time, for hardware and for `--real-time`.

    Durations must not change when somebody sets the host's clock: time is the wall time at which
    the clock was made plus monotonic seconds since. (NTP slews both alike; only steps differ.)

    Args:
        loop: The engine's event loop.
        wall: Seconds since the Unix epoch; asked once.
        steady: Monotonic seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        anchor_s = wall() - steady()
        super().__init__(loop, lambda: anchor_s + steady(), simulated=False)


def wall_time() -> float:
    """Seconds since the epoch of the host; for `wall_s` in results, never for documents."""
    return time.time()


def monotonic() -> float:
    """Monotonic real seconds; for transaction budgets on a wire and for wall durations."""
    return time.monotonic()


def pause(duration_s: float) -> None:
    """Sleep for real, at most 0.2 s: the spacing that slow instruments need between commands.

    Nothing else sleeps; what happens later is scheduled on a `Clock`.
    """
    if duration_s > 0.0:
        time.sleep(min(duration_s, 0.2))
