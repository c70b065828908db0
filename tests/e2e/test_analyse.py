"""`operando analyse`: the page's commands on the example's files, its numbers against the truth."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from orchestrator.cli.analyse import KINDS
from orchestrator.cli.main import VERBS, _parser, main
from sim.images.sem import SemImager
from sim.samples.llzo_cell import LlzoCell
from sim.samples.llzto_pellet import LlztoPellet
from sim.samples.void_cell import VoidCell
from tests.command import python

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "analyse-your-own-images.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the example has written its files."""
    there = tmp_path_factory.mktemp("analyse")
    done = python(ROOT / "examples" / "files_to_analyse.py", ".", cwd=there, timeout_s=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "7 files in .: SIMULATED, not measured\n"
    return there


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("operando ")]


def analyse(capsys, folder: Path, *words: str) -> dict:
    capsys.readouterr()
    here = [str(folder / w) if (folder / w).is_file() else w for w in words]
    assert main(["analyse", *here, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def printed(folder) -> dict[str, tuple[str, str]]:
    """What each command of the page prints on both streams, run once in the example's folder."""
    told = {}
    with contextlib.chdir(folder):
        for command in commands():
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                assert main(shlex.split(command)[1:]) == 0, command
            told[command] = out.getvalue(), err.getvalue()
    return told


@pytest.mark.parametrize("command", commands())
def test_commands_of_the_page_work(command, printed):
    out, err = printed[command]
    if "--json" in command:
        assert json.loads(out)["simulated"] is True
        out = err
    assert "SIMULATED data" in out
    assert "+-" in out or "expected_above" in out


def test_outputs_of_the_page_are_printed(printed):
    shown = re.findall(r"```output\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(shown) == 2
    everything = "".join(out for out, _ in printed.values())
    for block in shown:
        assert block in everything


def test_python_of_the_page_runs(folder):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = python("-c", code, cwd=folder, timeout_s=120)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first.endswith(" ok")
    assert second == "73 ()"
    assert "'quality': 'ok'" in third


def test_voids_are_those_of_the_cell(folder, capsys):
    found = analyse(capsys, folder, "voids", "stripping.tif", "--charge-mah-per-cm2", "0.125")
    cell = VoidCell.from_preset("limg_lpscl", seed=2)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    assert (found["pixel_from"], found["quality"], len(found["frames"])) == ("ImageJ", "ok", 6)
    for index, frame in enumerate(found["frames"]):
        truth = cell.geometry(900.0 * (index + 1))
        assert frame["number"]["value"] == len(truth.left_um)
        loss = frame["contact_loss"]
        assert abs(loss["value"] - truth.contact_loss) < 4 * loss["error"]
        drift_um = SemImager(2).drift_um(index)
        assert frame["drift"]["x_um"] == pytest.approx(drift_um[0], abs=0.06)
    assert np.array(found["series"]["widths_um"]).shape == (6, 5)
    assert found["trends"]["width_um_per_mah_per_cm2"]["value"] > 0


def test_impedance_is_that_of_the_pellet(folder, capsys):
    cell = LlztoPellet.from_preset("lithiophobic", seed=1)
    cell.apply_current(0.0, 0.5 * cell.area_cm2)
    truth = cell.resistances(3600.0)
    words = ("--area-cm2", str(cell.area_cm2), "--electrolyte-ohm-cm2", "120")
    found = analyse(capsys, folder, "impedance", "spectrum.csv", *words)
    assert (found["state"], found["quality"]) == ("cell", "ok")
    assert found["kramers_kronig"]["passed"]
    for name in ("bulk_ohm_cm2", "interface_ohm_cm2"):
        seen = found[name]
        assert abs(seen["value"] - getattr(truth, name)) < 4.5 * seen["error"]


LIKE_THE_PAPER = (
    "--electrode-mm", "4", "--thickness-mm", "1", "--tr-s", "0.3", "--te-s", "0.918e-3",
    "--flip-angle-deg", "30",
)  # fmt: skip


def test_layers_are_those_of_the_cell(folder, capsys):
    cell, t_s = LlzoCell.from_preset("small_4p8"), 0.0
    while t_s < 7 * 86_400.0:
        for sign, duration_s in ((1, 1800.0), (0, 300.0), (-1, 1800.0), (0, 300.0)):
            cell.apply_current(t_s, sign * 0.1 * cell.area_cm2)
            t_s += duration_s
    found = analyse(capsys, folder, "layers", "mri.h5", *LIKE_THE_PAPER, "--fov-mm", "17", "11")
    for frame, day in zip(found["frames"], (0.0, 2.0, 4.0, 6.5), strict=True):
        truth = cell.layers_umol_per_cm2(day * 86_400.0)
        for layer, amount in zip(frame["layers"], truth, strict=True):
            assert abs(layer["value"] - amount) < 4 * layer["error"]
    with h5py.File(folder / "mri.h5") as file, h5py.File(folder / "first.h5", "w") as first:
        first["frames"] = file["entry/data/data"][0]
    words = (*LIKE_THE_PAPER, "--fov-mm", "17", "11", "--reference", str(folder / "first.h5"))
    # the reference's only dataset is found, the frames' is the default
    found = analyse(capsys, folder, "layers", "mri.h5", *words)
    assert found["method"] == "difference"


def test_a_volume_has_its_components(folder, capsys):
    volume = 0.05 * np.random.default_rng(0).standard_normal((32, 60, 60))
    volume[11:21, 30, 30] += 5.0
    path = folder / "volume.tif"
    tifffile.imwrite(path, volume.astype(np.float32))
    words = (*LIKE_THE_PAPER, "--fov-mm", "6", "6", "3.2")
    found = analyse(capsys, folder, "components", "volume.tif", *words)
    assert found["crossing"] == 1
    assert found["largest"][0]["voxels"] == 10
    assert (found["simulated"], len(found["layers_umol_per_cm2"])) == (False, 4)
    tifffile.imwrite(folder / "pristine.tif", np.zeros((32, 60, 60), np.float32))
    words += ("--reference", str(folder / "pristine.tif"))
    assert analyse(capsys, folder, "components", "volume.tif", *words)["crossing"] == 1


def test_records_and_magnesium(folder, capsys):
    found = analyse(
        capsys, folder, "records", "records.csv", "--area-cm2", "1.267", "--rest-v", "-0.623"
    )
    assert found["onset"]["onset_mah_per_cm2"]["value"] == pytest.approx(0.85, abs=0.05)
    assert found["steps"][0]["current_ma_per_cm2"] == pytest.approx(0.5, rel=1e-3)
    found = analyse(capsys, folder, "magnesium", "line.csv", "--reference-um", "20", "60")
    assert found["enrichment"]["enriched"]
    assert found["enrichment"]["depth_um"]["value"] == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("voids", "none.tif"), "none.tif: cannot be opened"),
        (("voids", "spectrum.csv"), "kind of file, got '.csv'"),
        (("voids", "stripping.tif", "--lines", "0:9999"), "lines, got 0:9999"),
        (("impedance", "line.csv", "--area-cm2", "1", "--electrolyte-ohm-cm2", "1"), "frequency"),
        (("impedance", "spectrum.csv", "--area-cm2", "0", "--electrolyte-ohm-cm2", "1"), "area"),
        (("histogram", "mri.h5", "--reference", "plating.tif"), "shape, got"),
        (("layers", "mri.h5", *LIKE_THE_PAPER, "--fov-mm", "1", "1"), "inside the field of view"),
        (("layers", "mri.h5"), "required"),
        (("voids",), "required"),
        (("nonsense",), "invalid choice"),
        ((), "required"),
    ],
)
def test_wrong_input_is_exit_code_2_without_a_traceback(words, said, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["analyse", *words]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err


def test_an_image_without_an_interface_says_why(folder, capsys):
    tifffile.imwrite(folder / "dark.tif", np.zeros((200, 200), np.uint8))
    found = analyse(capsys, folder, "voids", "dark.tif", "--pixel-um", "0.1", "--flip", "--raw")
    assert found["quality"].startswith("dark")
    assert found["frames"][0]["number"]["value"] is None
    main(["analyse", "filaments", str(folder / "dark.tif"), "--pixel-um", "0.1"])
    assert "not measured (dark" in capsys.readouterr().out


def test_files_of_two_magnifications_are_not_one_series(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["analyse", "voids", "stripping.tif", "ebic.tif"]) == 2
    assert "ebic.tif: pixel size, got 1 um, expected 0.1 um" in capsys.readouterr().err


def test_the_reference_names_every_kind_and_option():
    assert "analyse" in VERBS
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    section = re.search(r"### analyse\n(.*?)\n### ", text, re.DOTALL)[1]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(KINDS)
    top = next(a for a in _parser("analyse")._actions if isinstance(a, argparse._SubParsersAction))
    kinds = next(
        a for a in top.choices["analyse"]._actions if isinstance(a, argparse._SubParsersAction)
    )
    everywhere = {"--help", "--data", "--json", "--quiet", "--no-progress", "--verbose"}
    for kind, parser in kinds.choices.items():
        for action in parser._actions:
            for option in set(action.option_strings) - everywhere:
                assert option.startswith("-h") or len(option) == 2 or option in section, kind
