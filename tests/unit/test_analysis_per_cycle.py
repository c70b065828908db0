"""Charge, efficiency, polarisation and resistance of each cycle, against what they must be."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.cycles import Records
from orchestrator.analysis.per_cycle import per_cycle
from orchestrator.report.per_cycle import csv_text, text_rows


def records(steps, *, emf_v=0.0, ohm=100.0, period_s=10.0, first_cycle=1):
    """Records of a resistor with an electromotive force; steps are (cycle, mA, s)."""
    time_s, current_ma, cycle = [], [], []
    now_s = 0.0
    for number, ma, duration_s in steps:
        at = np.arange(0.0, duration_s + 1e-9, period_s)
        time_s.append(now_s + at)
        current_ma.append(np.full(len(at), ma))
        cycle.append(np.full(len(at), number, np.int64))
        now_s += duration_s
    t, i, c = (np.concatenate(x) for x in (time_s, current_ma, cycle))
    begins = np.cumsum([0, *(len(x) for x in time_s[:-1])])
    step_mah = np.diff(t, prepend=t[0]) * i / 3600.0
    step_mah[begins] = 0.0
    return Records(
        time_s=t,
        voltage_v=emf_v + 1e-3 * i * ohm,
        current_ma=i,
        charge_mah=np.cumsum(step_mah),
        throughput_mah=np.cumsum(np.abs(step_mah)),
        cycle=c,
    )


def test_a_symmetric_cell():
    table = per_cycle(
        records([(1, 0.5, 3600), (1, 0.0, 300), (1, -0.5, 1800), (2, 0.5, 3600), (2, -0.5, 3600)]),
        area_cm2=2.0,
    )
    assert list(table.cycle) == [1, 2]
    assert table.forward_mah == pytest.approx([0.5, 0.5])
    assert table.backward_mah == pytest.approx([0.25, 0.5])
    assert table.efficiency == pytest.approx([0.5, 1.0])
    assert table.efficiency_error == pytest.approx([0.0, 0.0])
    assert table.polarisation_v == pytest.approx([0.05, 0.05])
    assert table.polarisation_sd_v == pytest.approx([0.0, 0.0], abs=1e-12)
    assert table.resistance_ohm_cm2 == pytest.approx([200.0, 200.0])
    assert table.start_s == pytest.approx([0.0, 5700.0])
    assert table.duration_s == pytest.approx([5700.0, 7200.0])
    assert table.quality == ("ok", "ok")


@given(emf_v=st.floats(1.0, 4.5), ohm=st.floats(1.0, 500.0), back=st.floats(0.3, 1.0))
def test_an_electromotive_force_cancels(emf_v, ohm, back):
    steps = [(1, 1.0, 3600), (1, -0.5, round(7200 * back, -1)), (1, 1.0, 3600), (1, -0.5, 3600)]
    table = per_cycle(records(steps, emf_v=emf_v, ohm=ohm), area_cm2=1.5)
    assert list(table.cycle) == [1, 2]  # the program counted one: a battery's are found
    assert table.polarisation_v == pytest.approx(0.75e-3 * ohm)
    assert table.resistance_ohm_cm2 == pytest.approx(1.5 * ohm)
    assert table.efficiency[0] == pytest.approx(back, rel=2e-3)
    assert table.efficiency_error[0] > 0.0


step = st.tuples(st.sampled_from([0.7, -0.7, 0.2, 0.0, -1.3]), st.integers(1, 60))


@given(
    cycles=st.lists(st.lists(step, min_size=1, max_size=4), min_size=1, max_size=6),
    emf_v=st.sampled_from([0.0, 3.7]),
)
def test_no_charge_is_lost_or_counted_twice(cycles, emf_v):
    steps = [(k, ma, 10.0 * n) for k, each in enumerate(cycles, 1) for ma, n in each]
    given_records = records(steps, emf_v=emf_v)
    table = per_cycle(given_records, area_cm2=1.0)
    net, through = given_records.charge_mah[-1], given_records.throughput_mah[-1]
    assert table.forward_mah.sum() - table.backward_mah.sum() == pytest.approx(net, abs=1e-12)
    assert table.forward_mah.sum() + table.backward_mah.sum() == pytest.approx(through, abs=1e-12)
    assert np.nansum(table.polarisation_v < 0.0) == 0
    known = np.isfinite(table.resistance_ohm_cm2)
    assert table.resistance_ohm_cm2[known] == pytest.approx(100.0)


def test_what_comes_before_the_first_cycle_is_left_out():
    table = per_cycle(
        records([(0, 0.0, 60), (0, 0.01, 10), (1, 0.5, 360), (1, -0.5, 360)]), area_cm2=1.0
    )
    assert list(table.cycle) == [1]
    assert table.forward_mah == pytest.approx([0.05])
    assert table.start_s == pytest.approx([70.0])


def test_the_polarisation_of_a_cell_that_may_have_an_electromotive_force_is_not_known():
    one_way = [(1, 0.5, 3600)]
    assert np.isnan(per_cycle(records(one_way, emf_v=0.62), area_cm2=1.0).polarisation_v[0])
    rested = per_cycle(records([(1, 0.0, 60), *one_way], emf_v=0.62), area_cm2=1.0)
    assert np.isnan(rested.resistance_ohm_cm2[0])
    symmetric = per_cycle(records([(1, 0.0, 60), *one_way]), area_cm2=1.0)
    assert symmetric.resistance_ohm_cm2 == pytest.approx([100.0])
    assert symmetric.quality == ("one direction",)


def test_remarks():
    steps = [(1, 0.5, 360), (1, -0.5, 360), (2, 0.0, 360), (3, 0.5, 360), (4, 0.5, 60)]
    table = per_cycle(records(steps), area_cm2=1.0)
    assert table.quality == ("ok", "no current", "one direction", "incomplete")
    assert np.isnan(table.polarisation_v[1])
    assert table.polarisation_v[2] == pytest.approx(0.05)


def test_noise_at_rest_is_no_polarisation():
    given_records = records([(1, 0.5, 3600), (1, 0.0, 36_000), (1, -0.5, 3600)])
    noise = 1e-7 * np.random.default_rng(1).standard_normal(len(given_records.time_s))
    noisy = Records(**{**vars(given_records), "current_ma": given_records.current_ma + noise})
    assert per_cycle(noisy, area_cm2=1.0).polarisation_v == pytest.approx([0.05], rel=1e-4)


def test_the_table_as_csv_and_in_eighty_columns():
    steps = [(k, ma, 360.0) for k in range(1, 201) for ma in (0.5, -0.5)]
    table = per_cycle(records(steps), area_cm2=float("nan"))
    rows = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert len(rows) == 200
    assert float(rows[7]["forward_mah"]) == pytest.approx(0.05)
    assert rows[7]["resistance_ohm_cm2"] == ""
    assert rows[7]["quality"] == "ok"
    shown = text_rows(table, 12)
    assert len(shown) == 14
    assert [row[0] for row in (shown[2], shown[-1])] == ["1", "200"]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    assert sum(widths) + 2 * len(widths) <= 80


def test_no_record():
    empty = Records(*(np.zeros(0) for _ in range(5)), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="got no record"):
        per_cycle(empty, area_cm2=1.0)
