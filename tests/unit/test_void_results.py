"""Voids reproduce the published and calibrated results: medians and means over 40 seeds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from sim.samples.void_cell import VoidCell

pytestmark = pytest.mark.long

SEEDS = range(40)
FEWER = range(20)
MORE = range(100)
OPERANDO = None
"""The preset's pressure, 0.2 MPa."""
FLAT = range(3)
"""Where no void opens, every seed gives the same."""
IMAGE_MAH_PER_CM2 = 0.125


def after_s(charge_mah_per_cm2, density=0.5):
    return charge_mah_per_cm2 / density * 3600.0


@cache
def stripping(name, seed, pressure_mpa=None, density=0.5):
    """A cell that is stripped from 0 s on, mA/cm2."""
    cell = VoidCell.from_preset(name, seed=seed, stack_pressure_mpa=pressure_mpa)
    cell.apply_current(0.0, density * cell.area_cm2)
    return cell


@cache
def plating_after(name, seed, stripped):
    """A cell that is plated at 0.5 mA/cm2 after it was stripped."""
    cell = VoidCell.from_preset(name, seed=seed)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    cell.apply_current(after_s(stripped), -0.5 * cell.area_cm2)
    return cell


def geometries(name, charge, seeds=SEEDS):
    return [stripping(name, seed).geometry(after_s(charge)) for seed in seeds]


def losses(name, charge):
    return np.array([geometry.contact_loss for geometry in geometries(name, charge)])


def overpotential_mv(cell, charge, density=0.5):
    at = cell.terminals(np.array([after_s(charge, density)]))
    return 1e3 * (float(at.voltage_v[0]) + 0.623)


def median_mv(name, charge, pressure_mpa=None, density=0.5, seeds=FEWER):
    cells = [stripping(name, seed, pressure_mpa, density) for seed in seeds]
    return float(np.median([overpotential_mv(cell, charge, density) for cell in cells]))


def first_reached(name, loss, until):
    """Charge at which each seed first loses so much contact; infinite if it does not."""
    reached = []
    for seed in SEEDS:
        charges = np.arange(0.5, until, 0.02)
        cell = stripping(name, seed)
        hit = (q for q in charges if cell.geometry(after_s(q)).contact_loss >= loss)
        reached.append(next(hit, np.inf))
    return np.array(reached)


def test_first_voids_of_lithium():
    first = geometries("li_lpscl", IMAGE_MAH_PER_CM2)
    widths = np.concatenate([geometry.width_um for geometry in first])
    assert np.mean([g.voids_per_100_um for g in first]) == pytest.approx(16.9, abs=1.0)
    assert widths.mean() == pytest.approx(2.19, abs=0.2)
    assert widths.std() == pytest.approx(1.39, abs=0.2)


@pytest.mark.parametrize(
    ("charge", "loss"),
    [(0.125, 0.37), (0.25, 0.51), (0.5, 0.70), (0.75, 0.84), (1.0, 0.93), (1.25, 0.99)],
)
def test_lithium_loses_contact(charge, loss):
    assert np.median(losses("li_lpscl", charge)) == pytest.approx(loss, abs=0.02)


def test_lithium_loses_90_percent_and_then_all():
    assert np.median(first_reached("li_lpscl", 0.90, 1.6)) == pytest.approx(0.93, abs=0.15)
    gap = first_reached("li_lpscl", 0.985, 1.52)
    assert np.median(gap) == pytest.approx(1.24, abs=0.15)
    assert 0.05 <= np.isinf(gap).mean() <= 0.40  # some keep a last ligament


def test_overpotential_of_lithium_diverges():
    assert median_mv("li_lpscl", IMAGE_MAH_PER_CM2) == pytest.approx(23.0, abs=1.0)
    assert 70.0 < median_mv("li_lpscl", 1.0) < 170.0
    late = [overpotential_mv(stripping("li_lpscl", seed), 1.25) for seed in SEEDS]
    assert 150.0 < np.median(late) < 450.0
    assert np.percentile(late, 95) > 600.0


def test_overpotential_fluctuates_after_delamination():
    cell = stripping("li_lpscl", 0)
    times_s = np.array([after_s(q) for q in np.arange(3.0, 3.5, 0.01)])
    steps = np.diff(cell.terminals(times_s).voltage_v)
    assert (steps > 0).any()
    assert (steps < 0).any()


def test_voids_of_lithium_coalesce():
    charges = (0.125, 0.25, 0.5, 1.0, 1.25)
    frames = [geometries("li_lpscl", charge) for charge in charges]
    numbers = [np.mean([g.voids_per_100_um for g in frame]) for frame in frames]
    assert numbers == pytest.approx([16.9, 14.4, 9.4, 3.1, 1.2], abs=1.0)
    widths = [np.mean([g.width_um.max() for g in frame]) for frame in frames]
    heights = [np.mean([g.height_um.max() for g in frame]) for frame in frames]
    assert (np.diff(widths) > 0).all()
    assert (np.diff(heights) > 0).all()


def test_first_voids_of_the_alloy():
    first = geometries("limg_lpscl", IMAGE_MAH_PER_CM2)
    widths = np.concatenate([geometry.width_um for geometry in first])
    assert np.mean([g.voids_per_100_um for g in first]) == pytest.approx(2.5, abs=0.3)
    assert widths.mean() == pytest.approx(3.86, abs=0.3)
    assert widths.std() == pytest.approx(0.72, abs=0.3)


@cache
def alloy_frames():
    """Largest width and height of every frame up to 3 mAh/cm2, of 100 seeds: they scatter."""
    charges = np.arange(1, 25) * IMAGE_MAH_PER_CM2
    frames = [geometries("limg_lpscl", charge, MORE) for charge in charges]
    widths = np.array([[g.width_um.max() for g in frame] for frame in frames])
    heights = np.array([[g.height_um.max() for g in frame] for frame in frames])
    return widths, heights


def test_voids_of_the_alloy_split_and_collapse():
    widths, heights = alloy_frames()
    assert np.median(widths.max(axis=0)) == pytest.approx(22.0, abs=1.0)
    width_drops = (widths[1:] <= 0.88 * widths[:-1]).sum(axis=0)
    height_drops = (heights[1:] <= 0.92 * heights[:-1]).sum(axis=0)
    assert width_drops.mean() == pytest.approx(3.0, abs=1.0)
    assert height_drops.mean() == pytest.approx(3.0, abs=1.0)


def test_number_of_voids_of_the_alloy_rises():
    numbers = [
        np.mean([g.voids_per_100_um for g in geometries("limg_lpscl", charge)])
        for charge in (0.125, 1.0, 2.0, 3.0)
    ]
    assert (np.diff(numbers) > 0).all()
    assert numbers[-1] == pytest.approx(5.6, abs=0.6)


@pytest.mark.parametrize(
    ("charge", "loss", "size_mv"),
    [
        (0.125, 0.10, 18),
        (1.0, 0.44, 25),
        (2.0, 0.57, 30),
        (3.0, 0.78, 52),
        (3.5, 0.82, 62),
        (4.0, 0.86, 70),
    ],
)
def test_the_alloy_keeps_contact(charge, loss, size_mv):
    assert np.median(losses("limg_lpscl", charge)) == pytest.approx(loss, abs=0.03)
    cells = [stripping("limg_lpscl", seed) for seed in SEEDS]
    medians = np.median([overpotential_mv(cell, charge) for cell in cells])
    assert medians == pytest.approx(size_mv, rel=0.15)


def test_most_alloy_is_below_90_percent_at_3_mah():
    assert 0.75 <= (losses("limg_lpscl", 3.0) < 0.90).mean() <= 0.97


def test_pressure_keeps_lithium_flat():
    for pressure_mpa in (1.5, 7.0):
        for charge in (1.0, 4.0):
            size_mv = median_mv("li_lpscl", charge, pressure_mpa, seeds=FLAT)
            assert size_mv == pytest.approx(17.15, abs=0.01)
    for pressure_mpa in (OPERANDO, 1.0):
        assert 60.0 < median_mv("li_lpscl", 1.0, pressure_mpa) < 180.0


def test_pressure_and_rate_of_the_alloy():
    for pressure_mpa in (OPERANDO, 1.0):
        assert median_mv("limg_lpscl", 4.0, pressure_mpa) == pytest.approx(72.0, rel=0.15)
    for pressure_mpa in (14.0, 50.0):
        size_mv = median_mv("limg_lpscl", 4.0, pressure_mpa, seeds=FLAT)
        assert size_mv == pytest.approx(17.15, abs=0.01)
    slow_mv = median_mv("limg_lpscl", 4.0, 1.0, density=0.05, seeds=FLAT)
    assert slow_mv == pytest.approx(1.715, abs=0.01)


def test_lithium_shorts_when_plated_after_delamination():
    begun_s = after_s(1.25)
    shorts = [
        plating_after("li_lpscl", seed, 1.25).short_time_s(begun_s + after_s(1.5)) for seed in SEEDS
    ]
    found_s = np.array([short_s for short_s in shorts if short_s is not None])
    assert len(found_s) >= 36
    plated = (found_s - begun_s) * 0.5 / 3600.0
    assert plated.mean() == pytest.approx(1.0, abs=0.1)
    assert plated.std() == pytest.approx(0.07, abs=0.03)


def test_filaments_of_lithium():
    ended_s = after_s(1.5) + after_s(1.2)
    cells = [plating_after("li_lpscl", seed, 1.5) for seed in SEEDS]
    frames = [cell.geometry(ended_s) for cell in cells]
    assert {len(frame.filament_places_um) for frame in frames} == {10}
    diameters = np.concatenate([frame.filament_diameters_um for frame in frames])
    assert diameters.mean() == pytest.approx(1.1, abs=0.05)
    assert diameters.std() == pytest.approx(0.4, abs=0.05)
    charges = [cell.snapshot(ended_s)["filament_charge_mah_per_cm2"] for cell in cells]
    assert np.median(charges) == pytest.approx(0.24, abs=0.03)


def test_no_short_after_little_stripping():
    for seed in FEWER:
        cell = plating_after("li_lpscl", seed, 0.5)
        assert cell.short_time_s(after_s(0.5 + 2.0)) is None
        assert cell.geometry(after_s(0.5 + 2.0)).filament_places_um.size == 0


def test_the_alloy_neither_shorts_nor_grows_filaments():
    ended_s = after_s(3.5 + 3.4)
    for seed in FEWER:
        cell = plating_after("limg_lpscl", seed, 3.5)
        assert cell.short_time_s(ended_s) is None
        assert cell.geometry(ended_s).filament_places_um.size == 0


def test_the_counter_electrode_runs_out():
    plated = np.arange(3.0, 3.4, 0.005)
    for seed in FEWER:
        cell = plating_after("limg_lpscl", seed, 3.5)
        voltage_v = cell.terminals(after_s(3.5) + after_s(plated)).voltage_v
        fallen = voltage_v[0] - voltage_v
        assert plated[fallen > 0.01][0] == pytest.approx(3.17, abs=0.02)
        assert plated[fallen > 0.245][0] == pytest.approx(3.22, abs=0.02)
        assert fallen[-1] == pytest.approx(0.25, abs=0.002)
