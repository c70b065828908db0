"""Eight benches in eight processes, each over TCP: no cross-talk, and more done than by one.

``make bench`` prints the ratio. Every process opens a bench of its own whose instruments stand
behind real TCP ports, runs the same protocol on a sample of its own seed (the scatter of four
rate constants makes each cell unlike the others), and hands back what it measured.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from orchestrator.bench import open_bench
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from orchestrator.running import run_experiment

ROOT = Path(__file__).parents[2]
BENCHES, LEAST_RATIO, LONGEST_S = 8, 1.5, 300


def experiment(seed: int) -> Experiment:
    """Forty cycles without images, on a cell of its own."""
    document = load_experiment(example_path("in_situ_mri")).to_document()
    document["protocol"]["method"][-1]["cycle_count"] = 40
    document["images"], document["stop_when"] = [], []
    document["sample"]["simulate_as"] |= {"seed": seed, "jitter": 0.2}
    return Experiment.model_validate(document)


def measured(seed: int, data: Path, transport: str) -> dict:
    """What one bench measures, and how long the run alone took, s."""
    one = experiment(seed)
    recipe = one.sample.simulate_as.model_dump(exclude_none=True)
    with open_bench("sim-mri", data=data, sample=recipe, transport=transport) as bench:
        began_s = time.monotonic()
        result = run_experiment(one, bench, speak=io.StringIO())
        wall_s = time.monotonic() - began_s
        ports = sorted(link.resource for link in bench.links.values())
    echem = load_run(DataDirectory(data).journal(result.uid)).streams["echem"]
    volts = echem["pstat_voltage_v"]
    return {"volts": volts.tolist(), "wall_s": wall_s, "ports": ports, "records": len(volts)}


def at_once(seeds: list[int], folder: Path) -> tuple[list[dict], float]:
    """One process per seed, all at once; what they measured, and the time from go to the last.

    Each says when its bench is open and begins at a word, so that starting Python is not measured.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__)), str(folder)]
    processes = [
        subprocess.Popen(
            [*command, str(seed)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in seeds
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        began_s = time.monotonic()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=LONGEST_S)[0] for process in processes]
        return [json.loads(text) for text in told], time.monotonic() - began_s
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate(timeout=10)


def test_eight_benches_in_eight_processes(tmp_path):
    seeds = list(range(BENCHES))
    ((alone,), one_s) = at_once([0], tmp_path / "one")
    together, eight_s = at_once(seeds, tmp_path / "eight")
    for seed, found in zip(seeds, together, strict=True):
        expected = measured(seed, tmp_path / f"alone-{seed}", "process")
        assert np.array_equal(found["volts"], expected["volts"]), f"bench {seed} heard another"
    assert len({tuple(found["volts"]) for found in together}) == BENCHES
    ports = [port for found in together for port in found["ports"]]
    assert len(set(ports)) == len(ports)
    ratio = (sum(found["records"] for found in together) / eight_s) / (alone["records"] / one_s)
    print(f"\n1 bench: {alone['records']} records in {one_s:.1f} s; 8 benches: {eight_s:.1f} s")
    print(f"throughput of 8 processes over TCP: {ratio:.2f} times that of one")
    assert ratio >= LEAST_RATIO


def main(folder: Path, seed: int) -> None:
    """One of the processes."""
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(measured(seed, folder / str(seed), "tcp")))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
