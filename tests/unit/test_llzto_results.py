"""What the pellet must give beside the paper: figures over twenty seeds, with tolerances."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from sim.samples.impedance import impedance_ohm
from sim.samples.llzto_parameters import SINTERED_DENSITY
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.llzto_transients import wire_diameter_um

pytestmark = pytest.mark.long

SEEDS = range(20)


def plated(name: str, density_ma_per_cm2: float, seed: int, **options: float) -> LlztoPellet:
    cell = LlztoPellet.from_preset(name, seed=seed, **options)
    cell.apply_current(0.0, density_ma_per_cm2 * cell.area_cm2)
    return cell


def at(charge_mah_per_cm2: float, density_ma_per_cm2: float) -> float:
    """Time at which a charge has passed, s; a microsecond late, so that its step is over."""
    return 3600.0 * charge_mah_per_cm2 / density_ma_per_cm2 + 1e-6


@lru_cache
def shorted(seed: int) -> tuple[LlztoPellet, float]:
    """A lithiophobic cell plated at 0.5 mA/cm2, and the time of its short."""
    cell = plated("lithiophobic", 0.5, seed)
    short_s = cell.short_time_s(at(1.4, 0.5))
    assert short_s is not None
    return cell, short_s


@pytest.mark.parametrize(
    ("charge_mah_per_cm2", "expected_ohm_cm2"), [(0.0, 2000), (0.02, 1052), (0.06, 575), (0.2, 500)]
)
def test_interface_wets_soon_after_plating_starts(charge_mah_per_cm2, expected_ohm_cm2):
    cell = plated("lithiophobic", 0.5, seed=0)
    found = cell.snapshot(3600.0 * charge_mah_per_cm2 / 0.5)["interface_ohm_cm2"]
    assert found == pytest.approx(expected_ohm_cm2, abs=0.5)


def test_voltage_falls_as_the_resistances_imply():
    cell, _ = shorted(0)
    assert cell.terminals(np.zeros(1)).voltage_v[0] == pytest.approx(1.06, rel=1e-12)
    times_s = np.linspace(at(0.2, 0.5), at(0.3, 0.5), 400)
    mean_v = cell.terminals(times_s).voltage_v.mean()
    assert mean_v == pytest.approx(0.5e-3 * (500.0 + 105.0), rel=0.03)


def test_bulk_falls_gradually_and_the_short_is_sudden():
    for seed in SEEDS:
        cell, short_s = shorted(seed)
        before, after = cell.resistances(short_s - 0.01), cell.resistances(short_s)
        assert cell.resistances(0.0).bulk_ohm_cm2 == pytest.approx(120.0)
        assert before.bulk_ohm_cm2 == pytest.approx(66.0, abs=0.01)
        low_hz = np.array([1e-3])
        assert impedance_ohm(low_hz, before)[0].real == pytest.approx(18_000.0, rel=0.005)
        assert impedance_ohm(low_hz, after)[0].real == pytest.approx(485.6, rel=0.002)


def test_bulk_resistance_only_falls():
    cell, short_s = shorted(1)
    bulk = [cell.resistances(t_s).bulk_ohm_cm2 for t_s in np.linspace(0.0, short_s, 60)]
    assert (np.diff(bulk) <= 1e-12).all()
    assert np.ptp(bulk) == pytest.approx(54.0, abs=0.01)
    assert np.abs(np.diff(bulk)).max() < 2.0


def test_charge_of_the_short():
    charges = [0.5 * shorted(seed)[1] / 3600.0 for seed in SEEDS]
    assert np.mean(charges) == pytest.approx(0.89, abs=0.03)
    assert np.std(charges) == pytest.approx(0.06, abs=0.025)


def test_lithiophilic_below_the_critical_current():
    for density in (0.5, 2.5):
        for seed in SEEDS[:: 1 if density == 2.5 else 4]:
            cell = plated("lithiophilic", density, seed)
            assert cell.spallations(at(1.0, density)) == []
            assert cell.short_time_s(at(1.0, density)) is None


def test_lithiophilic_above_the_critical_current():
    counts, lengths, radii = [], [], []
    for seed in SEEDS:
        cell = plated("lithiophilic", 5.0, seed)
        end_s = at(1.0, 5.0)
        assert cell.short_time_s(end_s) is None
        craters = cell.spallations(end_s)
        counts.append(len(craters))
        radii += [np.hypot(each.x_um, each.y_um) / 1000.0 for each in craters]
        lengths.append(cell.snapshot(end_s)["dendrites"][1])
    assert min(counts) >= 1
    assert np.mean(counts) == pytest.approx(8.8, abs=1.5)
    assert np.mean(lengths) == pytest.approx(0.39, abs=0.05)
    assert min(radii) >= 0.88


def test_lithiophobic_spalls_everywhere_by_the_short():
    pores, diameters = [], []
    for seed in SEEDS:
        cell, short_s = shorted(seed)
        craters = cell.spallations(short_s)
        assert len(craters) >= cell.snapshot(0.0)["pores"][1] - 1
        assert {each.face for each in craters} == {"B"}
        assert {each.magnesium for each in craters} == {"none"}
        pores.append(cell.snapshot(0.0)["pores"][1])
        diameters += [each.diameter_um for each in craters]
    assert np.mean(pores) == pytest.approx(126.0, abs=6.0)
    assert 5.0 < min(diameters) < 20.0
    assert max(diameters) == 100.0


def test_early_spallations_carry_no_magnesium():
    largest, positive, left = [], [], 0
    for seed in range(40):
        cell = plated("limg", 0.5, seed)
        craters = cell.spallations(at(0.01, 0.5))
        left += cell.snapshot(0.0)["pores"][1] - len(craters)
        largest.append(max(each.diameter_um for each in craters))
        positive.append(sum(each.magnesium != "none" for each in craters))
        assert cell.short_time_s(at(0.01, 0.5)) is None
    assert left <= 4  # of some 5000 pores
    assert np.median(largest) == pytest.approx(11.0, abs=1.5)
    assert np.mean(positive) == pytest.approx(0.4, abs=0.3)
    assert np.mean(np.equal(positive, 0)) == pytest.approx(0.66, abs=0.2)


def test_developed_spallations_carry_much_magnesium():
    cell = plated("limg", 0.5, seed=3)
    craters = cell.spallations(at(0.6, 0.5))
    assert {each.magnesium for each in craters} == {"none", "present", "strong"}
    for each in craters:
        is_expected = {
            "none": each.diameter_um < 12.0,
            "present": 12.0 <= each.diameter_um <= 35.0,
            "strong": each.diameter_um > 35.0,
        }
        assert is_expected[each.magnesium]


def test_dendrite_and_cell_after_the_short():
    """The dendrite's 440 ohm with its leads, and the wire that it implies."""
    cell, short_s = shorted(2)
    voltages_v, currents_ma = np.linspace(0.01, 0.1, 10), []
    fork = plated("lithiophobic", 0.5, seed=2)
    for k, voltage_v in enumerate(voltages_v):
        t_s = short_s + 1.0 + k
        fork.apply_voltage(t_s, float(voltage_v))
        currents_ma.append(fork.terminals(np.array([t_s])).current_ma[0])
    slope_ohm = 1e3 / np.polyfit(voltages_v, currents_ma, 1)[0]
    assert slope_ohm == pytest.approx(485.6, rel=0.005)
    ion_ohm = sum(
        (fork.resistances(short_s + 12.0).bulk_ohm_cm2, cell.resistances(short_s).interface_ohm_cm2)
    )
    parallel = 1.0 / (1.0 / slope_ohm - cell.area_cm2 / ion_ohm)
    assert parallel - 59.0 == pytest.approx(440.0, rel=0.02)
    diameter_um = wire_diameter_um(parallel - 59.0, cell._parameters)
    assert diameter_um == pytest.approx(0.567, rel=0.02)


def test_denser_pellets_have_fewer_pores():
    counts = [
        np.mean(
            [
                len(
                    plated("lithiophobic", 0.5, seed, relative_density=density).spallations(
                        at(0.05, 0.5)
                    )
                )
                for seed in SEEDS
            ]
        )
        for density in SINTERED_DENSITY.values()
    ]
    expected = [40.0 * np.pi * (1.0 - density) / 0.03 for density in SINTERED_DENSITY.values()]
    assert counts == pytest.approx(expected, rel=0.06)
