"""PyMeasure's own 2450 driver, unmodified, against the simulated 2450.

The exchanges are those of upstream's test against a real device
(tests/instruments/keithley/test_keithley2450_with_device.py in PyMeasure's repository): what it
sets there and what it then expects to read. The same holds for the driver derived from it.
"""

import pytest
from pymeasure.instruments.keithley import Keithley2450 as Upstream

from devices.drivers.keithley_2450 import Keithley2450 as Derived
from devices.link import open_link
from sim.instruments.keithley_2450 import Keithley2450 as Simulated
from sim.samples.linear_cell import LinearCell
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World


@pytest.fixture(params=[Upstream, Derived], ids=["upstream", "derived"])
def smu(request):
    now_s = 0.0
    instrument = Simulated(World(LinearCell(resistance_ohm=1000.0), now=lambda: now_s))
    library = SimulatedVisaLibrary({"smu": instrument})
    link = open_link("sim://smu", who="smu", expect="2450", visa_library=library)
    driver = request.param(link.adapter)
    driver.reset()
    yield driver
    assert instrument.errors == []
    link.close()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("source_mode", ["voltage", "current"]),
        ("current_range", [10e-9, 1.0]),
        ("current_nplc", [0.01, 10]),
        ("compliance_current", [1.05, 10e-9]),
        ("source_current", [-1.05, -0.5, 0, 0.5, 1.05]),
        ("source_current_range", [10e-9, 1.0]),
        ("source_current_delay", [0, 0.5, 1000]),
        ("source_current_delay_auto", [True, False]),
        ("voltage_range", [20e-3, 200]),
        ("voltage_nplc", [0.01, 10]),
        ("compliance_voltage", [20e-3, 210]),
        ("source_voltage", [-210, 0, 210]),
        ("source_voltage_range", [20e-3, 200]),
        ("source_voltage_delay", [0, 1000]),
        ("source_voltage_delay_auto", [True, False]),
        ("resistance_range", [2, 200e6]),
        ("resistance_nplc", [0.01, 10]),
        ("wires", [2, 4]),
        ("buffer_points", [10, 5211488]),
        ("current_filter_type", ["REP", "MOV"]),
        ("current_filter_count", [1, 100]),
        ("voltage_filter_type", ["REP", "MOV"]),
        ("voltage_filter_count", [1, 100]),
        ("current_output_off_state", ["HIMP", "NORM", "ZERO", "GUAR"]),
        ("voltage_output_off_state", ["HIMP", "NORM", "ZERO", "GUAR"]),
    ],
)
def test_what_is_set_reads_back(smu, name, values):
    for value in values:
        setattr(smu, name, value)
        assert getattr(smu, name) == value


def test_filter_state_reads_as_a_number(smu):
    for state, number in (("ON", 1.0), ("OFF", 0.0)):
        smu.current_filter_state = state
        assert smu.current_filter_state == number


def test_identity(smu):
    assert "KEITHLEY INSTRUMENTS,MODEL 2450" in smu.id


def test_apply_voltage(smu):
    smu.apply_voltage(voltage_range=20, compliance_current=0.01)
    assert (smu.source_mode, smu.source_voltage_range) == ("voltage", 20)
    assert smu.compliance_current == 0.01


def test_apply_current(smu):
    smu.apply_current(current_range=0.001, compliance_voltage=5)
    assert (smu.source_mode, smu.source_current_range) == ("current", 0.001)
    assert smu.compliance_voltage == 5


def test_the_source_is_enabled_and_disabled(smu):
    smu.enable_source()
    assert smu.source_enabled is True
    smu.disable_source()
    assert smu.source_enabled is False


@pytest.mark.parametrize("quantity", ["voltage", "current", "resistance"])
def test_measure(smu, quantity):
    smu.apply_current(current_range=0.001, compliance_voltage=5)
    smu.source_current = 1e-3
    getattr(smu, f"measure_{quantity}")(nplc=1, auto_range=True)
    smu.enable_source()
    expected = {"voltage": 1.0, "current": 1e-3, "resistance": 1000.0}[quantity]
    assert getattr(smu, quantity) == pytest.approx(expected, rel=1e-3)
    assert smu.means == pytest.approx(expected, rel=1e-3)


def test_ramps_and_terminals(smu):
    smu.use_rear_terminals()
    smu.use_front_terminals()
    smu.apply_current(current_range=0.01, compliance_voltage=5)
    smu.enable_source()
    smu.ramp_to_current(1e-3, steps=2, pause=0.0)
    assert abs(smu.source_current - 1e-3) < 1e-9
    smu.apply_voltage(voltage_range=5, compliance_current=0.01)
    smu.enable_source()
    smu.ramp_to_voltage(1.0, steps=2, pause=0.0)
    assert abs(smu.source_voltage - 1.0) < 1e-6


def test_the_error_queue_is_empty_after_a_reset(smu):
    assert smu.next_error[0] == 0
