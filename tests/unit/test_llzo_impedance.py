"""Impedance of the cell against the fixture and through its life."""

from __future__ import annotations

import numpy as np
import pytest

from sim.samples.impedance import (
    CellResistances,
    impedance_ohm,
    llzo_resistances,
    with_noise,
)
from sim.samples.llzo_cell import LlzoCell


def test_pristine_small_cell():
    cell = LlzoCell.from_preset("small_4p8")
    found = impedance_ohm(np.array([1.0, 1e3, 1e4, 7e6]), llzo_resistances(cell, 0.0))
    expected = [3896.15 - 8.31j, 2373.88 - 1223.21j, 950.63 - 404.45j, 107.05 - 234.42j]
    assert found == pytest.approx(np.array(expected), abs=0.008)


def test_interface_grows_with_contact_loss():
    cell = LlzoCell.from_preset("small_4p8")
    cell.apply_current(0.0, 0.1 * cell.area_cm2)
    fresh, used = (llzo_resistances(cell, t_s) for t_s in (0.0, 86_400.0))
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
