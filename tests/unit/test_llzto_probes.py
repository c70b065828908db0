"""What else is measured on a pellet: spectra, leakage, currents under an electron beam; limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sim.errors import SimulationError
from sim.images.ebic import ebic_map_na, with_noise
from sim.samples.impedance import impedance_ohm
from sim.samples.llzto_parameters import LlztoParameters, find_preset
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.llzto_pores import Spallation
from sim.samples.llzto_transients import (
    dendrite_current_ma,
    step_potential_current_a,
    wire_diameter_um,
)

NOMINAL = LlztoParameters()


def crater(diameter_um: float, stage: str = "connected", x_um: float = 0.0) -> Spallation:
    return Spallation("B", x_um, 0.0, diameter_um, stage, "none", 0.01)


def test_spectrum_of_the_pristine_pellet():
    cell = LlztoPellet.from_preset("lithiophobic")
    pristine = cell.resistances(0.0)
    low, high = impedance_ohm(np.array([1e-4, 5e4]), pristine)
    assert low.real * cell.area_cm2 == pytest.approx(2120.0, rel=0.001)
    assert high.real * cell.area_cm2 == pytest.approx(140.0, abs=20.0)


def test_temperature_moves_the_bulk_only():
    cell = LlztoPellet.from_preset("lithiophobic")
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    cell.set_temperature(1.0, 60.0)
    cold, warm = cell.resistances(0.5), cell.resistances(1.0)
    factor = math.exp(-0.42 / 8.617333e-5 * (1.0 / 333.15 - 1.0 / 303.15))
    assert cold.bulk_ohm_cm2 / warm.bulk_ohm_cm2 == pytest.approx(factor, rel=1e-6)
    assert warm.interface_ohm_cm2 == pytest.approx(cold.interface_ohm_cm2, rel=0.01)
    assert cell.snapshot(1.0)["temperature_celsius"] == 60.0
    other = LlztoPellet.from_preset("lithiophobic", temperature_celsius=60.0)
    assert other.resistances(0.0).bulk_ohm_cm2 == warm.bulk_ohm_cm2


def test_forced_voltage_drives_what_the_resistance_lets_through():
    cell = LlztoPellet.from_preset("lithiophilic")
    cell.apply_voltage(0.0, 0.05)
    first = cell.terminals(np.zeros(1))
    assert first.voltage_v[0] == 0.05
    assert first.current_ma[0] == pytest.approx(50.0 / (126.0 / cell.area_cm2), rel=1e-12)


def with_thin_metal(name: str, metal_um: float) -> LlztoPellet:
    preset = find_preset(name)
    return LlztoPellet(
        replace(preset, parameters=replace(preset.parameters, metal_um=metal_um)), seed=1
    )


def test_used_up_electrode_passes_no_current():
    cell = with_thin_metal("lithiophilic", 10.0)
    cell.apply_current(0.0, 4.0 * cell.area_cm2)
    last_s = 10.0 / 4.839 / 4.0 * 3600.0
    found = cell.terminals(np.array([last_s - 1.0, last_s + 1.0, last_s + 1e6]))
    assert found.voltage_v[0] < 1.0
    assert found.voltage_v[1:].tolist() == [math.inf, math.inf]
    assert found.current_ma[1:].tolist() == [0.0, 0.0]
    assert cell.charge_mah(last_s + 1e6)[0] == pytest.approx(10.0 / 4.839 * cell.area_cm2)
    cell.apply_voltage(last_s + 2e6, 1.0)
    assert cell.terminals(np.array([last_s + 3e6])).current_ma[0] == 0.0
    cell.apply_current(last_s + 4e6, -4.0 * cell.area_cm2)
    assert -1.0 < cell.terminals(np.array([last_s + 4e6 + 1.0])).voltage_v[0] < 0.0


def test_used_up_electrode_beside_a_short():
    cell = with_thin_metal("lithiophobic", 5.0)
    applied_ma = 0.5 * cell.area_cm2
    cell.apply_current(0.0, applied_ma)
    found = cell.terminals(np.array([1e9]))
    assert cell.short_time_s(1e9) is not None
    assert found.current_ma[0] == pytest.approx(applied_ma, rel=1e-12)
    assert found.voltage_v[0] == pytest.approx(1e-3 * 499.0 * applied_ma, rel=1e-12)
    cell.apply_voltage(1.1e9, 0.1)
    assert cell.terminals(np.array([1.1e9])).current_ma[0] == pytest.approx(100.0 / 499.0)


def test_dense_pellet_never_spalls():
    cell = LlztoPellet.from_preset("lithiophobic", relative_density=1.0)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    assert cell.spallations(20_000.0) == []
    assert cell.short_time_s(20_000.0) is None
    assert cell.describe()["parameters"]["relative_density"]["source"] == "chosen for this sample"


def test_step_potential_leaves_the_electronic_leakage():
    for end_s, excess in ((3600.0, 0.0), (600.0, 0.045)):
        times_s = np.geomspace(1.0, end_s, 60)
        current_a = step_potential_current_a(times_s, 0.5, NOMINAL)
        leak = current_a[-10:].mean() / 0.5 * 0.12 / (math.pi * 0.01)
        assert leak == pytest.approx(1e-8 * (1.0 + excess), rel=0.003)
    assert step_potential_current_a(np.array([1e6]), 1.0, NOMINAL)[0] == pytest.approx(
        2.618e-9, rel=1e-3
    )


def test_dendrite_is_ohmic_and_half_a_micrometre_wide():
    voltages_v = np.linspace(-0.02, 0.02, 41)
    noise = 1.0 + 0.01 * np.random.default_rng(0).standard_normal(41)
    slope = np.polyfit(voltages_v, dendrite_current_ma(voltages_v, NOMINAL) * noise, 1)[0]
    assert 1e3 / slope == pytest.approx(440.0, rel=0.02)
    assert wire_diameter_um(440.0, NOMINAL) == pytest.approx(0.5676, rel=1e-3)
    assert wire_diameter_um(487.0, NOMINAL) == pytest.approx(0.540, rel=1e-3)


def test_diameter_lies_at_half_the_contrast():
    axis_um = np.linspace(-80.0, 80.0, 1601)
    image = ebic_map_na([crater(100.0)], axis_um, axis_um)
    line = image[800]
    assert line.min() == pytest.approx(-0.55, rel=1e-6)
    inside = axis_um[line < 0.5 * line.min()]
    assert np.ptp(inside) == pytest.approx(100.0, abs=0.2)
    assert image[0, 0] == pytest.approx(0.0, abs=1e-12)


def test_isolated_spallations_stay_dark_to_the_probe():
    axis_um = np.arange(-100.0, 100.0)
    pair = [crater(10.0, "isolated", x_um=-50.0), crater(40.0, "developed", x_um=50.0)]
    image = ebic_map_na(pair, axis_um, axis_um, beam_na=2.0)
    assert image[100, 50] == 0.0
    assert image[100, 150] == pytest.approx(-1.1, rel=1e-6)
    twice = ebic_map_na([*pair, pair[1]], axis_um, axis_um, beam_na=2.0)
    assert np.array_equal(image, twice)
    assert np.array_equal(ebic_map_na([], axis_um, axis_um), np.zeros((200, 200)))


def test_noise_of_a_map_is_the_frames_own():
    blank = np.zeros((200, 300))
    first, again, other = (with_noise(blank, seed=1, frame_index=k) for k in (2, 2, 3))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.std(first) == pytest.approx(0.03, rel=0.02)


def test_refusals():
    cell = LlztoPellet.from_preset("limg")
    cell.apply_current(10.0, 0.01)
    with pytest.raises(SimulationError, match=r"not before 10\.0 s"):
        cell.apply_current(5.0, 0.0)
    with pytest.raises(SimulationError, match="finite numbers"):
        cell.apply_voltage(20.0, math.nan)
    with pytest.raises(SimulationError, match="from 0 s on"):
        cell.snapshot(-1.0)
    with pytest.raises(SimulationError, match="descend"):
        cell.terminals(np.array([2.0, 1.0]))
    with pytest.raises(SimulationError, match="temperature"):
        cell.set_temperature(20.0, -300.0)
    with pytest.raises(SimulationError, match="lithiophobic, lithiophilic, limg"):
        LlztoPellet.from_preset("llzo")
    with pytest.raises(SimulationError, match="relative density, got 97"):
        LlztoPellet.from_preset("limg", relative_density=97.0)
    with pytest.raises(SimulationError, match="columns"):
        ebic_map_na([], np.array([1.0, 0.0]), np.arange(3.0))
    assert cell.terminals(np.array([])).voltage_v.size == 0
