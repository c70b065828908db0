"""The order of a protocol's steps: loops unrolled lazily, cycles counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aurora_unicycler import (
    ConstantCurrent,
    ConstantVoltage,
    ImpedanceSpectroscopy,
    Loop,
    OpenCircuitVoltage,
    Tag,
    VoltageScan,
)

from devices.technique import sweep_of
from plans.steps import FrameStep, OwnStep, PressureStep, TemperatureStep, VoltageCheck

RUNNABLE = (
    ConstantCurrent,
    ConstantVoltage,
    OpenCircuitVoltage,
    VoltageScan,
    ImpedanceSpectroscopy,
    TemperatureStep,
    PressureStep,
)
"""Steps that a method may have; others are refused before anything is energised."""

IN_BLOCKS = (
    OpenCircuitVoltage,
    ImpedanceSpectroscopy,
    TemperatureStep,
    PressureStep,
    VoltageCheck,
    FrameStep,
)
"""Steps that the blocks before and after a protocol may have: none passes a net charge."""


@dataclass(frozen=True)
class Position:
    """One step at one moment of the protocol.

    Attributes:
        step_index: Index of the step in the method, from 0, tags and loops counted; below 0 in
            the block before it, from the method's length on in the block after it.
        cycle: From 1; grows each time a loop goes back; 0 in the blocks.
        step: The step itself.
        name: What it is called in messages.
        passes: How often each loop has been gone through, by its index; those that are begun.
    """

    step_index: int
    cycle: int
    step: Any
    name: str = ""
    passes: Mapping[int, int] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """As messages name it."""
        return self.name or f"step {self.step_index + 1} in cycle {self.cycle}"


def walk(method: Sequence[Any], begin: Position | None = None) -> Iterator[Position]:
    """Go through a method in the order in which its steps run.

    A loop's `cycle_count` is the total number of passes (aurora-unicycler's convention). An inner
    loop begins anew in each pass of the outer one.

    Args:
        method: The method.
        begin: Where to begin; None: with its first step.

    Raises:
        ValueError: A loop goes to a tag that does not exist.
        TypeError: A step is of a kind that cannot be run.
    """
    tags = {step.tag: index for index, step in enumerate(method) if isinstance(step, Tag)}
    passes: dict[int, int] = {} if begin is None else dict(begin.passes)
    index, cycle = (0, 1) if begin is None else (begin.step_index, begin.cycle)
    while index < len(method):
        step = method[index]
        if isinstance(step, Loop):
            target = _target(step, tags)
            passes[index] = passes.get(index, 1) + 1
            if passes[index] <= step.cycle_count:
                passes = {at: n for at, n in passes.items() if not target <= at < index}
                index, cycle = target, cycle + 1
                continue
            del passes[index]
        elif isinstance(step, RUNNABLE):
            yield Position(index, cycle, step, passes=dict(passes))
        elif not isinstance(step, Tag):
            raise TypeError(
                f"step {index}: {type(step).__name__} cannot be run by this plan "
                "(use a step of aurora-unicycler that moves or measures the cell)"
            )
        index += 1


def block(steps: Sequence[Any], name: str, first_index: int) -> Iterator[Position]:
    """The steps of a block before or after a protocol, in order.

    Args:
        steps: Those of `IN_BLOCKS`.
        name: ``before`` or ``after``.
        first_index: Index of the first.

    Raises:
        TypeError: A step may pass a net charge, or cannot be run.
    """
    for number, step in enumerate(steps):
        if not isinstance(step, IN_BLOCKS):
            raise TypeError(
                f"{name} {number + 1}: {type(step).__name__} cannot be run there (rests, spectra, "
                "frames, checks and surroundings can; what passes charge belongs in the method)"
            )
        yield Position(first_index + number, 0, step, f"{name} {number + 1}/{len(steps)}")


def _target(loop: Loop, tags: dict[str, int]) -> int:
    if isinstance(loop.loop_to, str):
        if loop.loop_to not in tags:
            raise ValueError(
                f"loop: no tag {loop.loop_to!r} (tags are {', '.join(tags) or 'none'})"
            )
        return tags[loop.loop_to]
    return int(loop.loop_to) - 1


def longest_duration_s(method: Sequence[Any]) -> float:
    """Time that a method takes if every step runs to its end, s; infinite if a step has no end.

    Loops are multiplied, not unrolled.
    """
    tags = {step.tag: index for index, step in enumerate(method) if isinstance(step, Tag)}
    before: list[float] = []
    total_s = 0.0
    for step in method:
        before.append(total_s)
        if isinstance(step, Loop):
            start_s = before[_target(step, tags)]
            total_s = start_s + (total_s - start_s) * step.cycle_count
        elif isinstance(step, RUNNABLE):
            total_s += step_duration_s(step)
    return total_s


def step_duration_s(step: Any) -> float:
    """Time that a step takes if nothing ends it before, s; infinite where it has no end in time."""
    if isinstance(step, OwnStep):
        return step.longest_s
    if isinstance(step, VoltageScan):
        height_v = abs(step.end_voltage_V - step.start_voltage_V)
        return float(height_v / step.scan_rate_mV_per_s * 1e3)
    if isinstance(step, ImpedanceSpectroscopy):
        return sweep_of(step).duration_s
    return float(step.until_time_s or float("inf"))
