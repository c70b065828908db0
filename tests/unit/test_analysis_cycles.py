"""Per-cycle table, run-away and the search for a short in the records of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.cycles import Records, cycle_table, flowing
from orchestrator.analysis.shorts import first_met, run_away
from plans.shorts import hard_short
from sim.samples.llzo_cell import LlzoCell

AREA_CM2 = 0.1257


def square(cycles: int, *, forward_ma: float = 0.01, backward_ma: float = 0.01) -> Records:
    """Half cycles of 1800 s with rests of 300 s, a record each 10 s, 500 ohm cm2."""
    one = np.concatenate(
        [
            np.full(180, forward_ma),
            np.zeros(30),
            np.full(180, -backward_ma),
            np.zeros(30),
        ]
    )
    current_ma = np.tile(one, cycles)
    time_s = 10.0 * np.arange(len(current_ma))
    moved = np.concatenate([[0.0], current_ma[:-1] * 10.0 / 3600])
    return Records(
        time_s=time_s,
        voltage_v=current_ma * 1e-3 * 500.0 / AREA_CM2,
        current_ma=current_ma,
        charge_mah=np.cumsum(moved),
        throughput_mah=np.cumsum(np.abs(moved)),
        cycle=np.repeat(np.arange(1, cycles + 1), len(one)),
    )


def test_a_symmetric_cycle_returns_its_charge() -> None:
    table = cycle_table(square(5), area_cm2=AREA_CM2)
    assert table.cycle.tolist() == [1, 2, 3, 4, 5]
    assert table.forward_mah == pytest.approx(np.full(5, 0.005))
    assert table.returned == pytest.approx(np.ones(5))
    assert table.polarisation_v == pytest.approx(np.full(5, 0.01e-3 * 500 / AREA_CM2))
    assert table.resistance_ohm_cm2 == pytest.approx(np.full(5, 500.0))
    assert table.resistance_sd_ohm_cm2 == pytest.approx(np.zeros(5), abs=1e-9)
    assert table.duration_s[:-1] == pytest.approx(np.full(4, 4200.0))
    assert table.quality == ("ok",) * 5


def test_what_is_not_given_back_is_missing_in_the_efficiency() -> None:
    table = cycle_table(square(3, backward_ma=0.0097), area_cm2=AREA_CM2)
    assert table.returned == pytest.approx(np.full(3, 0.97))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=200), st.integers(1, 7))
def test_cycles_add_up_to_the_run(currents: list[float], cycles: int) -> None:
    current_ma = np.array(currents)
    count = len(current_ma)
    moved = np.concatenate([[0.0], current_ma[:-1] * 10.0 / 3600])
    records = Records(
        time_s=10.0 * np.arange(count),
        voltage_v=current_ma * 3.0,
        current_ma=current_ma,
        charge_mah=np.cumsum(moved),
        throughput_mah=np.cumsum(np.abs(moved)),
        cycle=np.sort(np.arange(count) % cycles) + 1,
    )
    table = cycle_table(records, area_cm2=1.0)
    net = table.forward_mah.sum() - table.backward_mah.sum()
    assert net == pytest.approx(records.charge_mah[-1], abs=1e-12)
    passed = table.forward_mah.sum() + table.backward_mah.sum()
    assert passed == pytest.approx(records.throughput_mah[-1], abs=1e-12)
    assert table.duration_s.sum() == pytest.approx(records.time_s[-1])


def test_flags_tell_rests_unsteady_and_incomplete_cycles() -> None:
    records = square(4)
    voltage_v, current_ma = records.voltage_v.copy(), records.current_ma.copy()
    current_ma[420:840] = 0.0
    voltage_v[840:900] *= 50
    changed = {**vars(records), "voltage_v": voltage_v, "current_ma": current_ma}
    cut = Records(**{name: values[:-100] for name, values in changed.items()})
    table = cycle_table(cut, area_cm2=AREA_CM2)
    assert table.quality == ("ok", "no current", "voltage unsteady", "incomplete")
    assert np.isnan(table.polarisation_v[1])


@pytest.mark.parametrize("resting", [0.1, 0.5, 0.99])
def test_noise_at_rest_is_no_current(resting: float) -> None:
    rng = np.random.default_rng(8)
    forced = rng.uniform(size=2000) > resting
    current_ma = np.where(forced, 0.0126 * rng.choice([-1, 1], 2000), 0.0)
    current_ma += 2e-9 * rng.standard_normal(2000)
    assert (flowing(current_ma) == forced).all()
    assert not flowing(np.zeros(5)).any()


def test_noise_at_rest_does_not_enter_the_table() -> None:
    records = square(2)
    noise = np.random.default_rng(9).standard_normal((2, len(records.time_s)))
    noisy = replace(
        records,
        voltage_v=records.voltage_v + 1e-6 * noise[0],
        current_ma=records.current_ma + 1e-9 * noise[1],
    )
    table = cycle_table(noisy, area_cm2=AREA_CM2)
    assert table.resistance_ohm_cm2 == pytest.approx([500.0, 500.0], rel=1e-5)
    assert (table.resistance_sd_ohm_cm2 < 0.1).all()
    assert (table.polarisation_sd_v < 1e-5).all()


def test_an_overload_does_not_enter_the_mean() -> None:
    records = square(2)
    voltage_v = records.voltage_v.copy()
    voltage_v[5] = np.nan
    table = cycle_table(replace(records, voltage_v=voltage_v), area_cm2=AREA_CM2)
    assert table.resistance_ohm_cm2 == pytest.approx([500.0, 500.0])


@pytest.mark.parametrize("area_cm2", [0.0, -1.0, float("nan")])
def test_an_impossible_area_is_refused(area_cm2: float) -> None:
    with pytest.raises(ValueError, match=r"cycles: got .* expected at least one record"):
        cycle_table(square(1), area_cm2=area_cm2)


def shorting_cell(period_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Last day of the paper's cell: time, voltage, current, time of the short."""
    cell = LlzoCell.from_preset("small_4p8")
    current_ma, t_s = 0.1 * cell.area_cm2, 0.0
    pieces = []
    while (short_s := cell.short_time_s(t_s)) is None:
        for value, duration_s in ((1, 1800.0), (0, 300.0), (-1, 1800.0), (0, 300.0)):
            cell.apply_current(t_s, value * current_ma)
            at = np.arange(t_s, t_s + duration_s, period_s)
            if t_s > 6.5 * 86_400:
                seen = cell.terminals(at)
                pieces.append((at, seen.voltage_v, seen.current_ma))
            t_s += duration_s
    time_s, voltage_v, milliampere = (np.concatenate(p) for p in zip(*pieces, strict=True))
    return time_s, voltage_v, milliampere, short_s


def test_run_away_and_short_are_found_where_the_cell_has_them() -> None:
    time_s, voltage_v, current_ma, short_s = shorting_cell(10.0)
    found = run_away(time_s, voltage_v, current_ma)
    assert found.quality == "ok"
    assert (short_s - found.time_s) / 3600 == pytest.approx(1.065, abs=0.06)
    assert found.peak_v == pytest.approx(0.268, abs=0.002)
    assert found.error_s <= 310.0
    met = first_met(hard_short, time_s, voltage_v, current_ma)
    assert met is not None
    assert 0 < met.t_s - short_s < 310.0 + 2 * 10.0 + 5.0


def test_a_cell_before_its_short_has_neither() -> None:
    records = square(10)
    columns = records.time_s, records.voltage_v, records.current_ma
    assert first_met(hard_short, *columns) is None
    assert run_away(*columns).quality == "no run-away"
    assert np.isnan(run_away(*columns).time_s)


def test_no_records_are_no_short() -> None:
    nothing = np.empty(0)
    assert first_met(hard_short, nothing, nothing, nothing) is None
    assert run_away(nothing, nothing, nothing).quality == "no record with current"
