"""What voids, pellets, spectra and micrographs cost, in CPU time and in plain Python loops."""

from __future__ import annotations

import time

import numpy as np
import pytest

from sim.images.sem import SemImager, VoidOutline
from sim.samples.impedance import impedance_ohm
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.void_cell import VoidCell
from tests.cost import cpu_s, loop_s, report


@pytest.fixture(scope="module")
def unit_s() -> float:
    return loop_s()


@pytest.mark.parametrize(
    ("preset", "charge", "bound"), [("li_lpscl", 1.5, 1.0), ("limg_lpscl", 3.75, 3.0)]
)
def test_stripping_voids(unit_s, preset, charge, bound):
    """The whole course at 0.5 mA/cm2, and 96 looks at its geometry, as a micrograph a quarter."""
    end_s = charge * 7200.0

    def stripped() -> VoidCell:
        cell = VoidCell.from_preset(preset, seed=1)
        cell.apply_current(0.0, 0.5 * cell.area_cm2)
        cell.geometry(end_s)
        return cell

    taken_s, cell = cpu_s(stripped, repeats=3)
    looked_s, _ = cpu_s(lambda: [cell.geometry(t_s) for t_s in np.linspace(0.0, end_s, 96)])
    report(f"{preset} stripped of {charge} mAh/cm2", taken_s, unit_s, bound)
    print(f"96 looks/stripping = {looked_s / taken_s:.2f}")


def test_pellet_to_its_short_and_its_spectrum(unit_s):
    def plated() -> float:
        cell = LlztoPellet.from_preset("lithiophobic", seed=1)
        cell.apply_current(0.0, 0.5 * cell.area_cm2)
        return cell.short_time_s(10_000.0)

    taken_s, short_s = cpu_s(plated, repeats=3)
    assert short_s is not None
    report("LLZTO to its short", taken_s, unit_s, 3.0)
    cell, frequencies_hz = LlztoPellet.from_preset("lithiophobic"), np.geomspace(7e6, 0.5, 73)
    spectra_s, _ = cpu_s(
        lambda: [impedance_ohm(frequencies_hz, cell.resistances(0.0)) for _ in range(50)]
    )
    report("a spectrum of 73 points", spectra_s / 50, unit_s, 0.05)


def test_micrographs(unit_s):
    """1600 x 600 pixels; counting statistics are nearly all of it."""
    cell = VoidCell.from_preset("li_lpscl", seed=1)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    seen = cell.geometry(3600.0)
    voids = [
        VoidOutline(float(left), float(right), float(height))
        for left, right, height in zip(seen.left_um, seen.right_um, seen.height_um, strict=True)
    ]
    first_s, imager = cpu_s(lambda: SemImager(time.process_time_ns()))
    imager.frame(voids, 0)
    frame_s, _ = cpu_s(lambda: imager.frame(voids, 1), repeats=5)
    quiet_s, _ = cpu_s(lambda: imager.noise_free(voids), repeats=5)
    report("each later frame", frame_s, unit_s, 5.0)
    print(f"without noise/with = {quiet_s / frame_s:.2f}; new imager {first_s:.4f} s")
