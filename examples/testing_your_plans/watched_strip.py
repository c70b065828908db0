"""A plan of our laboratory: strip one electrode while MRI frames are taken back to back."""

from collections.abc import Mapping
from typing import Any

from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky.utils import MsgGenerator

from devices import CellLimits, MriScanner, Potentiostat
from plans import Capture, Cycling, condition, run_with_images

FRAME = {"averages": 16}  # 0.3 s x 52 lines x 16: four minutes


def watched_strip(
    potentiostat: Potentiostat,
    mri: MriScanner,
    *,
    current_ma: float,
    duration_s: float = 3600.0,
    rest_s: float = 600.0,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Strip at a current, then rest; a short ends it. Returns why it ended."""
    cycling = Cycling(
        potentiostat=potentiostat,
        method=[
            ConstantCurrent(current_mA=current_ma, until_time_s=duration_s),
            OpenCircuitVoltage(until_time_s=rest_s),
        ],
        period_s=10.0,
        limits=CellLimits(-2, 2, -0.1, 0.1),
        max_capacity_mah=0.1,
    )
    captures = [Capture(mri, back_to_back=True, settings=FRAME)]
    conditions = [condition("hard_short", potentiostat)]
    start = {"plan_name": "watched_strip", **(md or {})}
    return (yield from run_with_images(cycling, captures, conditions, md=start))
