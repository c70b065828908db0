"""A process that energises a served laboratory, for tests that kill, stop or hang it.

Run as ``python -m tests.watched_engine PROFILE DATA HOW``; says ``on`` when the cell is energised.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import bluesky.plan_stubs as bps
from aurora_unicycler import ConstantCurrent

from devices.roles import CellLimits
from devices.technique import Technique
from orchestrator.bench import open_bench

LIMITS = CellLimits(-5, 5, -1, 1)
STEP = ConstantCurrent(current_mA=0.01, until_time_s=600)


def plan(bench, how):
    """Energise the cell, then wait as an experiment does, or hang as none should."""
    pstat = bench.pstat
    yield from bps.stage(pstat)
    yield from bps.open_run()
    yield from bps.prepare(pstat, Technique(STEP, LIMITS, 1.0, 10.0), wait=True)
    yield from bps.kickoff(pstat, wait=True)
    print("on", flush=True)
    if how == "hang":  # a driver that never comes back, inside the engine's loop
        bench.clock.call_later(0.0, lambda: time.sleep(60), owner=pstat)
    yield from bps.complete(pstat, group="step")
    yield from bps.wait("step", timeout=500)


def main() -> int:
    profile, data, how = sys.argv[1:]
    with open_bench(Path(profile), data=Path(data)) as bench:
        print(f"watchdog {bench.watchdog.pid}", flush=True)
        bench.RE.attended = False
        try:
            bench.RE(plan(bench, how))
        except Exception as error:  # noqa: BLE001 - what the engine says is what the test looks at
            print(f"ended: {error}", flush=True)
        print(f"off {not bench.pstat._backend.output_on()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
