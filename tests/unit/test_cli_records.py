"""The verbs that list and show runs: for people on one stream, for programs on the other."""

from __future__ import annotations

import json

from orchestrator.cli import main
from orchestrator.records.directory import DataDirectory
from tests import sample_run


def test_runs_lists_one_line_per_run(tmp_path, capsys):
    uids = [sample_run.record_run(tmp_path, frames=0) for _ in range(3)]
    sample_run.record_run(tmp_path, frames=0, close=False, sample={"name": "x\x1b[2J" + "y" * 99})
    assert main(["runs", "--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["uid", "began", "ended"]
    assert [line.split()[0] for line in lines[1:4]] == [uid[:8] for uid in uids]
    assert "completed" in lines[1]
    assert "15 echem" in lines[1]
    assert lines[1].endswith("SIM")
    assert "interrupted" in lines[4]
    assert "x?[2Jy" in lines[4]
    assert main(["runs", "--data", str(tmp_path), "--last", "1", "--json"]) == 0
    out = capsys.readouterr()
    assert [run["state"] for run in json.loads(out.out)["runs"]] == ["interrupted"]
    assert "interrupted" in out.err


def test_no_runs_say_what_to_do(tmp_path, capsys):
    assert main(["runs", "--data", str(tmp_path / "none")]) == 0
    assert "`operando demo` makes one" in capsys.readouterr().out


def test_show_tells_streams_frames_and_damage(tmp_path, capsys):
    uid = sample_run.record_run(tmp_path, frames=2)
    path = DataDirectory(tmp_path).journal(uid)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"#" + lines[3], *lines[4:]]))
    assert main(["show", uid[:6], "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"run {uid}: success completed" in said
    assert "stream echem: 10 events" in said
    assert "pstat_current_ma: 1.91429 to 4.48571 mA" in said
    assert "frames of mri: 2 of 6 x 9" in said
    assert "damaged: line 4: checksum does not match" in said
    assert "missing documents: 1" in said
    assert main(["show", "-1", "--data", str(tmp_path), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["streams"]["mri"]["rows"] == 2
    assert value["streams"]["events"]["columns"]["event_value"]["min"] is None
    assert value["frames"]["mri"]["count"] == 2


def test_show_says_when_the_frames_are_gone(tmp_path, capsys):
    uid = sample_run.record_run(tmp_path, frames=1)
    DataDirectory(tmp_path).frames(uid, "mri").unlink()
    assert main(["show", "-1", "--data", str(tmp_path)]) == 0
    assert "is not there, expected" in capsys.readouterr().out


def test_an_unknown_run_exits_with_the_records_code(tmp_path, capsys):
    assert main(["show", "nobody", "--data", str(tmp_path)]) == 5
    assert "run 'nobody': is none of the 0" in capsys.readouterr().err
