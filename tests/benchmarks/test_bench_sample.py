"""What the sample and its frames cost, in CPU time and in units of one plain Python loop.

The unit makes the ratios comparable between machines: a million multiplications and additions
of floats. Bounds are about three times what was measured.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sim.images.mri import PUBLISHED_3D, FlashImager, FlashSettings
from sim.images.mri_volume import VolumeImager
from sim.images.nmr import PUBLISHED_NMR, RotorContent, SpectrumImager
from sim.samples.full_cell import FullCell
from sim.samples.llzo_cell import LlzoCell
from tests.galvanostat import run_to

DAY_S = 86_400.0


def cpu_s(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """CPU seconds of the fastest of some repetitions, and its result."""
    best, result = np.inf, None
    for _ in range(repeats):
        gc.collect()
        began_s = time.process_time()
        result = work()
        best = min(best, time.process_time() - began_s)
    return best, result


def _loop() -> float:
    x = 0.0
    for _ in range(1_000_000):
        x = x * 0.5 + 1.0
    return x


@pytest.fixture(scope="module")
def unit_s() -> float:
    return cpu_s(_loop, repeats=5)[0]


def reverse(preset: str, density: float, until_s: float, polls: int = 0) -> LlzoCell:
    cell, t_s, sign = LlzoCell.from_preset(preset), 0.0, 1.0
    while t_s < until_s:
        for value, length_s in ((density * sign * cell.area_cm2, 1800.0), (0.0, 300.0)):
            cell.apply_current(t_s, value)
            for k in range(polls):
                cell.terminals(t_s + np.array([0.0, 10.0, 20.0]) + k * (length_s - 30.0) / polls)
            t_s += length_s
        sign = -sign
    return cell


def report(what: str, taken_s: float, unit_s: float, bound: float) -> None:
    print(f"\n{what}: {taken_s:.4f} s CPU = {taken_s / unit_s:.3f} loops (bound {bound})")
    assert taken_s < bound * unit_s


def test_a_week_and_its_656_000_samples(unit_s):
    days_s = 7.6 * DAY_S
    integrated_s, cell = cpu_s(lambda: reverse("small_4p8", 0.1, days_s), repeats=3)
    times_s = np.arange(0.0, 656_000.0)
    sampled_s, at = cpu_s(lambda: cell.terminals(times_s), repeats=3)
    assert np.isfinite(at.voltage_v).all()
    report("7.6 d, 313 half cycles", integrated_s, unit_s, 7.0)
    report("656,000 samples of it", sampled_s, unit_s, 7.0)
    report("both", integrated_s + sampled_s, unit_s, 13.0)
    print(f"samples/integration = {sampled_s / integrated_s:.2f}")
    print(f"experiment/CPU = {days_s / (integrated_s + sampled_s):.3g}")


@pytest.mark.parametrize("polls", [3, 10, 35])
def test_polling_costs_by_the_poll(unit_s, polls):
    quiet_s, _ = cpu_s(lambda: reverse("small_4p8", 0.1, 2 * DAY_S), repeats=3)
    polled_s, _ = cpu_s(lambda: reverse("small_4p8", 0.1, 2 * DAY_S, polls), repeats=3)
    count = 2 * 83 * polls
    print(f"\n{polls} polls per segment: {polled_s / quiet_s:.2f} x the unpolled run")
    report("one poll of 3 rows", (polled_s - quiet_s) / count, unit_s, 0.01)


@pytest.mark.parametrize(
    ("preset", "density", "days", "bound"),
    [("tracer_8p9", 0.1, 27.0, 25.0), ("insitu_8p9", 0.5, 3.7, 40.0)],
)
def test_long_and_stiff_runs(unit_s, preset, density, days, bound):
    taken_s, cell = cpu_s(lambda: reverse(preset, density, days * DAY_S))
    cell.charge_mah(days * DAY_S)
    report(f"{preset} {density} mA/cm2 {days} d", taken_s, unit_s, bound)
    print(f"history {cell._course.history.size_bytes() / 1e6:.1f} MB")


def test_frames(unit_s):
    cell = LlzoCell.from_preset("small_4p8")

    def first() -> FlashImager:
        imager = FlashImager(cell.geometry, FlashSettings(), seed=time.process_time_ns())
        imager.frame([5.3, 3.7, 3.5, 4.6], 0)
        return imager

    first_s, imager = cpu_s(first)
    frames_s, _ = cpu_s(
        lambda: [imager.frame([5.3, 3.7, 3.5, 4.6], k) for k in range(41)], repeats=3
    )
    report("first frame", first_s, unit_s, 8.0)
    report("each later frame", frames_s / 41, unit_s, 0.02)
    print(f"first/later = {first_s / (frames_s / 41):.0f}")


def test_volumes_and_spectra(unit_s):
    cell = LlzoCell.from_preset("insitu_8p9")
    imager = VolumeImager(cell.geometry, PUBLISHED_3D, seed=0)
    volume_s, _ = cpu_s(lambda: imager.frame([5.3, 3.7, 3.5, 4.6], 0.9, 0), repeats=5)
    report("volume of a shorted 8 mm cell", volume_s, unit_s, 0.7)
    rotor = RotorContent((0.1, 0.3), (40.0, 260.0), 0.9)
    spectra = SpectrumImager(PUBLISHED_NMR, seed=0)
    spectra_s, _ = cpu_s(lambda: spectra.frame((rotor, rotor), 0), repeats=5)
    report("pair of spectra", spectra_s, unit_s, 0.7)


def test_750_cycles_of_the_full_cell_with_holds_and_a_record_each_minute(unit_s):
    def cycled() -> int:
        cell, t_s, records = FullCell.from_preset("nmc83_limg", stack_pressure_mpa=14.0), 0.0, 0
        for _ in range(750):
            for density, limit_v in ((2.0, 4.25), (-2.0, 2.6)):
                began_s, t_s = t_s, run_to(cell, t_s, density, limit_v)
                records += len(cell.terminals(np.arange(began_s, t_s, 60.0)).voltage_v)
                if density > 0.0:
                    cell.apply_voltage(t_s, limit_v)
                    cell.terminals(t_s + np.arange(0.0, 600.0, 60.0))
                    t_s += 600.0
        return records

    taken_s, records = cpu_s(cycled)
    assert records > 50_000
    report("750 cycles of the full cell", taken_s, unit_s, 60.0)
