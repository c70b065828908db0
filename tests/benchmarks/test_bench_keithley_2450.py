"""Cost of polling a simulated 2450; prints figures, asserts ratios measured in one run."""

import time

import pytest

from devices.drivers.keithley_2450_backend import Keithley2450Backend
from devices.link import open_link
from devices.roles import CellLimits, Program
from sim.instruments.keithley_2450 import Keithley2450
from sim.samples.linear_cell import LinearCell
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

LIMITS = CellLimits(-5.0, 5.0, -2.0, 2.0)


class Bench:
    """Instrument and backend at a time that the benchmark moves."""

    def __init__(self):
        self.now_s = 0.0
        world = World(LinearCell(), now=lambda: self.now_s)
        library = SimulatedVisaLibrary({"smu": Keithley2450(world)})
        self.link = open_link("sim://smu", who="pstat", expect="2450", visa_library=library)
        self.backend = Keithley2450Backend(self.link)

    def run(self, hours, poll_s, *, period_s=10.0):
        """CPU seconds, polls and rows of one program."""
        self.backend.load(Program("current", 1.0, hours * 3600.0, period_s, LIMITS))
        self.backend.start()
        began_s, polls, rows = self.now_s, 0, 0
        began = time.process_time()
        while True:
            self.now_s = min(self.now_s + poll_s, began_s + hours * 3600.0)
            page = self.backend.poll()
            polls, rows = polls + 1, rows + len(page.elapsed_s)
            if page.reason:
                return time.process_time() - began, polls, rows


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.link.close()


def test_a_poll_costs_a_few_bare_queries(bench, capsys):
    polling_s, polls, rows = bench.run(24, 30.0)
    began = time.process_time()
    for _ in range(polls):
        bench.link.ask(":OUTP?")
    query_s = time.process_time() - began
    with capsys.disabled():
        print(
            f"\n{polls} polls of {rows / polls:.1f} rows: {polling_s / polls * 1e6:.0f} us each, "
            f"{polling_s / query_s:.1f} bare queries"
        )
    assert polling_s / query_s < 30


def test_a_row_is_cheap_in_large_pages(bench, capsys):
    small_s, _, small_rows = bench.run(24, 30.0)
    large_s, _, large_rows = bench.run(24, 9000.0)
    ratio = (small_s / small_rows) / (large_s / large_rows)
    with capsys.disabled():
        print(
            f"\n900-row pages: {large_s / large_rows * 1e6:.2f} us per row, {ratio:.0f} x cheaper"
        )
    assert small_rows == large_rows == 8641
    assert ratio > 5
