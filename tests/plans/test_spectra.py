"""Impedance spectra beside a protocol: when they are taken, and that no charge is lost to them."""

from __future__ import annotations

import numpy as np
import pytest
from aurora_unicycler import (
    ConstantCurrent,
    ConstantVoltage,
    ImpedanceSpectroscopy,
    Loop,
    OpenCircuitVoltage,
    Tag,
    VoltageScan,
)

from devices.errors import LimitError
from devices.impedance import SpectrumSeries
from devices.roles import CellLimits, Sweep
from orchestrator.bench import open_bench
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from plans.conditions import condition
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images

LIMITS = CellLimits(-5, 5, -1, 1)
CURRENT_MA = 0.01
GEIS = Sweep("current", 1e-3, 1e5, 10.0, points_per_decade=5)  # 21 points in 0.3 s
SLOW = Sweep("current", 1e-3, 1e4, 0.5, points_per_decade=5)  # 5.4 s
PEIS = Sweep("voltage", 0.01, 1e5, 1.0, points_per_decade=5)  # 2.7 s
STEPS = [
    ConstantCurrent(current_mA=CURRENT_MA, until_time_s=60),
    OpenCircuitVoltage(until_time_s=20),
    ConstantCurrent(current_mA=-CURRENT_MA, until_time_s=30),
]
CHARGE_MAH = CURRENT_MA * 30 / 3600
THROUGHPUT_MAH = CURRENT_MA * 90 / 3600


@pytest.fixture
def bench(tmp_path):
    sample = {"model": "llzto_pellet", "preset": "lithiophobic"}
    with open_bench("sim-eis", data=tmp_path, sample=sample) as opened:
        opened.RE.attended = False
        yield opened


def series(bench, sweep=GEIS, number=0):
    return SpectrumSeries(bench.pstat, sweep, limits=LIMITS, number=number)


def plan(bench, *captures, method=STEPS, stop_when=(), on_pause="continue"):
    cycling = Cycling(bench.pstat, method, 10.0, LIMITS, 10.0, on_pause=on_pause)
    conditions = [condition(name, bench.pstat) for name in stop_when]
    return run_with_images(cycling, captures, conditions, md={})


def last_run(bench):
    return load_run(DataDirectory(bench.data).journal(bench.live.snapshot().run))


def run(bench, *captures, **kwargs):
    before = true_charge(bench)
    result = bench.RE.run(plan(bench, *captures, **kwargs))
    assert result.exit_status == "success"
    assert not bench.pstat._backend.output_on()
    return last_run(bench), np.subtract(true_charge(bench), before)


def true_charge(bench):
    world = bench.laboratory.world
    return world.sample.charge_mah(world.catch_up())


def spectra(recorded):
    """Start times since the run began, rounded, and direct currents, by spectrum."""
    eis, began_s = recorded.streams["eis"], recorded.streams["echem"]["time"][0]
    numbers = eis["pstat_eis_spectrum"]
    first = [int(np.flatnonzero(numbers == k)[0]) for k in range(numbers.max() + 1)]
    return (
        [round(float(eis["time"][k] - began_s), 1) for k in first],
        [round(float(eis["pstat_eis_dc_current_ma"][k]), 6) for k in first],
    )


@pytest.mark.parametrize(
    ("when", "times_s", "currents_ma"),
    [
        # the first finds no step, and the steps begin when it is taken
        ({"every_s": 25}, [0, 25, 50, 75, 100], [0, 1, 1, 0, -1]),
        ({"at": ("start", "end")}, [0, 110.5], [0, 0]),
        ({"at": ("step_start",)}, [0, 60.5, 80.9], [0, 0, 0]),
        ({"at": ("step_end",)}, [60, 80.5, 110.9], [0, 0, 0]),
        ({"every_mah": CURRENT_MA * 25 / 3600}, [30, 60, 90, 110], None),
    ],
)
def test_every_way_to_ask_for_spectra(bench, when, times_s, currents_ma):
    recorded, charge = run(bench, Capture(series(bench), **when))
    found_s, found_ma = spectra(recorded)
    if currents_ma is None:  # seen at the polls, every 30 s and at the ends of steps
        assert len(found_s) == 3
        assert np.diff(found_s).min() > 15
    else:
        assert found_s == pytest.approx(times_s, abs=1.0)
        assert found_ma == pytest.approx(np.multiply(currents_ma, CURRENT_MA), abs=1e-9)
    assert charge == pytest.approx([CHARGE_MAH, THROUGHPUT_MAH], abs=1e-9)
    echem = recorded.streams["echem"]
    assert echem["pstat_charge_mah"][-1] == pytest.approx(CHARGE_MAH, rel=1e-3)
    assert np.all(np.diff(echem["time"]) >= 0)


def test_back_to_back_spectra_fill_the_steps_and_leave_their_charge(bench):
    recorded, charge = run(bench, Capture(series(bench, SLOW), back_to_back=True))
    found_s, _ = spectra(recorded)
    assert len(found_s) >= 18
    assert charge == pytest.approx([CHARGE_MAH, THROUGHPUT_MAH], abs=1e-9)


def test_a_spectrum_that_does_not_fit_into_its_step_is_taken_of_the_open_cell_after_it(bench):
    method = [ConstantCurrent(current_mA=CURRENT_MA, until_time_s=30)]
    recorded, charge = run(bench, Capture(series(bench, SLOW), every_s=33.0), method=method)
    found_s, found_ma = spectra(recorded)
    began_s = SLOW.duration_s  # the first finds no step
    assert found_s == pytest.approx([0, began_s + 30], abs=0.2)
    assert found_ma == [0.0, 0.0]
    assert charge[0] == pytest.approx(CURRENT_MA * 30 / 3600, abs=1e-9)


def test_several_series_and_both_kinds_share_one_stream(bench):
    captures = [
        Capture(series(bench, GEIS, 0), every_s=40),
        Capture(series(bench, PEIS, 1), at=("start", "step_start")),
    ]
    recorded, _ = run(bench, *captures)
    eis = recorded.streams["eis"]
    rows = {number: int(np.sum(eis["pstat_eis_series"] == number)) for number in (0, 1)}
    assert rows == {0: 3 * GEIS.points, 1: 3 * PEIS.points}  # start is also the first step's
    peis = eis["pstat_eis_series"] == 1
    assert np.allclose(eis["pstat_eis_amplitude_v"][peis], 0.01)
    galvano = eis["pstat_eis_amplitude_ma"][~peis]
    assert np.allclose(galvano, 1e-3)


def test_steps_may_be_spectra_and_scans(bench):
    method = [
        VoltageScan(start_voltage_V=0.0, end_voltage_V=0.1, scan_rate_mV_per_s=5),
        ConstantVoltage(voltage_V=0.05, until_time_s=30),
        ImpedanceSpectroscopy(
            amplitude_V=0.01, start_frequency_Hz=1e5, end_frequency_Hz=1, points_per_decade=5
        ),
    ]
    recorded, _ = run(bench, Capture(series(bench, PEIS), every_s=12), method=method)
    echem, eis = recorded.streams["echem"], recorded.streams["eis"]
    scan = echem["pstat_step_index"] == 0
    assert echem["pstat_voltage_v"][scan].max() == pytest.approx(0.1, abs=1e-3)
    steps = eis["pstat_eis_series"] == -1
    assert steps.sum() == 26
    held = (eis["pstat_eis_dc_voltage_v"] > 0.04) & ~steps
    # the one due at 24 s, during the spectrum that waited for the scan, and those at 36 and 48 s
    assert held.sum() == 3 * PEIS.points
    assert recorded.stop["reason"] == "completed"


def test_a_condition_met_during_the_run_takes_the_last_spectrum(bench):
    method = [Tag(tag="c"), *STEPS, Loop(loop_to="c", cycle_count=5)]
    recorded, _ = run(
        bench,
        Capture(series(bench), every_s=20),
        Capture(series(bench, GEIS, 1), at=("end",)),
        Capture(series(bench, GEIS, 2), on=condition("duration_s", bench.pstat, value=65.0)),
        method=method,
        stop_when=(),
    )
    eis = recorded.streams["eis"]
    for number in (1, 2):
        assert np.sum(eis["pstat_eis_series"] == number) == GEIS.points
    assert eis["pstat_eis_series"][-1] == 1


def test_what_the_instrument_cannot_do_is_refused_before_anything_runs(bench):
    with pytest.raises(LimitError, match="amplitude 3 mA, limits -1 to 1 mA"):
        series(bench, Sweep("current", 3.0, 1e5, 1.0))
    with pytest.raises(LimitError, match="got 1e\\+07 Hz, expected 1e-05 to 7e\\+06 Hz"):
        series(bench, Sweep("current", 1e-3, 1e7, 1.0))


def test_the_first_large_amplitude_is_noted_once(bench):
    large = Sweep("current", 5e-3, 1e5, 10.0, points_per_decade=5)
    recorded, _ = run(bench, Capture(series(bench, large), every_s=30))
    events = recorded.streams["events"]
    remarks = [t for k, t in zip(events["event_kind"], events["event_text"], strict=True)
               if k == "spectrum_quality"]  # fmt: skip
    assert len(remarks) == 1
    assert "may not respond linearly" in remarks[0]


def run_pausing(bench, make, index):
    """Run a plan with a pause at one message; returns the number of messages and of pauses."""
    seen, paused = [], []

    def hook(_msg):
        seen.append(1)
        if len(seen) == index + 1:
            bench.time.loop.create_task(bench.RE._request_pause_coro())

    bench.RE.msg_hook = hook
    result = bench.RE.run(make())
    while str(bench.RE.state) == "paused":
        paused.append(True)
        assert not bench.pstat._backend.output_on(), f"cell on while paused at message {index}"
        result = bench.resume()
    bench.RE.msg_hook = None
    assert result.exit_status == "success"
    return len(seen), bool(paused)


@pytest.mark.long
def test_a_pause_at_any_message_repeats_no_charge_and_loses_no_spectrum(bench):
    """Row 38: with spectra."""
    method = [
        ConstantCurrent(current_mA=CURRENT_MA, until_time_s=40),
        OpenCircuitVoltage(until_time_s=10),
        ImpedanceSpectroscopy(
            amplitude_V=0.01, start_frequency_Hz=1e5, end_frequency_Hz=10, points_per_decade=3
        ),
        ConstantCurrent(current_mA=-CURRENT_MA, until_time_s=20),
    ]

    def make():
        captures = [
            Capture(series(bench, SLOW, 0), every_s=15),
            Capture(series(bench, GEIS, 1), at=("end",)),
        ]
        return plan(bench, *captures, method=method)

    def taken():
        eis = last_run(bench).streams["eis"]
        return {n: int(np.sum(eis["pstat_eis_series"] == n)) for n in (-1, 0, 1)}

    total, _ = run_pausing(bench, make, 10**9)
    reference = taken()
    assert reference == {-1: 13, 0: 6 * SLOW.points, 1: GEIS.points}  # at 0, 15, ... 75 s
    paused_somewhere = 0
    for index in range(total):
        before = true_charge(bench)
        _, paused = run_pausing(bench, make, index)
        charge = np.subtract(true_charge(bench), before)
        paused_somewhere += paused
        where = f"pause at message {index}"
        expected = [CURRENT_MA * 20 / 3600, CURRENT_MA * 60 / 3600]
        assert charge == pytest.approx(expected, abs=2e-8), where
        assert taken() == reference, where
        echem = last_run(bench).streams["echem"]
        assert echem["pstat_charge_mah"][-1] == pytest.approx(expected[0], rel=2e-3), where
        assert np.all(np.diff(echem["time"]) >= 0), where
    assert paused_somewhere > 0.8 * total
