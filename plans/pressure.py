"""Zhao et al. 2025: the same stripping at one stack pressure after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from aurora_unicycler import OpenCircuitVoltage
from bluesky.utils import MsgGenerator

from devices.potentiostat import Potentiostat
from plans.arguments import Limits, Metadata, NotNegative, NotZero, Positive, Stop
from plans.cell import Cell
from plans.environment import Environment
from plans.named import named
from plans.runs import run_with_images


@named
def pressure_series(
    potentiostat: Potentiostat,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    pressures_mpa: Sequence[NotNegative],
    current_ma_per_cm2: NotZero = 0.5,
    charge_mah_per_cm2: Positive = 4.0,
    rest_s: Positive = 60.0,
    record_s: Positive = 10.0,
    pause_between: bool = True,
    stop_when: Sequence[Stop] = (),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[list[str]]:
    """Strip a metal at one stack pressure after another, one run for each.

    Source: Zhao et al. 2025, Fig. 3l: 0.5 mA/cm2 to 4 mAh/cm2 at 0.2, 1, 1.5 and 7 MPa, a cell for
    each. Example: `examples/pressure_series.yaml`. A load cell in the `environment` must read each
    pressure before its cell is energised; the plan pauses between runs for whoever changes them.

    Args:
        potentiostat: Strips the metal.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        pressures_mpa: Stack pressures, MPa.
        current_ma_per_cm2: Current density, mA/cm2; positive strips face A.
        charge_mah_per_cm2: Charge to strip, mAh/cm2.
        rest_s: Time at rest before and after, s.
        record_s: Time between records, s.
        pause_between: Pause before each further run: a press and a cell to be changed by hand.
        stop_when: Conditions that end a run.
        environment: What is to surround the cell; its pressure is that of the series.
        md: More metadata.

    Returns:
        The stop reason of each run.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    rest = OpenCircuitVoltage(until_time_s=rest_s)
    method = [rest, cell.passing(current_ma_per_cm2, charge_mah_per_cm2), rest]
    cycling = cell.cycling(potentiostat, method, record_s)
    around = [replace(environment or Environment(), stack_pressure_mpa=p) for p in pressures_mpa]

    def series() -> MsgGenerator[list[str]]:
        reasons: list[str] = []
        for one in around:
            if reasons and pause_between:
                yield from bps.pause()
            conditions = cell.conditions(stop_when, potentiostat)
            told = {**(md or {}), "stack_pressure_mpa": one.stack_pressure_mpa}
            reasons.append((yield from run_with_images(cycling, (), conditions, one, md=told)))
        return reasons

    return list((yield from bpp.rewindable_wrapper(series(), rewindable=False)))
