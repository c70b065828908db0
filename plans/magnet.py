"""Liu et al. 2025: volumes of lithium metal, and spectra that tell its isotopes apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aurora_unicycler import OpenCircuitVoltage
from bluesky.utils import MsgGenerator

from devices.mri import MriScanner
from devices.potentiostat import Potentiostat
from plans.arguments import Count, Limits, Metadata, NotNegative, NotZero, Positive, Stop
from plans.cell import Cell
from plans.environment import Environment
from plans.imaging import Capture
from plans.named import named
from plans.reversal import reversal
from plans.runs import run_with_images

GRADIENT_ECHO_3D: Mapping[str, Any] = {
    "method": "gradient_echo_3d",
    "tr_s": 0.25,
    "te_s": 0.001,
    "flip_angle_deg": 90,
    "averages": 128,
    "repetitions": 1,
    "dummy_scans": 0,
    "matrix": [100, 100, 32],
    "fov_mm": [10, 10, 3.2],
    "frequency_mhz": 194.4,
}
"""3D gradient echo at 11.75 T; source: Liu et al. 2025, Methods, MRI. It takes 28.44 h; the paper
says 26.4 h."""

SINGLE_PULSE: Mapping[str, Any] = {
    "method": "single_pulse",
    "scans": [1024, 256],
    "recycle_delay_s": [10, 2],
    "mas_khz": [14, 13],
    "frequencies_mhz": [122.14, 322.57],
    "points": 4096,
}
"""Spectra of 6Li, then of 7Li, at 19.6 T; source: Liu et al. 2025, Methods, NMR (delays, spinning
rates, frequencies); scans and points assumed [A]."""


@named
def mri_3d(
    potentiostat: Potentiostat,
    mri: MriScanner,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    rest_s: Positive = 102_600.0,
    current_ma_per_cm2: NotZero = 0.1,
    half_cycle_s: Positive = 1800.0,
    idle_s: NotNegative = 300.0,
    cycles: Count = 1000,
    record_s: Positive = 30.0,
    settings: Mapping[str, Any] = GRADIENT_ECHO_3D,
    stop_when: Sequence[Stop] = ("hard_short",),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Take a volume of the cell at rest, cycle it to its short, and take another.

    Source: Liu et al. 2025, Fig. 3 and Methods, MRI. Example: `examples/mri_3d.yaml`.

    Args:
        potentiostat: Cycles the cell.
        mri: Takes the volumes.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        rest_s: Time at rest before the current begins, s: long enough for the first volume.
        current_ma_per_cm2: Current density, mA/cm2; positive strips face A first.
        half_cycle_s: Time in one direction, s.
        idle_s: Time at rest after each half cycle, s.
        cycles: Number of cycles if nothing ends the run before.
        record_s: Time between records, s.
        settings: Acquisition parameters of the volumes.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    current_ma = cell.current_ma(current_ma_per_cm2)
    rest = OpenCircuitVoltage(until_time_s=rest_s)
    method = [rest, *reversal(current_ma, half_cycle_s, idle_s, cycles)]
    cycling = cell.cycling(potentiostat, method, record_s)
    captures = [Capture(mri, at=("start", "end"), settings=settings)]
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, captures, conditions, environment, md=md or {}))


@named
def tracer_exchange(
    potentiostat: Potentiostat,
    mri: MriScanner,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    every_mah_per_cm2: Positive,
    until_mah_per_cm2: Positive,
    current_ma_per_cm2: NotZero = 0.1,
    half_cycle_s: Positive = 1800.0,
    idle_s: NotNegative = 300.0,
    cycles: Count = 1000,
    record_s: Positive = 60.0,
    settings: Mapping[str, Any] = SINGLE_PULSE,
    stop_when: Sequence[Stop] = ("hard_short",),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Cycle a cell of two lithium isotopes, with spectra of both each time so much charge passed.

    Source: Liu et al. 2025, Fig. 2 (5, 24, 61 and 122 C) and Methods, NMR. Example:
    `examples/tracer_exchange.yaml`. 1 C is 0.2778 mAh.

    Args:
        potentiostat: Cycles the cell.
        mri: Takes the spectra.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        every_mah_per_cm2: Charge between spectra, both directions added, mAh/cm2.
        until_mah_per_cm2: Charge at which the run ends, both directions added, mAh/cm2.
        current_ma_per_cm2: Current density, mA/cm2; positive strips face A first.
        half_cycle_s: Time in one direction, s.
        idle_s: Time at rest after each half cycle, s.
        cycles: Number of cycles if nothing ends the run before.
        record_s: Time between records, s.
        settings: Acquisition parameters of the spectra.
        stop_when: Conditions that end the run before.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason; ``throughput_mah_per_cm2`` where all the charge has passed.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    method = reversal(cell.current_ma(current_ma_per_cm2), half_cycle_s, idle_s, cycles)
    cycling = cell.cycling(potentiostat, method, record_s)
    captures = [Capture(mri, every_mah=cell.charge_mah(every_mah_per_cm2), settings=settings)]
    ends = [*stop_when, {"throughput_mah_per_cm2": until_mah_per_cm2}]
    conditions = cell.conditions(ends, potentiostat)
    return (yield from run_with_images(cycling, captures, conditions, environment, md=md or {}))
