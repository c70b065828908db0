"""The clock of the machine is set while a run goes on: nothing takes longer, and it is recorded."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from orchestrator.bench import open_bench
from orchestrator.clock_watch import LEAST_JUMP_S, LOOK_EVERY_S, ClockWatch
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.records.runs import load_run
from orchestrator.running import run_experiment
from tests.promises import Witness


def experiment() -> Experiment:
    """One cycle, 70 minutes."""
    document = load_experiment(example_path("in_situ_mri")).to_document()
    document["protocol"]["method"][-1]["cycle_count"] = 1
    return Experiment.model_validate(document | {"images": []})


class Wall:
    """A clock of a machine that somebody sets.

    Args:
        bench: Whose time it follows otherwise.
        set_at: Seconds since the bench was opened, and by how much it is set then, s.
        slews: How much it runs fast, of the time.
    """

    def __init__(self, bench, *set_at: tuple[float, float], slews: float = 0.0) -> None:
        self.bench, self.set_at, self.slews = bench, set_at, slews

    def __call__(self) -> float:
        passed_s = self.bench.elapsed_s
        jumped_s = sum(by_s for at_s, by_s in self.set_at if passed_s >= at_s)
        return self.bench.clock.time() + jumped_s + self.slews * passed_s


def ran(folder, *set_at, slews=0.0):
    one = experiment()
    recipe = one.sample.simulate_as.model_dump(exclude_none=True)
    with open_bench("sim-mri", data=folder, sample=recipe) as bench:
        seen = Witness(bench)
        wall = Wall(bench, *set_at, slews=slews)
        watch = ClockWatch(bench.clock, lambda jump: bench.desk.carry_out(jump, wait_s=0.0), wall)
        result = run_experiment(one, bench, speak=io.StringIO())
        watch.close()
    seen.promises_kept()
    return result, load_run(bench._recorder.directory.journal(result.uid)), folder / "audit.jsonl"


def jumps(run):
    events = run.streams.get("events", {"event_kind": []})
    mine = [k for k, kind in enumerate(events["event_kind"]) if kind == "clock_jump"]
    return [
        (events["time"][k] - run.start["time"], events["event_value"][k], events["event_text"][k])
        for k in mine
    ]


def test_no_duration_changes_and_the_jump_is_recorded(tmp_path):
    """Row 32: set back by an hour, then forward by a minute."""
    result, run, audit = ran(tmp_path / "set", (700.0, -3600.0), (2200.0, 60.0))
    steady, untouched, _ = ran(tmp_path / "untouched")
    assert result.duration_s == steady.duration_s
    assert result.throughput_mah == steady.throughput_mah
    for key in ("time", "pstat_voltage_v", "pstat_current_ma"):
        assert np.array_equal(run.streams["echem"][key], untouched.streams["echem"][key])
    back, forward = jumps(run)
    assert (back[1], forward[1]) == pytest.approx((-3600.0, 60.0), abs=1e-3)
    assert 700.0 <= back[0] <= 700.0 + LOOK_EVERY_S
    assert 2200.0 <= forward[0] <= 2200.0 + LOOK_EVERY_S
    assert "set back by 3600.000 s and shows -3600.000 s" in back[2]
    assert "stood still" in forward[2]
    asked = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [one["who"] for one in asked if one["kind"] == "request"] == [
        "the clock of this machine"
    ] * 2


def test_slewing_is_no_jump(tmp_path):
    """Row 32: NTP slews by 500 ppm; summer time changes nothing that is in UTC."""
    _, run, audit = ran(tmp_path, slews=500e-6)
    assert jumps(run) == []
    assert not audit.exists()
    assert LOOK_EVERY_S * 500e-6 < LEAST_JUMP_S / 10


@pytest.mark.parametrize("real_time", [True, False])
def test_every_bench_in_real_time_is_watched(tmp_path, real_time):
    """Row 32: virtual time has no clock that could be set."""
    with open_bench("sim-mri", data=tmp_path, real_time=real_time) as bench:
        assert bench.clock.pending(ClockWatch) == int(real_time)
