"""Console and trigger over both wires, and what a scan survives when the wire fails."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from devices.drivers.agilent_33500 import TtlTrigger
from devices.drivers.console_bridge import BridgeMriConsole
from devices.errors import LinkError
from devices.link import open_link
from devices.roles import ConsoleState
from sim.images.mri import PUBLISHED_3D
from sim.images.mri_volume import VolumeImager
from sim.images.nmr import PUBLISHED_NMR, SpectrumImager, rotor_content
from sim.instruments.agilent_33500 import SimulatedAgilent33500
from sim.instruments.mri_acquirers import pellet_acquirers
from sim.instruments.mri_console import SimulatedMriConsole
from sim.samples.llzo_cell import LlzoCell
from sim.wire.faults import Fault, FaultyInstrument
from sim.wire.tcp import serve
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World


class Laboratory:
    """A cell, a console and a trigger, each behind a wire that may fail."""

    def __init__(self, *faults):
        self.now_s = 0.0
        self.cell = LlzoCell.from_preset("small_4p8")
        self.cell.apply_current(0.0, 0.01257)
        self.world = World(self.cell, lambda: self.now_s)
        console = SimulatedMriConsole(self.world, pellet_acquirers(self.cell.geometry, seed=0))
        self.instruments = {
            "console": FaultyInstrument(console, lambda: self.now_s, faults),
            "ttl": SimulatedAgilent33500(self.world),
        }

    @contextmanager
    def in_process(self):
        library = SimulatedVisaLibrary(self.instruments)
        yield [
            open_link(f"sim://{name}", who=name, visa_library=library) for name in self.instruments
        ]

    @contextmanager
    def over_tcp(self):
        with serve(self.instruments, life_s=30.0) as served:
            yield [
                open_link(served.resource(name), who=name, timeout_s=0.5)
                for name in self.instruments
            ]


def one_frame(laboratory, links, settings=None):
    console, trigger = BridgeMriConsole(links[0]), TtlTrigger(links[1])
    console.configure(settings or {"averages": 8})
    laboratory.now_s = 3600.0
    console.arm()
    trigger.pulse()
    laboratory.now_s += console.expected_duration_s() + 2.0
    assert console.status().state is ConsoleState.IDLE
    image, header = console.read_image()
    for link in links:
        link.close()
    return image, header


METHODS = [
    ({"averages": 8}, (52, 81), ["z", "x"]),
    ({"method": "gradient_echo_3d", "averages": 2}, (32, 100, 100), ["z", "y", "x"]),
    ({"method": "single_pulse", "scans": [16, 8]}, (2, 4096), ["nucleus", "shift"]),
]


@pytest.mark.parametrize(("settings", "shape", "axes"), METHODS)
def test_both_wires_carry_the_same_frame(settings, shape, axes):
    frames = []
    for wire in (Laboratory.in_process, Laboratory.over_tcp):
        laboratory = Laboratory()
        with wire(laboratory) as links:
            frames.append(one_frame(laboratory, links, settings))
    np.testing.assert_array_equal(frames[0][0], frames[1][0])
    assert frames[0][1] == frames[1][1]
    assert frames[0][0].shape == shape
    assert [axis["name"] for axis in frames[0][1]["axes"]] == axes


def test_a_volume_and_spectra_are_of_what_the_sample_held_meanwhile():
    laboratory = Laboratory()
    with laboratory.in_process() as links:
        volume, header = one_frame(laboratory, links, METHODS[1][0])
    imager = VolumeImager(laboratory.cell.geometry, replace(PUBLISHED_3D, averages=2), 0)
    layers = laboratory.cell.mean_layers_umol_per_cm2(3600.0, 3600.0 + 1600.0)
    crystalline = np.mean(
        [laboratory.cell.crystalline_fraction(3700.0 + 200.0 * k) for k in range(8)]
    )
    np.testing.assert_array_equal(volume, imager.frame(layers, crystalline, 0))
    assert layers.sum() > 0
    centre = [
        axis["first"] + axis["step"] * (n - 1) / 2
        for axis, n in zip(header["axes"], volume.shape, strict=True)
    ]
    assert centre == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)

    laboratory = Laboratory()
    with laboratory.in_process() as links:
        spectra, header = one_frame(laboratory, links, METHODS[2][0])
    cell = laboratory.cell
    during = rotor_content(cell, 3600.0, 3760.0), rotor_content(cell, 3760.0, 3776.0)
    made = SpectrumImager(replace(PUBLISHED_NMR, scans=(16, 8)), 0)
    np.testing.assert_array_equal(spectra, made.frame(during, 0))
    nuclei, shift = header["axes"]
    assert nuclei["labels"] == ["6Li", "7Li"]
    shift_ppm = shift["first"] + shift["step"] * np.arange(4096)
    assert shift_ppm[np.argmax(spectra[1])] == pytest.approx(1.2, abs=0.2)


def test_frames_of_any_method_are_numbered_together_and_know_only_their_number():
    laboratory = Laboratory()
    volumes = []
    with laboratory.in_process() as links:
        console, trigger = BridgeMriConsole(links[0]), TtlTrigger(links[1])
        for settings, _, _ in (METHODS[1], METHODS[2], METHODS[1]):
            console.configure(settings)
            console.arm()
            trigger.pulse()
            laboratory.now_s += console.expected_duration_s() + 2.0
            volumes.append(console.read_image())
    assert [header["frame"] for _, header in volumes] == [0, 1, 2]
    layers = laboratory.cell.mean_layers_umol_per_cm2
    assert layers(0.0, 1600.0).sum() < layers(0.0, 5000.0).sum()
    assert not np.array_equal(volumes[0][0], volumes[2][0])


@pytest.mark.parametrize("kind", ["silence", "late", "garble", "truncate", "close", "reset"])
@pytest.mark.parametrize("wire", [Laboratory.in_process, Laboratory.over_tcp])
def test_a_scan_goes_on_while_the_wire_fails(wire, kind):
    """Row 21: and is found again."""
    laboratory = Laboratory(Fault(kind, start_s=3610.0, end_s=3620.0))
    with wire(laboratory) as links:
        console, trigger = BridgeMriConsole(links[0]), TtlTrigger(links[1])
        console.configure({"averages": 8})
        laboratory.now_s = 3600.0
        console.arm()
        trigger.pulse()
        laboratory.now_s = 3615.0
        with pytest.raises(LinkError, match=r"^console: "):
            console.status()
        laboratory.now_s = 3621.0
        status = console.status()
        assert (status.state, status.experiment) == (ConsoleState.ACQUIRING, 1)
        laboratory.now_s = 4000.0
        image, header = console.read_image()
        assert header["experiment"] == 1
        for link in links:
            link.close()
    untouched = Laboratory()
    with untouched.in_process() as links:
        expected, _ = one_frame(untouched, links)
    np.testing.assert_array_equal(image, expected)
