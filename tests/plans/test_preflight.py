"""Before anything drives the cell: its voltage, its polarity, its contacts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from aurora_unicycler import ConstantCurrent

from devices.errors import PreflightError
from devices.roles import CellLimits
from orchestrator.bench import open_bench
from orchestrator.cli.main import main
from orchestrator.errors import ExperimentError
from orchestrator.experiment import load_experiment
from orchestrator.planning import experiment_plan
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import load_run
from plans.cycling import Cycling
from plans.preflight import Preflight
from plans.runs import run_with_images

EXAMPLE = Path(__file__).parents[2] / "examples" / "mri_at_rest.yaml"
SYMMETRIC = {"model": "llzo_cell", "preset": "small_4p8", "seed": 0}
BATTERY = {"model": "full_cell", "preset": "nmc83_limg"}
CURRENT_MA = 0.01257
METHOD = [ConstantCurrent(current_mA=CURRENT_MA, until_time_s=20)]


def run(tmp_path, preflight, *, bench="sim-mri", sample=SYMMETRIC, limits=(-5, 5, -1, 1), **more):
    """Run with a pre-flight; the error, if any, and the records."""
    with open_bench(bench, data=tmp_path, sample=sample) as opened:
        opened.RE.attended = False
        method = more.get("method", METHOD)
        cycling = Cycling(
            opened.pstat, method, 10.0, CellLimits(*limits), 10.0, preflight=preflight
        )
        failed = None
        try:
            opened.RE.run(run_with_images(cycling, md={}))
        except PreflightError as error:
            failed = error
        assert not opened.pstat._backend.output_on()
        world = opened.laboratory.world
        charge = world.sample.charge_mah(world.now())
        return failed, load_run(DataDirectory(tmp_path).journal(opened.live.snapshot().run)), charge


def events(recorded):
    columns = recorded.streams["events"]
    return dict(zip(columns["event_kind"], columns["event_text"], strict=True))


def test_a_cell_as_stated_is_driven_after_it_has_rested(tmp_path):
    failed, recorded, charge = run(tmp_path, Preflight(ocv_s=30, ocv_window_v=(-0.05, 0.05)))
    assert failed is None
    assert recorded.stop["reason"] == "completed"
    assert "pre-flight passed: open-circuit voltage" in events(recorded)["preflight"]
    echem = recorded.streams["echem"]
    first = echem["pstat_step_index"] == -1
    assert first.sum() == 31
    assert np.abs(echem["pstat_current_ma"][first]).max() < 1e-3 * CURRENT_MA
    assert charge[0] == pytest.approx(CURRENT_MA * 20 / 3600, abs=1e-9)


@pytest.mark.parametrize(
    ("preflight", "sample", "match"),
    [
        (
            Preflight(ocv_window_v=(1.0, 2.0)),
            SYMMETRIC,
            r"pstat: pre-flight: open-circuit voltage .*, expected 1 to 2 V",
        ),
        (Preflight(expect_positive=True), SYMMETRIC, "shorted, not connected, or without"),
        (Preflight(expect_positive=False), BATTERY, "expected below -0.05 V .the leads are exch"),
    ],
)
def test_a_cell_that_is_not_as_stated_is_never_driven(tmp_path, preflight, sample, match):
    """Row 14: contacts that are bad before the start."""
    bench = "sim-cycler" if sample is BATTERY else "sim-mri"
    failed, recorded, charge = run(tmp_path, preflight, bench=bench, sample=sample)
    with pytest.raises(PreflightError, match=match):
        raise failed
    assert recorded.stop["exit_status"] == "fail"
    assert events(recorded)["preflight_failed"] == str(failed)
    assert charge == (0.0, 0.0)
    assert np.abs(recorded.streams["echem"]["pstat_current_ma"]).max() < 1e-4


def test_the_window_is_that_of_the_limits_where_none_is_given(tmp_path):
    failed, _, charge = run(
        tmp_path, Preflight(), bench="sim-cycler", sample=BATTERY, limits=(-1, 1, -1, 1)
    )
    assert isinstance(failed, PreflightError)  # the instrument itself has ended the rest
    assert "while the cell rests: limit" in str(failed)
    assert charge == (0.0, 0.0)


@pytest.mark.parametrize("bench", ["sim-mri", "sim-eis"])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_contacts_are_measured_with_a_small_current_and_no_net_charge(tmp_path, bench, factor):
    with open_bench(bench, data=tmp_path, sample=SYMMETRIC) as opened:
        world = opened.laboratory.world
        true = world.sample.resistances(0.0)
    seen = run(tmp_path / "a", Preflight(max_contact_resistance_ohm=1e6), bench=bench, method=[])[1]
    found_ohm = float(events(seen)["preflight"].split("contacts ")[1].split()[0])
    assert found_ohm == pytest.approx(measured_ohm(bench, true), rel=0.05)
    failed, recorded, charge = run(
        tmp_path / "b",
        Preflight(max_contact_resistance_ohm=factor * found_ohm),
        bench=bench,
    )
    assert (failed is None) == (factor > 1.0)
    echem = recorded.streams["echem"]
    probe = echem["pstat_step_index"] == -1
    # 10 mV at the largest resistance, and no more than the protocol's own current
    most_ma = min(10.0 / (factor * found_ohm), CURRENT_MA)
    assert np.abs(echem["pstat_current_ma"][probe]).max() <= 1.02 * most_ma
    passed = 0.0 if failed is not None else CURRENT_MA * 20 / 3600
    assert charge[0] == pytest.approx(passed, abs=1e-9)
    if failed is not None:
        assert "look at the contacts and the leads" in str(failed)
    if bench == "sim-eis":
        assert recorded.streams["eis"]["pstat_eis_frequency_hz"].max() == pytest.approx(1e5)


def measured_ohm(bench, true):
    """What a probe sees: pellet alone at 100 kHz, everything after a second."""
    from sim.samples.impedance import impedance_ohm

    hertz = 1e5 if bench == "sim-eis" else 0.05
    return float(np.real(impedance_ohm(np.array([hertz]), true))[0])


@pytest.mark.long
def test_a_pause_at_any_message_of_the_preflight_drives_nothing(tmp_path):
    checks = Preflight(ocv_s=4.0, max_contact_resistance_ohm=1e6)
    with open_bench("sim-mri", data=tmp_path, sample=SYMMETRIC) as bench:
        bench.RE.attended = False
        world, index, total = bench.laboratory.world, 0, 10**6
        while index < total:
            seen, before = [], world.sample.charge_mah(world.now())

            def hook(_msg, seen=seen, index=index):
                seen.append(1)
                if len(seen) == index + 1:
                    bench.time.loop.create_task(bench.RE._request_pause_coro())

            cycling = Cycling(
                bench.pstat, METHOD, 10.0, CellLimits(-5, 5, -1, 1), 10.0, preflight=checks
            )
            bench.RE.msg_hook = hook
            result = bench.RE.run(run_with_images(cycling, md={}))
            while str(bench.RE.state) == "paused":
                assert not bench.pstat._backend.output_on()
                result = bench.resume()
            assert result.exit_status == "success"
            net, _ = np.subtract(world.sample.charge_mah(world.now()), before)
            assert net == pytest.approx(CURRENT_MA * 20 / 3600, abs=1e-9), f"at {index}"
            total, index = len(seen), index + 2


def test_the_example_runs_and_images_the_resting_cell(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--json", "run", str(EXAMPLE)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["stop_reason"] == "completed"
    recorded = load_run(DataDirectory(tmp_path).journal(result["uid"]))
    mri = recorded.streams["mri"]
    assert len(mri["mri_frame"]) >= 4
    assert mri["mri_exposure_throughput_mah"].max() < 1e-3 * 0.01257 * 2
    assert result["charge_mah"] == pytest.approx(0.0, abs=1e-5)
    assert result["throughput_mah"] == pytest.approx(4 * 2 * 0.01257, rel=2e-3)
    assert {"preflight", "cell_rest", "cell_goes_on"} <= set(events(recorded))


def test_a_failed_preflight_has_an_exit_code_of_its_own(tmp_path, capsys):
    wrong = EXAMPLE.read_text().replace("[-0.05, 0.05]", "[1.0, 2.0]")
    path = tmp_path / "wrong.yaml"
    path.write_text(wrong)
    assert main(["--data", str(tmp_path / "data"), "run", str(path)]) == 4
    said = capsys.readouterr().err
    assert "pre-flight: open-circuit voltage" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{ocv_window_v: [2, 1]}", "preflight: got a window from 2 to 1 V"),
        ("{ocv_window_v: [-9, 9]}", "preflight.ocv_window_v: got -9 to 9 V, expected within saf"),
        ("{ocv_window_v: [1, 2], expect_positive: false}", "has no voltage of that sign"),
        ("{ocv_window_v: [1]}", "preflight.ocv_window_v"),
        ("{probe_current_mA: 0.1}", "expected max_contact_resistance_ohm to go with it"),
        (
            "{probe_current_mA: 5, max_contact_resistance_ohm: 5}",
            "preflight.probe_current_mA: got 5 mA, expected at most safety's 1 mA",
        ),
        ("{ocv_s: 0}", "preflight.ocv_s"),
        ("{polarity: 1}", "preflight.polarity: is not a known key"),
    ],
)
def test_a_wrong_block_is_refused_at_its_line(tmp_path, text, match):
    lines = EXAMPLE.read_text().splitlines()
    first = lines.index("preflight:")
    path = tmp_path / "wrong.yaml"
    path.write_text("\n".join([*lines[:first], f"preflight: {text}", *lines[first + 4 :]]))
    with pytest.raises(ExperimentError, match=match) as caught:
        load_experiment(path, environ={})
    assert f":{first + 1}:" in str(caught.value)


def test_a_listed_plan_passes_its_preflight(tmp_path):
    experiment = load_experiment(EXAMPLE, environ={})
    with open_bench("sim-mri", data=tmp_path, sample=SYMMETRIC) as bench:
        commands = [msg.command for msg in experiment_plan(experiment, bench, md={})]
    assert commands.count("kickoff") == 3 + 4
    assert "open_run" in commands
