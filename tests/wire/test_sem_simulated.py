"""The simulated microscope: its states, its time, its dose, its failures and its settings."""

from __future__ import annotations

import json
import re
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from sim.clock import EPOCH_S
from sim.errors import SimulationError, UnknownCommand
from sim.faults.upsets import Upset
from sim.instruments.sem import SimulatedSem
from sim.instruments.sem_settings import shape
from sim.world import World

FRAME_S = 40 * (50 * 1e-6 + 2e-5)
SMALL = {"resolution_px": [50, 40], "hfw_um": 50.0, "current_na": 1.0}


class Flat:
    """A view whose frames hold the moment and the number that they were asked for."""

    def __init__(self) -> None:
        self.taken, self.stages, self.lost = [], [], False

    def check(self, settings):
        if settings["hfw_um"] > 1000:
            raise SimulationError("SEM: nothing so far away (come nearer)")

    def take(self, settings, t_s, frame_index):
        if self.lost:
            raise SimulationError("SEM: lost")
        self.taken.append((t_s, frame_index))
        self.stages.append(settings["stage_um"])
        frame = np.full(shape(settings), t_s, np.float32)
        frame.flat[0] = frame_index
        return frame


class Bench:
    """A microscope, its world and a clock that the test sets."""

    def __init__(self) -> None:
        self.now_s, self.view = 0.0, Flat()
        self.world = World(sample=None, now=lambda: self.now_s)
        self.sem = SimulatedSem(self.world, self.view)
        self.configure(**SMALL)

    def say(self, line):
        reply = self.sem.answer(line.encode())
        return None if reply is None else reply.decode("ascii", "replace")

    def configure(self, **changes):
        self.say("ACQ:CONF " + json.dumps(changes))
        return self.say("SYST:ERR?")

    def status(self):
        return json.loads(self.say("ACQ:STAT?"))

    def header(self):
        return json.loads(self.say("ACQ:IMAG:HEAD?"))

    def image(self):
        reply = self.sem.answer(b"ACQ:IMAG?")
        digits = int(reply[1:2])
        return np.frombuffer(reply[2 + digits :], "<f4")

    def take(self):
        self.say("ACQ:ARM")
        self.now_s += FRAME_S


@pytest.fixture
def bench():
    return Bench()


def test_a_frame_takes_pixels_times_dwell_times_integrations_and_flyback(bench):
    assert float(bench.say("ACQ:DUR?")) == pytest.approx(FRAME_S)
    bench.configure(frame_integration=3, line_integration=2)
    assert float(bench.say("ACQ:DUR?")) == pytest.approx(6 * FRAME_S)
    bench.configure(reduced_area=[0.5, 0.5, 0.5, 0.25])
    assert float(bench.say("ACQ:DUR?")) == pytest.approx(6 * 10 * (25e-6 + 2e-5))
    bench.configure(method="eds_line", line_points=30, dwell_time_s=0.5)
    assert float(bench.say("ACQ:DUR?")) == pytest.approx(15.0)


def test_it_scans_then_blanks_and_the_frame_shows_the_middle_of_the_scan(bench):
    assert bench.status()["state"] == "blanked"
    bench.now_s = 100.0
    bench.say("ACQ:ARM")
    assert (bench.status()["state"], bench.status()["outcome"]) == ("scanning", "pending")
    bench.now_s = 100.0 + 0.5 * FRAME_S
    assert bench.status()["progress"] == pytest.approx(0.5)
    assert bench.say("ACQ:IMAG:HEAD?").startswith('!-230,"Data corrupt or stale;no image')
    bench.now_s = 5000.0  # read much later
    status = bench.status()
    assert (status["state"], status["outcome"], status["progress"]) == ("blanked", "complete", 1.0)
    assert status["t_start_s"] == EPOCH_S + 100.0
    assert status["t_end_s"] == pytest.approx(EPOCH_S + 100.0 + FRAME_S, abs=1e-6)
    header, image = bench.header(), bench.image()
    assert bench.view.taken == [(pytest.approx(100.0 + 0.5 * FRAME_S), 0)]
    assert (header["shape"], header["dtype"], header["nbytes"]) == ([40, 50], "<f4", 8000)
    assert header["crc32"] == zlib.crc32(image.tobytes())
    assert header["settings"]["resolution_px"] == [50, 40]


def test_nothing_begins_while_it_scans_or_somebody_else_uses_it(bench):
    """Row 20: on its wire."""
    bench.say("ACQ:ARM")
    bench.say("ACQ:ARM")
    assert bench.say("SYST:ERR?").startswith('-213,"Init ignored;acquisition 1 is scanning')
    assert bench.configure(hfw_um=20.0).startswith("-221")
    bench.now_s = 10.0
    bench.sem.upsets.add(Upset("occupied", 10.0, 70.0))
    bench.say("ACQ:ARM")
    assert "somebody else" in bench.say("SYST:ERR?")
    assert bench.status()["state"] == "scanning"
    bench.now_s = 70.0
    bench.take()
    assert bench.status()["outcome"] == "complete"


def test_a_failure_is_said_until_it_is_acknowledged(bench):
    bench.say("ACQ:ARM")
    bench.now_s = 0.4 * FRAME_S
    bench.sem.fail("the vacuum is lost")
    bench.now_s = 100.0
    status = bench.status()
    assert (status["state"], status["outcome"]) == ("error", "failed")
    assert status["error"] == "acquisition 1: the vacuum is lost"
    assert status["t_end_s"] is None
    assert bench.say("ACQ:IMAG?").startswith("!-230")
    bench.say("ACQ:ABOR")
    assert (bench.status()["state"], bench.status()["error"]) == ("blanked", "")
    bench.take()
    assert bench.header()["frame"] == 0, "what failed gave no frame"


def test_an_aborted_frame_is_none(bench):
    bench.say("ACQ:ARM")
    bench.say("ACQ:ABOR")
    bench.say("ACQ:ABOR")
    bench.now_s = 50.0
    assert (bench.status()["state"], bench.status()["outcome"]) == ("blanked", "aborted")
    assert bench.say("SYST:ERR?") == '0,"No error"'


def test_black_frames_are_black_and_counted(bench):
    bench.sem.upsets.add(Upset("black", 0.0, 2.5 * FRAME_S))
    peaks = []
    for _ in range(3):
        bench.take()
        peaks.append(float(bench.image().max()))
    assert peaks[:2] == [0.0, 0.0]
    assert peaks[2] > 0.0
    assert bench.header()["frame"] == 2


def test_a_fault_ends_a_scan_and_moves_the_image(bench):
    bench.sem.upsets.add(Upset("abort", 0.5 * FRAME_S, FRAME_S))
    bench.take()
    assert bench.status()["error"] == "acquisition 1: aborted by a fault"
    bench.say("ACQ:ABOR")
    bench.sem.upsets.add(Upset("drift", 100.0, 7300.0, x_um_per_h=3.0, y_um_per_h=-1.0))
    bench.now_s = 3700.0 - FRAME_S
    bench.take()
    assert bench.image()[1] == pytest.approx(3700.0 - 0.5 * FRAME_S)
    assert bench.view.stages == [[pytest.approx(-3.0), pytest.approx(1.0)]]
    bench.view.lost = True
    bench.take()
    assert bench.say("ACQ:IMAG:HEAD?").startswith('!-230,"Data corrupt or stale;SEM: lost')


def test_the_dose_is_current_times_time_over_area(bench):
    frame = 1e-9 * 1e-6 / (1e-4) ** 2 * 1e6  # nA, us, pixel of 1 um in cm, uC
    for index in range(3):
        bench.take()
        assert bench.header()["dose_uc_per_cm2"] == pytest.approx(frame)
        assert bench.header()["accumulated_dose_uc_per_cm2"] == pytest.approx((index + 1) * frame)
        bench.now_s += 1000.0
    assert bench.status()["accumulated_dose_uc_per_cm2"] == pytest.approx(3 * frame)
    bench.say("ACQ:ARM")
    bench.now_s += 0.25 * FRAME_S
    bench.say("ACQ:ABOR")
    bench.now_s += 10.0
    assert bench.status()["accumulated_dose_uc_per_cm2"] == pytest.approx(3.25 * frame)


def test_without_blanking_the_dose_goes_on(bench):
    bench.configure(blank_between_frames=False)
    bench.take()
    one = bench.header()["dose_uc_per_cm2"]
    assert bench.status()["state"] == "idle"
    bench.now_s += 9 * FRAME_S
    assert bench.status()["accumulated_dose_uc_per_cm2"] == pytest.approx(10 * one)
    bench.take()
    assert bench.status()["accumulated_dose_uc_per_cm2"] == pytest.approx(11 * one)


@profile(max_examples=30, deadline=None)
@given(looks=st.lists(st.floats(0.0, 20.0), max_size=12), blank=st.booleans())
def test_looking_changes_nothing(looks, blank):
    """Frames, doses and times are those of a microscope that nobody polled."""
    seen = []
    for polls in (sorted(looks), []):
        bench = Bench()
        bench.configure(blank_between_frames=blank)
        for start_s in (3.0, 9.0):
            for at_s in polls:
                if bench.now_s <= at_s <= start_s:
                    bench.now_s = at_s
                    bench.status()
            bench.now_s = start_s
            bench.say("ACQ:ARM")
            bench.now_s = start_s + FRAME_S
            seen.append((bench.header(), bench.status(), bench.image().tobytes()))
    assert seen[:2] == seen[2:]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"resolution_px": [8, 40]}, "-222.*resolution_px: got 8, expected 16 to 4096"),
        ({"resolution_px": [800]}, r"-104.*expected \[columns, lines\]"),
        ({"dwell_time_s": "fast"}, "-104.*dwell_time_s: got 'fast', expected a number"),
        ({"frame_integration": 1.5}, "-104.*expected an integer"),
        ({"autocontrast": 1}, "-104.*expected true or false"),
        ({"channels": ["EBIC"]}, r"-224.*expected \['SE'\] or \['SE', 'EBIC'\]"),
        ({"method": "movie"}, "-224.*expected one of image, eds_line"),
        ({"reduced_area": [0.5, 0.0, 0.6, 1.0]}, "-222.*reduced_area"),
        ({"reduced_area": [0.0, 0.0, 0.0, 1.0]}, "-222.*of at least a pixel"),
        ({"colour": "red"}, "-224.*colour: unknown"),
        ({"hfw_um": 2000.0}, "-222.*nothing so far away"),
    ],
)
def test_a_wrong_setting_changes_nothing(bench, changes, says):
    before = bench.say("ACQ:CONF?")
    assert re.search(says, bench.configure(**changes, current_na=5.0))
    assert bench.say("ACQ:CONF?") == before


def test_an_unknown_header_fails_the_test(bench):
    with pytest.raises(UnknownCommand, match="undefined header 'BEAM:ON'"):
        bench.sem.answer(b"BEAM:ON")
    lenient = SimulatedSem(bench.world, bench.view, strict=False)
    lenient.answer(b"BEAM:ON")
    assert lenient.answer(b"SYST:ERR?") == b'-113,"Undefined header;BEAM:ON"'
