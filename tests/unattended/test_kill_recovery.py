"""Recovery keeps everything that can be read, ends the same wherever it is cut off, and once."""

from __future__ import annotations

import os
import shutil
import sys
import uuid

import h5py
import numpy as np
import pytest

from orchestrator.cli import main
from orchestrator.records.directory import DataDirectory
from orchestrator.records.frame_files import FrameReader, is_marked_open
from orchestrator.records.journal import Journal
from orchestrator.records.reading import read_journal
from orchestrator.records.recorder import Recorder
from orchestrator.records.recovery import recover, rewrite
from orchestrator.records.runs import find_run, load_run
from tests import sample_run


def fork(work) -> None:
    """Run `work` in a child that dies as by SIGKILL when it is done."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os.kill(os.getpid(), 9)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == 9


def snapshot(data) -> dict[str, bytes]:
    return {
        str(path.relative_to(data)): path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def killed(tmp_path):
    """A data directory with frames that were never closed."""

    def work():
        recorder = Recorder(tmp_path)
        recorder.frames.open("mri", "mri_image", sample_run.SHAPE, "<f4")
        recorder("start", sample_run.start("run"))
        recorder("descriptor", sample_run.echem_descriptor("run"))
        recorder("descriptor", sample_run.mri_descriptor("run"))
        recorder("event_page", sample_run.page("run", 1, 5))
        for index in range(3):
            sample_run.take_frame(recorder, "run", index)
        os.kill(os.getpid(), 9)

    fork(work)
    return tmp_path


def test_a_killed_run_is_closed_with_everything_in_it(killed):
    """Row 28: recovery."""
    directory = DataDirectory(killed)
    before = read_journal(directory.journal("run")).documents
    assert is_marked_open(directory.frames("run", "mri"))
    (done,) = recover(killed)
    assert (done.closed, done.bad_lines, done.missing, done.error) == (True, 0, 0, "")
    assert done.frames_rewritten == ["mri"]
    content = read_journal(directory.journal("run"))
    assert content.complete
    assert content.documents[:-1] == before
    stop = content.documents[-1][1]
    assert (stop["exit_status"], stop["run_start"]) == ("abort", "run")
    assert stop["reason"].startswith("interrupted")
    assert stop["num_events"] == {"echem": 5, "mri": 3}
    assert stop["time"] == sample_run.EPOCH_S + 40.0
    assert not is_marked_open(directory.frames("run", "mri"))
    frames = load_run(directory.journal("run")).frames("mri")
    assert [np.array_equal(frames[k], sample_run.image(k)) for k in range(3)] == [True] * 3
    assert frames.simulated == "true"
    with h5py.File(frames.path, "r") as file:
        assert file["entry/data"].attrs["signal"] == "data"
        assert file["entry/data/t_start"].attrs["units"] == "s"
        assert file["entry/data/t_start"][:].tolist() == [sample_run.EPOCH_S + k for k in range(3)]


def test_recovering_again_changes_nothing(killed):
    recover(killed)
    before = snapshot(killed)
    (again,) = recover(killed)
    assert not again.changed
    assert snapshot(killed) == before


def test_leftovers_are_removed(killed):
    names = [path.name for path in (killed / "journals").iterdir()]
    assert "run.ballast" in names
    recover(killed)
    assert [path.name for path in (killed / "journals").iterdir()] == ["run.jsonl"]


def test_a_live_run_is_left_alone(tmp_path):
    journal = Journal.create(DataDirectory(tmp_path).journals, "run")
    journal.append("start", sample_run.start("run"))
    before = snapshot(tmp_path)
    (done,) = recover(tmp_path)
    assert done.live
    assert snapshot(tmp_path) == before
    journal.append("stop", sample_run.stop("run"))
    journal.close()
    assert not recover(tmp_path)[0].changed


def test_damage_goes_to_the_quarantine_and_stays_there(killed):
    """Row 40: recovery."""
    directory = DataDirectory(killed)
    path = directory.journal("run")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"#" + lines[3], *lines[4:], lines[-1][:30]]))
    (done,) = recover(killed)
    assert (done.bad_lines, done.missing, done.closed) == (2, 1, True)
    quarantined = directory.quarantine("run").read_bytes()
    assert quarantined.count(b"\n") == 2
    assert read_journal(path).bad == []
    before = snapshot(killed)
    (again,) = recover(killed)
    assert (again.bad_lines, again.missing, again.changed) == (0, 1, False)
    assert snapshot(killed) == before
    assert "1 documents missing" in load_run(path).stop["reason"]


@pytest.mark.long
def test_the_journal_cut_at_every_byte_of_its_end_is_closed(tmp_path):
    """Row 40: recovery, cut at every byte."""
    uid = sample_run.record_run(tmp_path / "whole", pages=2, frames=0)
    whole = DataDirectory(tmp_path / "whole").journal(uid).read_bytes()
    lines = whole.splitlines(keepends=True)
    begin = len(whole) - len(lines[-1]) - len(lines[-2])
    cut_directory = DataDirectory(tmp_path / "cut")
    cut_directory.journals.mkdir(parents=True)
    for cut in range(begin, len(whole) + 1):
        cut_directory.journal(uid).write_bytes(whole[:cut])
        (done,) = recover(tmp_path / "cut")
        content = read_journal(cut_directory.journal(uid))
        assert content.complete, cut
        assert done.error == ""
        kept = content.documents[-1][1]["exit_status"] == "success"
        assert kept == (cut >= len(whole) - 1)
        cut_directory.quarantine(uid).unlink(missing_ok=True)


def test_cut_off_anywhere_it_ends_the_same(killed, tmp_path_factory):
    """Row 28: recovery that is killed itself.

    Killed before each of its operations on files in turn, it is completed by the next one, which
    ends in the same state. Interrupted twice in a row, too.
    """
    path = DataDirectory(killed).journal("run")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"#" + lines[3], *lines[4:], b"torn"]))
    ends, survived, died = [], 0, True
    while died:
        copy = tmp_path_factory.mktemp("copy") / "data"
        shutil.copytree(killed, copy)
        died = dies_before(survived, copy)
        if survived % 3 == 0:
            dies_before(survived // 2, copy)
        recover(copy)
        run = load_run(DataDirectory(copy).journal("run"))
        stop = {k: v for k, v in run.stop.items() if k != "uid"}
        frames = [frame.tobytes() for frame in run.frames("mri")]
        quarantine = DataDirectory(copy).quarantine("run").read_bytes()
        files = sorted(path.name for path in copy.rglob("*") if path.is_file())
        ends.append((stop, frames, quarantine, files))
        survived += 1
    assert survived > 15  # it has that many places at least
    assert all(end == ends[0] for end in ends)
    assert ends[0][0]["reason"].startswith("interrupted")


def dies_before(operation: int, data) -> bool:
    """Recover in a process that is killed before an operation on a file; whether there is one."""
    pid = os.fork()
    if pid == 0:
        left = operation

        def count(event: str, arguments: tuple) -> None:
            nonlocal left
            if event not in _ON_FILES or str(data) not in str(arguments[0]):
                return
            if left == 0:
                os.kill(os.getpid(), 9)
            left -= 1

        sys.addaudithook(count)
        try:
            recover(data)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


_ON_FILES = ("open", "os.rename", "os.remove", "os.utime", "os.scandir", "os.truncate")


def test_frames_and_events_that_lost_one_another_are_told(killed, capsys):
    """A frame that was written and never announced; an event whose frame is gone."""
    directory = DataDirectory(killed)
    journal = directory.journal("run")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))  # the last line is the event of the third frame
    (done,) = recover(killed)
    assert (done.frames_unannounced, done.frames_missing) == ({"mri": 1}, {})
    journal.write_bytes(b"".join(lines))
    directory.frames("run", "mri").unlink()
    assert main(["recover", "--data", str(killed), "--no-store"]) == 5
    assert "events whose frame is missing: {'mri': 3}" in capsys.readouterr().out


def test_a_frame_file_that_cannot_be_read_is_kept_and_reported(killed):
    path = DataDirectory(killed).frames("run", "mri")
    path.write_bytes(b"\0" * 4096)
    (done,) = recover(killed)
    assert list(done.frames_lost) == ["mri"]
    assert path.with_suffix(".h5.bad").read_bytes() == b"\0" * 4096
    assert done.closed
    assert not recover(killed)[0].changed


def test_a_frame_that_got_its_place_but_no_pixels_is_dropped(killed):
    path = DataDirectory(killed).frames("run", "mri")

    def grow():
        file = h5py.File(path, "r+", libver="latest", locking=False)
        file["/entry/data/data"].resize(5, axis=0)
        file.flush()

    rewrite(path)
    fork(grow)
    assert len(FrameReader(path)) == 5
    assert rewrite(path) == 3
    assert np.array_equal(FrameReader(path)[2], sample_run.image(2))


def test_a_run_of_which_nothing_was_recorded_is_removed(tmp_path):
    directory = DataDirectory(tmp_path)
    directory.journals.mkdir()
    directory.journal("empty").write_bytes(b"")
    directory.journal("torn").write_bytes(b'{"seq":0,"name":"sta')
    assert [done.removed for done in recover(tmp_path)] == [True, True]
    assert list(directory.runs()) == []
    assert directory.quarantine("torn").exists()
    assert recover(tmp_path) == []


def test_the_order_of_runs_survives(tmp_path):
    directory = DataDirectory(tmp_path)
    uids = [str(uuid.uuid4()) for _ in range(3)]
    for k, uid in enumerate(uids):
        journal = Journal.create(directory.journals, uid)
        journal.append("start", sample_run.start(uid))
        journal.close()
        os.utime(journal.path, (1000.0 + k, 1000.0 + k))
    recover(tmp_path)
    assert list(directory.runs()) == uids
    assert find_run(tmp_path, "-2").stem == uids[1]


def test_the_verb_says_what_it_did(killed, capsys):
    assert main(["recover", "--data", str(killed), "--no-store"]) == 0
    said = capsys.readouterr().out
    assert "run run: had no end and was closed" in said
    assert "frames rewritten: mri" in said
    assert "1 recovered now, 0 with losses" in said
    assert main(["recover", "--data", str(killed), "--no-store"]) == 0
    assert "0 recovered now" in capsys.readouterr().out


def test_the_verb_fails_when_something_is_lost(killed, capsys):
    DataDirectory(killed).frames("run", "mri").write_bytes(b"\0" * 4096)
    assert main(["recover", "--data", str(killed), "--no-store", "--json"]) == 5
    assert '"frames_lost": {"mri":' in capsys.readouterr().out
