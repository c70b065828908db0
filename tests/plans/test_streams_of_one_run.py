"""One run, many rates: each in a stream of its own, on one clock, nothing padded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from orchestrator.cli.main import main
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from orchestrator.report import cycles_of

BENCH = """
bench: everything
instrument_name: "simulated magnet with a chamber"
devices:
  pstat: {kind: potentiostat, driver: potentiostat_bridge, resource: "sim://pstat",
          limits: {max_voltage_v: 5, max_current_ma: 10}}
  mri: {kind: mri, console: {driver: console_bridge, resource: "sim://console"},
        trigger: {driver: agilent_33500, resource: "sim://ttl"}}
  oven: {kind: chamber, driver: temptronic_ats545, resource: "sim://oven",
         limits: {min_celsius: -20, max_celsius: 80, max_ramp_celsius_per_min: 5},
         settle_band_celsius: 0.5, soak_s: 60, deadline_s: 14400}
"""

EXPERIMENT = """
experiment: many-rates
bench: bench.yaml
sample: {name: L, area_cm2: 0.1257, simulate_as: {model: llzo_cell, preset: small_4p8, seed: 0}}
preflight: {ocv_s: 5, max_contact_resistance_ohm: 10000}
protocol:
  record: {time_s: 10}
  safety: {max_voltage_V: 5, min_voltage_V: -5, max_current_mA: 1, min_current_mA: -1,
           max_capacity_mAh: 10}
  method:
    - {step: tag, tag: cycle}
    - {step: constant_current, current_mA_per_cm2: 0.1, until_time_s: 600}
    - {step: constant_current, current_mA_per_cm2: -0.1, until_time_s: 600}
    - {step: loop, loop_to: cycle, cycle_count: 2}
images:
  - device: mri
    when: {every_s: 400}
    cell: open
    settings: {method: flash2d, tr_s: 0.05, te_s: 0.000918, flip_angle_deg: 30, averages: 40,
               matrix: [81, 52], fov_mm: [17, 11]}
spectra:
  - when: {every_s: 500}
    cell: rest
    settings: {amplitude_mA: 0.001, start_frequency_Hz: 1e4, end_frequency_Hz: 1,
               points_per_decade: 5}
environment: {temperature_celsius: 25}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "bench.yaml").write_text(BENCH)
    (folder / "run.yaml").write_text(EXPERIMENT)
    assert main(["--data", str(folder / "data"), "--json", "run", str(folder / "run.yaml")]) == 0
    (journal,) = (folder / "data" / "journals").glob("*.jsonl")
    return load_run(DataDirectory(folder / "data").journal(journal.stem))


def test_each_rate_is_a_stream_of_its_own(ran):
    measured = set(ran.streams) - {"interruptions"}
    assert measured == {"echem", "eis", "mri", "environment", "events"}
    rows = {name: len(ran.streams[name]["time"]) for name in measured}
    assert len(set(rows.values())) == len(rows), "no stream is padded to another's rate"
    for name in ("echem", "eis", "mri", "environment"):
        for key, values in ran.streams[name].items():
            if values.dtype.kind == "f":
                assert np.isfinite(values).all(), f"{name}: {key}"


def test_all_of_it_is_on_one_clock(ran):
    begun_s, ended_s = ran.start["time"], ran.stop["time"]
    for columns in (c for c in ran.streams.values() if len(c["time"])):
        assert np.all(np.diff(columns["time"]) >= 0)
        assert begun_s <= columns["time"][0] <= columns["time"][-1] <= ended_s
    mri, echem = ran.streams["mri"], ran.streams["echem"]
    for start_s, end_s in zip(mri["mri_t_start_s"], mri["mri_t_end_s"], strict=True):
        assert not np.any((echem["time"] > start_s) & (echem["time"] < end_s)), "the cell is open"
    assert mri["mri_exposure_throughput_mah"] == pytest.approx(0.0, abs=1e-12)


def test_the_charge_closes_with_the_instruments_own_counter(ran):
    events = ran.streams["events"]
    (error,) = events["event_value"][events["event_kind"] == "charge_closure"]
    assert abs(error) < 1e-3
    descriptor = ran.descriptors["echem"]["configuration"]["pstat"]["data"]
    assert descriptor["pstat_charge_counter"] == 1
    assert "preflight" in events["event_kind"]


def test_every_cycle_has_its_row(ran):
    table = cycles_of(ran)
    assert list(table.cycle) == [1, 2]
    assert table.forward_mah == pytest.approx(0.01257 * 600 / 3600, rel=2e-3)
    assert table.efficiency == pytest.approx(1.0, abs=2e-3)
    assert set(table.quality) == {"ok"}
    assert json.dumps(table.columns())
