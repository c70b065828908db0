"""A potentiostat and a chamber around one pellet: what is recorded does not depend on polling."""

import numpy as np
import pytest

from devices.drivers.keithley_2450_backend import Keithley2450Backend
from devices.drivers.potentiostat_bridge import BridgePotentiostat
from devices.link import open_link
from devices.roles import CellLimits, Program
from sim.instruments.bridge_potentiostat import SimulatedPotentiostat
from sim.instruments.keithley_2450 import Keithley2450
from sim.instruments.temptronic_ats545 import SimulatedAts545
from sim.samples.llzto_pellet import LlztoPellet
from sim.wire.visa import SimulatedVisaLibrary
from sim.world import World

LIMITS = CellLimits(-2.0, 2.0, -1.0, 1.0)
HEAT = ("%RM", "DUTM 1", "SETN 0", "RAMP 5", "SETP 60", "FLOW 1")
CURRENT_MA = 0.003


POTENTIOSTATS = [(Keithley2450, Keithley2450Backend), (SimulatedPotentiostat, BridgePotentiostat)]


def warmed(polls, simulated, driver, *, noise_factor=1.0, until_s=3600.0):
    """Records of a small current while the chamber warms the pellet, asked at `polls` besides."""
    now = [0.0]
    pellet = LlztoPellet.from_preset("lithiophilic", temperature_celsius=25.0)
    world = World(pellet, now=lambda: now[0])
    smu = simulated(world, noise_factor=noise_factor)
    oven = SimulatedAts545(world)
    link = open_link("sim://smu", who="pstat", visa_library=SimulatedVisaLibrary({"smu": smu}))
    backend = driver(link)
    backend.load(Program("current", CURRENT_MA, until_s, 10.0, LIMITS))
    backend.start()
    for line in HEAT:
        oven.answer(line.encode())
    pages = []
    for t_s in sorted({*polls, until_s}):
        now[0] = t_s
        oven.answer(b"TMPD?;TECR?")
        pages.append(backend.poll())
    link.close()
    assert pages[-1].reason == "time"
    columns = [(p.elapsed_s, p.current_ma, p.voltage_v) for p in pages]
    return pellet, oven, np.concatenate([np.stack(c) for c in columns], axis=1)


@pytest.mark.parametrize(("simulated", "driver"), POTENTIOSTATS)
@pytest.mark.long
def test_records_do_not_depend_on_the_polls_while_the_temperature_moves(simulated, driver):
    random = np.random.default_rng(0).uniform(0.0, 3600.0, 60).tolist()
    seldom, often = warmed([], simulated, driver), warmed(random, simulated, driver)
    assert often[2].tobytes() == seldom[2].tobytes()
    assert often[0].snapshot(3600.0) == seldom[0].snapshot(3600.0)


@pytest.mark.parametrize(("simulated", "driver"), POTENTIOSTATS)
@pytest.mark.long
def test_the_bulk_resistance_follows_the_cells_temperature(simulated, driver):
    """sigma(T) = sigma_30 exp[-0.42 eV / k (1/T - 1/303.15 K)], physics B3."""
    _, oven, (t_s, _, voltage_v) = warmed([], simulated, driver, noise_factor=0.0)
    celsius = oven.course.cell(t_s)
    arrhenius = np.exp(0.42 / 8.617333e-5 * (1 / (celsius + 273.15) - 1 / 303.15))
    ohm_cm2 = 1e3 * voltage_v / CURRENT_MA * np.pi * 0.1**2
    interface = ohm_cm2 - 120.0 * arrhenius
    assert celsius[0] == pytest.approx(25.0)
    assert celsius[-1] == pytest.approx(60.0, abs=0.1)
    # 5 to 6 ohm cm2 at the interface; the staircase of 10 s is at most 0.8 C behind the ramp
    assert np.all((interface > 4.9) & (interface < 6.0 + 0.05 * 120.0 * arrhenius))
    still = t_s > 3000.0
    assert interface[still] == pytest.approx(5.0, abs=1.0)
