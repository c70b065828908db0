"""Liu et al. 2025: a symmetric cell is cycled to its short while the magnet images lithium."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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

FLASH_2D: Mapping[str, Any] = {
    "method": "flash2d",
    "tr_s": 0.3,
    "te_s": 0.000918,
    "flip_angle_deg": 30,
    "averages": 1024,
    "repetitions": 1,
    "dummy_scans": 0,
    "matrix": [81, 52],
    "fov_mm": [17, 11],
}
"""2D FLASH at 21.1 T; source: Liu et al. 2025, Methods, MRI."""


@named
def in_situ_mri(
    potentiostat: Potentiostat,
    mri: MriScanner,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    current_ma_per_cm2: NotZero = 0.1,
    half_cycle_s: Positive = 1800.0,
    idle_s: NotNegative = 300.0,
    cycles: Count = 1000,
    record_s: Positive = 10.0,
    settings: Mapping[str, Any] = FLASH_2D,
    stop_when: Sequence[Stop] = ("hard_short",),
    environment: Environment | None = None,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Reverse a constant current back and forth, image back to back, stop at the short.

    Source: Liu et al. 2025, Methods, Electrochemistry and MRI. Example:
    `examples/in_situ_mri.yaml`.

    Args:
        potentiostat: Cycles the cell.
        mri: Images it.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell, V and mA.
        max_capacity_mah: Largest net charge either way, mAh.
        current_ma_per_cm2: Current density, mA/cm2; positive strips face A first.
        half_cycle_s: Time in one direction, s.
        idle_s: Time at rest after each half cycle, s.
        cycles: Number of cycles if nothing ends the run before.
        record_s: Time between records, s.
        settings: Acquisition parameters of the images.
        stop_when: Conditions that end the run.
        environment: What is to surround the cell.
        md: More metadata.

    Returns:
        The stop reason.
    """
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    method = reversal(cell.current_ma(current_ma_per_cm2), half_cycle_s, idle_s, cycles)
    cycling = cell.cycling(potentiostat, method, record_s)
    captures = [Capture(mri, back_to_back=True, settings=settings)]
    conditions = cell.conditions(stop_when, potentiostat)
    return (yield from run_with_images(cycling, captures, conditions, environment, md=md or {}))
