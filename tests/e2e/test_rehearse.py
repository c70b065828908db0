"""A rehearsal of a real bench's experiment: nothing real is opened, and everything is told."""

from __future__ import annotations

import json
import re
import runpy
import socket
from pathlib import Path

import h5py
import pytest
import yaml
from aurora_unicycler import ConstantCurrent

from devices import CellLimits
from orchestrator import open_bench, rehearse
from orchestrator.cli.main import main
from orchestrator.profile.loading import load_profile
from orchestrator.profile.models import BenchProfile
from orchestrator.rehearsal.text import lines
from plans import Cycling, in_situ_mri, run_with_images
from tests.command import EXAMPLES, ROOT
from tests.unit.test_rehearsal_parts import REAL

pytestmark = pytest.mark.e2e

QUICK = yaml.safe_load((EXAMPLES / "quick_look.yaml").read_text())
KEYS = {
    "duration_s", "frames", "bytes", "charge_mah", "throughput_mah", "violations", "warnings",
    "timeline",
}  # fmt: skip


@pytest.fixture
def real_bench(tmp_path):
    """A profile of which every address is real, and the quick look for it."""
    bench = yaml.safe_load(yaml.safe_dump(REAL))
    bench["devices"]["MRI_2"]["trigger"]["resource"] = "USB0::0x0957::0x2807::MY52400001::INSTR"
    del bench["devices"]["oven"]
    (tmp_path / "lab-21t.yaml").write_text(yaml.safe_dump(bench))
    document = json.loads(json.dumps(QUICK))
    document["bench"] = "lab-21t.yaml"
    document["roles"] = {"potentiostat": "pstat", "mri": "MRI_2"}
    document["protocol"]["safety"].update(max_voltage_V=4, min_voltage_V=-2)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return tmp_path


@pytest.fixture
def no_way_out(monkeypatch):
    """Any connection, of whatever library, is a failure."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"a rehearsal connects to {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    import pyvisa_py.highlevel

    monkeypatch.setattr(pyvisa_py.highlevel.PyVisaLibrary, "open", refuse)


def told(folder, *arguments, capsys):
    """Exit code and the object of `rehearse --json`."""
    code = main(["rehearse", *arguments, "--json", "--data", str(folder / "data")])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else None, captured.err


@pytest.mark.usefixtures("no_way_out")
def test_nothing_real_is_opened(real_bench, capsys):
    code, found, err = told(real_bench, str(real_bench / "mine.yaml"), capsys=capsys)
    assert code == 0, err
    assert found["not_opened"] == {
        "pstat": "GPIB0::24::INSTR",
        "pstat.disconnect": "GPIB0::7::INSTR",
        "MRI_2.console": "TCPIP::192.0.2.7::5025::SOCKET",
        "MRI_2.trigger": "USB0::0x0957::0x2807::MY52400001::INSTR",
    }
    assert set(found) >= KEYS
    assert found["simulated"] is True
    assert found["frames"] == {"MRI_2": 5}
    assert found["stop_reason"] == "completed"
    assert found["loss_window"]["journal_every_s"] == 8
    assert found["loss_window"]["poll_period_s"] == 7
    assert "SIMULATED" in err
    data = real_bench / "data"
    assert [path.name for path in data.iterdir()] == ["rehearsals"], "not among measured runs"
    (place,) = (data / "rehearsals").iterdir()
    assert re.fullmatch(r"quick-look-[0-9a-f]{6}", place.name)
    assert {path.name for path in place.iterdir()} == {
        "index.html", "rehearsal.json", "timeline.png", "timeline.svg"
    }  # fmt: skip
    page = (place / "index.html").read_text()
    assert "REHEARSAL - SIMULATED - not measured data" in page
    assert not re.search(r"https?://", page)
    assert json.loads((place / "rehearsal.json").read_text())["timeline"] == found["timeline"]


def test_the_rehearsed_run_is_the_run(tmp_path, capsys):
    """On a simulated bench run and rehearsal agree in every number."""
    path = str(EXAMPLES / "quick_look.yaml")
    assert main(["run", path, "--json", "--no-report", "--data", str(tmp_path / "run")]) == 0
    ran = json.loads(capsys.readouterr().out)
    _, found, _ = told(tmp_path, path, "--keep", capsys=capsys)
    for key in ("stop_reason", "duration_s", "stopped_at_s", "frames", "charge_mah"):
        assert found[key] == ran[key], key
    assert found["records"] == ran["events"]["echem"]
    (kept,) = (tmp_path / "data" / "rehearsals").glob("*/records")
    (journal,) = kept.glob("journals/*.jsonl")
    start = json.loads(journal.read_text().splitlines()[0])["doc"]
    assert start["rehearsal"]["of_bench"] == "sim-mri"
    assert all(start["simulated"].values())
    (frames,) = kept.glob("frames/*/mri.h5")
    with h5py.File(frames) as file:
        assert file["entry"].attrs["simulated"] == "true"
    assert found["frame_bytes"] == {"mri": frames.stat().st_size}


def test_frames_that_are_counted_take_the_bytes_that_files_take(tmp_path):
    path = EXAMPLES / "quick_look.yaml"
    counted, kept = (
        rehearse(path, data=tmp_path),
        rehearse(path, data=tmp_path, keep=tmp_path / "k"),
    )
    assert counted.frame_bytes["mri"] == pytest.approx(kept.frame_bytes["mri"], rel=0.25)
    assert counted.record_bytes == pytest.approx(kept.record_bytes, rel=0.02)
    assert not (tmp_path / "frames").exists()


def test_a_limit_ends_it_with_the_code_of_the_run(tmp_path, capsys):
    document = json.loads(json.dumps(QUICK))
    document["protocol"]["safety"].update(max_voltage_V=0.04)
    (tmp_path / "tight.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    code, found, err = told(tmp_path, str(tmp_path / "tight.yaml"), "--no-report", capsys=capsys)
    assert code == 4
    (one,) = found["violations"]
    assert one["kind"] == "limit"
    assert one["path"] == "protocol.safety.max_voltage_V"
    assert re.fullmatch(r".*tight\.yaml:\d+:\d+", one["place"])
    assert one["expected"] == 0.04
    assert one["value"] > 0.04
    assert "in step 2 of cycle 1" in one["what"]
    assert not (tmp_path / "data").exists(), "--no-report writes nothing"
    assert "violations: 1" in err


def test_what_never_ends_is_cut_off(tmp_path, capsys):
    document = json.loads(json.dumps(QUICK))
    document["protocol"]["method"][-1]["cycle_count"] = 10_000
    document["images"] = []
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    arguments = (str(tmp_path / "long.yaml"), "--days", "0.01", "--no-report")
    code, found, _ = told(tmp_path, *arguments, capsys=capsys)
    assert (code, found["stop_reason"]) == (0, "horizon")
    assert found["duration_s"] == pytest.approx(864.0, abs=1.0)
    assert "horizon" in {one["kind"] for one in found["warnings"]}


def test_spectra_that_are_not_small_are_told_with_the_rehearsed_number(tmp_path):
    found = rehearse(EXAMPLES / "geis_plating.yaml", data=tmp_path)
    (one,) = [remark for remark in found.warnings if remark.kind == "not_small_signal"]
    assert one.value == pytest.approx(106, abs=2)  # 0.05 mA/cm2 on 2,120 ohm cm2
    assert one.path == "spectra[0].settings"
    assert found.spectra == 29
    for line in lines(found):
        assert len(line) <= 80, line


def test_a_bad_file_is_refused_before_anything_is_simulated(tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text("experiment: x\n")
    code, found, err = told(tmp_path, str(tmp_path / "bad.yaml"), capsys=capsys)
    assert (code, found) == (2, None)
    assert "bad.yaml:1:1: " in err
    assert not (tmp_path / "data").exists()


def test_every_run_of_a_sweep_is_rehearsed(tmp_path, capsys):
    path = str(EXAMPLES / "current_series.yaml")
    code, found, err = told(tmp_path, path, "--points", "2-3", capsys=capsys)
    assert code == 0
    assert set(found) >= KEYS
    assert [(one["number"], one["values"]) for one in found["runs"]] == [
        (2, {"j": 0.1}),
        (3, {"j": 0.2}),
    ]
    assert [one["duration_s"] for one in found["runs"]] == [1560.0, 840.0]
    assert found["duration_s"] == 2400.0
    assert found["throughput_mah"] == pytest.approx(2 * 2 * 0.02 * 0.1257, rel=1e-3)
    (loose,) = [one for one in found["warnings"] if one["kind"] == "limit_loose"]
    assert loose["runs"] == [2, 3]
    assert re.fullmatch(r".*current_series\.yaml:\d+:\d+", loose["place"])
    assert [row["run"] for row in found["timeline"]] == [2, 3]
    places = list((tmp_path / "data" / "rehearsals").glob("*/run-*/index.html"))
    assert len(places) == 2
    assert "j = 0.2" in err


def test_a_plan_of_ones_own_is_rehearsed(real_bench):
    def plan(bench):
        return in_situ_mri(
            bench.pstat, bench.MRI_2, area_cm2=0.1257, limits=CellLimits(-2, 4, -1, 1),
            max_capacity_mah=1, half_cycle_s=600, idle_s=60, cycles=3, record_s=10,
            settings={"method": "flash2d", "averages": 2},
        )  # fmt: skip

    found = rehearse(plan, load_profile(real_bench / "lab-21t.yaml"), data=real_bench)
    assert found.name == "in_situ_mri"
    assert found.stop_reason == "completed"
    assert found.stopped_at_s == pytest.approx(3 * 2 * 660)
    assert found.frames["MRI_2"] > 3
    assert found.addresses


def test_an_open_bench_is_rehearsed_on_a_twin_beside_it(tmp_path):
    with open_bench("sim-mri", data=tmp_path) as bench:
        found = rehearse(EXAMPLES / "quick_look.yaml", bench)
        assert bench.elapsed_s == 0.0
    assert found.frames == {"mri": 5}


@pytest.mark.usefixtures("no_way_out")
def test_the_example_rehearses_a_real_bench(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "rehearse_first.py"), run_name="__main__")
    first, *remarks, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"quick-look: completed, 5 frames, \d+ bytes", first)
    assert any("flip_angle_deg" in line for line in remarks)
    assert re.fullmatch(
        r"in_situ_mri: completed after 23\.3 h, \d+ frames, 0\.251 mAh moved, "
        r"lost in a crash: 2 records at most",
        last,
    )
    assert not list(tmp_path.iterdir()), "a rehearsal from Python writes nothing"


def test_the_size_of_documents_is_that_of_the_real_benchs_pages(tmp_path):
    """A twin closes pages more seldom; what the real bench writes is measured here on the wire."""
    document = yaml.safe_load(yaml.safe_dump(REAL))
    del (
        document["devices"]["oven"],
        document["devices"]["MRI_2"],
        document["devices"]["pstat"]["disconnect"],
    )
    real = BenchProfile.model_validate(document)
    document["devices"]["pstat"]["resource"] = "sim://smu"
    document["devices"]["pstat"]["identity"] = None
    same = BenchProfile.model_validate(document)
    assert real.journal_period_s == same.journal_period_s == 8

    def hour(twin):
        limits = CellLimits(-2, 4, -1, 1)
        method = [ConstantCurrent(current_mA=0.01, until_time_s=3600)]
        cycling = Cycling(
            twin.pstat, method, 8.0, limits, 1.0, journal_every_s=twin.profile.journal_period_s
        )
        return run_with_images(cycling, md={})

    counted, written = (rehearse(hour, one, data=tmp_path) for one in (real, same))
    assert counted.records == written.records
    assert written.record_bytes > 200_000
    assert counted.record_bytes == pytest.approx(written.record_bytes, rel=0.1)


def test_a_device_that_fails_is_a_violation_with_the_code_of_the_run(tmp_path, capsys):
    """The chamber of this bench has no time to settle: the cell is never energised."""
    bench = yaml.safe_load((ROOT / "sim" / "benches" / "sim-chamber.yaml").read_text())
    bench["bench"] = "hasty"
    bench["devices"]["oven"].update(resource="TCPIP::192.0.2.9::5025::SOCKET", deadline_s=700)
    (tmp_path / "hasty.yaml").write_text(yaml.safe_dump(bench))
    arguments = (str(EXAMPLES / "conductivity_at_60_celsius.yaml"), "--bench",
                 str(tmp_path / "hasty.yaml"))  # fmt: skip
    code, found, _ = told(tmp_path, *arguments, capsys=capsys)
    assert code == 3
    assert found["stop_reason"] == "failed"
    assert found["not_opened"] == {"oven": "TCPIP::192.0.2.9::5025::SOCKET"}
    (one,) = found["violations"]
    assert one["what"].startswith("oven: got 5")
    assert "deadline_s" in one["remedy"]
    assert (found["records"], found["charge_mah"], found["steps"]) == (0, 0.0, [])
    assert "deadline_s" in Path(found["page"]).read_text()


@pytest.mark.usefixtures("no_way_out")
def test_a_sample_that_says_nothing_has_a_stand_in_that_says_so(real_bench, capsys):
    document = yaml.safe_load((real_bench / "mine.yaml").read_text())
    del document["sample"]["simulate_as"]
    document["experiment"] = "<b>$mine$</b> ../x"
    (real_bench / "mine.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    code, found, err = told(real_bench, str(real_bench / "mine.yaml"), capsys=capsys)
    assert code == 0
    assert found["simulate_as_stated"] is False
    first = found["warnings"][0]
    assert (first["kind"], first["minor"]) == ("stand_in", False)
    assert re.fullmatch(r".*mine\.yaml:\d+:\d+", first["place"])
    assert "stand-in" in err
    page = Path(found["page"])
    assert re.fullmatch(r"b-mine-b-x-[0-9a-f]{6}", page.parent.name)
    assert "<b>" not in page.read_text()
    assert "&lt;b&gt;$mine$&lt;/b&gt;" in page.read_text()
