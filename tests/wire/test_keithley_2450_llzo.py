"""The 2450 on the Li/LLZO/Li cell: what is recorded is what the cell does, however it is polled."""

import numpy as np
import pytest

from devices.drivers.keithley_2450_backend import Keithley2450Backend
from devices.link import open_link
from devices.roles import CellLimits, Program
from sim.instruments.keithley_2450 import Keithley2450
from sim.samples.llzo_cell import LlzoCell
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

LIMITS = CellLimits(-2.0, 2.0, -1.0, 1.0)


class Bench:
    """Cell, instrument and backend; the test moves the time."""

    def __init__(self, noise_factor=1.0):
        self.now_s = 0.0
        self.cell = LlzoCell.from_preset("small_4p8")
        world = World(self.cell, now=lambda: self.now_s)
        smu = Keithley2450(world, noise_factor=noise_factor)
        library = SimulatedVisaLibrary({"smu": smu})
        self.link = open_link("sim://smu", who="pstat", expect="2450", visa_library=library)
        self.backend = Keithley2450Backend(self.link)

    def reversal(self, half_cycles, poll_s):
        """0.1 mA/cm2, reversed every 30 min with 5 min rest: columns of all records."""
        rows = []
        for half in range(half_cycles):
            current_ma = (-1) ** half * 0.1 * self.cell.area_cm2
            for mode, setpoint, seconds in (("current", current_ma, 1800.0), ("rest", 0.0, 300.0)):
                began_s = self.now_s
                self.backend.load(Program(mode, setpoint, seconds, 10.0, LIMITS))
                self.backend.start()
                while True:
                    self.now_s = min(self.now_s + poll_s, began_s + seconds)
                    page = self.backend.poll()
                    rows.append(
                        np.stack([began_s + page.elapsed_s, page.current_ma, page.voltage_v])
                    )
                    if page.reason:
                        assert (page.reason, page.output_on) == ("time", False)
                        break
        self.link.close()
        return np.concatenate(rows, axis=1)


def test_records_are_the_cells_own_voltage():
    bench = Bench(noise_factor=0.0)
    t_s, current_ma, voltage_v = bench.reversal(6, 600.0)
    alone = LlzoCell.from_preset("small_4p8")
    for half in range(6):
        began_s = half * 2100.0
        alone.apply_current(began_s, (-1) ** half * 0.1 * alone.area_cm2)
        mine = (t_s >= began_s) & (t_s <= began_s + 1800.0) & (current_ma != 0.0)
        seen = alone.terminals(t_s[mine])
        assert mine.sum() == 181
        assert voltage_v[mine] == pytest.approx(seen.voltage_v, rel=1e-9)
        assert current_ma[mine] == pytest.approx(seen.current_ma, rel=1e-9)
        alone.apply_current(began_s + 1800.0, 0.0)
    assert bench.cell.charge_mah(bench.now_s) == pytest.approx(alone.charge_mah(bench.now_s))


def test_noise_and_records_do_not_depend_on_the_polls():
    often, seldom = Bench().reversal(3, 7.3), Bench().reversal(3, 1800.0)
    assert often.tobytes() == seldom.tobytes()


def test_a_connected_instrument_leaves_a_pristine_cell_alone():
    bench = Bench()
    bench.now_s = 86_400.0
    assert not bench.backend.output_on()
    assert bench.cell.charge_mah(86_400.0) == (0.0, 0.0)
    bench.link.close()
