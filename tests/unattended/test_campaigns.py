"""Campaigns run by run: what carries over, what ends them, and what is kept of them."""

from __future__ import annotations

import io
import json
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from devices.errors import LimitError, LinkError
from orchestrator.bench import open_bench
from orchestrator.campaign import check_hands, groups, run_campaign
from orchestrator.cli.campaigns import ask_for_sample
from orchestrator.cli.main import main
from orchestrator.cli.output import Output
from orchestrator.errors import ExperimentError, InterlockTripped, RecordError
from orchestrator.experiment import load_campaign
from orchestrator.laboratory import Surroundings
from orchestrator.profile.loading import load_profile
from orchestrator.records.campaigns import find_campaign
from orchestrator.records.directory import DataDirectory
from orchestrator.records.runs import find_run, load_run
from orchestrator.running import run_experiment

FILE = """\
experiment: series
bench: sim-mri
OWN
sample: {name: $name, area_cm2: 0.1257, simulate_as: {model: llzo_cell, preset: small_4p8}}
protocol:
  record: {time_s: 5}
  safety: {max_voltage_V: 5, min_voltage_V: -5, max_current_mA: 1, min_current_mA: -1, max_capacity_mAh: MAX}
  method:
    - {step: constant_current, current_mA_per_cm2: $j, until_voltage_V: 4, until_time_s: 60}
stop_when: [STOP]
"""  # noqa: E501 - as people write it

SPECTRA = """\
experiment: spectra
bench: sim-eis
sweep: {product: {hz: [1e6, 1e7]}}
sample: {name: A, area_cm2: 0.0314, simulate_as: {model: llzto_pellet, preset: lithiophobic}}
protocol:
  record: {time_s: 1}
  safety: {max_voltage_V: 5, min_voltage_V: -5, max_current_mA: 1, min_current_mA: -1, max_capacity_mAh: 1}
  method: [{step: open_circuit_voltage, until_time_s: 60}]
spectra:
  - when: {at: [end]}
    settings: {amplitude_mA: 0.001, start_frequency_Hz: $hz, end_frequency_Hz: 10}
"""  # noqa: E501 - as people write it


@pytest.fixture
def write(tmp_path):
    def written(own: str, *, most: str = "1", stop: str = "") -> Path:
        path = tmp_path / "series.yaml"
        text = FILE.replace("OWN", own).replace("MAX", most).replace("STOP", stop)
        path.write_text(text if "name:" in own else text.replace("$name", "LLZO-7"))
        return path

    return written


class Bench:
    """Opens benches as the command line does and remembers how often."""

    def __init__(self, data: Path, campaign) -> None:
        self.data, self.profile, self.count = data, campaign.profile, 0
        self.off: list[bool] = []
        self.fails_at: dict[int, Exception] = {}

    @contextmanager
    def opened(self, point):
        self.count += 1
        experiment = point.experiment
        sample = experiment.sample.simulate_as.model_dump(exclude_none=True)
        around = Surroundings(**experiment.environment.model_dump())
        with open_bench(self.profile, data=self.data, sample=sample, surroundings=around) as bench:
            yield bench

    def carry(self, point, bench, campaign):
        self.off.append(not bench.RE.energised)
        if point.number in self.fails_at:
            raise self.fails_at[point.number]
        with Path(os.devnull).open("w") as nowhere:
            return run_experiment(point.experiment, bench, speak=nowhere, campaign=campaign)


def ran(path: Path, data: Path, **fails_at: Exception):
    campaign = load_campaign(path, environ={})
    bench = Bench(data, campaign)
    bench.fails_at = {int(number.strip("_")): error for number, error in fails_at.items()}
    return run_campaign(campaign, bench.opened, bench.carry), bench


def lost(number: int) -> LinkError:
    return LinkError("pstat", f"gone in run {number}", remedy="plug it in")


def statuses(result) -> list[str]:
    return [one.outcome for one in result.runs]


# --- what carries over ---------------------------------------------------------------------------


def test_every_run_says_which_campaign_it_is_of(write, tmp_path):
    campaign = load_campaign(write("sweep: {zip: {j: [0.1, 0.2]}}"), environ={})
    result = run_campaign(campaign, data=tmp_path)
    assert statuses(result) == ["success", "success"]
    assert result.stop_reason == "completed"
    directory = DataDirectory(tmp_path)
    starts = [load_run(directory.journal(one.uid)).start for one in result.runs]
    assert [start["campaign"] for start in starts] == [
        {"uid": result.uid, "number": 1, "runs": 2, "values": {"j": 0.1}},
        {"uid": result.uid, "number": 2, "runs": 2, "values": {"j": 0.2}},
    ]
    assert starts[1]["experiment"]["protocol"]["method"][0]["current_mA_per_cm2"] == 0.2
    found = find_campaign(tmp_path, result.uid[:8])
    assert [one.uid for one in found.runs] == [one.uid for one in result.runs]
    assert find_campaign(tmp_path, "-1") is None
    assert find_campaign(tmp_path, "nothing") is None


def test_the_cell_goes_on_as_the_run_before_left_it(write, tmp_path):
    """A charge of the first run is seen in the second, and not on another sample."""
    same, _ = ran(write("sweep: {zip: {j: [0.1, 0.1]}}"), tmp_path / "same")
    fresh, bench = ran(
        write("sweep: {zip: {j: [0.1, 0.1], name: [A, B]}}").replace(tmp_path / "fresh.yaml"),
        tmp_path / "fresh",
    )
    assert bench.count == 2

    def volts(result, data):
        runs = [load_run(DataDirectory(data).journal(one.uid)) for one in result.runs]
        return [run.streams["echem"]["pstat_voltage_v"] for run in runs]

    again = volts(fresh, tmp_path / "fresh")
    assert np.array_equal(again[0], again[1])  # the same pristine cell, the same noise
    carried = volts(same, tmp_path / "same")
    assert not np.array_equal(carried[0], carried[1])
    began = [load_run(p).start["time"] for p in (tmp_path / "same" / "journals").glob("*.jsonl")]
    assert abs(began[1] - began[0]) >= 60


def test_points_are_grouped_by_what_needs_a_hand(write, tmp_path):
    own = "sweep: {product: {name: [A, B], j: [0.1, 0.2]}}"
    campaign = load_campaign(write(own), environ={})
    assert [[p.number for p in group] for group in groups(campaign)] == [[1, 2], [3, 4]]
    path = write("sweep: {product: {j: [0.1], t: [25, 60]}}")
    path.write_text(f"{path.read_text()}environment: {{temperature_celsius: $t}}\n")
    on = {name: load_campaign(path, profile=load_profile(name)) for name in ("sim-mri",)}
    assert len(list(groups(on["sim-mri"]))) == 2
    path.write_text(path.read_text().replace("bench: sim-mri", "bench: sim-chamber"))
    assert len(list(groups(load_campaign(path, environ={})))) == 1  # its chamber goes there


def test_hands_are_asked_for_on_hardware_only(write):
    campaign = load_campaign(write("sweep: {product: {name: [A, B], j: [0.1]}}"), environ={})
    check_hands(campaign, attended=False)
    entry = campaign.profile.devices["pstat"]
    real = entry.model_copy(update={"resource": "TCPIP::192.0.2.7::5025::SOCKET"})
    profile = campaign.profile.model_copy(
        update={"devices": {**campaign.profile.devices, "pstat": real}}
    )
    hard = type(campaign)(campaign.points, profile, campaign.sweep)
    check_hands(hard, attended=True)
    with pytest.raises(ExperimentError, match=r"before run 2 \(name = B, j = 0.1\)"):
        check_hands(hard, attended=False)


# --- what ends a campaign ------------------------------------------------------------------------


def test_a_failed_run_ends_it(write, tmp_path):
    result, bench = ran(write("sweep: {zip: {j: [0.1, 0.2, 0.3]}}"), tmp_path, _2=lost(2))
    assert all(bench.off)
    assert statuses(result) == ["success", "fail", "not_run"]
    assert (result.exit_status, result.stop_reason) == ("fail", "run 2 failed")
    assert result.runs[1].error == "pstat: gone in run 2 (plug it in)"
    assert isinstance(result.failure, LinkError)
    assert bench.count == 1


def test_or_it_goes_on_with_a_bench_opened_anew(write, tmp_path):
    path = write("sweep: {zip: {j: [0.1, 0.2, 0.3]}, on_failure: go_on}")
    result, bench = ran(path, tmp_path, _1=lost(1), _2=lost(2))
    assert statuses(result) == ["fail", "fail", "success"]
    assert (result.exit_status, result.stop_reason) == ("fail", "completed")
    assert bench.count == 3
    document = result.to_document()
    assert [one["uid"] is None for one in document["runs"]] == [True, True, False]
    assert document["runs"][2]["stop_reason"] == "completed"
    assert json.dumps(document, default=str)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (RecordError("journal", "disk full", remedy="free some"), "fail", "run 2 failed"),
        (InterlockTripped("door", "open", remedy="close it"), "fail", "run 2 failed"),
        (KeyboardInterrupt(), "abort", "run 2 was interrupted"),
    ],
)
def test_nothing_unrecorded_goes_on_and_a_person_is_heard(write, tmp_path, error, status, reason):
    path = write("sweep: {zip: {j: [0.1, 0.2, 0.3]}, on_failure: go_on}")
    result, _ = ran(path, tmp_path, _2=error)
    assert statuses(result) == ["success", status, "not_run"]
    assert (result.exit_status, result.stop_reason) == (status, reason)


def test_a_limit_is_a_failure(write, tmp_path):
    own = "sweep: {zip: {j: [0.1, 0.2, 0.1]}}"
    result, _ = ran(write(own, most="0.0003"), tmp_path)
    assert statuses(result) == ["success", "fail", "not_run"]
    assert result.stop_reason == "run 2 ended with limit"
    assert result.exit_status == "fail"


def test_a_device_that_is_not_known_to_be_off_ends_every_campaign(write, tmp_path):
    """Row 18: no run follows."""
    path = write("sweep: {zip: {j: [0.1, 0.2]}, on_failure: go_on}")
    campaign = load_campaign(path, environ={})
    benches = Bench(tmp_path, campaign)

    class Stuck:
        """A device that does not switch off."""

        name, energised = "relay", False

        def stop(self, *, success: bool = False) -> None:
            raise LinkError("relay", "is stuck", remedy="disconnect the cell")

    def carry(point, bench, told):
        result = benches.carry(point, bench, told)
        bench.RE.guard(Stuck())
        return result

    result = run_campaign(campaign, benches.opened, carry)
    assert statuses(result) == ["success", "not_run"]
    assert result.stop_reason == "a device is not known to be off after run 1"
    assert "not known to be off" in str(result.failure)


def test_a_shorted_cell_is_not_cycled_on(tmp_path):
    """Row 13: the campaign stops."""
    text = FILE.replace("OWN", "sweep: {product: {j: [0.1, 0.2]}}").replace("$name", "LLZO-7")
    text = text.replace("MAX", "1").replace("STOP", "hard_short").replace(
        "preset: small_4p8}", 'preset: small_4p8, faults: ["short:cell:30:9000"]}'
    )  # fmt: skip
    path = tmp_path / "short.yaml"
    path.write_text(text)
    result, _ = ran(path, tmp_path / "data")
    assert result.runs[0].stop_reason == "hard_short"
    assert statuses(result) == ["success", "not_run"]
    assert result.stop_reason == "run 1 ended with hard_short"


def test_a_bench_that_does_not_open_for_the_first_run_is_an_error(write, tmp_path):
    campaign = load_campaign(write("sweep: {zip: {j: [0.1]}, on_failure: go_on}"), environ={})

    @contextmanager
    def opened(point):
        raise lost(point.number)
        yield

    with pytest.raises(LinkError, match="gone in run 1"):
        run_campaign(campaign, opened, Bench(tmp_path, campaign).carry)
    assert not list(tmp_path.glob("journals/*"))


def test_what_no_bench_takes_is_refused_before_the_first_run(tmp_path):
    """A plan that cannot be made is known before anything moves, whichever run it is of."""
    path = tmp_path / "spectra.yaml"
    path.write_text(SPECTRA)
    with pytest.raises(LimitError, match="range of frequencies"):
        ran(path, tmp_path / "data")
    assert not list((tmp_path / "data").glob("journals/*"))


# --- the command line ----------------------------------------------------------------------------


def spoken(capsys, *arguments: object) -> tuple[int, dict, str]:
    code = main([*map(str, arguments), "--json", "--no-progress"])
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    return code, json.loads(printed.out), printed.err


def test_run_show_runs_and_report_know_campaigns(write, tmp_path, capsys):
    path, data = write("sweep: {zip: {j: [0.1, 0.2, 0.3]}}"), tmp_path / "data"
    options = ("--data", data)
    code, value, said = spoken(capsys, "run", path, *options, "--points", "1,3", "--no-report")
    assert code == 0
    assert [(one["number"], one["values"], one["exit_status"]) for one in value["runs"]] == [
        (1, {"j": 0.1}, "success"), (3, {"j": 0.3}, "success"),
    ]  # fmt: skip
    single = {"uid", "exit_status", "stop_reason", "duration_s", "wall_s", "events", "frames",
              "charge_mah", "throughput_mah", "closure_error", "simulated", "data"}  # fmt: skip
    assert single <= set(value["runs"][0])
    assert "run 3: j = 0.3" in said
    _, listed, table = spoken(capsys, "runs", *options)
    assert [one["campaign"]["number"] for one in listed["runs"]] == [1, 3]
    assert f"campaign {value['campaign'][:8]}: series, 2 of 3 runs" in table
    _, shown, text = spoken(capsys, "show", value["campaign"][:6], *options)
    assert (shown["campaign"], len(shown["runs"])) == (value["campaign"], 2)
    assert "3    0.3" in text
    code, told, _ = spoken(capsys, "report", value["campaign"], *options)
    page = Path(told["report"]).read_text(encoding="utf-8")
    assert code == 0
    assert "SIMULATED" in page
    _, _, text = spoken(capsys, "show", "-1", *options)
    assert f"run 3 of 3 of campaign {value['campaign'][:8]}" in text
    for uid in (one["uid"] for one in value["runs"]):
        assert "run " in (data / "reports" / uid / "index.html").read_text("utf-8")
        assert f'href="../{uid}/index.html"' in page
        assert (data / "reports" / uid / "index.html").is_file()


def test_the_example_moves_the_same_charge_three_times(tmp_path, capsys):
    path = Path(__file__).parents[2] / "examples" / "current_series.yaml"
    code, value, _ = spoken(capsys, "run", path, "--data", tmp_path, "--no-report")
    assert code == 0
    assert [one["values"]["j"] for one in value["runs"]] == [0.05, 0.1, 0.2]
    moved = [one["throughput_mah"] for one in value["runs"]]
    # 2 x 0.02 mAh/cm2 x 0.1257 cm2, to within the charge of a record at each end of two steps
    most = [4 * j * 0.1257 * 5 / 3600 for j in (0.05, 0.1, 0.2)]
    assert all(abs(q - 0.005028) <= limit for q, limit in zip(moved, most, strict=True))


def test_a_person_is_asked_for_the_next_sample(write, monkeypatch, capsys):
    point = load_campaign(write("sweep: {zip: {j: [0.1], name: [B]}}"), environ={}).points[0]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    ask_for_sample(point, Output())
    assert "put the sample of run 1 (j = 0.1, name = B) in place" in capsys.readouterr().out
    with pytest.raises(KeyboardInterrupt):
        ask_for_sample(point, Output())


def test_points_that_are_not_there(write, tmp_path, capsys):
    path = write("sweep: {zip: {j: [0.1, 0.2]}}")
    assert main(["run", str(path), "--data", str(tmp_path / "d"), "--points", "2-3"]) == 2
    assert "has the runs 1 to 2, got --points 3" in capsys.readouterr().err
    assert main(["run", str(path), "--points", "x"]) == 2
    path = write("variables: {j: 0.1}")
    assert main(["run", str(path), "--data", str(tmp_path / "d"), "--points", "1"]) == 2
    assert "is one run, got --points" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_an_interrupted_campaign_says_how_to_go_on(write, tmp_path, capsys):
    path = write("sweep: {zip: {j: [0.1, 0.2, 0.1]}}", most="0.0003")
    code, value, said = spoken(capsys, "run", path, "--data", tmp_path / "d", "--no-report")
    assert code == 4
    assert "run 2 ended with limit; the rest is run by `--points 3`" in said
    assert [one["outcome"] for one in value["runs"]] == ["success", "fail", "not_run"]


def test_the_disk_must_hold_all_runs(tmp_path, capsys):
    """Row 24: for all runs of a campaign."""
    many = ", ".join(["0.1"] * 900)
    text = FILE.replace("OWN", f"sweep: {{product: {{j: [{many}]}}}}").replace("$name", "A")
    text = text.replace("MAX", "9e9").replace("STOP", "").replace("time_s: 5", "time_s: 0.02")
    path = tmp_path / "big.yaml"
    path.write_text(text.replace("until_time_s: 60", "until_time_s: 1e8"))
    assert main(["run", str(path), "--data", str(tmp_path / "d")]) == 5
    assert "free, expected" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_a_run_outside_a_campaign_says_nothing_of_one(tmp_path):
    text = FILE.replace("OWN", "variables: {j: 0.1}").replace("$name", "A")
    path = tmp_path / "one.yaml"
    path.write_text(text.replace("MAX", "1").replace("STOP", ""))
    code = main(["run", str(path), "--data", str(tmp_path), "-q", "--no-report"])
    assert code == 0
    assert "campaign" not in load_run(find_run(tmp_path, "-1")).start
