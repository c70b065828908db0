"""Rehearse before the magnet is booked: a file, then a plan of your own, on a real bench's twin.

Nothing real is opened: the twin of `benches/lab-21t.yaml` is made of simulated instruments.
"""

from __future__ import annotations

from pathlib import Path

from devices import CellLimits
from orchestrator import rehearse
from plans import in_situ_mri

HERE = Path(__file__).parent
BENCH = HERE / "benches" / "lab-21t.yaml"


def a_day(twin):
    """A day at 0.1 mA/cm2 with a frame each half hour, on whatever bench it is given."""
    return in_situ_mri(
        twin.pstat,
        twin.mri,
        area_cm2=0.1257,
        limits=CellLimits(-5, 5, -1, 1),
        max_capacity_mah=1,
        cycles=20,
        settings={"method": "flash2d", "averages": 115},
    )


if __name__ == "__main__":
    found = rehearse(HERE / "quick_look.yaml", BENCH)
    print(f"{found.name}: {found.stop_reason}, {found.frames['mri']} frames, {found.bytes} bytes")
    for remark in (*found.violations, *found.warnings):
        print(f"- {remark.path}: {remark.what} ({remark.remedy})")

    day = rehearse(a_day, BENCH)
    print(
        f"{day.name}: {day.stop_reason} after {day.stopped_at_s / 3600:.1f} h, "
        f"{day.frames['mri']} frames, {day.throughput_mah:.3f} mAh moved, "
        f"lost in a crash: {day.loss.records} records at most"
    )
