"""A plan of one's own: pass charge one way, rest, and take a frame before, between and after.

python examples/own_plan.py [DATA]
"""

import sys

from aurora_unicycler import OpenCircuitVoltage
from bluesky.utils import MsgGenerator

from devices import CellLimits, MriScanner, Potentiostat
from orchestrator import open_bench
from plans import Capture, Cell, named, run_with_images
from plans.arguments import Limits, Metadata, NotZero, Positive


@named
def strip_and_rest(
    potentiostat: Potentiostat,
    mri: MriScanner,
    *,
    area_cm2: Positive,
    limits: Limits,
    max_capacity_mah: Positive,
    current_ma_per_cm2: NotZero,
    charge_mah_per_cm2: Positive,
    md: Metadata | None = None,
) -> MsgGenerator[str]:
    """Pass charge one way, rest, and take a frame before, between and after."""
    cell = Cell.of(area_cm2, limits, max_capacity_mah)
    method = [
        cell.passing(current_ma_per_cm2, charge_mah_per_cm2),
        OpenCircuitVoltage(until_time_s=600),
    ]
    cycling = cell.cycling(potentiostat, method, record_s=10.0)
    captures = [Capture(mri, at=("start", "step_end"), settings={"averages": 4})]
    conditions = cell.conditions(["hard_short", {"voltage_above_v": 4.5}], potentiostat)
    return (yield from run_with_images(cycling, captures, conditions, md=md or {}))


def main(data: str) -> None:
    with open_bench("sim-mri", data=data) as bench:
        plan = strip_and_rest(
            bench.pstat,
            bench.mri,
            area_cm2=0.1257,
            limits=CellLimits(-5, 5, -1, 1),
            max_capacity_mah=1.0,
            current_ma_per_cm2=0.1,
            charge_mah_per_cm2=0.08,
        )
        result = bench.RE(plan)
        print(f"{result.plan_result}: {bench.mri.frame.get() + 1} frames")
        print(f"{1e3 * bench.pstat.charge_mah.get():.2f} µAh from A to B")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "operando-data")
