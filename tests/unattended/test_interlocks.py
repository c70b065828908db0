"""Interlocks of the profile, through the full stack on simulated benches in virtual time."""

from __future__ import annotations

import io
import os
import time
from dataclasses import replace

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage

from devices.roles import CellLimits
from devices.technique import Technique
from orchestrator.bench import open_bench
from orchestrator.cli.main import main
from orchestrator.errors import InterlockTripped
from orchestrator.experiment import Experiment, load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.interlocks import Latches
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile
from orchestrator.records.audit import read_audit
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from orchestrator.running import run_experiment
from orchestrator.telling import spool_directory
from plans.cycling import Cycling
from plans.imaging import Capture
from plans.runs import run_with_images

LIMITS = CellLimits(-5, 5, -1, 1)
CURRENT_MA = 0.01257
REST = OpenCircuitVoltage(until_time_s=7200)
DRIVEN = ConstantCurrent(current_mA=CURRENT_MA, until_time_s=7200)


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))


def profile_of(name, *interlocks, **more) -> BenchProfile:
    """A shipped bench with these interlocks."""
    document = load_profile(name).to_document()
    return BenchProfile.model_validate(document | {"interlocks": list(interlocks)} | more)


class Lab:
    """An open bench with a protocol to run on it; its records after it."""

    def __init__(self, data, profile, *faults, **more) -> None:
        self.directory = DataDirectory(data)
        self._opened = open_bench(profile, data=data, faults=faults, **more)
        self.bench = self._opened.__enter__()
        self.bench.RE.attended = False

    def close(self):
        self._opened.__exit__(None, None, None)

    def plan(self, *method, captures=(), period_s=10.0, **more):
        cycling = Cycling(self.bench.pstat, list(method), period_s, LIMITS, 10.0, **more)
        return run_with_images(cycling, captures, md={})

    def run(self, *method, **more):
        """Run to its end; its records."""
        self.bench.RE.run(self.plan(*method, **more))
        return self.recorded()

    def recorded(self):
        self.uid = self.bench.live.snapshot().run
        return load_run(self.directory.journal(self.uid))

    @property
    def off(self):
        driven = abs(self.bench.laboratory.truth()["current_ma"]) > 0.0
        return not (driven or self.bench.pstat._backend.output_on() or self.bench.RE.energised)

    def events(self, recorded=None):
        streams = (recorded or self.recorded()).streams
        columns = streams["events"]
        return list(zip(columns["event_kind"], columns["event_text"], strict=True))


@pytest.fixture
def lab(tmp_path):
    made = []

    def make(profile, *faults, **more):
        made.append(Lab(tmp_path / "data", profile, *faults, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def assert_tripped(one: Lab, recorded, name: str, text: str):
    """Cell off; reason, event, latch, audit log and what is told all say the same."""
    assert one.off
    assert (recorded.stop["reason"], recorded.stop["exit_status"]) == ("interlock", "fail")
    kinds = [kind for kind, _ in one.events(recorded)]
    assert kinds.count("interlock") >= 1
    said = next(said for kind, said in one.events(recorded) if kind == "interlock")
    assert name in said
    assert text in said
    mark = Latches(one.bench.profile.bench).read()[name]
    assert text in mark.text
    assert mark.run == one.uid
    told = [path.read_text() for path in sorted(spool_directory().glob("*.json"))]
    assert any(name in one and '"kind":"interlock"' in one for one in told)
    one.bench._worker.close()
    audit = read_audit(one.directory.audit)
    assert audit[0]["what"]["interlock"] == name
    assert "off, verified" in audit[0]["what"]["cell"]


# --- row 11 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "milliampere", "confirm"),
    [
        ({"signal": "voltage_v", "max": 0.03}, CURRENT_MA, 1),
        ({"signal": "voltage_v", "max": 0.03}, CURRENT_MA, 3),
        ({"signal": "voltage_v", "min": -0.03}, -CURRENT_MA, 2),
        ({"signal": "current_ma", "max": 0.01}, CURRENT_MA, 1),
        ({"signal": "current_ma", "min": -0.01}, -CURRENT_MA, 4),
        ({"signal": "charge_mah", "max": 0.001}, CURRENT_MA, 1),
    ],
)
def test_voltage_current_and_charge_trip_within_the_confirming_records(
    lab, bounds, milliampere, confirm, latency
):
    """Row 11: over-voltage, under-voltage, over-current; one sample, n samples; latched."""
    profile = profile_of("sim-mri", {"device": "pstat", **bounds, "confirm": confirm})
    one = lab(profile)
    step = ConstantCurrent(current_mA=milliampere, until_time_s=7200)
    recorded = one.run(OpenCircuitVoltage(until_time_s=60), step, step)
    name = f"pstat.{bounds['signal']}"
    assert_tripped(one, recorded, name, "expected at")
    echem = recorded.streams["echem"]
    low, high = bounds.get("min", -np.inf), bounds.get("max", np.inf)
    values = echem[f"pstat_{bounds['signal']}"]
    outside = (values < low) | (values > high)
    first = int(np.argmax(outside))
    confirming_s = echem["time"][first + confirm - 1]
    assert outside[first : first + confirm].all()
    # seen with the poll after the record that confirms it, and not a record later than that
    poll_s, last_s = profile.poll_period_s, echem["time"][-1]
    what = f"record that confirms to cell off, of virtual time, polled every {poll_s:g} s"
    latency(11, what, last_s - confirming_s, promised_s=poll_s)
    assert set(echem["pstat_step_index"][outside]) == {1}  # the second pass never begins
    with pytest.raises(InterlockTripped, match=f"latched: {name}"):
        one.run(REST)
    assert one.off


def test_it_is_refused_in_other_processes_until_somebody_acknowledges(lab, tmp_path, capsys):
    """Row 11: latched until acknowledged, by a verb that writes down who did."""
    profile = profile_of("sim-mri", {"device": "pstat", "signal": "voltage_v", "max": 0.03})
    one = lab(profile)
    one.run(DRIVEN)
    one.close()
    file = tmp_path / "mine.yaml"
    file.write_text(BenchProfile.model_dump_json(profile, exclude_none=True))
    words = ("interlocks", str(file), "--data", str(tmp_path / "data"))
    assert main(words) == 4
    assert "LATCHED  pstat.voltage_v: expected at most 0.03; last 0.0" in capsys.readouterr().out
    assert main(("run", str(example_path("quick_look")), "--bench", str(file))) == 4
    assert "--acknowledge pstat.voltage_v" in capsys.readouterr().err
    assert main((*words, "--acknowledge", "nothing")) == 2
    assert "latched is pstat.voltage_v" in capsys.readouterr().err
    assert main((*words, "--acknowledge", "pstat.voltage_v")) == 0
    last = read_audit(one.directory.audit)[-1]
    assert (last["kind"], last["what"]["interlock"]) == ("acknowledge", "pstat.voltage_v")
    assert last["who"]
    again = lab(profile)
    assert again.run(OpenCircuitVoltage(until_time_s=60)).stop["reason"] == "completed"


def test_one_that_does_not_latch_ends_its_run_only(lab):
    lock = {"device": "pstat", "signal": "voltage_v", "max": 0.03, "latch": False}
    one = lab(profile_of("sim-mri", lock))
    assert one.run(DRIVEN).stop["reason"] == "interlock"
    assert Latches("sim-mri").read() == {}
    assert one.run(OpenCircuitVoltage(until_time_s=60)).stop["reason"] == "completed"


# --- row 12 ---------------------------------------------------------------------------------------


def moving(bench, celsius):
    """A plan that knows nothing of interlocks: heats a driven cell and sleeps."""
    pstat = bench.pstat
    yield from bps.stage(pstat)
    yield from bps.open_run()
    yield from bps.declare_stream(pstat, name="echem", collect=True)
    yield from bps.prepare(pstat, Technique(DRIVEN, LIMITS, 10.0, 10.0), wait=True)
    yield from bps.kickoff(pstat, wait=True)
    yield from bps.abs_set(bench.oven, celsius, group="oven")
    yield from bps.sleep(7000)


@pytest.mark.parametrize(
    ("safe", "ends"), [({"action": "off"}, "off"), ({"action": "go_to", "celsius": 20}, "moving")]
)
def test_over_temperature_while_a_plan_sleeps(lab, safe, ends):
    """Row 12: trip; current 0, heater off (or sent to where it is safe), the plan ended."""
    lock = {"device": "oven", "signal": "temperature_celsius", "max": 40, "confirm": 2}
    safe_state = [{"device": "pstat", "action": "off"}, {"device": "oven", **safe}]
    one = lab(profile_of("sim-chamber", lock, safe_state=safe_state))
    seen = []
    bench = one.bench
    bench.pstat.cell_on.subscribe(
        lambda value, **_: seen.append((value, bench.laboratory.truth()["current_ma"])), run=False
    )
    with pytest.raises(InterlockTripped, match=r"oven\.temperature_celsius: got 4"):
        bench.RE(moving(bench, 60.0))
    assert one.off
    assert seen[-1] == (0, 0.0)
    assert bench.oven.state.get() == ends
    assert bench.oven.setpoint_celsius.get() == (60.0 if ends == "off" else 20.0)
    air = bool(int(bench.laboratory.instruments["oven"].answer(b"AUXC?")) & 0x20)
    assert air is (ends == "moving")
    recorded = one.recorded()
    assert recorded.stop["exit_status"] == "fail"
    assert "interlock oven.temperature_celsius" in recorded.stop["reason"]
    hot_s = next(
        when - recorded.start["time"]
        for when, said in zip(
            recorded.streams["interruptions"]["time"],
            recorded.streams["interruptions"]["interruption"],
            strict=True,
        )
        if said.startswith("interlock oven")
    )
    assert hot_s < 7000  # while it slept
    assert recorded.stop["time"] - recorded.start["time"] == pytest.approx(hot_s, abs=1.0)


def test_a_pressure_that_cannot_be_read_is_out_of_its_band(lab):
    """Rows 12, 15: an amplifier over range is no pressure that is in order."""
    lock = {"device": "press", "signal": "pressure_mpa", "min": 1, "max": 10, "confirm": 3}
    one = lab(profile_of("sim-chamber", lock), "overload:press:100:1e9")
    recorded = one.run(DRIVEN)
    assert_tripped(one, recorded, "press.pressure_mpa", "no reading: got an output beyond")
    assert recorded.streams["echem"]["time"][-1] - recorded.start["time"] < 100 + 4 * 30 + 1


# --- rows 15 and 16 -------------------------------------------------------------------------------


def test_overload_markers_are_never_ok_and_stand_in_the_records_as_nan(lab):
    """Row 15: overload marker: the instrument's own limits end the step; stored as NaN."""
    lock = {"kind": "plausible", "device": "pstat", "signal": "voltage_v", "confirm": 3}
    one = lab(profile_of("sim-eis", lock), "overload:pstat:95:1e9")
    recorded = one.run(REST, DRIVEN)
    assert one.off
    assert recorded.stop["reason"] == "limit"
    volts = recorded.streams["echem"]["pstat_voltage_v"]
    assert np.isnan(volts[-1])
    assert np.isfinite(volts[:-1]).all()


@pytest.mark.parametrize(("until_s", "reason"), [(165, "completed"), (195, "interlock")])
def test_overloads_trip_when_there_are_n_of_them(lab, until_s, reason):
    """Row 15: a fault after n; what is over before it is confirmed ends nothing."""
    lock = {"kind": "plausible", "device": "press", "signal": "raw_v", "confirm": 3}
    one = lab(profile_of("sim-chamber", lock), f"overload:press:95:{until_s}")
    recorded = one.run(OpenCircuitVoltage(until_time_s=280))
    assert one.off
    assert recorded.stop["reason"] == reason


def test_records_that_are_no_numbers_trip_and_are_stored_as_they_are(lab, monkeypatch):
    """Row 15: NaN from an instrument whose own limits do not see it: n records, then off."""
    lock = {"device": "pstat", "signal": "voltage_v", "max": 4, "confirm": 3}
    one = lab(profile_of("sim-mri", lock))
    backend = one.bench.pstat._backend
    poll = backend.first.poll

    def poll_of_a_broken_meter():
        page = poll()
        volts = np.where(page.elapsed_s > 100.0, np.inf, page.voltage_v)
        return replace(page, voltage_v=volts)

    monkeypatch.setattr(backend.first, "poll", poll_of_a_broken_meter)
    recorded = one.run(DRIVEN, DRIVEN)
    assert_tripped(one, recorded, "pstat.voltage_v", "got inf, expected a number (3")
    volts = recorded.streams["echem"]["pstat_voltage_v"]
    assert not np.isfinite(volts[11:14]).any()


@pytest.mark.parametrize(
    ("bench", "device", "signal"),
    [("sim-chamber", "press", "pressure_mpa"), ("sim-eis", "pstat", "voltage_v")],
)
def test_a_stuck_sensor_trips(lab, bench, device, signal, latency):
    """Row 16: a reading that stands still, of a load cell and of a potentiostat."""
    lock = {"kind": "plausible", "device": device, "signal": signal, "stuck_s": 300, "confirm": 2}
    one = lab(profile_of(bench, lock), f"stuck_reading:{device}:200:1e9")
    recorded = one.run(DRIVEN)
    assert_tripped(one, recorded, f"{device}.{signal}.plausible", "stuck at")
    lasted_s = recorded.stop["time"] - recorded.start["time"]
    assert lasted_s >= 500
    latency(16, "300 s stuck to cell off, of virtual time", lasted_s - 500, promised_s=100)


def test_a_sensor_that_lives_does_not_trip(lab):
    """Row 16: noise is a sign of life."""
    lock = {"kind": "plausible", "device": "press", "signal": "pressure_mpa", "stuck_s": 100}
    one = lab(profile_of("sim-chamber", lock))
    assert one.run(OpenCircuitVoltage(until_time_s=1200)).stop["reason"] == "completed"


# --- rows 19 and 22 -------------------------------------------------------------------------------

SMALL = {"method": "image", "resolution_px": [320, 120], "hfw_um": 160, "dwell_time_s": 1e-6}


@pytest.mark.parametrize("lock", [None, {"kind": "image", "device": "sem", "confirm": 2}])
def test_black_frames_are_stored_and_flagged_and_end_the_cycling_by_policy(lab, lock):
    """Row 19: SEM blanked, black image: stored and flagged; cycling by policy."""
    blank = [{"device": "pstat", "action": "off"}, {"device": "sem", "action": "blank"}]
    locks = [] if lock is None else [lock]
    one = lab(profile_of("sim-sem", *locks, safe_state=blank), "black:sem:250:1e9")
    captures = [Capture(one.bench.sem, every_s=100.0, settings=SMALL)]
    recorded = one.run(ConstantCurrent(current_mA=0.01, until_time_s=1000), captures=captures)
    quality = list(recorded.streams["sem"]["sem_quality"])
    assert quality[:3] == ["ok"] * 3
    assert set(quality[3:]) == {"black"}
    if lock is None:
        assert recorded.stop["reason"] == "completed"
        assert len(quality) == 11  # from 0 to 1000 s
    else:
        assert_tripped(one, recorded, "sem.image", "got a frame that is black")
        assert len(quality) == 4 + 1  # the one that trips is on disk, too
        assert one.bench.sem._imager.status().state == "blanked"


def test_a_beam_that_is_left_on_is_blanked_by_the_safe_state(lab):
    """Row 19: the dose stops where the microscope itself would go on scanning."""
    lock = {"device": "pstat", "signal": "current_ma", "max": 0.02}
    blank = [{"device": "sem", "action": "blank"}]
    one = lab(profile_of("sim-sem", lock, safe_state=blank))
    live = SMALL | {"blank_between_frames": False}
    captures = [Capture(one.bench.sem, at=("start",), settings=live)]
    step = ConstantCurrent(current_mA=0.05, until_time_s=600)
    recorded = one.run(OpenCircuitVoltage(until_time_s=600), step, captures=captures)
    assert recorded.stop["reason"] == "interlock"

    def dose():
        return one.bench.sem._imager.status().accumulated_dose_uc_per_cm2

    after = dose()
    assert after > 0.0
    one.bench.wait(600.0)
    assert dose() == after


def test_a_frame_of_another_shape_is_refused_and_counts(lab):
    """Row 22: wrong shape: refused before it fills memory; n of them end the run."""
    lock = {"kind": "image", "device": "sem", "confirm": 2}
    one = lab(profile_of("sim-sem", lock))
    bench = one.bench

    class Somebody:  # changes the resolution at the microscope, behind our back
        name = "somebody"

        def callback_failed(self, error):
            raise error

    def change():
        bench.laboratory.instruments["sem"].answer(b'ACQ:CONF {"resolution_px": [640, 480]}')

    bench.clock.call_later(150.0, change, owner=Somebody())
    captures = [Capture(bench.sem, every_s=100.0, settings=SMALL)]
    recorded = one.run(ConstantCurrent(current_mA=0.01, until_time_s=1000), captures=captures)
    assert_tripped(one, recorded, "sem.image", "frame of shape (480, 640), expected (120, 320)")
    assert len(recorded.streams["sem"]["time"]) == 2


# --- evidence -------------------------------------------------------------------------------------


def test_one_frame_and_one_spectrum_are_taken_after_a_trip_that_asks_for_them(lab):
    lock = {"kind": "plausible", "device": "press", "signal": "pressure_mpa", "stuck_s": 100}
    profile = profile_of("sim-chamber", lock | {"evidence": ["spectrum"]})
    one = lab(profile, "stuck_reading:press:50:1e9")
    document = load_experiment(example_path("conductivity_at_60_celsius")).to_document()
    document["environment"] = {}
    document["protocol"]["method"] = [{"step": "open_circuit_voltage", "until_time_s": 3600}]
    document["spectra"] = [
        {"when": {"at": ["end"]}, "settings": {
            "amplitude_mA": 0.001, "start_frequency_Hz": 1e5, "end_frequency_Hz": 10,
            "points_per_decade": 3,
        }}
    ]  # fmt: skip
    experiment = Experiment.model_validate(document)
    result = run_experiment(experiment, one.bench, speak=io.StringIO())
    assert (result.stop_reason, result.spectra) == ("interlock", 1)
    kinds = [kind for kind, _ in one.events()]
    assert kinds.index("interlock") < kinds.index("evidence")
    assert one.off


def test_a_frame_of_the_open_cell_is_evidence(lab):
    lock = {"device": "pstat", "signal": "voltage_v", "max": 0.03, "evidence": ["frame"]}
    one = lab(profile_of("sim-mri", lock))
    small = {"method": "flash2d", "averages": 1, "matrix": [21, 12]}
    captures = [Capture(one.bench.mri, at=("end",), settings=small)]
    recorded = one.run(DRIVEN, captures=captures)
    assert_tripped(one, recorded, "pstat.voltage_v", "expected at most 0.03 V")
    frames = recorded.streams["mri"]
    assert list(frames["mri_quality"]) == ["ok"]
    assert frames["mri_t_start_s"][0] >= recorded.streams["echem"]["time"][-1]
    assert frames["mri_exposure_throughput_mah"][0] == 0.0


# --- arm time, pauses, the prompt -----------------------------------------------------------------


def test_what_does_not_hold_before_a_run_refuses_it_and_nothing_is_touched(lab):
    lock = {"device": "oven", "signal": "temperature_celsius", "max": 20, "confirm": 5}
    one = lab(profile_of("sim-chamber", lock))  # the room has 25 C
    with pytest.raises(InterlockTripped, match=r"got 25.* at most 20 C.*nothing was energised"):
        one.run(DRIVEN)
    assert one.off
    assert not one.directory.journals.exists() or not list(one.directory.journals.glob("*.jsonl"))
    assert Latches("sim-chamber").read() == {}


def test_heartbeat_and_disk(lab):
    one = lab(
        profile_of(
            "sim-chamber",
            {"kind": "heartbeat", "device": "press", "every_s": 20, "confirm": 3},
            {"kind": "free_disk", "min_gb": 1e-6},
        ),
        "silence:press:100:1e9",
    )
    recorded = one.run(DRIVEN)
    assert_tripped(one, recorded, "press.heartbeat", "no answer: press: no reply in time")
    assert 140 <= recorded.stop["time"] - recorded.start["time"] <= 190


def test_a_full_disk_refuses_the_run(lab):
    one = lab(profile_of("sim-chamber", {"kind": "free_disk", "min_gb": 1e6}))
    with pytest.raises(InterlockTripped, match=r"free_disk: got .* GB, expected at least 1e"):
        one.run(DRIVEN)


def paused(one, plan, after_s):
    """Run until it is paused."""

    class Person:
        name = "person"

        def callback_failed(self, error):
            raise error

    engine = one.bench.RE
    one.bench.clock.call_later(
        after_s, lambda: engine.interrupt(abort=False, reason="paused"), owner=Person()
    )
    engine.run(plan)
    assert str(engine.state) == "paused"


def test_a_trip_in_a_pause_ends_the_run_when_it_goes_on(lab):
    lock = {"device": "press", "signal": "pressure_mpa", "max": 10, "confirm": 2}
    one = lab(profile_of("sim-chamber", lock), "overload:press:200:1e9")
    paused(one, one.plan(DRIVEN, DRIVEN), 100.0)
    one.bench.wait(300.0)  # time passes; nobody is there
    assert one.bench.interlocks.tripped is not None
    assert Latches("sim-chamber").read()
    starts = one.bench.pstat._backend.first
    one.bench.RE.resume()  # it goes on to its end: nothing is energised
    assert str(one.bench.RE.state) == "idle"
    assert starts is one.bench.pstat._backend.first
    recorded = one.recorded()
    assert_tripped(one, recorded, "press.pressure_mpa", "no reading")
    assert recorded.streams["echem"]["time"][-1] - recorded.start["time"] < 101
    said = list(recorded.streams["interruptions"]["interruption"])
    assert said[0] == "pause"
    assert said[1].startswith("interlock press.pressure_mpa")


def test_nobody_gets_past_a_trip_not_by_hand_either(lab):
    lock = {"device": "pstat", "signal": "voltage_v", "max": 0.03}
    one = lab(profile_of("sim-mri", lock))
    one.run(DRIVEN)
    pstat = one.bench.pstat
    pstat.prepare(Technique(DRIVEN, LIMITS, 10.0, 10.0))
    with pytest.raises(InterlockTripped, match="acknowledge"):
        pstat.kickoff()
    one.bench.off()
    assert one.off


def test_by_hand_at_the_prompt_it_is_watched_too(lab):
    lock = {"device": "press", "signal": "pressure_mpa", "max": 10, "confirm": 2}
    one = lab(profile_of("sim-chamber", lock), "overload:press:100:1e9")
    one.bench.pstat.prepare(Technique(DRIVEN, LIMITS, 10.0, 10.0))
    one.bench.pstat.kickoff()
    assert one.bench.RE.energised
    one.bench.wait(200.0)
    assert one.bench.interlocks.tripped is not None
    assert one.off


def test_a_pause_that_is_too_long_while_something_is_energised(lab):
    """Row 37: what a person energises in a pause goes to rest after `max_pause_s`; told, noted."""
    one = lab(profile_of("sim-mri", max_pause_s=600.0))
    paused(one, one.plan(DRIVEN, REST), 100.0)
    pstat = one.bench.pstat
    assert one.off
    one.bench.wait(100.0)
    pstat._runner.resume()  # by hand, behind the engine's back
    assert pstat.energised
    one.bench.wait(490.0)
    assert pstat.energised
    one.bench.wait(20.0)
    assert one.off
    assert str(one.bench.RE.state) == "paused"
    told = [path.read_text() for path in spool_directory().glob("*.json")]
    assert any("pstat energised after 600 s of a pause" in one for one in told)
    one.bench.RE.abort("enough")
    said = list(one.recorded().streams["interruptions"]["interruption"])
    assert any(one.startswith("max_pause: pstat energised") for one in said)


def test_what_does_not_switch_off_is_tried_again_until_it_does(lab):
    """Row 18: safe-off itself fails: retried on the clock, told as UNSAFE."""
    lock = {"device": "pstat", "signal": "voltage_v", "max": 0.03}
    one = lab(profile_of("sim-mri", lock), "ignored_off:pstat:0:400")
    with pytest.raises(Exception, match="output"):
        one.run(DRIVEN)
    assert "pstat" in one.bench.RE.unsafe
    one.bench.wait(500.0)
    assert one.off
    assert not one.bench.RE.unsafe
    told = [path.read_text() for path in sorted(spool_directory().glob("*.json"))]
    assert any('"severity":"unsafe"' in one for one in told)
    assert any("off now, verified, after all" in one for one in told)


def test_a_rehearsal_shows_a_trip_and_latches_nothing(tmp_path, capsys):
    profile = profile_of("sim-mri", {"device": "pstat", "signal": "voltage_v", "max": 0.03})
    file = tmp_path / "mine.yaml"
    file.write_text(BenchProfile.model_dump_json(profile, exclude_none=True))
    words = ("rehearse", str(example_path("quick_look")), "--bench", str(file), "--no-report")
    assert main((*words, "--data", str(tmp_path / "data"), "--no-progress")) == 4
    out = capsys.readouterr().out
    assert "TRIPPED  pstat.voltage_v: at most 0.03" in out
    assert "interlock pstat.voltage_v tripped after" in out
    assert Latches("sim-mri").read() == {}
    assert not spool_directory().exists()


def test_doctor_lists_and_checks_them(tmp_path, capsys):
    lock = {"device": "oven", "signal": "temperature_celsius", "max": 20}
    file = tmp_path / "mine.yaml"
    profile = profile_of("sim-chamber", lock, {"kind": "heartbeat", "device": "press"})
    file.write_text(BenchProfile.model_dump_json(profile, exclude_none=True))
    assert main(("doctor", "--bench", str(file), "--data", str(tmp_path / "data"))) == 3
    out = capsys.readouterr().out
    assert "wrong  interlock oven.temperature_celsius: got 25" in out
    assert "ok  interlock press.heartbeat: expected an answer" in out


def test_it_acts_while_the_disk_hangs_and_what_was_measured_is_acknowledged_later(lab):
    """Row 12: a pressure out of band while an fsync takes 2 s: off within a record all the same."""
    lock = {"device": "press", "signal": "pressure_mpa", "max": 10, "every_s": 0.1}
    one = lab(profile_of("sim-chamber", lock, poll_period_s=0.2), real_time=True)
    bench, seen = one.bench, {}

    def hang(fd):
        if "hung" not in seen and bench.RE.energised:
            bench.laboratory.inject(f"overload:press:{bench.elapsed_s + 0.2}:1e9")
            seen["hung"] = time.monotonic()
            time.sleep(2.0)
            seen["again"] = time.monotonic()
        os.fsync(fd)

    bench._recorder.journal._options["fsync"] = hang
    bench.pstat.cell_on.subscribe(
        lambda value, **_: value or seen.setdefault("off", time.monotonic()), run=False
    )
    recorded = one.run(DRIVEN, period_s=0.1, journal_every_s=0.3)
    assert seen["hung"] < seen["off"] < seen["hung"] + 1.0 < seen["again"]
    assert_tripped(one, recorded, "press.pressure_mpa", "no reading")
    assert bench._recorder.acknowledged == bench._recorder.journal.written
