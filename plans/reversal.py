"""A symmetric cell is cycled: a constant current back and forth, with rests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aurora_unicycler import ConstantCurrent, Loop, OpenCircuitVoltage, Tag
from bluesky.utils import MsgGenerator

from devices.potentiostat import Potentiostat
from plans.arguments import Count, Limits, Metadata, NotNegative, NotZero, Positive, Stop
from plans.cell import Cell
from plans.environment import Environment
from plans.named import named
from plans.runs import run_with_images


def reversal(current_ma: float, half_cycle_s: float, idle_s: float, cycles: int) -> list[Any]:
    """The method of a current that is reversed, with a rest after each half cycle.

    Source: Liu et al. 2025, Methods, Electrochemistry: 0.1 mA/cm2, 30 min each way, 5 min idle.

    Args:
        current_ma: Current of the first half cycle, mA; positive from A to B.
        half_cycle_s: Time in one direction, s.
        idle_s: Time at rest after each half cycle, s; 0 leaves the rests out.
        cycles: Number of cycles.
    """
    rest = [OpenCircuitVoltage(until_time_s=idle_s)] if idle_s else []
    return [
        Tag(tag="cycle"),
        ConstantCurrent(current_mA=current_ma, until_time_s=half_cycle_s),
        *rest,
        ConstantCurrent(current_mA=-current_ma, until_time_s=half_cycle_s),
        *rest,
        Loop(loop_to="cycle", cycle_count=cycles),
    ]


@named
def cycle(
    potentiostat: Potentiostat,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    cycles: Count,
    current_ma_per_cm2: NotZero = 0.1,
    half_cycle_s: Positive = 1800.0,
    idle_s: NotNegative = 300.0,
    record_s: Positive = 30.0,
    stop_when: Sequence[Stop] = ("hard_short",),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Reverse a constant current back and forth until the cycles are done or the cell shorts.

    Source: Liu et al. 2025, Methods, Electrochemistry. Example: `examples/cycle.yaml`.

    Args:
        potentiostat: Drives the cell.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        cycles: Number of cycles.
        current_ma_per_cm2: Current density, mA/cm2; positive strips face A first.
        half_cycle_s: Time in one direction, s.
        idle_s: Time at rest after each half cycle, s.
        record_s: Time between records, s.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    method = reversal(cell.current_ma(current_ma_per_cm2), half_cycle_s, idle_s, cycles)
    cycling = cell.cycling(potentiostat, method, record_s)
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, (), conditions, environment, md=md or {}))
