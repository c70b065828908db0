"""A plan of one's own: pass charge one way, rest, and take a frame before, between and after.

python examples/own_plan.py [DATA]
"""

import sys
from collections.abc import Mapping
from typing import Any

from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky.utils import MsgGenerator

from devices import CellLimits, MriScanner, Potentiostat
from orchestrator import open_bench
from plans import Capture, Cycling, condition, run_with_images


def strip_and_rest(
    potentiostat: Potentiostat,
    mri: MriScanner,
    *,
    current_ma: float,
    half_s: float,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Pass charge one way, rest, and take a frame before, between and after."""
    cycling = Cycling(
        potentiostat=potentiostat,
        method=[
            ConstantCurrent(current_mA=current_ma, until_time_s=half_s),
            OpenCircuitVoltage(until_time_s=600),
        ],
        period_s=10.0,
        limits=CellLimits(-5, 5, -1, 1),
        max_capacity_mah=1.0,
    )
    captures = [Capture(mri, at=("start", "step_end"), settings={"averages": 4})]
    conditions = [condition("hard_short", potentiostat)]
    start = {"plan_name": "strip_and_rest", **(md or {})}
    return (yield from run_with_images(cycling, captures, conditions, md=start))


def main(data: str) -> None:
    with open_bench("sim-mri", data=data) as bench:
        plan = strip_and_rest(
            bench.pstat, bench.mri, current_ma=0.01, half_s=3600, md=bench.metadata()
        )
        result = bench.RE(plan)
        print(f"{result.plan_result}: {bench.mri.frame.get() + 1} frames")
        print(f"{1e3 * bench.pstat.charge_mah.get():.2f} µAh from A to B")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "operando-data")
