"""Console and trigger over both wires, and what a scan survives when the wire fails."""

from contextlib import contextmanager

import numpy as np
import pytest

from devices.drivers.agilent_33500 import TtlTrigger
from devices.drivers.console_bridge import BridgeMriConsole
from devices.errors import LinkError
from devices.link import open_link
from devices.roles import ConsoleState
from sim.instruments.agilent_33500 import SimulatedAgilent33500
from sim.instruments.mri_console import SimulatedMriConsole, flash_imagers
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
        console = SimulatedMriConsole(self.world, flash_imagers(self.cell.geometry, seed=0))
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


def one_frame(laboratory, links):
    console, trigger = BridgeMriConsole(links[0]), TtlTrigger(links[1])
    console.configure({"averages": 8})
    laboratory.now_s = 3600.0
    console.arm()
    trigger.pulse()
    laboratory.now_s += console.expected_duration_s() + 2.0
    assert console.status().state is ConsoleState.IDLE
    image, header = console.read_image()
    for link in links:
        link.close()
    return image, header


def test_both_wires_carry_the_same_frame():
    frames = []
    for wire in (Laboratory.in_process, Laboratory.over_tcp):
        laboratory = Laboratory()
        with wire(laboratory) as links:
            frames.append(one_frame(laboratory, links))
    np.testing.assert_array_equal(frames[0][0], frames[1][0])
    assert frames[0][1] == frames[1][1]


@pytest.mark.parametrize("kind", ["silence", "late", "garble", "truncate", "close", "reset"])
@pytest.mark.parametrize("wire", [Laboratory.in_process, Laboratory.over_tcp])
def test_a_scan_goes_on_while_the_wire_fails(wire, kind):
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
