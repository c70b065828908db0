"""Zhao et al. 2025: full cells are cycled between two voltages, and at one rate after another."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aurora_unicycler import ConstantCurrent, Loop, Tag
from bluesky.utils import MsgGenerator

from devices.potentiostat import Potentiostat
from plans.arguments import Count, Limits, Metadata, Number, Positive, Stop
from plans.cell import Cell
from plans.environment import Environment
from plans.named import named
from plans.runs import run_with_images


@named
def full_cell_cycling(
    potentiostat: Potentiostat,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    cycles: Count,
    charge_to_v: Number = 4.25,
    discharge_to_v: Number = 2.6,
    current_ma_per_cm2: Positive = 2.0,
    longest_half_cycle_s: Positive = 7200.0,
    record_s: Positive = 10.0,
    stop_when: Sequence[Stop] = (),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Charge and discharge a battery between two voltages.

    Source: Zhao et al. 2025, Fig. 5: 2 mA/cm2 (1 C) between 2.6 and 4.25 V; 260 cycles at 1 MPa,
    750 at 14 MPa. Example: `examples/full_cell_cycling.yaml`.

    Args:
        potentiostat: Cycles the battery.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        cycles: Number of cycles.
        charge_to_v: Voltage that ends a charge, V.
        discharge_to_v: Voltage that ends a discharge, V.
        current_ma_per_cm2: Current density, mA/cm2, the same either way.
        longest_half_cycle_s: Time that ends a charge or discharge at the latest, s.
        record_s: Time between records, s.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    current_ma = cell.current_ma(current_ma_per_cm2)
    method = [
        Tag(tag="cycle"),
        _until(current_ma, charge_to_v, longest_half_cycle_s),
        _until(-current_ma, discharge_to_v, longest_half_cycle_s),
        Loop(loop_to="cycle", cycle_count=cycles),
    ]
    cycling = cell.cycling(potentiostat, method, record_s)
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, (), conditions, environment, md=md or {}))


@named
def rate_test(
    potentiostat: Potentiostat,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    capacity_mah: Positive,
    rates_per_h: Sequence[Positive] = (0.1, 0.2, 0.33, 0.5, 1.0),
    cycles_each: Count = 1,
    charge_to_v: Number = 4.25,
    discharge_to_v: Number = 2.6,
    record_s: Positive = 10.0,
    stop_when: Sequence[Stop] = (),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Charge and discharge a battery at one C-rate after another.

    Source: Zhao et al. 2025, Fig. 5: 0.1, 0.2, 0.33, 0.5 and 1 C between 2.6 and 4.25 V. Example:
    `examples/rate_test.yaml`. No step takes longer than 1.5 times its nominal time, in whole hours.

    Args:
        potentiostat: Cycles the battery.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        capacity_mah: Capacity that the rates refer to, mAh.
        rates_per_h: C-rates, 1/h.
        cycles_each: Number of cycles at each rate.
        charge_to_v: Voltage that ends a charge, V.
        discharge_to_v: Voltage that ends a discharge, V.
        record_s: Time between records, s.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    method = []
    for rate_per_h in (rate for rate in rates_per_h for _ in range(cycles_each)):
        current_ma = round(rate_per_h * capacity_mah, 12)
        longest_s = 3600.0 * math.ceil(round(1.5 / rate_per_h, 6))
        method.append(_until(current_ma, charge_to_v, longest_s))
        method.append(_until(-current_ma, discharge_to_v, longest_s))
    cycling = cell.cycling(potentiostat, method, record_s)
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, (), conditions, environment, md=md or {}))


def _until(current_ma: float, voltage_v: float, longest_s: float) -> ConstantCurrent:
    return ConstantCurrent(current_mA=current_ma, until_voltage_V=voltage_v, until_time_s=longest_s)
