"""Faults inside simulated instruments, by bytes, in process and over TCP."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest

from orchestrator.errors import ProfileError
from orchestrator.laboratory import Laboratory, TimeBase
from orchestrator.profile.loading import load_profile
from sim.faults.upsets import drifted
from sim.wire.tcp import serve

pytestmark = pytest.mark.wire

SMALL = b'ACQ:CONF {"averages":2,"matrix":[32,16],"tr_s":0.5,"trigger_mode":"off"}'  # 16 s
SMU = (b"*RST", b":SOUR:FUNC CURR", b":SOUR:CURR:RANG 1e-4", b":SOUR:CURR 1e-5",
       b":SOUR:CURR:VLIM 5", b':SENS:FUNC "VOLT"', b":OUTP ON")  # fmt: skip


class Hand:
    """A laboratory whose time is set by hand, in process or over TCP."""

    PROFILE = "sim-mri"

    def __init__(self, *faults, transport="process"):
        self.now_s = 0.0
        virtual = TimeBase.virtual()
        virtual.loop.close()
        time = TimeBase(
            virtual.loop, virtual.clock, lambda: self.now_s, virtual.epoch_s, virtual.hold
        )
        self.laboratory = Laboratory(load_profile(self.PROFILE), None, time, faults=faults)
        self.transport = transport

    def __enter__(self):
        if self.transport == "tcp":
            self.server = serve(self.laboratory.wires, life_s=30.0)
            served = self.server.__enter__()
            self.streams = {
                name: socket.create_connection((served.host, port), timeout=5)
                for name, port in served.ports.items()
            }
            self.lines = {name: one.makefile("rwb") for name, one in self.streams.items()}
        return self

    def __exit__(self, *exc):
        if self.transport == "tcp":
            for one in (*self.lines.values(), *self.streams.values()):
                one.close()
            self.server.__exit__(*exc)

    def tell(self, name, *messages):
        for message in messages:
            if self.transport == "tcp":
                self.lines[name].write(message + b"\n*OPC?\n")
                self.lines[name].flush()
                self.lines[name].readline()
            else:
                self.laboratory.wires[name].answer(message)

    def ask(self, name, message):
        if self.transport != "tcp":
            return self.laboratory.wires[name].answer(message)
        self.lines[name].write(message + b"\n")
        self.lines[name].flush()
        return self.lines[name].readline().removesuffix(b"\n")

    def at(self, t_s):
        self.now_s = t_s
        return self

    def status(self):
        return json.loads(self.ask("console", b"ACQ:STAT?"))

    def image(self):
        header = json.loads(self.ask("console", b"ACQ:IMAG:HEAD?"))
        raw = self.laboratory.instruments["console"].answer(b"ACQ:IMAG?")
        start = 2 + int(raw[1:2])
        return np.frombuffer(raw[start:], "<f4").reshape(header["shape"])

    def scan(self, t_s):
        """Arm at a time; a small scan ends 16 s later and is there after 18 s."""
        self.at(t_s).tell("console", SMALL, b"ACQ:ARM")


@pytest.fixture(params=["process", "tcp"])
def transport(request):
    return request.param


def test_a_scan_is_aborted_at_the_faults_own_time(transport):
    with Hand("abort:mri:10:20", transport=transport) as lab:
        lab.scan(0.0)
        assert lab.at(9.0).status()["state"] == "acquiring"
        status = lab.at(5000.0).status()  # nobody looked meanwhile
        assert (status["state"], status["outcome"]) == ("error", "failed")
        assert "aborted by a fault" in status["error"]
        assert status["progress"] == pytest.approx(10.0 / 16.0)
        lab.tell("console", b"ACQ:ABOR")
        lab.scan(5001.0)
        assert lab.at(5030.0).status()["outcome"] == "complete"


def test_a_scan_that_begins_within_the_fault_fails_at_once():
    with Hand("abort:mri:10:20") as lab:
        lab.scan(12.0)
        assert lab.at(12.5).status()["state"] == "error"


def test_a_black_frame_is_black_and_the_next_is_not(transport):
    with Hand("black:mri.console:0:30", transport=transport) as lab:
        lab.scan(0.0)
        assert not lab.at(20.0).image().any()
        lab.scan(20.0)
        lit = lab.at(40.0).image()
    with Hand() as sound:
        sound.scan(0.0)
        sound.at(20.0).image()
        sound.scan(20.0)
        assert np.array_equal(sound.at(40.0).image(), lit)


def test_an_image_drifts_and_stays_where_it_came_to():
    um_per_px = 17.0 / 32 * 1e3
    rate = 2 * um_per_px / (100 / 3600)  # two columns in the 100 s that the fault lasts
    with Hand(f"drift:mri:0:100:x_um_per_h={rate}") as lab, Hand() as sound:
        for one in (lab, sound):
            one.scan(1000.0)
            one.at(1020.0)
        assert np.allclose(lab.image(), np.roll(sound.image(), 2, axis=1), atol=1e-4)
    image = np.random.default_rng(0).standard_normal((16, 32)).astype(np.float32)
    half = drifted(drifted(image, (0.25, -0.5)), (0.25, -0.5))
    assert half.sum() == pytest.approx(image.sum(), abs=1e-3)
    assert drifted(image, (0.0, 0.0)) is image
    assert np.allclose(drifted(image, (0.0, 3.0)), np.roll(image, 3, axis=0), atol=1e-5)


def test_an_occupied_console_takes_no_scan(transport):
    with Hand("occupied:mri:10:20", transport=transport) as lab:
        assert lab.at(10.0).status()["state"] == "acquiring"
        lab.tell("console", b"ACQ:ARM")
        assert b"-213" in lab.ask("console", b"SYST:ERR?")
        assert lab.at(20.0).status()["state"] == "idle"
        lab.scan(21.0)
        assert lab.at(22.0).status()["state"] == "acquiring"


def test_a_meter_over_range(transport):
    with Hand("overload:pstat:10:20", transport=transport) as lab:
        lab.tell("smu", *SMU)
        assert float(lab.at(9.0).ask("smu", b":READ?")) == pytest.approx(0.039, abs=0.002)
        assert float(lab.at(10.0).ask("smu", b":READ?")) == 9.9e37
        assert float(lab.at(20.0).ask("smu", b":READ?")) == pytest.approx(0.039, abs=0.002)


def test_a_stuck_meter_shows_its_last_reading(transport):
    with Hand("stuck_reading:pstat:10:20", transport=transport) as lab:
        lab.tell("smu", *SMU)
        last = lab.at(9.0).ask("smu", b":READ?")
        assert lab.at(8.0 + 2.5).ask("smu", b":READ?") == last
        lab.tell("smu", b":SOUR:CURR -1e-5")
        assert lab.at(19.0).ask("smu", b":READ?") == last
        assert float(lab.at(21.0).ask("smu", b":READ?")) < 0


PROGRAM = (b'TRIG:LOAD "SimpleLoop", 30, 1', b"INIT")


def test_a_programs_records_do_not_depend_on_polling():
    """A program of 30 records, one per second, through every fault of its meter and the cell."""
    faults = ("stuck_reading:pstat:5:9", "overload:pstat:12:14", "short:cell:18:22:ohm=50")

    def records(*looks_s):
        with Hand(*faults) as lab:
            lab.tell("smu", *SMU, *PROGRAM)
            for t_s in looks_s:
                lab.at(t_s).ask("smu", b':TRAC:ACT? "defbuffer1"')
            lab.at(60.0)
            count = int(lab.ask("smu", b':TRAC:ACT? "defbuffer1"'))
            data = lab.ask("smu", b':TRAC:DATA? 1,%d,"defbuffer1",READ,REL' % count)
            return np.array(data.split(b","), dtype=float).reshape(-1, 2)

    once = records()
    assert np.array_equal(once, records(*np.sort(np.random.default_rng(1).uniform(0, 60, 40))))
    volts, times = once[:, 0], once[:, 1] + 1.0  # the first record is made after 1 s

    def within(t0_s, t1_s):
        return volts[(times >= t0_s) & (times < t1_s)]

    assert len(set(within(4, 9))) == 1
    assert len(set(within(0, 5))) == 4
    assert (within(12, 14) == 9.9e37).all()
    assert within(18.1, 22) == pytest.approx(1e-5 * 50, rel=0.05)
    assert within(22, 31).min() > 0.03


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("black:mri.trigger:0:1", "cannot have the fault black"),
        ("abort:ttl:0:1", "cannot have the fault abort"),
        ("overload:mri:0:1", "got mri, which cannot have the fault overload"),
        ("late:sem:0:1", "got 'sem', expected an instrument of bench sim-mri"),
    ],
)
def test_a_fault_that_an_instrument_cannot_have_is_refused(fault, says):
    with pytest.raises(ProfileError, match=says):
        Hand(fault)


def test_a_fault_cannot_change_the_past():
    with Hand() as lab:
        with pytest.raises(ProfileError, match="begins at 5 s, expected from now on, 6 s"):
            lab.at(6.0).laboratory.inject("short:cell:5:inf")
        lab.laboratory.inject("short:cell:6:inf")
        assert lab.laboratory.describe()["faults"] == ["short:cell:6:inf"]


def test_what_was_looked_at_ahead_is_forgotten_when_a_fault_is_added():
    with Hand() as lab:
        lab.tell("smu", *SMU, *PROGRAM)
        lab.at(2.0).ask("smu", b":TRAC:ACT?")
        lab.laboratory.inject("short:cell:10:20:ohm=50")
        lab.at(40.0)
        data = lab.ask("smu", b':TRAC:DATA? 1,30,"defbuffer1",READ,REL')
        volts, times = np.array(data.split(b","), dtype=float).reshape(-1, 2).T
        assert volts[(times >= 9) & (times < 19)] == pytest.approx(5e-4, rel=0.05)
        assert (volts[times < 9] > 0.03).all()


# --- the microscope -----------------------------------------------------------------------------

FRAME = b'ACQ:CONF {"resolution_px":[128,64],"hfw_um":60.0,"dwell_time_s":1e-5}'


class Microscope(Hand):
    """The laboratory with the microscope."""

    PROFILE = "sim-sem"

    def scan(self, t_s):
        self.at(t_s).tell("sem", FRAME, b"ACQ:ARM")

    def status(self):
        return json.loads(self.ask("sem", b"ACQ:STAT?"))

    def image(self):
        header = json.loads(self.ask("sem", b"ACQ:IMAG:HEAD?"))
        raw = self.laboratory.instruments["sem"].answer(b"ACQ:IMAG?")
        return np.frombuffer(raw[2 + int(raw[1:2]) :], "<f4").reshape(header["shape"])


def test_a_microscopes_frames_and_scans(transport):
    faults = ("black:sem:0:100", "abort:sem:200:201", "occupied:sem:300:310")
    with Microscope(*faults, transport=transport) as lab, Microscope() as sound:
        for one in (lab, sound):
            one.scan(0.0)
            one.at(50.0)
        assert not lab.image().any()
        assert sound.image().any()
        lab.scan(199.99)
        assert "aborted by a fault" in lab.at(500.0).status()["error"]
        lab.tell("sem", b"ACQ:ABOR")
    with Microscope("occupied:sem:300:310", transport=transport) as lab:
        lab.scan(305.0)
        assert b"-213" in lab.ask("sem", b"SYST:ERR?") + lab.ask("sem", b"SYST:ERR?")


def test_a_stage_drifts_as_if_it_were_moved():
    with Microscope("drift:sem:0:3600:x_um_per_h=3:y_um_per_h=-2") as lab, Microscope() as moved:
        lab.scan(4000.0)
        moved.at(4000.0).tell("sem", b'ACQ:CONF {"stage_um":[-3.0,2.0]}')
        moved.scan(4000.0)
        assert np.array_equal(lab.at(4100.0).image(), moved.at(4100.0).image())


# --- the potentiostat with impedance ------------------------------------------------------------


class Potentiostat(Hand):
    """The laboratory with the potentiostat behind the bridge."""

    PROFILE = "sim-eis"

    def run(self, end_s):
        """Ten minutes at 10 uA, a record each 10 s; records so far: time, voltage, current."""
        step = {"technique": "cc", "current_ma": 0.01, "duration_s": 600, "record": {"dt_s": 10}}
        limits = {
            "min_voltage_v": -5,
            "max_voltage_v": 5,
            "min_current_ma": -1,
            "max_current_ma": 1,
        }
        given = json.dumps({"limits": limits, "techniques": [step]}).encode()
        self.tell("pstat", b"TECH:LOAD " + given, b"TECH:STAR")
        assert b"No error" in self.ask("pstat", b"SYST:ERR?")
        count = json.loads(self.at(end_s).ask("pstat", b"TECH:STAT?"))["rows"]
        wanted = b'{"process":"transient","first":0,"count":%d}' % count
        raw = self.laboratory.instruments["pstat"].answer(b"TECH:DATA? " + wanted)
        rows = np.frombuffer(raw[2 + int(raw[1:2]) : -4], "<f8").reshape(count, 5)
        return rows[:, 0], rows[:, 2], rows[:, 1]


def test_the_potentiostat_behind_the_bridge_has_the_same_faults():
    with Potentiostat("stuck_reading:pstat:95:205", "short:cell:500:inf:ohm=50") as lab:
        times, volts, _ = lab.run(700.0)
    assert len(set(volts[(times > 85) & (times < 205)])) <= 2  # the last before is a sample
    assert len(set(volts[times < 95])) > 5
    assert volts[(times > 500) & (times < 600)] == pytest.approx(0.01e-3 * 50, abs=1e-4)
    with Potentiostat("overload:pstat:295:400") as lab:
        times, volts, _ = lab.run(700.0)
        status = json.loads(lab.ask("pstat", b"TECH:STAT?"))
    assert (status["reason"], status["cell_on"]) == ("limit", False)
    assert times[-1] == pytest.approx(295, abs=1.1)
    assert np.isnan(volts[-1])


# --- the multimeter behind the load cell --------------------------------------------------------


class Press(Hand):
    """The laboratory with the press."""

    PROFILE = "sim-chamber"


def test_the_multimeter_of_a_load_cell_may_be_stuck_or_over_range(transport):
    with Press("stuck_reading:press:10:20", "overload:dmm:30:40", transport=transport) as lab:
        last = lab.at(5.0).ask("dmm", b":READ?")
        assert lab.at(12.0).ask("dmm", b":READ?") == last
        assert lab.at(25.0).ask("dmm", b":READ?") != last  # its noise goes on
        assert float(lab.at(35.0).ask("dmm", b":READ?")) == 9.9e37


@pytest.mark.parametrize("fault", ["overload:oven:0:1", "abort:press:0:1"])
def test_who_has_no_meter_has_none_of_its_faults(fault):
    with pytest.raises(ProfileError, match="cannot have the fault"):
        Press(fault)
