"""Activation energies from resistances at several temperatures."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.activation import BOLTZMANN_EV_PER_K, activation_energy
from orchestrator.analysis.cycles import Records

CELSIUS = np.array([0.0, 20.0, 25.0, 40.0, 60.0])


def resistance(ev, celsius=CELSIUS):
    return 120.0 * np.exp(ev / BOLTZMANN_EV_PER_K * (1 / (celsius + 273.15) - 1 / 303.15))


@pytest.mark.parametrize("ev", [0.1, 0.42, 0.9])
def test_the_slope_is_found_with_and_without_errors(ev):
    ohm = resistance(ev)
    for errors in (0.01 * ohm, np.full(5, np.nan)):
        found = activation_energy(CELSIUS, ohm, errors)
        assert found.quality == "ok"
        assert found.value == pytest.approx(ev, abs=1e-9)


def test_its_error_is_the_scatter_of_repeated_measurements():
    rng = np.random.default_rng(0)
    ohm = resistance(0.42)
    found = [
        activation_energy(CELSIUS, ohm * (1 + 0.02 * rng.standard_normal(5)), 0.02 * ohm)
        for _ in range(400)
    ]
    values = np.array([one.value for one in found])
    errors = np.array([one.error for one in found])
    assert values.mean() == pytest.approx(0.42, abs=3 * values.std() / 20)
    assert errors.mean() == pytest.approx(values.std(), rel=0.35)


@pytest.mark.parametrize("celsius", [[20.0, 40.0], [20.0, 21.0, 22.0], [20.0, 20.0, 20.0]])
def test_too_few_or_too_close_temperatures_give_none(celsius):
    found = activation_energy(celsius, resistance(0.42, np.array(celsius)), np.ones(len(celsius)))
    assert np.isnan(found.value)
    assert "expected 3 over 10 K" in found.quality


def test_records_of_the_blocks_belong_to_no_cycle():
    rows = np.arange(6.0)
    records = Records(rows, rows, rows, rows, rows, np.array([0, 1, 1, 2, 2, 0]))
    assert list(records.of_cycles().cycle) == [1, 1, 2, 2]
    assert list(records.of_cycles().time_s) == [1, 2, 3, 4]
    free = Records(rows, rows, rows, rows, rows, np.zeros(6, int))
    assert free.of_cycles() is free
