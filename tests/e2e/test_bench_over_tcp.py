"""The whole stack on the system's clock over real TCP, as it would run on hardware."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import yaml

from devices.errors import IdentityError, LinkError
from orchestrator.bench import open_bench
from orchestrator.experiment import load_experiment
from orchestrator.experiment.templates import example_path
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from orchestrator.running import run_experiment
from sim.instruments.agilent_33500 import SimulatedAgilent33500
from sim.instruments.keithley_2450 import Keithley2450
from sim.instruments.mri_acquirers import pellet_acquirers
from sim.instruments.mri_console import SimulatedMriConsole
from sim.samples.llzo_cell import LlzoCell
from sim.wire.tcp import serve
from sim.world import World


@pytest.fixture
def laboratory():
    """Instruments behind TCP ports, around one cell that ages in real time."""
    began = time.monotonic()
    cell = LlzoCell.from_preset("small_4p8")
    world = World(cell, now=lambda: time.monotonic() - began)
    instruments = {
        "smu": Keithley2450(world),
        "ttl": SimulatedAgilent33500(world),
        "console": SimulatedMriConsole(
            world,
            pellet_acquirers(cell.geometry, 0),
            clock_offset_s=time.time(),
            reconstruction_s=0.2,
        ),
    }
    with serve(instruments, life_s=60.0) as served:
        yield world, served


def profile(folder, served, **changes):
    """A bench profile that names nothing but addresses."""
    devices = {
        "pstat": {
            "kind": "potentiostat",
            "driver": "keithley_2450",
            "resource": served.resource("smu"),
            "limits": {"max_voltage_v": 5, "max_current_ma": 10},
        },
        "mri": {
            "kind": "mri",
            "console": {"driver": "console_bridge", "resource": served.resource("console")},
            "trigger": {"driver": "agilent_33500", "resource": served.resource("ttl")},
        },
    }
    devices["pstat"] |= changes
    path = folder / "tcp-bench.yaml"
    document = {"bench": "tcp-bench", "instrument_name": "over TCP", "devices": devices}
    path.write_text(yaml.safe_dump(document | {"poll_period_s": 0.5, "journal_every_s": 2}))
    return path


def short_experiment(folder, bench):
    document = yaml.safe_load(example_path("quick_look").read_text())
    for step in document["protocol"]["method"]:
        if "until_time_s" in step:
            step["until_time_s"] = step["until_time_s"] / 2
    document["protocol"]["record"]["time_s"] = 0.25
    path = folder / "short.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_experiment(path, bench=bench)


def test_cycling_and_imaging_over_tcp_on_the_system_clock(laboratory, tmp_path):
    world, served = laboratory
    bench_file = profile(tmp_path, served)
    experiment = short_experiment(tmp_path, bench_file)
    with open_bench(bench_file, data=tmp_path / "data") as bench:
        assert not bench.clock.simulated
        assert bench.laboratory is None
        before = world.sample.charge_mah(world.now())
        began = time.time()
        result = run_experiment(experiment, bench, speak=io.StringIO())
        assert not bench.pstat._backend.output_on()
    after = world.sample.charge_mah(world.now())
    assert result.stop_reason == "completed"
    assert result.simulated == {"pstat": True, "mri": True}  # their serial numbers say so
    run = load_run(DataDirectory(tmp_path / "data").journal(result.uid))
    echem = run.streams["echem"]
    assert began - 1 <= echem["time"][0] <= echem["time"][-1] <= time.time() + 1
    one_record_mah = 0.01257 * 0.25 / 3600
    assert result.throughput_mah == pytest.approx(after[1] - before[1], abs=2 * one_record_mah)
    assert result.throughput_mah == pytest.approx(0.01257 * 8 / 3600, rel=0.05)
    flowing = np.abs(echem["pstat_current_ma"]) > 1e-3
    assert np.median(np.abs(echem["pstat_voltage_v"][flowing])) == pytest.approx(0.049, abs=0.002)
    frames = run.streams["mri"]
    assert len(frames["mri_frame"]) >= 2
    lengths = frames["mri_t_end_s"] - frames["mri_t_start_s"]
    assert lengths == pytest.approx(np.full(len(lengths), 0.04 * 52), abs=0.01)
    assert run.frames("mri")[0].std() > 0


def test_an_instrument_that_is_absent_or_another_is_named_before_anything_is_on(
    laboratory, tmp_path
):
    """Row 3: a whole bench, over TCP."""
    world, served = laboratory
    absent = profile(tmp_path, served, resource="TCPIP::127.0.0.1::9::SOCKET")
    with pytest.raises(LinkError, match="pstat"), open_bench(absent, data=tmp_path):
        pytest.fail("opened a bench without its potentiostat")
    other = profile(tmp_path, served, resource=served.resource("ttl"))
    path = tmp_path / "other.yaml"
    document = yaml.safe_load(other.read_text())
    del document["devices"]["mri"]
    path.write_text(yaml.safe_dump(document | {"bench": "other"}))
    with pytest.raises(IdentityError, match="2450"), open_bench(path, data=tmp_path):
        pytest.fail("took a generator for a potentiostat")
    assert world.sample.charge_mah(world.now()) == (0.0, 0.0)
