"""Plans that decide while they measure: what `adaptive_imaging` and `adaptive_current` claim."""

from __future__ import annotations

import importlib.util
import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import load_experiment, open_bench, run_experiment
from orchestrator.records.runs import find_run, load_run
from tests.command import EXAMPLES


def example(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


imaging, current = example("adaptive_imaging"), example("adaptive_current")


def test_frames_follow_the_voltage_where_a_fixed_rate_misses_the_event(tmp_path, capsys):
    ways = {name: imaging.WAYS[name] for name in ("each 15 min", "each 10 mV")}
    imaging.WAYS = ways
    sys.argv = ["", str(tmp_path), "--seeds", "1", "--figure", str(tmp_path / "a.png")]
    imaging.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:3]]
    (fixed, in_fixed), (adaptive, in_adaptive) = ((int(r[4]), int(r[5])) for r in rows)
    assert in_fixed <= 3  # the paper's rate
    assert in_adaptive >= 20
    assert fixed < adaptive < 84  # a frame each 2 min, which is 84, has 17 of them in the event
    assert (tmp_path / "a.png").stat().st_size > 10_000


@pytest.mark.long
def test_the_same_without_python(tmp_path):
    experiment = load_experiment(EXAMPLES / "adaptive_imaging.yaml")
    sample = experiment.sample.simulate_as.model_dump(exclude_none=True)
    with open_bench("sim-sem", data=tmp_path, sample=sample) as bench:
        result = run_experiment(experiment, bench, speak=io.StringIO())
    assert result.stop_reason == "completed"
    run = load_run(find_run(tmp_path, "-1"))
    echem = run.streams["echem"]
    over = np.abs(echem["pstat_voltage_v"] - echem["pstat_voltage_v"][0])
    event_s = echem["time"][np.argmax(over > imaging.EVENT_V)]
    taken = run.streams["sem"]["sem_t_end_s"]
    assert len(taken) < 35
    assert np.sum(taken >= event_s) >= 8


def test_a_search_that_decides_takes_two_frames_and_stops_at_the_first_craters(tmp_path):
    coarse, fine = current.search(tmp_path, 0)
    assert coarse.survived < fine.failed <= 1.3 * coarse.failed
    assert fine.failed / fine.survived == pytest.approx(current.FINE, rel=1e-3)
    assert len(coarse.craters) == len(fine.craters) == 1
    assert 1 <= fine.craters[0] < 20
    # a fixed series on the same pellet, of which only the end is run here, goes on to ruin it
    fixed = current.plated(tmp_path, 1000, [3.5, fine.survived, 5.0, 6.0], decides=False)
    assert len(fixed.craters) == 4
    assert fixed.survived <= fine.survived * 1.001
    assert fixed.craters[-1] > 3 * fine.craters[0]


def records(t_s, volts, amps):
    return SimpleNamespace(t_s=t_s, voltage_v=volts, current_ma=amps)


@settings(deadline=None, max_examples=60)
@given(
    moves=st.lists(st.floats(-0.02, 0.02), min_size=30, max_size=120),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=20),
)
def test_criteria_do_not_depend_on_how_records_arrive(moves, cuts):
    """In whatever batches, and cut off in between by a restart."""
    n = len(moves)
    t_s, volts = 10.0 * np.arange(n), 0.5 + np.cumsum(moves)
    amps = np.where(np.arange(n) < n // 2, 0.045, 0.090)
    for make in (imaging.Followed, lambda: current.Unsteady(window=5, settle=2)):
        whole = make().update(records(t_s, volts, amps))
        parts, one, at = [], make(), 0
        for cut in (cuts * n)[:n]:
            part = slice(at, at + cut)
            parts += one.update(records(t_s[part], volts[part], amps[part]))
            fresh = make()
            fresh.restore(one.state())
            one, at = fresh, at + cut
        assert [met.t_s for met in parts] == [met.t_s for met in whole]


def test_frames_are_never_too_near_nor_too_far_apart():
    one = imaging.Followed(step_v=0.01, shortest_s=60, longest_s=900)
    t_s = 10.0 * np.arange(2000)
    volts = np.where(t_s < 10_000, 0.5, 0.5 + 0.01 * (t_s - 10_000) / 100)  # 10 mV in 100 s
    met = [m.t_s for m in one.update(records(t_s, volts, np.full(2000, 0.045)))]
    slow, fast = np.diff([t for t in met if t < 10_000]), np.diff([t for t in met if t > 10_200])
    assert set(slow) == {900.0}
    assert np.all((fast >= 90) & (fast <= 110))
