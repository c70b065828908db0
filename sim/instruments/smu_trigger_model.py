"""The 2450's trigger model, run lazily: it catches up with any time in one go.

Blocks execute in no time; a measurement takes the time at which it starts and the next one
cannot start before `aperture_s` has passed. A loop of the shape *wait for a timer, measure,
branch on limits, count* is evaluated for all due events at once, with the same result as block
by block: rows up to the first branch or clamp are kept, everything after it is looked at anew.

Such a loop is also looked at before its rows are due, because asking the sample for 200 rows at
once costs hardly more than for three. Those rows are stored when they are due, and thrown away
when the conditions change: a sample changes only by what its source-measure unit applies, and
by temperature and pressure.
"""

from __future__ import annotations

import math
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
from sim.instruments.smu_trigger_loop import Ahead, Loop, find_loop, first_hit, meets
from sim.world import Floats

_MOST_STEPS_PER_ADVANCE = 200_000
_MOST_ROWS_AT_ONCE = 200_000
_MOST_ROWS_AHEAD = 256
_AHEAD_S = 3600.0
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

    def conditions(self) -> tuple[float, ...]:
        """What must not change while rows looked at beforehand are to hold."""
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


class TriggerModel:
    """Blocks 1 to n, four timers, and where execution stands.

    Args:
        host: The instrument.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._readings = self._measured = 0
        self._ahead: Ahead | None = None
        self.reset_timers()
        self.load_empty()

    def load_empty(self) -> None:
        """Remove all blocks (``TRIGger:LOAD "Empty"``)."""
        self.blocks: dict[int, Block] = {}
        self.state = "EMPTY"
        self._position = 0
        self._loops: dict[int, Loop | None] = {}
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

    def holds_until(self) -> float:
        """Time until which it is known that no limit of the source is reached, s."""
        ahead = self._ahead
        if ahead is None or not ahead.rows or ahead.key != self._host.conditions():
            return -math.inf
        return float(ahead.times_s[ahead.rows - 1])

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
        """How often a counter block was reached since the model was started (page 6-129)."""
        return self._counts.get(number, 0)

    def initiate(self, t_s: float) -> None:
        """Start at block 1."""
        self._counts = {}
        self._readings = 0
        self._ahead = None
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
        self._position, self._entered_s, self._measured = number, self._now_s, 0

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
            following = block.target if meets(block, self._last_reading) else following
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
        aperture_s = self._host.aperture_s
        due = int((until_s - start_s) / aperture_s) + 1
        count = min(block.count - self._measured, due, _MOST_ROWS_AT_ONCE)
        times: Floats = start_s + np.arange(count, dtype=np.float64) * aperture_s
        readings, sources, valid = self._host.look(times)
        self._store(block.buffer, times[:valid], readings[:valid], sources[:valid])
        self._measured += valid
        if self._measured >= block.count:
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

    def _loop_at(self, start: int) -> Loop | None:
        """The loop that begins at a wait block, if it has the shape; found once per program."""
        if start not in self._loops:
            self._loops[start] = find_loop(self.blocks, start)
        loop = self._loops[start]
        if loop is None or self.timers[loop.timer].delay_s < self._host.aperture_s:
            return None
        return loop

    def _run_loop(self, loop: Loop, until_s: float) -> bool:
        """All events that are due, up to the first branch that is taken or the last count."""
        timer = self.timers[loop.timer]
        first, end = timer.due(until_s)
        done = self._counts.get(loop.counter, 0)
        most = max(loop.count - done, 1)
        end = min(end, first + most)
        if end <= first:
            return False
        start_s = max(self._ready_s, self._now_s)
        if timer.time_of(first) < start_s:
            if start_s > until_s:
                return False
            ahead = self._look_at(loop, first, np.array([start_s]))
        else:
            ahead = self._look_ahead(loop, timer, range(first, end), most)
        skip = first - ahead.first
        counted = rows = min(end - first, ahead.rows - skip)
        target = loop.after if done + counted >= loop.count else self._position
        if ahead.hit - skip < rows:
            counted, rows, target = ahead.hit - skip, ahead.hit - skip + 1, ahead.target
        self._counts[loop.counter] = done + counted
        kept = slice(skip, skip + rows)
        self._store(loop.buffer, ahead.times_s[kept], ahead.readings[kept], ahead.sources[kept])
        timer.take(max(first + rows, timer.due(self._now_s)[1]) - 1)
        self._enter(target)
        return True

    def _look_ahead(self, loop: Loop, timer: Timer, due: range, most: int) -> Ahead:
        """Rows from the first due event on, kept for the advances to come while they hold."""
        ahead = self._ahead
        if (
            ahead is None
            or ahead.key != self._host.conditions()
            or not ahead.first <= due.start < ahead.first + ahead.rows
        ):
            further = min(_MOST_ROWS_AHEAD, int(_AHEAD_S / timer.delay_s))
            count = min(max(len(due), further), most, _MOST_ROWS_AT_ONCE)
            numbers = np.arange(due.start, due.start + count, dtype=np.float64)
            times: Floats = timer.time_of(0) + numbers * timer.delay_s
            ahead = self._ahead = self._look_at(loop, due.start, times)
        return ahead

    def _look_at(self, loop: Loop, first: int, times_s: Floats) -> Ahead:
        readings, sources, valid = self._host.look(times_s)
        hit, target = valid, 0
        for branch in loop.branches:
            row = first_hit(branch, readings[:valid])
            if row < hit:
                hit, target = row, branch.target
        conditions = self._host.conditions()
        return Ahead(conditions, first, times_s, readings, sources, valid, hit, target)
