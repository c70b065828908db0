"""What a host that goes on finds at its potentiostat, and what it says of it."""

from dataclasses import replace

import pytest
from aurora_unicycler import ConstantCurrent, ConstantVoltage, OpenCircuitVoltage, VoltageScan

from devices.drivers.keithley_2450_backend import Keithley2450Backend
from devices.drivers.potentiostat_bridge import BridgePotentiostat
from devices.errors import LinkError
from devices.second_path import WithSecondPath
from devices.technique import Amendment, Technique
from sim.instruments.bridge_potentiostat import SimulatedPotentiostat
from sim.instruments.keithley_2450 import Keithley2450
from sim.samples.linear_cell import LinearCell
from tests.cut_off import LIMITS, CutOff

STEP = Technique(
    ConstantCurrent(current_mA=-1.0, until_time_s=1000.0), LIMITS, 10.0, 10.0, step_index=1
)


def battery():
    """1 V, 1 kohm, 100 V/mAh: a charge of 10 uAh raises it by a volt."""
    return LinearCell(1.0, 1000.0, stiffness_v_per_mah=100.0)


def smu(cell=None):
    return CutOff(lambda w: Keithley2450(w, noise_factor=0.0), Keithley2450Backend, cell)


def bridged(cell=None):
    return CutOff(lambda w: SimulatedPotentiostat(w, noise_factor=0.0), BridgePotentiostat, cell)


@pytest.fixture(params=[smu, bridged])
def make(request):
    return request.param


@pytest.fixture
def lab(make):
    return make()


def cut(lab, outage_s=0.0):
    lab.die()
    lab.clock.to(lab.clock.now_s + outage_s)


def after_page(lab, technique=STEP, at_s=305.0):
    lab.run(technique)
    lab.clock.to(at_s)
    lab.collect()


# --- how a step ends -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "limits", "reason"),
    [
        (ConstantCurrent(current_mA=0.1, until_time_s=3600, until_voltage_V=1.5), LIMITS,
         "end_voltage"),
        (ConstantVoltage(voltage_V=1.5, until_time_s=36000, until_current_mA=0.1), LIMITS,
         "end_current"),
        (ConstantCurrent(current_mA=0.1, until_time_s=3600), replace(LIMITS, max_voltage_v=1.5),
         "limit"),
        (OpenCircuitVoltage(until_time_s=600), LIMITS, "time"),
    ],
)  # fmt: skip
def test_how_a_step_ended_is_known_as_if_somebody_had_watched(make, step, limits, reason):
    technique = replace(STEP, step=step, limits=limits)
    lab, watched = make(battery()), make(battery())
    lab.run(technique)
    lab.clock.to(12.0)
    lab.collect()
    cut(lab, 40_000.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.end_reason, adoption.left) == ("finished", reason, None)
    assert lab.pstat.end_reason.get() == reason
    watched.run(technique)
    watched.clock.to(40_000.0)
    lab.collect()
    watched.collect()
    assert lab.rows().tolist() == watched.rows().tolist()


def test_a_scan_goes_on_from_where_it_was_switched_off():
    lab = bridged(battery())
    step = VoltageScan(start_voltage_V=1.0, end_voltage_V=2.0, scan_rate_mV_per_s=1.0)
    after_page(lab, replace(STEP, step=step), at_s=245.0)
    cut(lab, 5.0)
    lab.off()
    left = lab.adopt().left
    assert (left.setpoint, left.scan_to_v) == (pytest.approx(1.25), 2.0)
    assert left.duration_s == pytest.approx(750.0)


def test_what_is_allowed_to_flow_is_judged_with_the_rows_that_were_read_back(lab):
    after_page(lab, replace(STEP, max_capacity_mah=0.1))
    cut(lab, 200.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.end_reason) == ("finished", "limit")
    assert not lab.backend.output_on()
    assert lab.charge_mah == pytest.approx(-505.0 / 3600.0)


# --- what a step went through before -------------------------------------------------------------


def test_an_amended_step_goes_on_as_amended(lab):
    lab.run(STEP)
    lab.clock.to(100.0)
    longer = replace(STEP, step=ConstantCurrent(current_mA=-1.0, until_time_s=1500.0))
    lab.pstat.prepare(Amendment(longer, STEP))
    lab.clock.to(300.0)
    lab.collect()
    cut(lab, 900.0)
    assert lab.adopt().found == "running"
    lab.pstat.prepare(longer)
    again = replace(longer, step=ConstantCurrent(current_mA=-1.0, until_time_s=1300.0))
    assert lab.pstat.prepare(Amendment(again, longer)).done
    lab.clock.to(3000.0)
    assert lab.charge_mah == pytest.approx(-1300.0 / 3600.0)


def test_a_paused_step_is_off_and_what_is_left_of_it_is_known(lab):
    after_page(lab)
    lab.pstat.pause()
    lab.collect()
    cut(lab, 900.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.gap, adoption.rows) == ("off", None, 0)
    assert adoption.left.duration_s == pytest.approx(695.0)


def test_a_step_that_failed_while_its_program_went_on_is_followed_again(lab):
    lab.run(replace(STEP, survivable=True))
    lab.clock.to(50.0)
    lab.silent = True
    lab.clock.to(200.0)
    assert lab.pstat.end_reason.get() == "failed"
    lab.remember()
    lab.silent = False
    cut(lab, 100.0)
    assert lab.adopt().found == "running"
    lab.clock.to(2000.0)
    assert lab.pstat.end_reason.get() == "time"
    assert lab.charge_mah == pytest.approx(-1000.0 / 3600.0)


def test_a_step_that_had_ended_stays_ended(lab):
    lab.run(STEP)
    lab.clock.to(1000.0)
    lab.collect()
    cut(lab, 900.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.end_reason, adoption.left) == ("finished", "time", None)


def test_nothing_had_begun(lab):
    lab.remember()
    cut(lab, 10.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.left, adoption.gap) == ("off", None, None)


def test_a_program_that_was_loaded_and_not_started_is_not_started_now(lab):
    lab.pstat.prepare(STEP)
    lab.remember()
    cut(lab, 10.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.left, adoption.gap) == ("off", STEP.program(), None)
    assert lab.charge_mah == 0.0


# --- what does not fit ---------------------------------------------------------------------------


def test_an_instrument_that_was_switched_off_and_on_leaves_a_gap_with_a_bound():
    lab = smu()
    after_page(lab)
    cut(lab, 100.0)
    lab.instrument.answer(b"*RST")
    lab.clock.to(1e5)
    adoption = lab.adopt()
    assert adoption.found == "off"
    assert adoption.gap.duration_s == pytest.approx(700.0)
    assert adoption.gap.charge_mah_bound == pytest.approx(700.0 / 3600.0)
    assert adoption.left.duration_s == pytest.approx(700.0)
    missing = abs(lab.charge_mah - lab.journal["pstat_charge_mah"][-1])
    assert missing <= adoption.gap.charge_mah_bound


def test_an_agent_that_was_started_anew_leaves_a_gap_with_a_bound():
    lab = bridged()
    after_page(lab)
    cut(lab, 100.0)
    lab.instrument.answer(b"TECH:STOP")
    lab.instrument = SimulatedPotentiostat(lab.world, noise_factor=0.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.gap.duration_s) == ("off", pytest.approx(105.0))
    assert abs(lab.charge_mah - lab.journal["pstat_charge_mah"][-1]) == pytest.approx(
        adoption.gap.charge_mah_bound
    )


def others(lab, technique=STEP):
    """Somebody else uses the instrument, with this very software."""
    other = CutOff.__new__(CutOff)
    other.__dict__.update(vars(lab))
    other.host()
    other.pstat.stop()
    other.pstat.stage()
    other.run(technique)
    return other


def test_a_program_of_somebody_else_is_switched_off_and_never_taken_for_ours(lab):
    """Row 5: its program, by a mark in the instrument, though it is the same step."""
    after_page(lab)
    cut(lab, 100.0)
    others(lab)
    lab.clock.to(lab.clock.now_s + 400.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.gap.charge_mah_bound) == ("lost", float("inf"))
    assert not lab.backend.output_on()
    assert adoption.left is not None


def test_a_program_of_somebody_else_that_is_over_is_not_taken_for_ours(lab):
    after_page(lab)
    cut(lab, 100.0)
    others(lab)
    lab.clock.to(lab.clock.now_s + 4000.0)
    assert lab.adopt().found == "lost"


def test_an_output_without_a_program_is_switched_off():
    lab = smu()
    lab.remember()
    cut(lab)
    lab.instrument.answer(b":OUTP ON")
    adoption = lab.adopt()
    assert (adoption.found, adoption.left) == ("lost", None)
    assert not lab.backend.output_on()


def test_another_instrument_is_not_trusted(lab):
    """Row 5: its identity, when a run goes on."""
    after_page(lab)
    lab.state["serial"] = "04412345"
    cut(lab, 10.0)
    adoption = lab.adopt()
    assert adoption.found == "lost"
    assert "04412345" in adoption.text
    assert not lab.backend.output_on()


def test_a_buffer_that_was_cleared_is_lost_and_what_may_have_flowed_is_bounded():
    lab = smu()
    after_page(lab)
    cut(lab, 100.0)
    lab.instrument.answer(b':ABOR;:TRAC:CLE "defbuffer1"')
    adoption = lab.adopt()
    assert adoption.found == "lost"
    assert not lab.backend.output_on()
    assert abs(lab.charge_mah - lab.journal["pstat_charge_mah"][-1]) <= (
        adoption.gap.charge_mah_bound + 1e-9
    )


def test_a_program_that_was_started_again_by_hand_is_lost():
    lab = smu(LinearCell(0.5, 1000.0, stiffness_v_per_mah=1.0))
    after_page(lab)
    cut(lab, 100.0)
    lab.instrument.answer(b":ABOR;:OUTP OFF")
    lab.clock.to(500.0)
    lab.instrument.answer(b":INIT")
    lab.clock.to(1400.0)
    adoption = lab.adopt()
    assert adoption.found == "lost"
    assert "was read before" in adoption.text


def test_limits_that_were_changed_are_lost():
    """Row 5: its limits, when a run goes on."""
    lab = smu()
    after_page(lab)
    cut(lab, 100.0)
    lab.instrument.answer(b":ABOR;:SOUR:CURR:VLIM 20")
    assert lab.adopt().found == "lost"
    assert not lab.backend.output_on()


# --- clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("set_by_s", [-200.0, 3600.0])
def test_a_clock_that_was_set_moves_no_record_and_no_end(lab, set_by_s):
    after_page(lab)
    cut(lab, 100.0)
    lab.clock.set_by_s = set_by_s
    adoption = lab.adopt()
    assert adoption.found == "running"
    assert adoption.clock_skew_s == pytest.approx(set_by_s, abs=6.0)
    assert lab.pstat.left_of_step()[0] == pytest.approx(595.0, abs=6.0)
    lab.clock.to(1010.0)
    assert lab.pstat.end_reason.get() == "time"
    lab.collect()
    times = lab.rows()[:, 0]
    assert times[-1] - times[0] == pytest.approx(1000.0)


def test_the_clocks_of_a_day_that_drift_are_not_taken_for_set(lab):
    after_page(lab, replace(STEP, step=ConstantCurrent(current_mA=-0.01, until_time_s=86400.0)))
    cut(lab, 40_000.0)
    lab.clock.set_by_s = 2.0
    assert lab.adopt().clock_skew_s == 0.0


# --- links ---------------------------------------------------------------------------------------


def test_an_instrument_that_does_not_answer_is_asked_again_and_nothing_has_changed(lab):
    after_page(lab)
    cut(lab, 100.0)
    lab.host()
    lab.silent = True
    with pytest.raises(LinkError):
        lab.pstat.adopt(lab.state, lab.journaled())
    lab.silent = False
    assert lab.adopt().found == "running"
    lab.clock.to(1000.0)
    assert lab.charge_mah == pytest.approx(-1000.0 / 3600.0)


@pytest.mark.parametrize("nth", range(8))
def test_one_garbled_reply_is_no_other_program(make, nth):
    """Rows 5, 6: what cannot be read once is asked again, and the program is followed."""
    lab = make()
    after_page(lab)
    cut(lab, 100.0)
    lab.host()
    lab.garbled = len(lab.heard) + nth
    assert lab.pstat.adopt(lab.state, lab.journaled()).found == "running"
    lab.clock.to(1000.0)
    assert lab.charge_mah == pytest.approx(-1000.0 / 3600.0)


def test_a_program_is_not_followed_behind_an_open_relay():
    class OpenRelay:
        def connected(self):
            return False

        def connect(self):
            raise AssertionError("nobody closes it blindly")

        def disconnect(self):
            pass

    lab = smu()
    after_page(lab)
    cut(lab, 100.0)
    lab.make_backend = lambda link: WithSecondPath("pstat", Keithley2450Backend(link), OpenRelay())
    adoption = lab.adopt()
    assert adoption.found == "lost"
    assert "relay" in adoption.text
    assert not lab.pstat._backend.first.output_on()


def test_a_microsecond_that_is_left_of_a_step_is_nothing(lab):
    after_page(lab, at_s=1000.0 - 2e-6)
    lab.off()
    cut(lab, 100.0)
    adoption = lab.adopt()
    assert (adoption.found, adoption.end_reason, adoption.left) == ("finished", "time", None)
