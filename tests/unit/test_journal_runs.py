"""A run as arrays, found by what a person types, summed up without reading it."""

from __future__ import annotations

import os

import numpy as np
import pytest

from orchestrator.errors import RecordError
from orchestrator.records.directory import DataDirectory
from orchestrator.records.encoding import encode_line
from orchestrator.records.journal import Journal
from orchestrator.records.runs import find_run, load_run
from orchestrator.records.summary import summarise
from tests import sample_run


def write(path, documents):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [encode_line(seq, name, doc) for seq, (name, doc) in enumerate(documents)]
    path.write_bytes(b"".join(lines))
    return path


def test_streams_are_columns_of_the_declared_types(tmp_path):
    uid = sample_run.record_run(tmp_path, pages=3, rows=5, frames=2)
    run = load_run(DataDirectory(tmp_path).journal(uid))
    echem = run.streams["echem"]
    assert np.array_equal(echem["seq_num"], np.arange(1, 16))
    assert np.array_equal(echem["time"], sample_run.EPOCH_S + 10.0 * np.arange(15))
    assert np.array_equal(echem["pstat_voltage_v"], sample_run.voltage(np.arange(1, 16)))
    assert echem["pstat_cycle"].dtype == np.int64
    assert run.streams["mri"]["mri_quality"].tolist() == ["ok", "ok"]
    assert "mri_image" not in run.streams["mri"]
    assert np.isnan(run.streams["events"]["event_value"][0])
    assert run.streams["events"]["event_text"][0] == "ünïcode"
    assert {len(column) for column in echem.values()} == {15}
    assert run.start["sample"]["name"] == "LLZO-7"
    assert run.stop is not None
    assert run.stop["reason"] == "completed"
    assert run.duration_s == 1e4
    assert run.descriptors["echem"]["data_keys"]["pstat_current_ma"]["units"] == "mA"
    assert (run.uid, run.bad, run.missing) == (uid, (), 0)


def test_frames_are_read_one_at_a_time(tmp_path):
    uid = sample_run.record_run(tmp_path, frames=3)
    run = load_run(DataDirectory(tmp_path).journal(uid))
    assert run.streams_with_frames() == ["mri"]
    frames = run.frames("mri")
    assert (len(frames), frames.shape, frames.simulated) == (3, (3, *sample_run.SHAPE), "true")
    assert np.array_equal(frames[-1], sample_run.image(2))
    assert np.array_equal(frames[1:], [sample_run.image(1), sample_run.image(2)])
    assert [int(frame[0, 0]) for frame in frames] == [0, 1000, 2000]
    assert frames.scalars()["t_start"].tolist() == [sample_run.EPOCH_S + k for k in range(3)]
    with pytest.raises(IndexError):
        frames[3]


def test_a_moved_data_directory_keeps_its_frames(tmp_path):
    uid = sample_run.record_run(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    run = load_run(DataDirectory(tmp_path / "b").journal(uid))
    assert np.array_equal(run.frames("mri")[1], sample_run.image(1))


def test_a_stream_without_frames_says_so(tmp_path):
    uid = sample_run.record_run(tmp_path, frames=0)
    run = load_run(DataDirectory(tmp_path).journal(uid))
    with pytest.raises(RecordError, match="stream echem has no frames, expected one of -"):
        run.frames("echem")


def test_single_events_and_pages_mix_in_order(tmp_path):
    data = dict.fromkeys(sample_run.ECHEM, 5.0) | dict.fromkeys(sample_run.COUNTS, 9)
    documents = list(sample_run.echem_documents("r", pages=2, rows=2))
    documents.insert(3, ("event", sample_run.event("r", "echem", 3, data)))
    run = load_run(write(tmp_path / "journals" / "r.jsonl", documents))
    assert run.streams["echem"]["seq_num"].tolist() == [1, 2, 3, 3, 4]
    assert run.streams["echem"]["pstat_cycle"].tolist() == [0, 0, 9, 0, 0]


def test_missing_and_fractional_values_widen_a_column(tmp_path):
    documents = list(sample_run.echem_documents("r", pages=1, rows=3))
    documents[2][1]["data"]["pstat_cycle"] = [1, None, 3]
    documents[2][1]["data"]["pstat_voltage_v"] = [1.0, None, 2.0]
    del documents[2][1]["data"]["pstat_current_ma"]
    echem = load_run(write(tmp_path / "journals" / "r.jsonl", documents)).streams["echem"]
    assert np.array_equal(echem["pstat_cycle"], [1.0, np.nan, 3.0], equal_nan=True)
    assert np.isnan(echem["pstat_voltage_v"][1])
    assert np.isnan(echem["pstat_current_ma"]).all()


def test_arrays_in_events_stay_arrays(tmp_path):
    keys = {"z": {"source": "s", "dtype": "array", "shape": [2]}}
    documents = [
        ("start", sample_run.start("r")),
        ("descriptor", sample_run.descriptor("r", "eis", "pstat", keys)),
        ("event", sample_run.event("r", "eis", 1, {"z": [1.0, 2.0]})),
        ("event", sample_run.event("r", "eis", 2, {"z": [3.0, 4.0]})),
    ]
    run = load_run(write(tmp_path / "journals" / "r.jsonl", documents))
    assert run.streams["eis"]["z"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert run.stop is None
    assert run.duration_s == 2.0


def test_a_damaged_run_is_loaded_without_its_damage(tmp_path):
    path = write(tmp_path / "journals" / "r.jsonl", sample_run.echem_documents("r"))
    raw = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*raw[:2], b"#" + raw[2], *raw[3:]]))
    run = load_run(path)
    assert run.streams["echem"]["seq_num"].tolist() == list(range(6, 16))
    assert [bad.number for bad in run.bad] == [3]
    assert run.missing == 1


def test_a_file_without_a_start_is_no_run(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"rubbish\n")
    with pytest.raises(RecordError, match=r"has no start document \(1 damaged lines\)"):
        load_run(path)


def test_runs_are_found_by_prefix_and_from_the_end(tmp_path):
    directory = DataDirectory(tmp_path)
    for k, uid in enumerate(("aa1", "ab2", "ac3")):
        path = write(directory.journal(uid), sample_run.echem_documents(uid))
        os.utime(path, (1000.0 + k, 1000.0 + k))
    directory.quarantine("aa1").write_text("{}\n")
    assert list(directory.runs()) == ["aa1", "ab2", "ac3"]
    assert find_run(tmp_path, "-1").stem == "ac3"
    assert find_run(tmp_path, "-3").stem == "aa1"
    assert find_run(tmp_path, "ab").stem == "ab2"


@pytest.mark.parametrize("reference", ["-4", "-0", "-x", "", "b", "../a"])
def test_no_such_run(tmp_path, reference):
    write(DataDirectory(tmp_path).journal("aa1"), sample_run.echem_documents("aa1"))
    with pytest.raises(RecordError, match=r"is none of the 1 in .*`operando runs` lists"):
        find_run(tmp_path, reference)


def test_an_ambiguous_run_names_the_candidates(tmp_path):
    for uid in ("aa1", "aa2"):
        write(DataDirectory(tmp_path).journal(uid), sample_run.echem_documents(uid))
    with pytest.raises(RecordError, match=r"2 runs begin so: aa\d, aa\d"):
        find_run(tmp_path, "aa")


def test_a_summary_needs_two_lines(tmp_path):
    path = write(DataDirectory(tmp_path).journal("r"), sample_run.echem_documents("r"))
    raw = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(raw[0] + b"?" * 100_000 + b"\n" + raw[-1])
    found = summarise(path)
    assert (found.state, found.reason, found.sample) == ("success", "completed", "LLZO-7")
    assert (found.began, found.duration_s) == ("2025-01-01T00:00:00+00:00", 1e4)
    assert (found.events, found.simulated) == ({"echem": 15}, True)


def test_a_summary_tells_running_from_interrupted(tmp_path):
    journal = Journal.create(tmp_path, "r")
    journal.append("start", sample_run.start("r", simulated={"pstat": False}))
    assert (summarise(journal.path).state, summarise(journal.path).simulated) == ("running", False)
    journal.close()
    assert summarise(journal.path).state == "interrupted"
    journal.path.write_bytes(b"")
    assert summarise(journal.path).began == ""
