"""Liu et al. 2025: a symmetric cell is cycled to its short while the magnet images lithium."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aurora_unicycler import ConstantCurrent, Loop, OpenCircuitVoltage, Tag
from bluesky.utils import MsgGenerator

from devices.mri import MriScanner
from devices.potentiostat import Potentiostat
from devices.roles import CellLimits
from plans.conditions import condition
from plans.imaging import Capture
from plans.protocol import Cycling
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


def in_situ_mri(
    potentiostat: Potentiostat,
    mri: MriScanner,
    *,
    area_cm2: float,
    limits: CellLimits,
    max_capacity_mah: float,
    current_ma_per_cm2: float = 0.1,
    half_cycle_s: float = 1800.0,
    idle_s: float = 300.0,
    cycles: int = 1000,
    record_s: float = 10.0,
    settings: Mapping[str, Any] = FLASH_2D,
    stop_when: Sequence[str] = ("hard_short",),
    journal_every_s: float = 900.0,
    md: dict[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Reverse a constant current back and forth, image back to back, stop at the short.

    Source: Liu et al. 2025, Methods, Electrochemistry and MRI.

    Args:
        potentiostat: Cycles the cell.
        mri: Images it.
        area_cm2: Electrode area, cm2.
        limits: Limits at the cell.
        max_capacity_mah: Largest net charge either way, mAh.
        current_ma_per_cm2: Current density, mA/cm2; the first half cycle strips face A.
        half_cycle_s: Time in one direction, s.
        idle_s: Time at rest after each half cycle, s.
        cycles: Number of cycles if nothing ends the run before.
        record_s: Time between records, s.
        settings: Acquisition parameters.
        stop_when: Conditions without a value that end the run.
        journal_every_s: Longest time that records wait before they become a page, s.
        md: More metadata.

    Returns:
        The stop reason.
    """
    current_ma = round(current_ma_per_cm2 * area_cm2, 12)
    method = [
        Tag(tag="cycle"),
        ConstantCurrent(current_mA=current_ma, until_time_s=half_cycle_s),
        OpenCircuitVoltage(until_time_s=idle_s),
        ConstantCurrent(current_mA=-current_ma, until_time_s=half_cycle_s),
        OpenCircuitVoltage(until_time_s=idle_s),
        Loop(loop_to="cycle", cycle_count=cycles),
    ]
    cycling = Cycling(potentiostat, method, record_s, limits, max_capacity_mah, journal_every_s)
    captures = [Capture(mri, back_to_back=True, settings=settings)]
    conditions = [condition(name, potentiostat, area_cm2=area_cm2) for name in stop_when]
    start = {"plan_name": "in_situ_mri", **(md or {})}
    return (yield from run_with_images(cycling, captures, conditions, md=start))
