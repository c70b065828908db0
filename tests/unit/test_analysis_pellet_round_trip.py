"""A simulated LLZTO pellet from its spectra, curves and maps back to what it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orchestrator.analysis.impedance import fit_two_arc
from orchestrator.analysis.kramers_kronig import kramers_kronig
from orchestrator.analysis.transport import (
    critical_current,
    ebic_diameter_um,
    electronic_conductivity_s_per_cm,
    ohmic_resistance_ohm,
    wire_diameter_nm,
)
from sim.images import ebic
from sim.samples.impedance import impedance_ohm, with_noise
from sim.samples.llzto_parameters import LlztoParameters
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.llzto_transients import dendrite_current_ma, step_potential_current_a

SWEEP_HZ = np.geomspace(7e6, 0.5, 73)
NOMINAL = LlztoParameters()


def plated(preset: str, *, ma_per_cm2: float, seed: int = 1) -> LlztoPellet:
    cell = LlztoPellet.from_preset(preset, seed=seed)
    cell.apply_current(0.0, ma_per_cm2 * cell.area_cm2)
    return cell


def after_s(mah_per_cm2: float, *, ma_per_cm2: float) -> float:
    return mah_per_cm2 / ma_per_cm2 * 3600.0


def test_spectra_while_plating_tell_the_interface_the_bulk_and_the_short():
    cell = plated("lithiophobic", ma_per_cm2=0.5)
    states, bulk = [], []
    for index, passed in enumerate((0.0, 0.02, 0.06, 0.2, 0.5, 0.75, 1.3)):
        truth = cell.resistances(after_s(passed, ma_per_cm2=0.5))
        spectrum = with_noise(impedance_ohm(SWEEP_HZ, truth), seed=1, spectrum_index=index)
        assert kramers_kronig(SWEEP_HZ, spectrum).passed
        fit = fit_two_arc(SWEEP_HZ, spectrum, area_cm2=cell.area_cm2, electrolyte_ohm_cm2=120.0)
        states.append(fit.state)
        if fit.state == "short":
            assert fit.low_frequency_ohm_cm2 / cell.area_cm2 == pytest.approx(486, rel=0.03)
            continue
        bulk.append(fit.bulk.ohm_cm2)
        for arc, expected in (
            (fit.bulk, truth.bulk_ohm_cm2),
            (fit.interface, truth.interface_ohm_cm2),
        ):
            assert arc.ohm_cm2 == pytest.approx(expected, rel=0.005)
            assert abs(arc.ohm_cm2 - expected) < 4.5 * arc.error_ohm_cm2
    assert states == ["cell"] * 6 + ["short"]
    assert bulk[-1] < bulk[0] - 10


def test_largest_spallation_at_the_short_from_its_map():
    cell = plated("lithiophobic", ma_per_cm2=0.5)
    largest = max(cell.spallations(after_s(1.3, ma_per_cm2=0.5)), key=lambda each: each.diameter_um)
    assert largest.diameter_um > 14
    across_um = np.arange(-largest.diameter_um, largest.diameter_um)
    clean = ebic.ebic_map_na([largest], largest.x_um + across_um, largest.y_um + across_um)
    found = ebic_diameter_um(ebic.with_noise(clean, seed=1, frame_index=0), pixel_um=1.0)
    assert found.quality == "ok"
    assert found.value == pytest.approx(largest.diameter_um, rel=0.01)
    assert abs(found.value - largest.diameter_um) < 3 * found.error


def test_wire_behind_the_short():
    sweep_v = np.linspace(-0.01, 0.01, 41)
    current_ma = dendrite_current_ma(sweep_v, NOMINAL)
    current_ma += 0.003 * current_ma.max() * np.random.default_rng(0).standard_normal(41)
    resistance = ohmic_resistance_ohm(sweep_v, current_ma)
    assert abs(resistance.value - 440.0) < 4 * resistance.error < 8
    wire = wire_diameter_nm(resistance, length_cm=NOMINAL.thickness_cm)
    assert wire.value == pytest.approx(567.6, abs=1.5)


def test_electronic_conductivity_between_blocking_electrodes():
    time_s = np.geomspace(1.0, 3600.0, 60)
    current_a = step_potential_current_a(time_s, 0.5, NOMINAL)
    current_a *= 1 + 0.01 * np.random.default_rng(0).standard_normal(60)
    found = electronic_conductivity_s_per_cm(
        time_s,
        current_a,
        step_v=0.5,
        area_cm2=NOMINAL.area_cm2,
        thickness_cm=NOMINAL.thickness_cm,
    )
    assert found.quality == "ok"
    assert found.value == pytest.approx(NOMINAL.electronic_s_per_cm, rel=0.01)


def test_critical_current_of_lithiophilic_pellets():
    """1 mAh/cm2 each; the paper saw craters at 5 mA/cm2 and none at 0.5 and 2.5 mA/cm2."""
    current = np.repeat([0.5, 2.5, 5.0], 2)
    spalled = [
        bool(
            plated("lithiophilic", ma_per_cm2=each, seed=seed).spallations(
                after_s(1.0, ma_per_cm2=each)
            )
        )
        for seed, each in enumerate(current)
    ]
    found = critical_current(current, np.array(spalled))
    assert (found.lower_ma_per_cm2, found.upper_ma_per_cm2) == (2.5, 5.0)
    assert found.error_ma_per_cm2 == pytest.approx(2.5 / math.sqrt(12))
