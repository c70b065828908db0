"""The charge of each exposure is what really flowed meanwhile, within the charge of one record.

The truth is what was applied to the terminals of the simulated cell, integrated exactly: across
reversals, pauses, exposures of the resting and the open cell, a drifting clock, and a short.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent, OpenCircuitVoltage
from bluesky.utils import RunEngineInterrupted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.roles import CellLimits
from orchestrator.bench import open_bench
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from plans.conditions import condition
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images
from sim.clock import EPOCH_S
from tests.plans.test_pause_everywhere import SMALL
from tests.plans.test_spectra_interrupted import Someone

LIMITS = CellLimits(-5, 5, -1, 1)
CELL = {"model": "llzo_cell", "preset": "small_4p8", "seed": 0}
CURRENTS_MA = [0.02, -0.02, 0.005, -0.0125, 0.01, 0.0]


@dataclass
class Terminals:
    """What is applied to the cell, from each moment on."""

    at_s: list[float] = field(default_factory=list)
    current_ma: list[float] = field(default_factory=list)

    def watch(self, sample):
        real = sample.apply_current

        def apply_current(t_s, current_ma):
            self.at_s.append(t_s)
            self.current_ma.append(current_ma)
            real(t_s, current_ma)

        sample.apply_current = apply_current

    def passed_mah(self, from_s, to_s, sign=lambda value: value):
        """Exact integral of a piecewise constant current."""
        edges = np.clip([*self.at_s, np.inf], from_s, to_s)
        return float(np.sum(np.diff(edges) * sign(np.asarray(self.current_ma)))) / 3600.0


step = st.tuples(st.sampled_from(CURRENTS_MA), st.floats(20.0, 240.0))
frames = st.one_of(
    st.just({"back_to_back": True}),
    st.fixed_dictionaries({"every_s": st.floats(110.0, 300.0)}),
    st.fixed_dictionaries(
        {"every_s": st.floats(130.0, 300.0), "cell": st.sampled_from(["rest", "open"])}
    ),
)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(step, min_size=2, max_size=5),
    when=frames,
    record_s=st.sampled_from([1.0, 7.0, 10.0, 60.0]),
    pauses=st.lists(st.floats(5.0, 600.0), max_size=3),
    on_pause=st.sampled_from(["continue", "restart"]),
    short_s=st.one_of(st.none(), st.floats(50.0, 500.0)),
    drift_ppm=st.sampled_from([0.0, 100.0]),
)
@pytest.mark.long
def test_each_exposures_charge_is_what_flowed(
    steps, when, record_s, pauses, on_pause, short_s, drift_ppm
):
    faults = [] if short_s is None else [f"short:cell:{short_s:.1f}:inf:ohm=20"]
    with (
        tempfile.TemporaryDirectory() as folder,
        open_bench("sim-mri", data=folder, sample=CELL, faults=faults) as bench,
    ):
        bench.RE.attended = False
        truth = Terminals()
        truth.watch(bench.laboratory.world.sample)
        bench.laboratory.instruments["console"].clock_drift_ppm = drift_ppm
        method = [
            ConstantCurrent(current_mA=ma, until_time_s=s)
            if ma
            else OpenCircuitVoltage(until_time_s=s)
            for ma, s in steps
        ]
        for at_s in pauses:
            bench.clock.call_later(
                at_s,
                lambda: bench.time.loop.create_task(bench.RE._request_pause_coro()),
                owner=Someone(),
            )
        capture = Capture(bench.mri, settings=SMALL, on_pause=on_pause, **when)
        stops = [condition("hard_short", bench.pstat)]
        cycling = Cycling(bench.pstat, method, record_s, LIMITS, 10.0)
        with suppress(RunEngineInterrupted):
            bench.RE.run(run_with_images(cycling, [capture], stops, md={}))
        while str(bench.RE.state) == "paused":
            bench.wait(20.0)
            with suppress(RunEngineInterrupted):
                bench.resume()
        recorded = load_run(DataDirectory(bench.data).journal(bench.live.snapshot().run))
    assert recorded.stop["exit_status"] == "success"
    mri = recorded.streams["mri"]
    one_record_mah = 0.02 * record_s / 3600.0
    for start_s, end_s, net, through in zip(
        mri["mri_t_start_s"] - EPOCH_S,
        mri["mri_t_end_s"] - EPOCH_S,
        mri["mri_exposure_charge_mah"],
        mri["mri_exposure_throughput_mah"],
        strict=True,
    ):
        assert abs(net - truth.passed_mah(start_s, end_s)) <= one_record_mah
        assert abs(through - truth.passed_mah(start_s, end_s, np.abs)) <= one_record_mah
    assert np.allclose(
        mri["mri_charge_end_mah"] - mri["mri_charge_start_mah"], mri["mri_exposure_charge_mah"]
    )
    whole = recorded.streams["echem"]["pstat_charge_mah"][-1]
    assert abs(whole - truth.passed_mah(0.0, np.inf if not truth.at_s else truth.at_s[-1])) < (
        2e-3 * 0.02 * sum(s for _, s in steps) / 3600.0
    )
