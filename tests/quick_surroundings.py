"""A chamber and a press made of arithmetic, for plans that are run hundreds of times."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np

from devices.chamber import TemperatureChamber
from devices.frame_device import FrameDevice
from devices.load_cell import LoadCell
from devices.roles import Identity
from devices.surroundings import Approach, Calibration, ChamberReading

TAKES_S = 100.0
FRAME_S = 50.0
BENCH = Approach(ramp_celsius_per_min=5.0, band_celsius=0.5, soak_s=60.0, deadline_s=1000.0)
CALIBRATION = Calibration(1.0, 0.1, 0.0, 1e-4, 1.0, datetime.date(2026, 3, 2))
IDENTITY = Identity("Test", "arithmetic", "SIM-1", "1")


class Oven:
    """Goes to its setpoint in `TAKES_S`; settled after the soak time; may fail."""

    def __init__(self, clock):
        self.clock, self.target, self.former = clock, 25.0, 25.0
        self.began_s, self.soak_s = -1e9, 0.0
        self.on, self.forced, self.error, self.stuck = False, [], None, False

    def identity(self):
        return IDENTITY

    def limit(self, low_celsius, high_celsius):
        pass

    def force(self, celsius, approach):
        if self.error is not None:
            raise self.error
        self.former, self.target = self.now_celsius(), celsius
        self.began_s, self.soak_s, self.on = self.clock.time(), approach.soak_s, True
        self.forced.append(celsius)

    def release(self):
        self.on = False

    def now_celsius(self):
        part = min((self.clock.time() - self.began_s) / TAKES_S, 0.5 if self.stuck else 1.0)
        return self.former + part * (self.target - self.former)

    def read(self):
        settled = self.clock.time() - self.began_s >= TAKES_S + self.soak_s and not self.stuck
        now = self.now_celsius()
        return ChamberReading(now, now, self.target, self.on, settled)


class Meter:
    """The amplifier's output: 0.1 V are 1 MPa with `CALIBRATION`."""

    def __init__(self, mpa=2.0):
        self.mpa, self.error = mpa, None

    def identity(self):
        return IDENTITY

    def voltage_v(self):
        if self.error is not None:
            raise self.error
        return 0.1 * self.mpa


@dataclass
class Doing:
    """What a camera says of its acquisition."""

    state: str
    t_start_s: float
    t_end_s: float
    progress: float = 0.0
    experiment: int = 0
    error: str = ""


class Camera:
    """Takes a frame in `FRAME_S`."""

    def __init__(self, clock):
        self.clock, self.began_s, self.taken = clock, None, 0

    def identity(self):
        return IDENTITY

    def time(self):
        return self.clock.time()

    def expected_duration_s(self):
        return FRAME_S

    def arm(self):
        self.began_s = self.clock.time()

    def abort(self):
        self.began_s = None

    def status(self):
        if self.began_s is None:
            return Doing("idle", np.nan, np.nan)
        end_s = self.began_s + FRAME_S
        done = self.clock.time() >= end_s - 1e-6
        return Doing("idle" if done else "busy", self.began_s, end_s if done else np.nan)

    def read_image(self):
        self.taken += 1
        return np.full((2, 3), float(self.taken), np.float32), {}


class QuickCamera(FrameDevice):
    """Frames of six pixels."""

    FREE = frozenset({"idle"})

    def image_shape(self):
        return (2, 3)

    def image_axes(self):
        return ("z", "x"), "a.u."

    def judged(self, image):
        del image
        return "ok"

    def configure_imager(self, imager, settings):
        pass


class Frames:
    """Keeps frames in memory."""

    def __init__(self):
        self.images = []

    def open(self, stream, data_key, shape, dtype, *, units="a.u."):
        pass

    def write(self, stream, image, scalars):
        self.images.append(image)
        return len(self.images) - 1

    def asset_documents(self, stream, index):
        return []


class AtOnce:
    """Does a worker's work in the loop."""

    def submit(self, work, done, *, owner):
        del owner
        try:
            result, error = work(), None
        except Exception as raised:  # noqa: BLE001 - as a worker does
            result, error = None, raised
        done(result, error)


def make_oven(clock):
    """A chamber and what is behind it."""
    oven = Oven(clock)
    device = TemperatureChamber(
        name="oven", clock=clock, backend=oven, limits=(-20, 80), approach=BENCH, poll_period_s=10
    )
    return device, oven


def make_camera(clock):
    """An image device and what is behind it."""
    camera = Camera(clock)
    device = QuickCamera(name="cam", clock=clock, imager=camera, frames=Frames(), worker=AtOnce())
    return device, camera


def make_press(clock, mpa=2.0):
    """A load cell and what is behind it."""
    meter = Meter(mpa)
    device = LoadCell(name="press", clock=clock, voltmeter=meter, calibration=CALIBRATION)
    return device, meter
