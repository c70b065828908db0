"""The journal acknowledges what is safe, and a full disk still gets the end of the run."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from orchestrator.errors import RecordError
from orchestrator.records.directory import DataDirectory
from orchestrator.records.journal import Journal, JournalWriter
from orchestrator.records.locks import is_live
from orchestrator.records.reading import read_journal
from tests import sample_run


class Disk:
    """A disk of a fixed size that holds one directory; writes what fits, as a real one does."""

    def __init__(self, directory, capacity_bytes):
        self.directory, self.capacity_bytes = directory, capacity_bytes

    def write(self, fd, data):
        used = sum(path.stat().st_size for path in self.directory.iterdir())
        fits = self.capacity_bytes - used
        if fits <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(fd, bytes(data)[:fits])


@pytest.fixture
def now():
    class Now:
        s = 100.0

        def __call__(self):
            return self.s

    return Now()


def test_documents_are_acknowledged_by_kind_and_time(tmp_path, now):
    journal = Journal.create(tmp_path, "run", now=now)
    journal.append("start", sample_run.start("run"))
    assert journal.acknowledged == 0
    journal.append("descriptor", sample_run.echem_descriptor("run"))
    assert journal.acknowledged == 1
    journal.append("event_page", sample_run.page("run", 1, 2))
    now.s += 0.9
    journal.append("event_page", sample_run.page("run", 3, 2))
    assert (journal.acknowledged, journal.written) == (1, 3)
    now.s += 0.2
    journal.append("event_page", sample_run.page("run", 5, 2))
    assert journal.acknowledged == 4
    journal.append("event_page", sample_run.page("run", 7, 2))
    journal.sync()
    assert journal.acknowledged == 5
    journal.append("stop", sample_run.stop("run"))
    assert journal.acknowledged == 6
    journal.close()
    journal.close()
    assert read_journal(journal.path).complete


def test_what_is_not_acknowledged_is_in_the_file_already(tmp_path, now):
    journal = Journal.create(tmp_path, "run", now=now)
    journal.append("start", sample_run.start("run"))
    journal.append("event_page", sample_run.page("run", 1, 2))
    assert len(read_journal(journal.path).documents) == 2
    journal.close()


def test_a_run_has_one_journal(tmp_path):
    Journal.create(tmp_path, "run").close()
    with pytest.raises(RecordError, match=r"journal run\.jsonl: cannot be begun: File exists"):
        Journal.create(tmp_path, "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run.jsonl"]


@pytest.mark.parametrize("uid", ["", "../x", "a/b", "a.b", "x\0", "ü", "a" * 101, "-rf"])
def test_uids_that_are_no_file_names_are_refused(tmp_path, uid):
    """Row 35: uids."""
    with pytest.raises(RecordError, match="as a run's uid"):
        Journal.create(tmp_path, uid)


def test_a_journal_is_locked_while_it_is_written(tmp_path):
    journal = Journal.create(tmp_path, "run")
    assert is_live(journal.path)
    journal.close()
    assert not is_live(journal.path)


def test_a_closed_journal_takes_nothing(tmp_path):
    journal = Journal.create(tmp_path, "run")
    journal.close()
    with pytest.raises(RecordError, match="is closed, got a stop document"):
        journal.append("stop", sample_run.stop("run"))


def test_a_full_disk_ends_the_run_once_and_keeps_its_end(tmp_path):
    """Row 23: the journal, on a disk of numbers."""
    disk = Disk(tmp_path, 2**20)
    journal = Journal.create(tmp_path, "run", write=disk.write, ballast_bytes=2**19)
    journal.append("start", sample_run.start("run"))
    page = sample_run.page("run", 1, 100)
    pages = 0

    def fill():
        nonlocal pages
        while True:
            pages += 1
            journal.append("event_page", page)

    with pytest.raises(RecordError, match="disk is full; the event_page document is safe: No sp"):
        fill()
    assert pages > 10
    assert journal.acknowledged == journal.written == pages
    journal.append("event_page", sample_run.page("run", 1, 100))  # the engine's last collection
    journal.append("stop", sample_run.stop("run", exit_status="fail"))
    journal.close()
    content = read_journal(journal.path)
    assert content.complete
    assert [name for name, _ in content.documents] == ["start"] + ["event_page"] * (pages + 1) + [
        "stop"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["run.jsonl"]


def test_when_the_ballast_is_spent_the_journal_stays_readable(tmp_path):
    """Row 23: with the ballast spent."""
    disk = Disk(tmp_path, 2**18)
    journal = Journal.create(tmp_path, "run", write=disk.write, ballast_bytes=2**16)
    journal.append("start", sample_run.start("run"))
    refused = 0
    for _ in range(200):
        try:
            journal.append("event_page", sample_run.page("run", 1, 100))
        except RecordError:
            refused += 1
    assert refused > 100
    journal.close()
    content = read_journal(journal.path)
    assert not content.bad
    assert not content.missing


def test_a_disk_too_full_for_the_ballast_begins_no_run(tmp_path):
    """Row 24: for the ballast."""
    with pytest.raises(RecordError, match=r"cannot be begun.*\(free space"):
        Journal.create(tmp_path, "run", ballast_bytes=2**62)


def test_a_failing_disk_raises_and_leaves_whole_lines(tmp_path):
    wrote = []

    def write(fd, data):
        wrote.append(1)
        if len(wrote) == 3:
            os.write(fd, bytes(data)[:10])
            raise OSError(errno.EIO, "Input/output error")
        return os.write(fd, data)

    journal = Journal.create(tmp_path, "run", write=write)
    journal.append("start", sample_run.start("run"))
    journal.append("descriptor", sample_run.echem_descriptor("run"))
    with pytest.raises(RecordError, match="cannot be written: Input/output error"):
        journal.append("event_page", sample_run.page("run", 1, 2))
    journal.append("stop", sample_run.stop("run"))
    journal.close()
    content = read_journal(journal.path)
    assert content.complete
    assert [name for name, _ in content.documents] == ["start", "descriptor", "stop"]


def test_a_document_that_cannot_be_encoded_changes_nothing(tmp_path):
    journal = Journal.create(tmp_path, "run")
    with pytest.raises(RecordError, match="start document"):
        journal.append("start", {"uid": "run", "sample": {1, 2}})
    journal.append("start", sample_run.start("run"))
    assert [seq.as_json() for seq in read_journal(journal.path).bad] == []
    journal.close()


def test_files_are_for_their_owner_to_write(tmp_path):
    journal = Journal.create(tmp_path, "run")
    journal.close()
    assert not journal.path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def test_the_writer_opens_and_closes_with_the_run(tmp_path):
    directory = DataDirectory(tmp_path)
    writer = JournalWriter(directory)
    assert writer.acknowledged == -1
    documents = list(sample_run.echem_documents("one"))
    for name, doc in documents:
        writer(name, doc)
    assert read_journal(directory.journal("one")).documents == documents
    assert writer.acknowledged == len(documents) - 1
    assert not is_live(directory.journal("one"))


def test_runs_inside_each_other_keep_apart(tmp_path):
    directory = DataDirectory(tmp_path)
    writer = JournalWriter(directory)
    one, two = (list(sample_run.echem_documents(uid, rows=2)) for uid in ("one", "two"))
    for (name, doc), (other_name, other) in zip(one, two, strict=True):
        writer(name, doc)
        writer(other_name, other)
    assert read_journal(directory.journal("one")).documents == one
    assert read_journal(directory.journal("two")).documents == two


def test_a_document_of_no_run_is_refused(tmp_path):
    writer = JournalWriter(DataDirectory(tmp_path))
    with pytest.raises(RecordError, match="belongs to run nobody, expected one of no open runs"):
        writer("stop", sample_run.stop("nobody"))


def test_closing_the_writer_leaves_an_open_run_for_recovery(tmp_path):
    directory = DataDirectory(tmp_path)
    writer = JournalWriter(directory)
    writer("start", sample_run.start("one"))
    writer.sync()
    writer.close()
    assert not read_journal(directory.journal("one")).complete
    assert not is_live(directory.journal("one"))
