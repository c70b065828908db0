"""The 2450's trigger model, run lazily: it catches up with any time in one go.

Blocks execute in no time; a measurement takes the time at which it starts and the next one
cannot start before `aperture_s` has passed. A loop of the shape *wait for a timer, measure,
branch on limits, count* is evaluated for all due events at once, with the same result as block
by block: rows up to the first branch or clamp are kept, everything after it is looked at anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sim.instruments.smu_trigger_blocks import (
    Always,
    Block,
    BufferClear,
    Counter,
    Delay,
    LimitBranch,
    LogEvent,
    Measure,
    Nop,
    Notify,
    SourceState,
    Timer,
    Wait,
)
from sim.world import Floats

_MOST_STEPS_PER_ADVANCE = 200_000
_MOST_ROWS_AT_ONCE = 200_000
_EARLY_S = 1e-6
_WAITING_AFTER_S = 0.1

_RUNNING = "RUNNING"


class Host(Protocol):
    """The instrument around the trigger model."""

    def look(self, times_s: Floats) -> tuple[Floats, Floats, int]:
        """Readings and source values at ascending times, and how many are valid, at least 1.

        The clamp has moved as far as needed for the first one; nothing is stored.
        """
        ...

    def keep(self, buffer: str, times_s: Floats, readings: Floats, sources: Floats) -> None:
        """Store readings that were looked at."""
        ...

    def switch_output(self, t_s: float, *, on: bool) -> None:
        """Turn the source on or off."""
        ...

    def clear_buffer(self, buffer: str) -> None:
        """Empty a reading buffer."""
        ...

    def log_event(self, kind: str, text: str) -> None:
        """Put an entry into the event log."""
        ...

    @property
    def aperture_s(self) -> float:
        """Time that one measurement takes, s."""
        ...


@dataclass(frozen=True)
class _Loop:
    """A loop that can be evaluated for many timer events at once."""

    timer: int
    buffer: str
    branches: tuple[LimitBranch, ...]
    counter: int
    count: int
    after: int


class TriggerModel:
    """Blocks 1 to n, four timers, and where execution stands.

    Args:
        host: The instrument.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._readings = 0
        self.reset_timers()
        self.load_empty()

    def load_empty(self) -> None:
        """Remove all blocks (``TRIGger:LOAD "Empty"``)."""
        self.blocks: dict[int, Block] = {}
        self.state = "EMPTY"
        self._position = 0
        self._loops: dict[int, _Loop | None] = {}
        self._counts: dict[int, int] = {}

    def reset_timers(self) -> None:
        """Four timers with their defaults."""
        self.timers = {number: Timer() for number in range(1, 5)}

    def define(self, number: int, block: Block) -> None:
        """Define or replace a block."""
        self.blocks[number] = block
        self._loops.clear()
        if self.state != _RUNNING:
            self.state = "BUILDING"

    @property
    def running(self) -> bool:
        """Whether it executes."""
        return self.state == _RUNNING

    @property
    def readings(self) -> int:
        """Readings made since it was started: the index of the next one's noise."""
        return self._readings

    def describe_state(self, t_s: float) -> str:
        """Reply to ``TRIGger:STATe?``: state twice and the last block (page 6-166)."""
        state = self.state
        waiting = isinstance(self.blocks.get(self._position), Wait)
        if self.running and waiting and t_s - self._entered_s > _WAITING_AFTER_S:
            state = "WAITING"
        return f"{state};{state};{self._position}"

    def count_reading(self) -> None:
        """A reading was made outside the trigger model: the next one has other noise."""
        self._readings += 1

    def counter(self, number: int) -> int:
        """How often a counter block was reached since the model was started (page 6-187)."""
        return self._counts.get(number, 0)

    def initiate(self, t_s: float) -> None:
        """Start at block 1."""
        self._counts = {}
        self._readings = 0
        self._now_s = self._entered_s = t_s
        self._ready_s = -math.inf
        self._last_reading = math.nan
        for timer in self.timers.values():
            timer.stop()
        self.state = _RUNNING
        self._enter(1)
        self.advance(t_s)

    def abort(self) -> None:
        """Stop where it stands; the output stays as it is."""
        if self.running:
            self.state = "ABORTED"

    def advance(self, t_s: float) -> None:
        """Execute everything that falls due until `t_s`."""
        steps = 0
        while self.running:
            steps += 1
            if steps > _MOST_STEPS_PER_ADVANCE:
                self.state = "FAILED"
                self._host.log_event("ERR", "trigger model loops without end")
                return
            if self._position not in self.blocks:
                self._position = max((n for n in self.blocks if n < self._position), default=0)
                self.state = "IDLE"
                return
            if not self._step(self.blocks[self._position], t_s + _EARLY_S):
                return

    def _enter(self, number: int) -> None:
        self._position, self._entered_s = number, self._now_s

    def _step(self, block: Block, until_s: float) -> bool:
        """Execute one block, or a whole loop; False if it must wait beyond `until_s`."""
        following = self._position + 1
        if isinstance(block, Wait):
            return self._wait(block, until_s)
        if isinstance(block, Measure):
            return self._measure(block, until_s)
        if isinstance(block, Delay):
            return self._sleep_until(self._entered_s + block.seconds, until_s)
        if isinstance(block, Always):
            following = block.target
        elif isinstance(block, Counter):
            following = self._count(block)
        elif isinstance(block, LimitBranch):
            following = block.target if _meets(block, self._last_reading) else following
        else:
            self._act(block)
        self._enter(following)
        return True

    def _act(self, block: Block) -> None:
        """Blocks that do something at once."""
        if isinstance(block, SourceState):
            self._host.switch_output(self._now_s, on=block.on)
        elif isinstance(block, BufferClear):
            self._host.clear_buffer(block.buffer)
        elif isinstance(block, LogEvent):
            self._host.log_event(block.kind, block.text)
        elif isinstance(block, Notify):
            for timer in self.timers.values():
                if timer.stimulus == block.event:
                    timer.start(self._now_s)
        else:
            assert isinstance(block, Nop)  # noqa: S101 - all other kinds were handled

    def _sleep_until(self, t_s: float, until_s: float) -> bool:
        if t_s > until_s:
            return False
        self._now_s = max(self._now_s, t_s)
        self._enter(self._position + 1)
        return True

    def _wait(self, block: Wait, until_s: float) -> bool:
        loop = self._loop_at(self._position)
        if loop is not None:
            return self._run_loop(loop, until_s)
        timers = [self.timers[number] for number in block.timers]
        times = [timer.next_s() for timer in timers]
        due_s = max(times) if block.need_all else min(times)
        if due_s > until_s:
            return False
        self._now_s = max(self._now_s, due_s)
        for timer in timers:
            timer.take(timer.due(self._now_s)[1] - 1)
        self._enter(self._position + 1)
        return True

    def _measure(self, block: Measure, until_s: float) -> bool:
        start_s = max(self._now_s, self._ready_s)
        if start_s > until_s:
            return False
        self._now_s = start_s
        done_s = start_s
        for index in range(block.count):
            done_s = start_s + index * self._host.aperture_s
            times = np.array([done_s])
            readings, sources, _ = self._host.look(times)
            self._store(block.buffer, times, readings, sources)
        self._now_s = done_s
        self._enter(self._position + 1)
        return True

    def _store(self, buffer: str, times_s: Floats, readings: Floats, sources: Floats) -> None:
        self._host.keep(buffer, times_s, readings, sources)
        self._readings += len(times_s)
        self._last_reading = float(readings[-1])
        self._now_s = float(times_s[-1])
        self._ready_s = self._now_s + self._host.aperture_s

    def _count(self, block: Counter) -> int:
        count = self._counts.get(self._position, 0) + 1
        self._counts[self._position] = count
        return block.target if count < block.count else self._position + 1

    def _loop_at(self, start: int) -> _Loop | None:
        """The loop that begins at a wait block, if it has the shape; found once per program."""
        if start not in self._loops:
            self._loops[start] = self._find_loop(start)
        loop = self._loops[start]
        if loop is None or self.timers[loop.timer].delay_s < self._host.aperture_s:
            return None
        return loop

    def _find_loop(self, start: int) -> _Loop | None:
        wait, measure = self.blocks[start], self.blocks.get(start + 1)
        if not isinstance(wait, Wait) or len(wait.timers) != 1:
            return None
        if not isinstance(measure, Measure) or measure.count != 1:
            return None
        branches: list[LimitBranch] = []
        number = start + 2
        while isinstance(block := self.blocks.get(number), LimitBranch | Nop):
            if isinstance(block, LimitBranch):
                branches.append(block)
            number += 1
        if not isinstance(block, Counter) or block.target != start:
            return None
        (timer,) = wait.timers
        return _Loop(timer, measure.buffer, tuple(branches), number, block.count, number + 1)

    def _run_loop(self, loop: _Loop, until_s: float) -> bool:
        """All events that are due, up to the first branch that is taken or the last count."""
        timer = self.timers[loop.timer]
        first, end = timer.due(until_s)
        done = self._counts.get(loop.counter, 0)
        end = min(end, first + max(loop.count - done, 1), first + _MOST_ROWS_AT_ONCE)
        if end <= first:
            return False
        numbers = np.arange(first, end, dtype=np.float64)
        times: Floats = timer.time_of(0) + numbers * timer.delay_s
        if times[0] < self._ready_s or times[0] < self._now_s:
            times = np.array([max(self._ready_s, self._now_s)])
            if times[0] > until_s:
                return False
        readings, sources, valid = self._host.look(times)
        target = loop.after if done + valid >= loop.count else self._position
        hit = [(_first(branch, readings[:valid]), branch) for branch in loop.branches]
        row = min((index for index, _ in hit), default=valid)
        counted = valid
        if row < valid:
            target = next(branch.target for index, branch in hit if index == row)
            valid, counted = row + 1, row
        self._counts[loop.counter] = done + counted
        self._store(loop.buffer, times[:valid], readings[:valid], sources[:valid])
        timer.take(max(first + valid, timer.due(self._now_s)[1]) - 1)
        self._enter(target)
        return True


def _meets(branch: LimitBranch, reading: float) -> bool:
    return bool(_criterion(branch, np.array([reading]))[0])


def _first(branch: LimitBranch, readings: Floats) -> int:
    """Index of the first reading that meets the criterion; the number of readings if none."""
    met = _criterion(branch, readings)
    index = int(met.argmax())
    return index if met[index] else len(readings)


def _criterion(branch: LimitBranch, readings: Floats) -> np.typing.NDArray[np.bool_]:
    if branch.kind == "ABOV":
        return readings > branch.high
    if branch.kind == "BEL":
        return readings < branch.low
    inside = (readings >= branch.low) & (readings <= branch.high)
    return inside if branch.kind == "IN" else ~inside
