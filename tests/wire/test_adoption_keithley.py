"""A potentiostat's step after a crash: a 2450 outlives its host and is found again."""

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.drivers.keithley_2450_backend import Keithley2450Backend
from devices.technique import Technique
from sim.instruments.keithley_2450 import Keithley2450
from tests.cut_off import LIMITS, CutOff

STEP = Technique(
    ConstantCurrent(current_mA=1.0, until_time_s=1000.0), LIMITS, 10.0, 10.0, step_index=3, cycle=2
)


def bench():
    return CutOff(lambda world: Keithley2450(world, noise_factor=1.0), Keithley2450Backend)


@pytest.fixture
def lab():
    return bench()


def uninterrupted(technique=STEP):
    lab = bench()
    lab.run(technique)
    lab.clock.to(2000.0)
    lab.collect()
    return lab


def test_a_step_that_still_runs_is_followed_again_and_nothing_is_started(lab):
    lab.run(STEP)
    lab.clock.to(305.0)
    lab.collect()
    lab.die()
    lab.clock.to(700.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.gap, lab.driven) == ("running", None, [])
    assert lab.pstat.energised
    lab.pstat.prepare(STEP)
    lab.pstat.kickoff()
    ended = lab.pstat.complete()
    assert not ended.done
    assert lab.driven == []
    lab.clock.to(1000.0)
    assert ended.done
    assert lab.pstat.end_reason.get() == "time"
    lab.collect()
    assert lab.rows().tolist() == uninterrupted().rows().tolist()
    assert set(lab.journal["pstat_step_index"]) == {3}
    assert set(lab.journal["pstat_cycle"]) == {2}


def test_a_step_that_has_ended_meanwhile_is_over(lab):
    lab.run(STEP)
    lab.clock.to(305.0)
    lab.collect()
    lab.die()
    lab.clock.to(5000.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.end_reason, adoption.left) == ("finished", "time", None)
    assert lab.pstat.complete().done
    assert not lab.pstat.energised
    lab.collect()
    assert lab.rows().tolist() == uninterrupted().rows().tolist()


def test_what_a_watchdog_switched_off_leaves_the_rest_of_the_step(lab):
    lab.run(STEP)
    lab.clock.to(305.0)
    lab.collect()
    lab.die()
    lab.clock.to(312.0)
    lab.off()
    lab.clock.to(5000.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.end_reason, adoption.gap) == ("off", "stopped", None)
    assert adoption.left.duration_s == pytest.approx(1000.0 - 312.0)
    lab.pstat.prepare(Technique(**{**vars(STEP), "continues": True}))
    lab.pstat.kickoff()
    lab.clock.to(7000.0)
    lab.collect()
    assert lab.charge_mah == pytest.approx(1000.0 / 3600.0, abs=1e-9)
    assert lab.journal["pstat_charge_mah"][-1] == pytest.approx(lab.charge_mah, rel=2e-4)


@settings(max_examples=25, deadline=None)
@given(
    collected_s=st.floats(0.0, 990.0),
    more_s=st.floats(0.0, 200.0),
    outage_s=st.floats(0.0, 3000.0),
    off_after_s=st.none() | st.floats(0.0, 500.0),
    torn=st.booleans(),
)
def test_no_row_is_lost_and_none_is_there_twice(collected_s, more_s, outage_s, off_after_s, torn):
    lab = bench()
    lab.run(STEP)
    lab.clock.to(collected_s)
    lab.collect()
    lab.clock.to(collected_s + more_s)
    if torn:
        lab.collect(remember=False)
    lab.die()
    cut_s = lab.clock.now_s
    if off_after_s is not None:
        lab.clock.to(cut_s + off_after_s)
        lab.off()
    lab.clock.to(lab.clock.now_s + outage_s)
    adoption = lab.adopt()
    assert (adoption.gap, lab.driven) == (None, [])
    lab.clock.to(10_000.0)
    lab.collect()
    assert not lab.backend.output_on()
    rows, whole = lab.rows(), uninterrupted().rows()
    times = rows[:, 0]
    assert np.all(np.diff(times) > 0.0)
    on_time = np.isin(times, whole[:, 0])
    assert rows[on_time].tolist() == whole[: on_time.sum()].tolist()
    assert (~on_time).sum() <= 1
    charge = rows[-1, 3]
    assert charge == pytest.approx(lab.charge_mah, rel=1e-3, abs=1e-6)
