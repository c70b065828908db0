"""What holds for every protocol: conservation, signs, monotony, and looking changes nothing."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzo_parameters import PRESETS, UMOL_PER_MAH

pytestmark = pytest.mark.long

ROUNDING = 1e-10
"""Some thousand sums of up to 221 mAh/cm2 in double precision, each to 3e-14."""

OVERSHOOT = 1e-4
"""Contact loss above its upper end: some steps' tolerance of 0.85 x 1e-5."""


class Segment(NamedTuple):
    """A drive (mA/cm2 or V) for some time."""

    is_voltage: bool
    value: float
    duration_s: float


currents = st.builds(
    Segment,
    st.just(value=False),
    st.one_of(st.just(0.0), st.floats(0.005, 1.0), st.floats(-1.0, -0.005)),
    st.floats(0.5, 14_400.0),
)
voltages = st.builds(
    Segment,
    st.just(value=True),
    st.one_of(st.floats(0.002, 0.3), st.floats(-0.3, -0.002), st.just(0.0)),
    st.floats(0.5, 14_400.0),
)
protocols = st.lists(st.one_of(currents, currents, voltages), min_size=20, max_size=60)
presets = st.sampled_from(sorted(PRESETS))
thirty = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # shrinking integrates thousands of protocols
)


def apply(cell: LlzoCell, t_s: float, segment: Segment) -> None:
    if segment.is_voltage:
        cell.apply_voltage(t_s, segment.value)
    else:
        cell.apply_current(t_s, segment.value * cell.area_cm2)


def truth(cell: LlzoCell, t_s: float) -> dict:
    state = cell.snapshot(t_s)
    state["dendrites"] = sum(state["layers_umol_per_cm2"]) / UMOL_PER_MAH
    state["net"] = state["charge_mah"] / cell.area_cm2
    state["passed"] = state["throughput_mah"] / cell.area_cm2
    return state


def _check_totals(start: dict, now: dict) -> None:
    lithium = [sum(s["electrodes_mah_per_cm2"]) + s["dendrites"] for s in (start, now)]
    assert lithium[1] == pytest.approx(lithium[0], abs=ROUNDING)
    tracer = [s["isotopes"]["total_6li_c"] for s in (start, now)]
    assert tracer[1] == pytest.approx(tracer[0], abs=ROUNDING)
    isotopes = now["isotopes"]
    assert 0.0 < isotopes["x6_electrolyte"] < isotopes["x6_electrodes"] < 1.0


def _check_segment(segment: Segment, before: dict, after: dict) -> None:
    grown = after["dendrites"] - before["dendrites"]
    passed = after["passed"] - before["passed"]
    assert -ROUNDING <= grown <= 0.7 * passed + ROUNDING
    if segment.value == 0.0:
        assert passed == 0.0
        assert grown == pytest.approx(0.0, abs=ROUNDING)
        return
    stripped, plated = (0, 1) if segment.value > 0 else (1, 0)
    electrodes = [
        after["electrodes_mah_per_cm2"][side] - before["electrodes_mah_per_cm2"][side]
        for side in (stripped, plated)
    ]
    assert electrodes[0] == pytest.approx(-passed, abs=ROUNDING)
    assert electrodes[1] == pytest.approx(passed - grown, abs=ROUNDING)
    assert after["net"] - before["net"] == pytest.approx(
        passed if segment.value > 0 else -passed, abs=ROUNDING
    )
    loss = [after["contact_loss"][s] - before["contact_loss"][s] for s in (stripped, plated)]
    # at its upper end, where the equations are stiff, contact loss overshoots and comes back
    saturated = before["contact_loss"][stripped] > 0.8499
    assert loss[0] >= (-OVERSHOOT if saturated else 0.0)
    assert loss[1] <= 0.0
    assert max(after["contact_loss"]) <= 0.85 + OVERSHOOT
    assert min(after["contact_loss"]) >= -1e-8


def _check_terminals(cell: LlzoCell, segment: Segment, t0_s: float, t1_s: float) -> None:
    at = cell.terminals(np.linspace(t0_s, t1_s, 17)[:-1])
    assert np.all(np.sign(at.voltage_v) == np.sign(segment.value))
    used_up = min(cell.snapshot(t1_s)["electrodes_mah_per_cm2"]) <= 0.0
    if used_up:
        return
    assert np.all(np.sign(at.current_ma) == np.sign(segment.value))
    if segment.is_voltage:
        assert np.all(at.voltage_v == segment.value)
    else:
        assert at.current_ma == pytest.approx(segment.value * cell.area_cm2, rel=1e-15)
    if cell.short_time_s(t0_s) is not None and segment.value != 0.0:
        assert np.all(at.voltage_v / (1e-3 * at.current_ma) <= 20.0 + 1e-9)


def run(cell: LlzoCell, protocol: list[Segment]) -> list[float]:
    """Apply a protocol and then rest; returns the times of its changes."""
    edges_s = [0.0]
    for segment in protocol:
        apply(cell, edges_s[-1], segment)
        edges_s.append(edges_s[-1] + segment.duration_s)
    cell.apply_current(edges_s[-1], 0.0)
    return edges_s


@thirty
@given(presets, protocols)
def test_every_protocol_keeps_the_invariants(preset, protocol):
    cell = LlzoCell.from_preset(preset)
    edges_s = run(cell, protocol)
    start = before = truth(cell, 0.0)
    layers = np.zeros(4)
    for segment, begin_s, end_s in zip(protocol, edges_s, edges_s[1:], strict=False):
        _check_terminals(cell, segment, begin_s, end_s)
        for inside_s in np.linspace(begin_s, end_s, 5)[1:]:
            grown = cell.layers_umol_per_cm2(inside_s)
            assert np.all(grown - layers >= -1e-10), "layers never shrink"
            layers = grown
        after = truth(cell, end_s)
        _check_totals(start, after)
        _check_segment(segment, before, after)
        before = after


@thirty
@given(presets, st.lists(currents, min_size=5, max_size=30))
def test_charge_is_the_integral_of_the_forced_current(preset, protocol):
    cell = LlzoCell.from_preset(preset)
    edges_s = run(cell, protocol)
    net = throughput = 0.0
    for segment, end_s in zip(protocol, edges_s[1:], strict=True):
        if cell.short_time_s(end_s) is not None:
            break
        net += segment.value * segment.duration_s / 3600
        throughput += abs(segment.value) * segment.duration_s / 3600
        found = np.array(cell.charge_mah(end_s)) / cell.area_cm2
        assert found == pytest.approx([net, throughput], abs=ROUNDING)


def _fingerprint(cell: LlzoCell, times_s: list[float]) -> str:
    """Every bit of the truth and of the terminals at some times."""
    snapshots = [cell.snapshot(t_s) for t_s in times_s]
    at = cell.terminals(np.array(times_s))
    means = [cell.mean_layers_umol_per_cm2(0.0, t_s + 1.0).tolist() for t_s in times_s]
    return json.dumps([snapshots, at.voltage_v.tolist(), at.current_ma.tolist(), means])


looks = st.lists(st.tuples(st.integers(0, 5), st.floats(0.0, 3.0)), max_size=4)


def _look(cell: LlzoCell, what: int, t_s: float) -> None:
    """Ask one of the questions that must change nothing."""
    match what:
        case 0:
            cell.terminals(np.array([t_s, t_s + 1.0, t_s + 3e4]))
        case 1:
            cell.charge_mah(t_s)
        case 2:
            cell.mean_layers_umol_per_cm2(0.3 * t_s, t_s + 5.0)
        case 3:
            cell.short_time_s(t_s)
        case 4:
            cell.isotopes(t_s)
        case _:
            cell.snapshot(t_s)


@thirty
@given(st.lists(st.tuples(st.one_of(currents, voltages), looks), min_size=1, max_size=30))
def test_looking_changes_no_bit(protocol):
    """Polled in the past, the present and the future, and told the same drive twice."""
    quiet, polled = LlzoCell.from_preset("small_4p8"), LlzoCell.from_preset("small_4p8")
    t_s = 0.0
    edges_s = []
    for segment, questions in protocol:
        edges_s += [t_s, t_s + 0.37 * segment.duration_s]
        apply(quiet, t_s, segment)
        apply(polled, t_s, segment)
        for what, part in questions:
            _look(polled, what, t_s + part * segment.duration_s)
        apply(polled, t_s + 0.5 * segment.duration_s, segment)
        t_s += segment.duration_s
    edges_s.append(t_s)
    assert _fingerprint(polled, edges_s) == _fingerprint(quiet, edges_s)


@pytest.mark.parametrize("polls", [1, 3, 10])
def test_polling_a_week_changes_no_bit(polls):
    """Until the short and beyond, with looks that run ahead over the short."""

    def week(polls: int) -> LlzoCell:
        cell, t_s, sign = LlzoCell.from_preset("small_4p8"), 0.0, 1.0
        while t_s < 7.62 * 86_400:
            cell.apply_current(t_s, 0.1 * sign * cell.area_cm2)
            for k in range(polls):
                cell.terminals(t_s + np.array([0.0, 1.0, 1799.0]) * (k + 1) / polls)
            cell.short_time_s(t_s + 4000.0 * bool(polls))
            cell.apply_current(t_s + 1800.0, 0.0)
            t_s, sign = t_s + 2100.0, -sign
        return cell

    times_s = np.arange(0.0, 7.62 * 86_400, 7001.0).tolist()
    assert _fingerprint(week(polls), times_s) == _fingerprint(week(0), times_s)
