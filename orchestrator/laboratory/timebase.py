"""The time in which a bench lives: virtual where everything is simulated, else the system's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from devices.clock import LoopClock, SystemClock, monotonic, wall_time
from orchestrator.profile.models import BenchProfile
from sim.clock import EPOCH_S, HandedTime, JumpingLoop


@dataclass(frozen=True)
class TimeBase:
    """The time of a bench.

    Attributes:
        loop: The engine's event loop.
        clock: The experiment's clock on that loop.
        elapsed: Seconds since the bench was opened, for the simulated world.
        epoch_s: Unix time at which `elapsed` is zero.
        hold: Gives a context in which virtual time stands still.
    """

    loop: asyncio.AbstractEventLoop
    clock: LoopClock
    elapsed: Callable[[], float]
    epoch_s: float
    hold: Callable[[], AbstractContextManager[None]]

    @classmethod
    def virtual(
        cls,
        *,
        begin_s: float = 0.0,
        epoch_s: float = EPOCH_S,
        lead: Callable[[float], bool] | None = None,
    ) -> TimeBase:
        """Hours pass in microseconds, beginning at a fixed date.

        Args:
            begin_s: Present of a world that is older, s since it began.
            epoch_s: Unix time at which the world began.
            lead: Told of each jump, as of `JumpingLoop.set_lead`.
        """
        loop = JumpingLoop(epoch_s=epoch_s, begin_s=begin_s)
        if lead is not None:
            loop.set_lead(lead)
        clock = LoopClock(loop, loop.now, simulated=True)
        return cls(loop, clock, loop.time, loop.epoch_s, loop.hold)

    @classmethod
    def handed(cls, time: HandedTime) -> TimeBase:
        """Time that another process hands over, for a world without an engine."""
        loop = asyncio.new_event_loop()
        clock = LoopClock(loop, lambda: EPOCH_S + time(), simulated=True)
        return cls(loop, clock, time, EPOCH_S, nullcontext)

    @classmethod
    def real(cls, *, begin_s: float = 0.0) -> TimeBase:
        """The system's time.

        Args:
            begin_s: Present of a world that is older, s since it began.
        """
        loop = asyncio.new_event_loop()
        began_s = monotonic() - begin_s
        epoch_s = wall_time() - begin_s
        return cls(loop, SystemClock(loop), lambda: monotonic() - began_s, epoch_s, nullcontext)

    def set_moving(self, moving: Callable[[], bool]) -> None:
        """Let virtual time pass only while `moving` says so."""
        if isinstance(self.loop, JumpingLoop):
            self.loop.set_may_jump(moving)


def time_base(profile: BenchProfile, *, real_time: bool) -> TimeBase:
    """Virtual time only if every resource of the bench is simulated and nobody asked otherwise."""
    return TimeBase.virtual() if profile.simulated and not real_time else TimeBase.real()
