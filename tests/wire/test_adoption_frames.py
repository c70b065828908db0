"""A frame after a crash: a console and a microscope that outlive their host."""

import json

import numpy as np
import pytest

from devices.drivers.console_bridge import BridgeMriConsole
from devices.drivers.sem_bridge import BridgeMicroscope
from devices.errors import InstrumentFault
from devices.link import open_link
from devices.mri import MriScanner
from devices.sem import Sem
from sim.clock import EPOCH_S
from sim.instruments.mri_console import SimulatedMriConsole
from sim.instruments.sem import SimulatedSem
from sim.instruments.sem_views import EdgeView
from sim.samples.linear_cell import LinearCell
from sim.samples.void_cell import VoidCell
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World
from tests.cut_off import HandClock, Killed
from tests.quick_surroundings import Frames

MRI_SETTINGS = {"averages": 4, "tr_s": 0.1, "matrix": [8, 52]}  # 0.1 x 52 x 4 = 20.8 s
SEM_SETTINGS = {"resolution_px": [320, 120], "dwell_time_s": 1e-3}  # 38.6 s


class Ramp:
    """What a console receives: a ramp, with the number of the frame in its corner."""

    axes = ({"units": "mm", "step": 1.0},) * 2

    def acquire(self, sample, t0_s, t1_s, frame_index):
        image = np.linspace(0.0, 1.0, 52 * 8, dtype=np.float32).reshape(52, 8)
        image[0, 0] = 10.0 + frame_index
        return image


class AtOnce:
    """Works without a thread."""

    def submit(self, work, done, *, owner):
        try:
            result, error = work(), None
        except Exception as raised:  # noqa: BLE001 - as a worker does
            result, error = None, raised
        done(result, error)


class Trigger:
    """Pulses the console."""

    def __init__(self, lab):
        self.lab, self.pulses = lab, 0

    def pulse(self):
        self.pulses += 1
        self.lab.world.pulse("ttl", self.lab.clock.now_s)


class Charge:
    """1 mA for ever."""

    def __init__(self, clock):
        self.clock = clock

    def charge_at(self, t_s):
        return ((t_s - EPOCH_S) / 3600.0,) * 2


class Laboratory:
    """An instrument, and a host with a device that may die."""

    def __init__(self):
        self.clock = HandClock()
        self.world = World(self.sample(), lambda: self.clock.now_s)
        self.instrument = self.make_instrument()
        self.library = SimulatedVisaLibrary({"imager": self})
        self.heard, self.state = [], None
        self.lives, self.lost = 10**9, False
        self.host()
        self.begin()

    def answer(self, message):
        self.heard.append(message.decode())
        self.lives -= 1
        if self.lives < 0 and self.lost:
            raise Killed
        reply = self.instrument.answer(message)
        if self.lives < 0:
            raise Killed
        return reply

    def host(self):
        self.link = open_link("sim://imager", who="imager", visa_library=self.library)
        self.frames = Frames()
        self.device = self.make_device(
            name="imager",
            clock=self.clock,
            frames=self.frames,
            worker=AtOnce(),
            charge=Charge(self.clock),
        )
        self.device.remember = self.remember

    def remember(self):
        self.state = json.loads(json.dumps(self.device.checkpoint(), allow_nan=False))

    def begin(self):
        """What a run does before its first frame."""
        self.device.configure(self.settings)
        self.device.stage()

    def die(self):
        self.clock.cancel_all(self.device)
        self.link.close()

    def adopt(self, recorded=None):
        self.host()
        self.heard.clear()
        return self.device.adopt(self.state, recorded)

    def cut(self, outage_s):
        self.die()
        self.clock.to(self.clock.now_s + outage_s)

    @property
    def armed(self):
        """How often the last host began an acquisition."""
        return sum(line.startswith("ACQ:ARM") for line in self.heard)


class MriLaboratory(Laboratory):
    settings = MRI_SETTINGS
    other = ("averages", 8)

    def sample(self):
        return LinearCell(0.0, 100.0)

    def make_instrument(self):
        console = SimulatedMriConsole(self.world, lambda settings: Ramp(), clock_drift_ppm=50.0)
        console.answer(b'ACQ:CONF {"trigger_mode": "per_scan"}')
        self.ttl = Trigger(self)
        return console

    def make_device(self, **options):
        return MriScanner(console=BridgeMriConsole(self.link), ttl=self.ttl, **options)


class SemLaboratory(Laboratory):
    settings = SEM_SETTINGS
    other = ("hfw_um", 80.0)

    def sample(self):
        return VoidCell.from_preset("li_lpscl_operando", seed=11)

    def make_instrument(self):
        return SimulatedSem(self.world, EdgeView(self.world))

    def make_device(self, **options):
        return Sem(imager=BridgeMicroscope(self.link), **options)


@pytest.fixture(params=[MriLaboratory, SemLaboratory])
def lab(request):
    return request.param()


@pytest.fixture
def mri():
    return MriLaboratory()


def test_a_frame_that_still_runs_is_waited_for_and_not_begun_again(lab):
    lab.device.trigger()
    lab.clock.to(10.0)
    began_s = lab.clock.now_s - 10.0
    lab.cut(5.0)
    adoption = lab.adopt()
    assert adoption.found == "running"
    lab.begin()
    done = lab.device.trigger()
    assert lab.device.trigger() is done
    assert not done.done
    lab.clock.to(60.0)
    assert (done.success, lab.armed, len(lab.frames.images)) == (True, 0, 1)
    t_start_s, t_end_s = lab.device.t_start_s.get(), lab.device.t_end_s.get()
    assert t_start_s == pytest.approx(EPOCH_S + began_s, abs=0.01)
    duration_s = lab.device.expected_duration_s.get()
    assert t_end_s - t_start_s == pytest.approx(duration_s, abs=0.01)
    assert lab.device.exposure_charge_mah.get() == pytest.approx(duration_s / 3600.0, rel=1e-3)


def test_a_frame_that_ended_meanwhile_is_fetched(lab):
    lab.device.trigger()
    lab.clock.to(1.0)
    lab.cut(5000.0)
    assert lab.adopt().found == "finished"
    lab.begin()
    done = lab.device.trigger()
    lab.clock.to(lab.clock.now_s + 1.0)
    assert (done.success, lab.armed, len(lab.frames.images)) == (True, 0, 1)
    assert lab.device.trigger() is not done
    assert lab.armed == 1


def test_a_frame_that_was_aborted_is_missing_and_the_next_one_is_begun(lab):
    lab.device.trigger()
    lab.clock.to(5.0)
    lab.cut(1.0)
    lab.instrument.answer(b"ACQ:ABOR")
    adoption = lab.adopt()
    assert adoption.found == "missing"
    assert "ended at the instrument" in adoption.text
    lab.begin()
    done = lab.device.trigger()
    lab.clock.to(100.0)
    assert (done.success, lab.armed) == (True, 1)


def test_an_acquisition_of_somebody_else_is_left_alone(lab):
    lab.device.trigger()
    lab.clock.to(5.0)
    lab.cut(100.0)
    lab.instrument.answer(b"ACQ:ARM")
    adoption = lab.adopt()
    assert (adoption.found, "expected 1" in adoption.text) == ("missing", True)
    assert not [line for line in lab.heard if line.startswith(("ACQ:ABOR", "ACQ:ARM"))]


def test_a_console_that_waits_for_a_trigger_gets_none(mri):
    mri.ttl.pulse = lambda: None
    mri.device.trigger()
    mri.cut(2.0)
    assert mri.adopt().found == "missing"
    assert mri.ttl.pulses == 0
    assert json.loads(mri.instrument.answer(b"ACQ:STAT?"))["state"] == "idle"


def test_a_console_that_was_started_anew_has_no_frame(mri):
    mri.device.trigger()
    mri.clock.to(5.0)
    mri.cut(60.0)
    mri.instrument = mri.make_instrument()
    assert mri.adopt().found == "missing"


def test_a_console_that_was_started_anew_and_took_as_many_frames_has_another_one(mri):
    mri.device.trigger()
    mri.clock.to(5.0)
    mri.cut(60.0)
    mri.instrument = mri.make_instrument()
    mri.instrument.answer(b"ACQ:ARM")
    mri.world.pulse("ttl", mri.clock.now_s)
    adoption = mri.adopt()
    assert adoption.found == "missing"
    assert "began at" in adoption.text


def test_another_instrument_has_no_frame_of_ours(lab):
    lab.device.trigger()
    lab.cut(1.0)
    lab.state["serial"] = "other"
    assert lab.adopt().found == "missing"


def test_no_frame_was_being_taken(lab):
    lab.remember()
    lab.cut(1.0)
    assert lab.adopt().found == "none"
    lab.begin()


def test_a_frame_that_is_in_the_journal_is_not_fetched_again(lab):
    lab.device.trigger()
    lab.clock.to(60.0)
    lab.cut(1.0)
    assert lab.state["frame"] == -1
    assert lab.adopt(recorded=1).found == "none"
    assert lab.adopt(recorded=0).found == "finished"


def test_other_settings_than_those_of_the_frame_that_goes_on_are_refused(lab):
    lab.device.trigger()
    lab.cut(1.0)
    lab.adopt()
    name, value = lab.other
    with pytest.raises(InstrumentFault, match=f"other settings \\({name}\\)"):
        lab.device.configure({**lab.settings, name: value})


def test_a_frame_with_other_settings_is_not_taken_for_ours(lab):
    lab.device.trigger()
    lab.clock.to(1.0)
    lab.cut(100.0)
    name, value = lab.other
    lab.state["settings"][name] = value
    assert lab.adopt().found == "finished"
    done = lab.device.trigger()
    lab.clock.to(lab.clock.now_s + 1.0)
    assert "another settings" in str(done.exception(timeout=1))
    assert lab.frames.images == []


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("lives", range(14))
def test_a_host_killed_at_any_message_takes_the_frame_once(mri, lives, lost):
    """Rows 38, 42: a frame is never begun twice, and one that is there is fetched."""
    mri.lives, mri.lost = lives, lost
    try:
        mri.device.trigger()
        mri.clock.to(30.0)
    except Killed:
        pass
    mri.lives = 10**9
    mri.die()
    begun = mri.instrument._experiment
    mri.clock.to(100.0)
    if mri.state is None:
        assert begun == 0
        return
    written, pulses = len(mri.frames.images), mri.ttl.pulses
    found = mri.adopt(recorded=written).found
    if begun and not written:
        assert found == ("finished" if pulses else "missing")
    else:
        assert found == ("none" if written else "missing")
    mri.begin()
    done = mri.device.trigger()
    mri.clock.to(200.0)
    assert (done.success, len(mri.frames.images)) == (True, 1)
    assert mri.armed == (found != "finished")
