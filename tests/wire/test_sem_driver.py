"""The microscope's driver over the in-process wire, and the bytes that it sends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pymeasure.test import expected_protocol

from devices.drivers.sem_bridge import BridgeMicroscope, SemBridge
from devices.errors import InstrumentFault, LimitError, LinkError, NotReachedError
from devices.imaging_roles import MicroscopeState
from devices.link import open_link
from devices.sem_settings import frame_axes, frame_shape, judge_channels
from sim.clock import EPOCH_S
from sim.instruments import sem_settings
from sim.instruments.sem import SimulatedSem
from sim.instruments.sem_views import EdgeView
from sim.samples.void_cell import VoidCell
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

SMALL = {"resolution_px": [320, 120], "dwell_time_s": 1e-5}


class Wire:
    """An instrument whose next answer to some query may be spoilt."""

    def __init__(self, instrument):
        self._instrument, self.spoil = instrument, {}

    def answer(self, message):
        reply = self._instrument.answer(message)
        for start, change in list(self.spoil.items()):
            if message.startswith(start):
                del self.spoil[start]
                return change(reply)
        return reply


class Bench:
    """The simulated microscope of a real sample, and its driver over an in-process link."""

    def __init__(self):
        self.now_s = 0.0
        self.cell = VoidCell.from_preset("li_lpscl_operando", seed=11)
        self.world = World(self.cell, lambda: self.now_s)
        self.sem = SimulatedSem(self.world, EdgeView(self.world))
        self.wire = Wire(self.sem)
        library = SimulatedVisaLibrary({"sem": self.wire})
        self.link = open_link("sim://sem", who="sem", visa_library=library, expect="SIM-")
        self.microscope = BridgeMicroscope(self.link)

    def take(self):
        self.microscope.arm()
        self.now_s += self.microscope.expected_duration_s()


@pytest.fixture
def bench():
    bench = Bench()
    bench.microscope.configure(SMALL)
    yield bench
    bench.link.close()


def test_from_arming_to_the_frame(bench):
    assert bench.microscope.identity().simulated
    assert bench.microscope.status().state is MicroscopeState.BLANKED
    assert math.isnan(bench.microscope.status().t_end_s)
    bench.now_s = 60.0
    assert bench.microscope.time() == EPOCH_S + 60.0
    bench.microscope.arm()
    assert bench.microscope.status().state is MicroscopeState.SCANNING
    with pytest.raises(NotReachedError, match=r"-213.*acquisition 1 is scanning"):
        bench.microscope.arm()
    with pytest.raises(InstrumentFault, match=r"-230.*acquisition 1 is pending"):
        bench.microscope.read_image()
    bench.now_s += bench.microscope.expected_duration_s()
    status = bench.microscope.status()
    assert status.t_end_s - status.t_start_s == pytest.approx(120 * (320e-5 + 2e-5), abs=1e-6)
    image, header = bench.microscope.read_image()
    assert (image.shape, image.dtype) == ((120, 320), np.float32)
    assert header["dose_uc_per_cm2"] == pytest.approx(status.accumulated_dose_uc_per_cm2)


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"channels": ["SE", "EBIC"]}, (2, 120, 320)),
        ({"reduced_area": [0.1, 0.25, 0.33, 0.5]}, (60, 106)),
        ({"method": "eds_line", "line_points": 33, "dwell_time_s": 0.1}, (1, 33)),
    ],
)
def test_every_shape_is_the_one_that_was_promised(bench, changes, shape):
    held = bench.microscope.configure(changes)
    assert frame_shape(held) == shape == sem_settings.shape(held)
    axes, _ = frame_axes(held)
    assert len(axes) == len(shape)
    bench.take()
    assert bench.microscope.read_image()[0].shape == shape


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hfw_um": 400.0}, "-222.*a field of 400 um, expected at most the 160 um"),
        ({"detector": "TLD"}, "-224.*expected one of ETD"),
        ({"dwell_time_s": math.inf}, "use finite numbers"),
    ],
)
def test_refused_settings_are_limit_errors(bench, changes, says):
    with pytest.raises(LimitError, match=says):
        bench.microscope.configure(changes)


def test_a_failed_frame_is_said_and_acknowledged(bench):
    bench.microscope.arm()
    bench.sem.fail("the vacuum is lost")
    status = bench.microscope.status()
    assert (status.state, status.error) == (
        MicroscopeState.ERROR,
        "acquisition 1: the vacuum is lost",
    )
    bench.microscope.abort()
    bench.microscope.abort()
    assert bench.microscope.status().state is MicroscopeState.BLANKED


def test_a_damaged_frame_is_not_believed(bench):
    bench.take()
    bench.wire.spoil[b"ACQ:IMAG?"] = lambda reply: reply[:-3] + b"abc"
    with pytest.raises(LinkError, match="image: got 153600 bytes with CRC"):
        bench.microscope.read_image()
    assert bench.microscope.read_image()[0].shape == (120, 320)
    bench.wire.spoil[b"ACQ:STAT?"] = lambda reply: reply.replace(b'"blanked"', b'"asleep"')
    with pytest.raises(LinkError, match="garbled status, ValueError: 'asleep'"):
        bench.microscope.status()


def test_a_header_of_another_shape_is_refused(bench):
    """Row 22: by what the microscope promises."""
    bench.take()
    bench.wire.spoil[b"ACQ:IMAG:HEAD?"] = lambda reply: reply.replace(
        b'"shape":[120,320]', b'"shape":[320,120]'
    )
    with pytest.raises(InstrumentFault, match=r"expected shape \(120, 320\) of its settings"):
        bench.microscope.read_image()


@pytest.mark.parametrize(
    ("call", "exchange"),
    [
        (lambda sem: sem.settings, ("ACQ:CONF?", '{"hfw_um": 1}')),
        (lambda sem: sem.status, ("ACQ:STAT?", '{"state": "idle"}')),
        (lambda sem: sem.expected_duration_s, ("ACQ:DUR?", "0.972")),
        (lambda sem: sem.image_header, ("ACQ:IMAG:HEAD?", '{"frame": 1}')),
        (lambda sem: sem.clock_s, ("SYST:TIME?", "1735689600.5")),
        (lambda sem: sem.next_error, ("SYST:ERR?", '-213,"Init ignored"')),
        (lambda sem: sem.abort(), ("ACQ:ABOR", None)),
    ],
)
def test_the_bytes_of_each_property(call, exchange):
    with expected_protocol(SemBridge, [exchange]) as sem:
        call(sem)


def test_settings_are_sent_as_json():
    with expected_protocol(SemBridge, [('ACQ:CONF {"hfw_um": 80.0}', None)]) as sem:
        sem.settings = {"hfw_um": 80.0}


def test_frames_are_judged_by_channel():
    good = np.random.default_rng(0).normal(size=(2, 8, 8)).astype(np.float32)
    assert judge_channels(good) == judge_channels(good[0]) == "ok"
    assert judge_channels(np.stack([good[0], np.zeros((8, 8), np.float32)])) == "black"
    assert judge_channels(np.where(good > 1, np.nan, good)) == "nan"


def test_settings_without_a_shape_promise_none():
    assert frame_shape({"method": "image"}) is None
    assert frame_shape({"method": "image", "resolution_px": "large"}) is None
