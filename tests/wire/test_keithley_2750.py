"""The relay in the cell's lead: the switch system's bytes, its driver, and what the cell feels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from devices.drivers.keithley_2750 import SwitchChannel
from devices.errors import InstrumentFault
from devices.link import open_link
from devices.roles import Relay
from sim.faults.cell import CellFault
from sim.faults.faulty_sample import FaultySample
from sim.instruments.keithley_2750 import SimulatedKeithley2750
from sim.samples.linear_cell import LinearCell
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World


class Laboratory:
    """A cell at 1 mA behind a switch."""

    def __init__(self, *, closed=True):
        self.t_s = 0.0
        self.cell = LinearCell()
        self.world = World(FaultySample(self.cell), now=lambda: self.t_s)
        self.world.sample.apply_current(0.0, 1.0)
        self.switch = SimulatedKeithley2750(self.world, 101, closed=closed)

    def ask(self, text):
        reply = self.switch.answer(text.encode())
        return None if reply is None else reply.decode()

    def current_ma(self):
        return float(self.world.sample.terminals(np.array([self.t_s])).current_ma[0])


@pytest.fixture
def lab():
    return Laboratory()


def test_channels_are_opened_and_closed_as_the_manual_says(lab):
    assert lab.ask(":ROUT:MULT:CLOS?") == "(@101)"
    lab.ask(":ROUT:MULT:CLOS (@102, 203)")
    assert lab.ask(":ROUTe:MULTiple:CLOSe?") == "(@101,102,203)"
    assert lab.ask(":ROUT:MULT:CLOS:STAT? (@101:103,203)") == "1,1,0,1"
    lab.ask(":ROUT:MULT:OPEN (@102:140)")
    assert lab.ask(":ROUT:MULT:CLOS?") == "(@101,203)"
    lab.ask(":ROUT:OPEN:ALL")
    assert lab.ask(":ROUT:MULT:CLOS?") == "(@)"


@pytest.mark.parametrize(
    "text", ["101", "(@)", "(@600)", "(@141)", "(@1:)", "(@a)", "(@101:999999)"]
)
def test_what_is_no_list_of_channels_moves_nothing(lab, text):
    lab.ask(f":ROUT:MULT:OPEN {text}")
    assert lab.ask(":ROUT:MULT:CLOS?") == "(@101)"
    assert lab.ask(":SYST:ERR?")[:4] in ("-102", "-222")


def test_an_open_channel_carries_no_current_and_a_closed_one_goes_on(lab):
    lab.t_s = 100.0
    assert lab.current_ma() == 1.0
    lab.ask(":ROUT:MULT:OPEN (@101)")
    assert lab.current_ma() == 0.0
    lab.t_s = 400.0
    lab.ask(":ROUT:MULT:CLOS (@101)")
    assert lab.current_ma() == 1.0
    lab.t_s = 500.0
    net_mah, throughput_mah = lab.world.sample.charge_mah(500.0)
    assert net_mah == pytest.approx(1.0 * (100 + 100) / 3600, rel=1e-12)
    assert throughput_mah == pytest.approx(net_mah)


def test_the_switch_and_faults_of_the_cell_know_nothing_of_each_other(lab):
    lab.world.sample.add(CellFault("open", 50.0, 60.0))
    lab.t_s = 55.0
    lab.ask(":ROUT:MULT:OPEN (@101)")
    lab.t_s = 70.0
    assert lab.current_ma() == 0.0  # the fault has ended, the switch is still open
    lab.ask(":ROUT:MULT:CLOS (@101)")
    lab.ask(":ROUT:MULT:OPEN (@101);:ROUT:MULT:CLOS (@101)")  # at one moment
    assert lab.current_ma() == 1.0
    lab.t_s = 80.0
    assert lab.world.sample.charge_mah(80.0)[0] == pytest.approx((50 + 10) / 3600)
    assert [f.kind for f in lab.world.sample.faults].count("open") == 2
    assert all(math.isfinite(f.end_s) for f in lab.world.sample.faults)


def test_the_driver_verifies_what_it_does():
    lab = Laboratory(closed=False)
    library = SimulatedVisaLibrary({"relay": lab.switch})
    link = open_link("sim://relay", who="pstat.disconnect", visa_library=library)
    try:
        relay: Relay = SwitchChannel(link, channel=101)
        assert not relay.connected()
        assert lab.current_ma() == 0.0
        relay.connect()
        assert relay.connected()
        assert lab.current_ma() == 1.0
        lab.switch.stuck = True
        with pytest.raises(InstrumentFault, match="reads back as closed, expected open"):
            relay.disconnect()
        lab.switch.stuck = False
        relay.disconnect()
        relay.disconnect()
        lab.switch.stuck = True
        with pytest.raises(InstrumentFault, match="reads back as open, expected closed"):
            relay.connect()
    finally:
        link.close()
