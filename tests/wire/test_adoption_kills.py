"""A host that is killed at any message to its potentiostat, and the one that goes on."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.drivers.keithley_2450_backend import Keithley2450Backend
from devices.drivers.potentiostat_bridge import BridgePotentiostat
from devices.impedance import SpectrumSeries
from devices.roles import Sweep
from devices.technique import Technique
from sim.instruments.bridge_potentiostat import SimulatedPotentiostat
from sim.instruments.keithley_2450 import Keithley2450
from tests.cut_off import LIMITS, CutOff, Killed

STEP = Technique(
    ConstantCurrent(current_mA=1.0, until_time_s=1000.0), LIMITS, 10.0, 10.0, step_index=1, cycle=1
)
STEP_MAH = 1000.0 / 3600.0
SWEEP = Sweep("current", 0.1, 1e4, 0.5)


def with_spectra():
    return CutOff(SimulatedPotentiostat, BridgePotentiostat)


def without():
    return CutOff(Keithley2450, Keithley2450Backend)


def serve(lab, end_s):
    """What a plan does beside the step: pages, spectra, exposures of the resting and open cell."""
    taken = None
    if lab.pstat.takes_spectra:
        taken = SpectrumSeries(lab.pstat, SWEEP, limits=LIMITS)
        if taken.adopt({"taking": False}).found == "running":
            taken.trigger()
    held = lab.pstat.held_cell("camera", LIMITS, 5.0)
    held.set("keep")
    for t_s in range(int(lab.clock.now_s // 50 + 1) * 50, end_s, 50):
        lab.clock.to(float(t_s))
        lab.collect()
        if not (lab.pstat.energised or lab.pstat.left_of_step()[0]):
            continue
        if t_s % 150 == 100 and taken is not None:
            taken.trigger()
        if t_s % 200 == 150:
            held.set("rest" if t_s % 400 == 150 else "open")
        if t_s % 200 == 0:
            held.set("keep")
    lab.clock.to(float(end_s))
    lab.collect()


def killed(lab, lives, act, *, lost):
    """Whether a host that says no more than so many messages is killed at the next."""
    lab.lives, lab.lost = lives, lost
    try:
        act()
    except Killed:
        return True
    finally:
        lab.lives = 10**9
    return False


@pytest.mark.parametrize("make", [with_spectra, without])
@settings(max_examples=20, deadline=None)
@given(
    lives=st.integers(0, 340),
    lost=st.booleans(),
    outage_s=st.floats(0.0, 1500.0),
    off_after_s=st.none() | st.floats(0.0, 500.0),
    again=st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=2),
)
def test_no_charge_is_lost_or_repeated(make, lives, lost, outage_s, off_after_s, again):
    """Row 42: killed at any message, also while it goes on; switched off meanwhile or not."""
    lab = make()
    lab.remember()

    def experiment():
        lab.run(STEP)
        serve(lab, 1300)

    was_killed = killed(lab, lives, experiment, lost=lost)
    lab.die()
    lab.clock.to(lab.clock.now_s + (off_after_s or 0.0))
    if off_after_s is not None:
        lab.off()
    lab.clock.to(lab.clock.now_s + outage_s)
    for also_lives, also_lost in again:
        killed(lab, also_lives, lab.adopt, lost=also_lost)
        lab.die()
    adoption = lab.adopt()
    assert (lab.driven, adoption.gap) == ([], None)
    if was_killed and adoption.found == "off":
        left = adoption.left or STEP.program()
        lab.pstat.prepare(replace(STEP, left=left))
        lab.pstat.kickoff()
    serve(lab, int(lab.clock.now_s) + 1600)
    assert not lab.backend.output_on()
    assert lab.charge_mah == pytest.approx(STEP_MAH, rel=1e-5)
    assert lab.rows()[-1, 3] == pytest.approx(lab.charge_mah, rel=1e-3)
    assert np.all(np.diff(lab.rows()[:, 0]) >= 0.0)
    spectra = Counter(lab.journal.get("pstat_eis_spectrum", []))
    assert spectra == dict.fromkeys(range(lab.spectra), SWEEP.points)
