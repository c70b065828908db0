"""A search for the critical current that decides while it measures, beside a fixed series.

python examples/adaptive_current.py [DATA] [--seeds N] [--figure FILE]

A lithiophilic garnet pellet is plated with the same charge at one current density after another,
until craters break out of its face (Siniscalchi et al. 2024: none at 2.5 mA/cm2, a few at 5). Once
there are some, the voltage is unsteady: the search stops there by itself. A first pellet is taken
through coarse steps, a fresh one of the same batch through fine steps within the bracket; one frame
of each shows the craters. The fixed series takes one pellet through equal steps, with a frame after
each, and is looked at afterwards.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from aurora_unicycler import ConstantCurrent
from bluesky.utils import MsgGenerator

from devices import CellLimits, Potentiostat, Sem
from orchestrator import open_bench
from orchestrator.analysis.spallations import spallations
from orchestrator.records.runs import find_run, load_run
from plans import Capture, Condition, Cycling, run_with_images
from plans.criteria import Met

AREA_CM2 = 0.0314
CHARGE_MAH_PER_CM2 = 0.1
"""Charge of each step."""
LOWEST, HIGHEST = 0.5, 6.5
"""Range of the search, mA/cm2."""
COARSE, FINE = 1.6, 1.05
"""Ratio of one step to the last, on the first and on the fresh pellet."""
EQUAL = 0.25
"""Step of the fixed series, mA/cm2."""
FACE = {
    "method": "image", "resolution_px": [1100, 1100], "hfw_um": 2200, "dwell_time_s": 1e-5,
    "voltage_kv": 10, "current_na": 0.5, "channels": ["SE"],
}  # fmt: skip


@dataclass
class Unsteady:
    """The voltage scatters about a straight line, while an unchanged current flows.

    A criterion as those of `plans.criteria`: a `Condition` looks at every record with it.

    Args:
        limit: Standard deviation over the mean.
        window: Number of records that are looked at.
        settle: Number of records after a change of current that are not.
    """

    limit: float = 0.01
    window: int = 12
    settle: int = 5

    def __post_init__(self) -> None:
        self.holding = False
        self._seen: list[tuple[float, float]] = []
        self._current_ma = np.nan

    def update(self, records: Any) -> list[Met]:
        """Look at new records; the first time that the voltage was unsteady."""
        rows = zip(records.t_s, records.voltage_v, records.current_ma, strict=True)
        for t_s, volts, amps in (tuple(map(float, row)) for row in rows):
            if not np.isclose(amps, self._current_ma, rtol=0.01, atol=1e-6):
                self._seen, self._current_ma = [], amps
            self._seen.append((t_s, volts))
            scatter = self._scatter()
            if scatter > self.limit and not self.holding:
                self.holding = True
                return [Met(t_s, scatter, f"voltage scatters by {100 * scatter:.1f} %")]
        return []

    def _scatter(self) -> float:
        if len(self._seen) < self.settle + self.window or not abs(self._current_ma) > 1e-4:
            return 0.0
        t_s, volts = np.array(self._seen[-self.window :]).T
        line = np.polyval(np.polyfit(t_s - t_s[0], volts, 1), t_s - t_s[0])
        return float(np.std(volts - line) / abs(np.mean(volts)))

    def state(self) -> dict[str, Any]:
        """What it remembers, JSON-able."""
        return {"seen": self._seen, "current_ma": self._current_ma, "holding": self.holding}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Remember it again."""
        self._seen = [tuple(pair) for pair in state["seen"]]
        self._current_ma, self.holding = state["current_ma"], state["holding"]


def plate_in_steps(
    potentiostat: Potentiostat,
    sem: Sem,
    *,
    currents_ma_per_cm2: Sequence[float],
    decides: bool,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """Pass the same charge at each current; one that decides ends when the voltage is unsteady."""
    cycling = Cycling(
        potentiostat=potentiostat,
        method=[
            ConstantCurrent(current_mA=j * AREA_CM2, until_time_s=3600 * CHARGE_MAH_PER_CM2 / j)
            for j in currents_ma_per_cm2
        ],
        period_s=2.0,
        limits=CellLimits(-5, 5, -0.5, 0.5),
        max_capacity_mah=0.2,
    )
    # open, or a frame after one step would show what the next has begun
    at = ("end",) if decides else ("step_end",)
    captures = [Capture(sem, at=at, settings=FACE, cell="open")]
    conditions = [Condition("unsteady", Unsteady(), potentiostat)] if decides else []
    start = {"plan_name": "plate_in_steps", **(md or {})}
    return (yield from run_with_images(cycling, captures, conditions, md=start))


@dataclass(frozen=True)
class Outcome:
    """What a pellet showed.

    Attributes:
        survived: Largest current without craters, mA/cm2.
        failed: Current at which there were some, mA/cm2; infinite where there were none.
        steps: Steps that were run.
        craters: Craters in each frame.
        charge_mah_per_cm2: Charge that passed.
    """

    survived: float
    failed: float
    steps: int
    craters: tuple[int, ...]
    charge_mah_per_cm2: float


def plated(data: Path, seed: int, currents: Sequence[float], *, decides: bool) -> Outcome:
    """Take one pellet through a series."""
    sample = {"model": "llzto_pellet", "preset": "lithiophilic", "seed": seed}
    with open_bench("sim-sem", data=data, sample=sample) as bench:
        plan = plate_in_steps(
            bench.pstat,
            bench.sem,
            currents_ma_per_cm2=currents,
            decides=decides,
            md={**bench.metadata(), "sample": f"pellet {seed}"},
        )
        ended = bench.RE(plan).plan_result
    run = load_run(find_run(data, "-1"))
    echem = run.streams["echem"]
    craters = tuple(round(spallations(frame, 2.0).number.value) for frame in run.frames("sem"))
    steps = int(np.max(echem["pstat_step_index"])) + 1
    if decides:
        first = steps - 1 if ended == "unsteady" else len(currents)
    else:
        first = int(np.argmax(np.array(craters) > 0)) if any(craters) else len(currents)
    return Outcome(
        survived=currents[first - 1] if first else 0.0,
        failed=currents[first] if first < len(currents) else np.inf,
        steps=steps,
        craters=craters,
        charge_mah_per_cm2=float(echem["pstat_throughput_mah"][-1]) / AREA_CM2,
    )


def ladder(low: float, high: float, ratio: float) -> list[float]:
    """Currents from one to another, each by a ratio larger than the last, mA/cm2."""
    count = int(np.ceil(np.log(high / low) / np.log(ratio)))
    return [round(low * ratio**k, 4) for k in range(count + 1)]


def search(data: Path, seed: int) -> tuple[Outcome, Outcome]:
    """Coarse steps on one pellet, then fine ones on a fresh one within the bracket."""
    coarse = plated(data, seed, ladder(LOWEST, HIGHEST, COARSE), decides=True)
    low, high = max(coarse.survived, LOWEST), min(coarse.failed, HIGHEST)
    fine = plated(data, seed + 1000, ladder(low, 1.3 * high, FINE), decides=True)
    return coarse, fine


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", type=Path, default=Path("operando-data"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", type=Path)
    asked = parser.parse_args()
    print("batch  plan      pellets  steps  frames  critical mA/cm2  charge mAh/cm2")
    found = []
    for seed in range(asked.seeds):
        equal = list(np.arange(LOWEST, HIGHEST + EQUAL / 2, EQUAL).round(4))
        fixed = (plated(asked.data, seed + 1000, equal, decides=False),)
        adaptive = search(asked.data, seed)
        found.append((fixed, adaptive))
        for name, ones in (("fixed", fixed), ("adaptive", adaptive)):
            last = ones[-1]
            print(
                f"{seed:>5}  {name:<8}  {len(ones):>7}  {sum(one.steps for one in ones):>5}"
                f"  {sum(len(one.craters) for one in ones):>6}"
                f"  {f'{last.survived:.2f} to {last.failed:.2f}':>15}"
                f"  {sum(one.charge_mah_per_cm2 for one in ones):>14.2f}"
                f"  craters {last.craters[-1]}"
            )
    if asked.figure is not None:
        draw(found, asked.figure)


def draw(found: Sequence[tuple[Sequence[Outcome], Sequence[Outcome]]], file: Path) -> None:
    """Brackets of the critical current, and what each plan took for them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for k, name in enumerate(("fixed", "adaptive")):
        colour = f"C{k}"
        for batch, pair in enumerate(found):
            last = pair[k][-1]
            left.plot([batch + 0.2 * k] * 2, [last.survived, last.failed], color=colour, lw=4)
        taken = [
            [sum(len(one.craters) for one in pair[k]), sum(one.steps for one in pair[k])]
            for pair in found
        ]
        right.bar(np.arange(2) + 0.35 * k, np.mean(taken, axis=0), 0.35, color=colour, label=name)
    left.set_xlabel("batch")
    left.set_ylabel("critical current / mA/cm²")
    right.set_xticks(np.arange(2) + 0.18, ["frames", "steps"])
    right.legend()
    figure.suptitle("simulated pellets", fontsize="medium")
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    main()
