"""Impedance of every sample: against the fixture, through its life, and in its limit of 0 Hz."""

from __future__ import annotations

import numpy as np
import pytest

from sim.samples.impedance import CellResistances, impedance_ohm, with_noise
from sim.samples.linear_cell import LinearCell
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.void_cell import VoidCell

SAMPLES = {
    "linear": lambda: LinearCell(0.0, 321.0, area_cm2=0.5),
    "llzo": lambda: LlzoCell.from_preset("insitu_8p9"),
    "void": lambda: VoidCell.from_preset("limg_lpscl", seed=3),
    "llzto": lambda: LlztoPellet.from_preset("lithiophilic", seed=3, temperature_celsius=45.0),
}


def test_pristine_small_cell():
    cell = LlzoCell.from_preset("small_4p8")
    found = impedance_ohm(np.array([1.0, 1e3, 1e4, 7e6]), cell.resistances(0.0))
    expected = [3896.15 - 8.31j, 2373.88 - 1223.21j, 950.63 - 404.45j, 107.05 - 234.42j]
    assert found == pytest.approx(np.array(expected), abs=0.008)


@pytest.mark.parametrize("name", SAMPLES)
def test_slowly_a_sample_is_the_resistance_that_its_terminals_show(name):
    sample = SAMPLES[name]()
    current_ma = 0.3 * sample.area_cm2
    rest_v = sample.terminals(np.zeros(1)).voltage_v[0]
    sample.apply_current(0.0, current_ma)
    for t_s in (0.0, 1800.0):
        seen_ohm = 1e3 * (sample.terminals(np.array([t_s])).voltage_v[0] - rest_v) / current_ma
        slowly = impedance_ohm(np.array([1e-9]), sample.resistances(t_s))[0]
        assert slowly.real == pytest.approx(seen_ohm, rel=1e-5)
        assert abs(slowly.imag) < 1e-5 * seen_ohm


def test_interface_grows_with_contact_loss():
    cell = LlzoCell.from_preset("small_4p8")
    cell.apply_current(0.0, 0.1 * cell.area_cm2)
    fresh, used = (cell.resistances(t_s) for t_s in (0.0, 86_400.0))
    assert used.interface_ohm_cm2 > fresh.interface_ohm_cm2 + 30.0
    voltage_v = cell.terminals(np.array([86_400.0])).voltage_v[0]
    total_ohm_cm2 = used.bulk_ohm_cm2 + used.interface_ohm_cm2
    assert voltage_v == pytest.approx(1e-4 * total_ohm_cm2, rel=1e-9)


def test_a_short_shows_at_low_frequency():
    shorted = CellResistances(80.0, 1200.0, 0.1257, short_ohm=20.0)
    low = impedance_ohm(np.array([1e-3]), shorted)[0]
    assert low.real == pytest.approx(20.0, rel=0.003)
    inductive = impedance_ohm(np.array([1e9]), shorted)[0]
    assert inductive.imag == pytest.approx(2 * np.pi * 1e9 * 0.2e-6, rel=0.01)


def test_noise_is_the_spectrums_own():
    clean = impedance_ohm(np.logspace(0, 6, 4000), CellResistances(100.0, 390.0, 0.1257))
    first, again, other = (with_noise(clean, seed=1, spectrum_index=k) for k in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    relative = first / clean - 1.0
    assert np.std(relative) == pytest.approx(0.003, rel=0.05)
