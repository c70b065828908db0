"""Tracer exchange: the published equations and their continuum form in the cell."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.samples.isotopes import PUBLISHED, signal_ratio_6_to_7, tracer_step, x6_from_signals
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzo_parameters import PRESETS, LlzoPreset

fractions = st.floats(0.0, 1.0)
amounts = st.floats(1.0, 1e3)


def iterate(count: int) -> tuple[float, float]:
    x = PUBLISHED.x6_electrodes, PUBLISHED.x6_electrolyte
    for _ in range(count):
        x = tracer_step(*x)
    return x


def test_the_authors_constants():
    """The authors' script counts from 0: its iteration 843 is the 844th update."""
    assert iterate(844) == pytest.approx((0.48374, 0.22500), abs=5e-6)
    electrodes, electrolyte = iterate(1800)
    assert electrolyte < electrodes < 0.48374


@given(fractions, fractions, amounts, amounts, st.floats(1e-3, 1.0))
def test_6li_is_conserved_and_fractions_approach(x1, x2, m1, m2, n):
    y1, y2 = tracer_step(x1, x2, electrodes_c=m1, electrolyte_c=m2, per_cycle_c=n)
    assert m1 * y1 + m2 * y2 == pytest.approx(m1 * x1 + m2 * x2, rel=1e-12, abs=1e-12)
    assert abs(y1 - y2) <= abs(x1 - x2)


@given(st.floats(0.001, 0.999))
def test_signals_give_the_fraction_back(x6):
    assert x6_from_signals(signal_ratio_6_to_7(x6), 1.0) == pytest.approx(x6)


def test_seven_percent_of_6li_cannot_be_seen():
    """The 30 C sample: 7Li only in the middle layers, at a 7Li signal-to-noise below 1,100."""
    assert signal_ratio_6_to_7(0.071) == pytest.approx(0.0027, abs=5e-5)


def cycle(cell: LlzoCell, half_cycles: int) -> float:
    for k in range(half_cycles):
        cell.apply_current(1800.0 * k, (-1) ** k * 0.1 * cell.area_cm2)
    return 1800.0 * half_cycles


def test_without_dendrites_the_cell_follows_the_exponential():
    tracer = PRESETS["tracer_8p9"]
    bare = replace(
        tracer.parameters,
        surface_fraction=0.0,
        crystalline_gain=0.0,
        bulk_growth_per_day=0.0,
        grain_exchange=0.0,
        grain_boundary_share=1e-12,
    )
    cell = LlzoCell(LlzoPreset("bare", tracer.geometry, bare, {}))
    found = cell.isotopes(cycle(cell, 800))
    q_c = found.throughput_c
    assert q_c == pytest.approx(800 * 0.05 * 3.6 * 0.6044, rel=1e-12)
    decay = math.exp(-q_c * (1 / 100.0 + 1 / 300.47))
    assert found.x6_electrodes - found.x6_electrolyte == pytest.approx(
        (0.95 - 0.069825) * decay, rel=1e-6
    )
    assert math.isnan(found.x6_dendrites)


@pytest.mark.parametrize("charge_c", [5, 24, 61, 122])
def test_electrolyte_agrees_with_the_discrete_equations(charge_c):
    cell = LlzoCell.from_preset("tracer_8p9")
    per_half_c = 0.05 * 3.6 * cell.area_cm2
    end_s = cycle(cell, math.ceil(charge_c / per_half_c))
    assert cell.isotopes(end_s).throughput_c == pytest.approx(charge_c, abs=per_half_c)
    discrete = iterate(round(charge_c / PUBLISHED.per_cycle_c))[1]
    assert cell.isotopes(end_s).x6_electrolyte == pytest.approx(discrete, abs=0.0016)
