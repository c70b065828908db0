"""A shortened in situ MRI experiment in Python: two cycles, frames of a quarter of the length.

python examples/in_situ_mri.py [DATA]
"""

import sys

from devices import CellLimits
from orchestrator import open_bench
from plans import in_situ_mri
from plans.in_situ_mri import FLASH_2D

AREA_CM2 = 0.1257


def main(data: str) -> None:
    with open_bench("sim-mri", data=data) as bench:
        result = bench.RE(
            in_situ_mri(
                bench.pstat,
                bench.mri,
                area_cm2=AREA_CM2,
                limits=CellLimits(-5, 5, -1, 1),
                max_capacity_mah=1.0,
                cycles=2,
                settings={**FLASH_2D, "averages": 256},
                md={**bench.metadata(), "sample": {"name": "LLZO-7", "area_cm2": AREA_CM2}},
            )
        )
        print(f"{result.plan_result}: run {result.run_start_uids[0]}")
        print(f"{bench.pstat.throughput_mah.get():.4f} mAh moved, last {bench.mri!r}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "operando-data")
