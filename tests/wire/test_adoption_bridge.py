"""A potentiostat's step after a crash: one behind the bridge, with spectra in its steps."""

from dataclasses import replace

import pytest
from aurora_unicycler import ConstantCurrent, ImpedanceSpectroscopy

from devices.drivers.potentiostat_bridge import BridgePotentiostat
from devices.impedance import SpectrumSeries
from devices.roles import Sweep
from devices.technique import Technique
from sim.instruments.bridge_potentiostat import SimulatedPotentiostat
from tests.cut_off import LIMITS, CutOff

STEP = Technique(
    ConstantCurrent(current_mA=1.0, until_time_s=1000.0), LIMITS, 10.0, 10.0, step_index=1, cycle=1
)
SWEEP = Sweep("current", 0.1, 1e4, 0.5)


def bench():
    return CutOff(SimulatedPotentiostat, BridgePotentiostat)


@pytest.fixture
def lab():
    return bench()


def series(lab):
    return SpectrumSeries(lab.pstat, SWEEP, limits=LIMITS)


def cut(lab, at_s, outage_s):
    lab.clock.to(at_s)
    lab.die()
    lab.clock.to(at_s + outage_s)
    return lab.adopt()


def test_a_step_that_still_runs_is_followed_again(lab):
    lab.run(STEP)
    lab.clock.to(305.0)
    lab.collect()
    adoption = cut(lab, 305.0, 400.0)
    assert (adoption.found, adoption.gap, lab.driven) == ("running", None, [])
    lab.pstat.prepare(STEP)
    lab.pstat.kickoff()
    lab.clock.to(1000.0)
    lab.collect()
    whole = bench()
    whole.run(STEP)
    whole.clock.to(1000.0)
    whole.collect()
    assert lab.rows().tolist() == whole.rows().tolist()
    assert lab.pstat.closure_error == whole.pstat.closure_error


def test_a_spectrum_within_the_step_is_taken_to_its_end_and_told_to_its_series(lab):
    lab.run(STEP)
    lab.clock.to(105.0)
    series(lab).trigger()
    lab.clock.to(107.0)
    lab.collect()
    adoption = cut(lab, 108.0, 2.0)
    assert (adoption.found, lab.driven) == ("running", [])
    taken = series(lab)
    assert taken.adopt({"taking": True}).found == "running"
    status = taken.trigger()
    assert not status.done
    lab.clock.to(130.0)
    assert status.done
    assert (taken.new_frame.get(), taken.quality.get()[:2]) == (1, "am")
    assert taken.adopt({"taking": False}).found == "none"
    pages = list(lab.pstat.eis.collect_pages())
    assert len(pages) == 1
    assert len(pages[0]["time"]) == SWEEP.points
    lab.clock.to(2000.0)
    assert lab.pstat.end_reason.get() == "time"
    assert lab.charge_mah == pytest.approx(1000.0 / 3600.0, rel=1e-6)


def test_a_spectrum_that_ended_meanwhile_is_kept_and_told(lab):
    lab.run(STEP)
    lab.clock.to(105.0)
    series(lab).trigger()
    lab.clock.to(107.0)
    lab.collect()
    adoption = cut(lab, 108.0, 2000.0)
    assert (adoption.found, adoption.end_reason) == ("finished", "time")
    taken = series(lab)
    taken.adopt({"taking": True})
    assert taken.trigger().done
    assert taken.new_frame.get() == 1
    assert lab.pstat.eis.spectrum.get() == 0


def test_a_spectrum_that_is_a_step_is_taken_to_its_end(lab):
    step = ImpedanceSpectroscopy(
        amplitude_mA=0.1, start_frequency_Hz=1e4, end_frequency_Hz=0.1, points_per_decade=10
    )
    technique = replace(STEP, step=step)
    lab.run(technique)
    lab.clock.to(5.0)
    lab.collect()
    adoption = cut(lab, 8.0, 12.0)
    assert (adoption.found, lab.driven) == ("running", [])
    lab.clock.to(100.0)
    assert lab.pstat.end_reason.get() == "time"
    lab.collect()
    assert lab.journal["pstat_eis_series"] == [-1] * 51
    assert lab.pstat.eis.spectrum.get() == 0


def test_half_a_spectrum_is_none_and_its_step_begins_again(lab):
    step = ImpedanceSpectroscopy(
        amplitude_mA=0.1, start_frequency_Hz=1e4, end_frequency_Hz=0.1, points_per_decade=10
    )
    technique = replace(STEP, step=step)
    lab.run(technique)
    lab.clock.to(5.0)
    lab.collect()
    lab.die()
    lab.off()
    adoption = lab.adopt()
    assert (adoption.found, adoption.left) == ("off", technique.program())
    lab.collect()
    assert lab.spectra == 0


def test_a_spectrum_that_was_asked_for_and_not_begun_is_missing(lab):
    lab.run(STEP)
    lab.clock.to(995.0)
    series(lab).trigger()
    lab.collect()
    adoption = cut(lab, 996.0, 100.0)
    assert adoption.found == "finished"
    assert series(lab).adopt({"taking": True}).found == "missing"
