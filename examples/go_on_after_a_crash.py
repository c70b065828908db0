"""Kills a run in the middle of a step, and goes on with it: no charge twice, none left out.

python examples/go_on_after_a_crash.py

The simulated laboratory stands in a process of its own, as an instrument does, so that its cell
outlives the program that drives it.
"""

import os
import signal
import tempfile
from pathlib import Path

import plans
from orchestrator import open_bench
from orchestrator.laboratory import attach, serve_laboratory
from orchestrator.profile.loading import load_profile
from orchestrator.records.chains import load_chain
from orchestrator.records.runs import find_run

LIMITS = {"min_voltage_v": -5, "max_voltage_v": 5, "min_current_ma": -1, "max_current_ma": 1}


def laboratory(file: Path, ready: int) -> None:
    """Serve the cell and its instruments until this process is killed; says when it is ready."""
    with serve_laboratory(load_profile("sim-mri"), control="virtual", life_s=60.0) as serving:
        serving.address.write(file)
        os.write(ready, b"!")
        serving.wait(60.0)


def run(file: Path, data: Path) -> None:
    """Cycle the cell, and die after 200 s of experiment."""
    with open_bench("sim-mri", data=data, laboratory=file) as bench:
        bench.clock.call_later(
            200.0, lambda: os.kill(os.getpid(), signal.SIGKILL), owner=bench.pstat
        )
        bench.RE(plans.cycle(
            bench.pstat, area_cm2=0.1257, limits=LIMITS, max_capacity_mah=1,
            current_ma_per_cm2=0.1, half_cycle_s=300, cycles=2,
        ))  # fmt: skip


def forked(work, *arguments) -> int:
    """Do something in a process of its own; returns its number."""
    pid = os.fork()
    if pid == 0:
        work(*arguments)
        os._exit(0)
    return pid


def main(folder: Path) -> None:
    file, data = folder / "laboratory.json", folder / "data"
    told, ready = os.pipe()
    serving = forked(laboratory, file, ready)
    try:
        os.read(told, 1)
        _, status = os.waitpid(forked(run, file, data), 0)
        print(f"the run was ended by {signal.Signals(os.WTERMSIG(status)).name}")
        with open_bench("sim-mri", data=data, laboratory=file) as bench:
            bench.resume_run("-1")
        whole, cell = load_chain(find_run(data, "-1")), attach(file).cell()
        moved_mah = whole.streams["echem"]["pstat_throughput_mah"][-1]
        print(f"{len(whole.parts)} runs, {len(whole.streams['echem']['time'])} records")
        print(f"recorded {moved_mah:.7f} mAh, the cell passed {cell['throughput_mah']:.7f} mAh")
    finally:
        os.kill(serving, signal.SIGKILL)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
