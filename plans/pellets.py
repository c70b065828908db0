"""Siniscalchi et al. 2024: pellets that are plated until they spall or short, and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aurora_unicycler import OpenCircuitVoltage, VoltageScan
from bluesky.utils import MsgGenerator

from devices.potentiostat import Potentiostat
from devices.sem import Sem
from plans.arguments import Limits, Metadata, NotNegative, NotZero, Positive, Stop
from plans.cell import Cell
from plans.environment import Environment
from plans.imaging import Capture, Moment
from plans.microscope import FACE
from plans.named import named
from plans.runs import run_with_images


@named
def critical_current(
    potentiostat: Potentiostat,
    sem: Sem | None = None,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    currents_ma_per_cm2: Sequence[NotZero],
    charge_mah_per_cm2: Positive = 1.0,
    rest_s: NotNegative = 0.0,
    record_s: Positive = 2.0,
    at: Sequence[Moment] = ("end",),
    settings: Mapping[str, Any] = FACE,
    stop_when: Sequence[Stop] = ("hard_short",),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Pass the same charge at one current density after another, until the cell shorts.

    Source: Siniscalchi et al. 2024, Fig. 4b, c: 1 mAh/cm2 on a fresh cell each; none spalls at 0.5
    and 2.5 mA/cm2, a few craters at 5. Example: `examples/critical_current.yaml`.

    Args:
        potentiostat: Plates the cell.
        sem: Looks at its face; None takes no frames.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        currents_ma_per_cm2: Current densities, mA/cm2; positive plates face B.
        charge_mah_per_cm2: Charge to pass at each, mAh/cm2.
        rest_s: Time at rest after each, s; 0 leaves the rests out.
        record_s: Time between records, s.
        at: Moments of frames: start, step_start, step_end, cycle_end, end.
        settings: Acquisition parameters of the frames.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason; ``hard_short`` where a current was too much.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    rest = [OpenCircuitVoltage(until_time_s=rest_s)] if rest_s else []
    passing = [cell.passing(one, charge_mah_per_cm2) for one in currents_ma_per_cm2]
    method = [step for one in passing for step in (one, *rest)]
    cycling = cell.cycling(potentiostat, method, record_s)
    captures = [] if sem is None else [Capture(sem, at=tuple(at), settings=settings)]
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, captures, conditions, environment, md=md or {}))


@named
def iv_curve(
    potentiostat: Potentiostat,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    span_v: Positive,
    scan_rate_mv_per_s: Positive,
    plate_mah_per_cm2: NotNegative = 0.0,
    current_ma_per_cm2: NotZero = 0.5,
    rest_s: Positive = 30.0,
    record_s: Positive = 1.0,
    stop_when: Sequence[Stop] = (),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Scan the voltage to either side of 0, of the cell as it is or after it was plated.

    Source: Siniscalchi et al. 2024: the curve of a shorted pellet is ohmic, 487 ohm; plated at
    0.5 mA/cm2. Example: `examples/iv_curve.yaml`.

    Args:
        potentiostat: Drives the cell.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        span_v: Highest voltage of the curve; it goes to minus that too, V.
        scan_rate_mv_per_s: Scan rate, mV/s.
        plate_mah_per_cm2: Charge to plate before, mAh/cm2; 0 leaves it out.
        current_ma_per_cm2: Current density of plating, mA/cm2; positive plates face B.
        rest_s: Time at rest before the scans, s.
        record_s: Time between records, s.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    plate = [cell.passing(current_ma_per_cm2, plate_mah_per_cm2)] if plate_mah_per_cm2 else []
    corners_v = ((0.0, span_v), (span_v, -span_v), (-span_v, 0.0))
    scans = [
        VoltageScan(
            start_voltage_V=start_v, end_voltage_V=end_v, scan_rate_mV_per_s=scan_rate_mv_per_s
        )
        for start_v, end_v in corners_v
    ]
    method = [*plate, OpenCircuitVoltage(until_time_s=rest_s), *scans]
    cycling = cell.cycling(potentiostat, method, record_s)
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, (), conditions, environment, md=md or {}))
