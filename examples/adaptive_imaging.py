"""An image rate that follows dV/dt, beside plans with a fixed rate, on the same simulated cells.

python examples/adaptive_imaging.py [DATA] [--seeds N] [--figure FILE]

Lithium on Li6PS5Cl is stripped under the microscope (`operando_sem.yaml`) until contact is lost.
Each cell is run three times, with the same noise and the same voids: with the frame each 15 min of
the paper, with a frame each 2 min, and with a frame each time that the voltage has moved by 10 mV.
The event is the loss of contact: from an overpotential of 0.15 V to the end. Compared are how many
frames there are, how many of them in the event, how far the voltage moves there at most without a
frame, and by how much the contact loss changes at most from one frame to the next.
"""

import argparse
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky.utils import MsgGenerator

from devices import CellLimits, Potentiostat, Sem
from orchestrator import open_bench
from orchestrator.analysis.voids import measure_voids
from orchestrator.records.runs import find_run, load_run
from plans import Capture, Condition, Cycling, run_with_images
from plans.criteria import Met

AREA_CM2, CURRENT_MA_PER_CM2 = 0.09, 0.5
PIXEL_UM = 160 / 800
FRAME = {
    "method": "image", "resolution_px": [800, 300], "hfw_um": 160, "dwell_time_s": 1e-6,
    "voltage_kv": 5, "current_na": 0.1, "channels": ["SE"],
}  # fmt: skip
EVENT_V = 0.15
"""The event: from this overpotential to the end, V."""


@dataclass
class Followed:
    """Each time that the voltage has moved by a step since the last time: the rate is |dV/dt|/step.

    A criterion as those of `plans.criteria`: a `Condition` looks at every record with it.

    Args:
        step_v: How far the voltage moves from one frame to the next, V.
        shortest_s: Never more often, s.
        longest_s: Never less often, s.
        settle_s: After a step of current nothing is concluded for so long, s.
    """

    step_v: float = 0.010
    shortest_s: float = 60.0
    longest_s: float = 900.0
    settle_s: float = 60.0

    def __post_init__(self) -> None:
        self.holding = False
        self._last: tuple[float, float] | None = None
        self._since_s, self._current_ma = -np.inf, np.nan

    def update(self, records: Any) -> list[Met]:
        """Look at new records; every time that a frame is due, in order."""
        found = []
        rows = zip(records.t_s, records.voltage_v, records.current_ma, strict=True)
        for t_s, volts, amps in (tuple(map(float, row)) for row in rows):
            if not np.isclose(amps, self._current_ma, rtol=0.01, atol=1e-6):
                self._since_s, self._current_ma, self._last = t_s, amps, None
            if t_s - self._since_s < self.settle_s:
                continue
            if self._last is None:
                self._last = (t_s, volts)
            past_s, moved_v = t_s - self._last[0], abs(volts - self._last[1])
            if past_s >= self.longest_s or (past_s >= self.shortest_s and moved_v >= self.step_v):
                self._last = (t_s, volts)
                found.append(Met(t_s, moved_v, f"voltage moved by {1e3 * moved_v:.1f} mV"))
        return found

    def state(self) -> dict[str, Any]:
        """What it remembers, JSON-able."""
        return {"last": self._last, "since_s": self._since_s, "current_ma": self._current_ma}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Remember it again."""
        self._last = None if state["last"] is None else tuple(state["last"])
        self._since_s, self._current_ma = state["since_s"], state["current_ma"]


def strip_and_watch(
    potentiostat: Potentiostat,
    sem: Sem,
    *,
    every_s: float | None = None,
    step_v: float | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Strip until contact is lost; frames each `every_s`, or each `step_v` of voltage."""
    current_ma = CURRENT_MA_PER_CM2 * AREA_CM2
    cycling = Cycling(
        potentiostat=potentiostat,
        method=[
            OpenCircuitVoltage(until_time_s=60),
            ConstantCurrent(current_mA=current_ma, until_time_s=10_800, until_voltage_V=0.5),
        ],
        period_s=10.0,
        limits=CellLimits(-2, 2, -0.2, 0.2),
        max_capacity_mah=0.3,
    )
    if step_v is None:
        captures = [Capture(sem, every_s=every_s, settings=FRAME)]
    else:
        moved = Condition("voltage_moved", Followed(step_v), potentiostat, repeat=True)
        captures = [
            Capture(sem, at=("start",), settings=FRAME),
            Capture(sem, on=moved, settings=FRAME),
        ]
    start = {"plan_name": "strip_and_watch", **(md or {})}
    return (yield from run_with_images(cycling, captures, md=start))


@dataclass(frozen=True)
class Seen:
    """What the frames of one run show.

    Attributes:
        frames: How many there are.
        in_event: How many of them in the event.
        unseen_v: How far the voltage moves at most from one frame to the next, V, in the event.
        widest: Largest change of contact loss from one frame to the next, in the event.
        dose_uc_per_cm2: What the beam left on the cell.
        hours: When, h.
        loss: Contact loss in each frame.
        records: Times, h, and voltages, V, of the records.
    """

    frames: int
    in_event: int
    unseen_v: float
    widest: float
    dose_uc_per_cm2: float
    hours: np.ndarray
    loss: np.ndarray
    records: tuple[np.ndarray, np.ndarray]


def seen(data: Path) -> Seen:
    """Look at the last run."""
    run = load_run(find_run(data, "-1"))
    echem, sem = run.streams["echem"], run.streams["sem"]
    volts, amps = echem["pstat_voltage_v"], echem["pstat_current_ma"]
    began_s = echem["time"][0]
    over = np.where(np.abs(amps) > 1e-3, np.abs(volts - volts[0]), 0.0)
    event_s = echem["time"][np.argmax(over > EVENT_V)]
    loss = np.array([measure_voids(frame, PIXEL_UM).contact_loss for frame in run.frames("sem")])
    times = sem["sem_t_end_s"]
    first = max(int(np.searchsorted(times, event_s)) - 1, 0)  # the last frame before the event
    return Seen(
        frames=len(loss),
        in_event=len(times) - first - 1,
        unseen_v=_unseen_v(echem["time"], volts, [*times[first:], echem["time"][-1]]),
        widest=float(np.max(np.abs(np.diff(loss[first:])), initial=0.0)),
        dose_uc_per_cm2=float(np.sum(sem["sem_dose_uc_per_cm2"])),
        hours=(times - began_s) / 3600,
        loss=loss,
        records=((echem["time"] - began_s) / 3600, volts),
    )


def _unseen_v(times: np.ndarray, volts: np.ndarray, frames: list[float]) -> float:
    """How far the voltage moves at most between two frames, V."""
    moved = [0.0]
    for begin, end in itertools.pairwise(frames):
        between = volts[(times >= begin) & (times <= end)]
        moved.append(float(np.ptp(between)) if len(between) else 0.0)
    return max(moved)


WAYS: Mapping[str, Mapping[str, float]] = {
    "each 15 min": {"every_s": 900.0},
    "each 2 min": {"every_s": 120.0},
    "each 10 mV": {"step_v": 0.010},
}


def compare(data: Path, seed: int) -> dict[str, Seen]:
    """Run one cell in each way."""
    found = {}
    for name, way in WAYS.items():
        sample = {"model": "void_interface", "preset": "li_lpscl_operando", "seed": seed}
        with open_bench("sim-sem", data=data, sample=sample) as bench:
            md = {**bench.metadata(), "sample": f"cell {seed}"}
            bench.RE(strip_and_watch(bench.pstat, bench.sem, md=md, **way))
        found[name] = seen(data)
    return found


def draw(cells: Mapping[int, Mapping[str, Seen]], file: Path) -> None:
    """Voltage of the first cell with the frames of each way, and what they show."""
    from matplotlib.figure import Figure

    ways = next(iter(cells.values()))
    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    top.plot(*ways["each 10 mV"].records, lw=0.8, color="0.3")
    marks = {"each 15 min": "s", "each 2 min": ".", "each 10 mV": "o"}
    for row, (name, one) in enumerate(ways.items()):
        level = 0.45 - 0.12 * row
        top.plot(one.hours, np.full(len(one.hours), level), "|", ms=9, label=name)
        bottom.plot(one.hours, one.loss, marks[name], ms=4, label=f"{name}: {one.frames} frames")
    top.set_ylabel("voltage / V")
    bottom.set_ylabel("contact loss in the frame")
    bottom.set_xlabel("time / h")
    top.legend(title="a frame", fontsize="small", loc="lower left")
    bottom.legend(fontsize="small")
    top.set_title(f"simulated cell {next(iter(cells))}: stripping to the loss of contact")
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", type=Path, default=Path("operando-data"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", type=Path)
    asked = parser.parse_args()
    print("cell  a frame      frames  in event  unseen V  contact step  dose uC/cm2")
    cells = {}
    for seed in range(11, 11 + asked.seeds):
        cells[seed] = compare(asked.data, seed)
        for name, one in cells[seed].items():
            print(
                f"{seed:>4}  {name:<12} {one.frames:>6}  {one.in_event:>8}  {one.unseen_v:>8.3f}"
                f"  {100 * one.widest:>10.0f} %  {one.dose_uc_per_cm2:>11.1f}"
            )
    for name in WAYS:
        ones = [cell[name] for cell in cells.values()]
        print(
            f"{name}: {np.mean([one.frames for one in ones]):.0f} frames, of them "
            f"{np.mean([one.in_event for one in ones]):.1f} in the event (fewest "
            f"{min(one.in_event for one in ones)}); at most "
            f"{max(one.unseen_v for one in ones):.2f} V pass unseen"
        )
    if asked.figure is not None:
        draw(cells, asked.figure)


if __name__ == "__main__":
    main()
