"""Images and spectra beside one cell: each goes on as if the other were not there."""

from __future__ import annotations

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent, Loop, OpenCircuitVoltage, Tag

from devices.impedance import SpectrumSeries
from devices.roles import CellLimits, Sweep
from orchestrator.analysis.impedance import fit_two_arc
from orchestrator.bench import open_bench
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from plans.conditions import condition
from plans.imaging import Capture
from plans.protocol import Cycling
from plans.runs import run_with_images

PROFILE = """
bench: sim-mri-eis
instrument_name: both
devices:
  pstat:
    kind: potentiostat
    driver: potentiostat_bridge
    resource: "sim://pstat"
    limits: {max_voltage_v: 5, max_current_ma: 10}
  mri:
    kind: mri
    console: {driver: console_bridge, resource: "sim://console"}
    trigger: {driver: agilent_33500, resource: "sim://ttl"}
"""
LIMITS = CellLimits(-5, 5, -1, 1)
AREA_CM2, CURRENT_MA = 0.1257, 0.01257
METHOD = [
    Tag(tag="cycle"),
    ConstantCurrent(current_mA=CURRENT_MA, until_time_s=120),
    OpenCircuitVoltage(until_time_s=30),
    ConstantCurrent(current_mA=-CURRENT_MA, until_time_s=60),
    Loop(loop_to="cycle", cycle_count=2),
]
SMALL = {"tr_s": 0.05, "averages": 40, "matrix": [81, 52], "fov_mm": [17, 11]}  # 104 s a frame
GEIS = Sweep("current", 0.001, 7e6, 0.5)


@pytest.fixture
def bench(tmp_path):
    path = tmp_path / "both.yaml"
    path.write_text(PROFILE, encoding="utf-8")
    with open_bench(path, data=tmp_path / "data") as opened:
        opened.RE.attended = False
        yield opened


def run(bench, *captures):
    world = bench.laboratory.world
    before = world.sample.charge_mah(world.catch_up())
    cycling = Cycling(bench.pstat, METHOD, 10.0, LIMITS, 10.0)
    stop_when = [condition(name, bench.pstat) for name in ("hard_short", "soft_short")]
    bench.RE.run(run_with_images(cycling, captures, stop_when, md={}))
    recorded = load_run(DataDirectory(bench.data).journal(bench.live.snapshot().run))
    assert recorded.stop["reason"] == "completed"
    return recorded, np.subtract(world.sample.charge_mah(world.catch_up()), before)


def test_frames_and_spectra_of_one_run(bench):
    images = Capture(bench.mri, back_to_back=True, settings=SMALL)
    series = SpectrumSeries(bench.pstat, GEIS, limits=LIMITS)
    recorded, charge = run(bench, images, Capture(series, every_s=40))
    frames, eis = recorded.streams["mri"], recorded.streams["eis"]
    assert list(frames["mri_frame"]) == list(range(len(frames["mri_frame"])))
    assert len(frames["mri_frame"]) == 5  # of 104 s, in 420 s and the spectra between steps
    assert charge == pytest.approx([CURRENT_MA * 120 / 3600, CURRENT_MA * 360 / 3600], abs=1e-9)
    numbers = eis["pstat_eis_spectrum"]
    assert set(np.bincount(numbers)) == {73}
    assert numbers.max() >= 8
    for number in range(numbers.max() + 1):
        rows = numbers == number
        z_ohm = eis["pstat_eis_z_real_ohm"][rows] + 1j * eis["pstat_eis_z_imag_ohm"][rows]
        fit = fit_two_arc(
            eis["pstat_eis_frequency_hz"][rows],
            z_ohm,
            area_cm2=AREA_CM2,
            electrolyte_ohm_cm2=240.0,
        )
        assert fit.state == "cell"
        truth = bench.laboratory.truth()
        interface = truth["interface_ohm_cm2"] + truth["interphase_ohm_cm2"]
        assert fit.interface.ohm_cm2 == pytest.approx(interface, rel=0.02)


def test_the_charge_of_an_exposure_counts_what_sweeps_pass(bench):
    images = Capture(bench.mri, at=("start",), settings=SMALL)
    series = SpectrumSeries(bench.pstat, GEIS, limits=LIMITS)
    recorded, _ = run(bench, images, Capture(series, back_to_back=True))
    exposure = recorded.streams["mri"]
    passed = CURRENT_MA * (104.0 - GEIS.duration_s) / 3600  # the first sweep finds no step
    assert exposure["mri_exposure_charge_mah"][0] == pytest.approx(passed, rel=2e-3)
