"""Journals are readable whole, cut at any byte, damaged anywhere, and while they grow."""

from __future__ import annotations

import base64
import os
import tracemalloc
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import RecordError
from orchestrator.records.encoding import encode_line
from orchestrator.records.journal import Journal
from orchestrator.records.reading import (
    follow,
    is_closed,
    last_document,
    read_journal,
    scan,
)
from tests import sample_run

DOCUMENTS = list(sample_run.echem_documents("run", pages=3, rows=3))
LINES = [encode_line(seq, name, doc) for seq, (name, doc) in enumerate(DOCUMENTS)]


def test_a_journal_cut_at_every_byte(tmp_path):
    """Row 40: cut at every byte."""
    documents = list(sample_run.echem_documents("run", pages=1, rows=1))
    lines = [encode_line(seq, name, doc) for seq, (name, doc) in enumerate(documents)]
    path, whole = tmp_path / "run.jsonl", b"".join(lines)
    ends = list(accumulate(map(len, lines)))
    begins = {0, *ends}
    path.write_bytes(whole)
    assert is_closed(path)
    for cut in range(len(whole), -1, -1):
        os.truncate(path, cut)
        content = read_journal(path)
        # a line that lacks nothing but its newline is whole
        kept = sum(cut >= end - 1 for end in ends)
        assert content.documents == documents[:kept], cut
        in_a_line = cut not in begins and cut + 1 not in begins
        assert (content.torn is not None) == in_a_line, cut
        assert content.missing == 0
        assert cut == len(whole) or not is_closed(path)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_in_the_middle_costs_the_lines_it_hit(tmp_path_factory, data):
    """Row 40: damaged anywhere."""
    path = tmp_path_factory.mktemp("d") / "run.jsonl"
    raw = bytearray(b"".join(LINES))
    begin = data.draw(st.integers(0, len(raw) - 1))
    length = data.draw(st.integers(1, 40))
    for k in range(begin, min(begin + length, len(raw))):
        raw[k] ^= 0xA5
    path.write_bytes(raw)
    content = read_journal(path)
    offsets = [sum(map(len, LINES[:k])) for k in range(len(LINES) + 1)]
    untouched = [
        k
        for k in range(len(LINES))
        if offsets[k + 1] <= begin or offsets[k] > begin + length  # its neighbour's newline too
    ]
    assert [DOCUMENTS[k] for k in untouched] == [
        doc for doc in content.documents if doc in [DOCUMENTS[k] for k in untouched]
    ]
    assert content.bad or content.documents == DOCUMENTS[:-1] + DOCUMENTS[-1:]


def test_a_bad_line_is_named_and_kept(tmp_path):
    """Row 40: reported."""
    path = tmp_path / "run.jsonl"
    damaged = LINES[2].replace(b"pstat_cycle", b"pstat_cycel", 1)
    path.write_bytes(b"".join([*LINES[:2], damaged, *LINES[3:]]))
    content = read_journal(path)
    (bad,) = content.bad
    assert (bad.number, bad.reason, bad.torn) == (3, "checksum does not match", False)
    assert base64.b64decode(bad.as_json()["base64"]) == damaged.rstrip(b"\n")
    assert content.missing == 1
    assert content.documents == DOCUMENTS[:2] + DOCUMENTS[3:]
    assert not content.complete


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (b"\0" * 5000 + b"\n", "empty or zeros"),
        (b"\n", "empty or zeros"),
        (b"rubbish\n", "no checksum at its end"),
        (b"\xff\xfe\x00\n", "no checksum at its end"),
        (LINES[1], "sequence number 1 after 3"),
    ],
)
def test_foreign_lines_are_skipped_with_their_reason(tmp_path, piece, reason):
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join([*LINES[:4], piece, *LINES[4:]]))
    content = read_journal(path)
    assert [bad.reason for bad in content.bad] == [reason]
    assert content.documents == DOCUMENTS
    assert content.missing == 0


def test_a_lost_line_is_counted(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(LINES[:2] + LINES[4:]))
    content = read_journal(path)
    assert (content.missing, content.bad) == (2, [])
    assert not content.complete


def test_a_missing_file_is_an_error_of_ours(tmp_path):
    for read in (read_journal, is_closed, lambda p: list(scan(p)), lambda p: follow(p).read()):
        with pytest.raises(RecordError, match=r"journal none\.jsonl: cannot be read: No such"):
            read(tmp_path / "none.jsonl")


def test_scanning_needs_one_line_of_memory(tmp_path):
    path = tmp_path / "run.jsonl"
    with path.open("wb") as file:
        for seq in range(300):
            file.write(encode_line(seq, "event_page", sample_run.page("run", 1, 200)))
    assert path.stat().st_size > 6e6
    tracemalloc.start()
    count = sum(1 for _ in scan(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 300
    assert peak < 2e6


def test_a_growing_journal_is_followed_line_by_line(tmp_path):
    journal = Journal.create(tmp_path, "run")
    follower = follow(journal.path)
    assert follower.read() == []
    for name, doc in DOCUMENTS[:3]:
        journal.append(name, doc)
    assert [(e.name, e.doc) for e in follower.read()] == DOCUMENTS[:3]
    assert follower.read() == []
    for name, doc in DOCUMENTS[3:]:
        journal.append(name, doc)
    assert not follower.finished
    assert [e.seq for e in follower.read(max_entries=1)] == [3]
    assert [e.seq for e in follower.read()] == [4, 5]
    assert follower.finished
    journal.close()


def test_a_follower_waits_for_the_end_of_a_line(tmp_path):
    path = tmp_path / "run.jsonl"
    follower = follow(path)
    for cut in range(len(LINES[0])):
        path.write_bytes(LINES[0][:cut])
        assert follower.read() == []
    path.write_bytes(LINES[0] + b"damaged\n" + LINES[1])
    assert [e.name for e in follower.read()] == ["start", "descriptor"]
    assert [bad.number for bad in follower.bad] == [2]


def test_a_follower_can_begin_where_another_stopped(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(LINES))
    first = follow(path)
    first.read(max_entries=2)
    assert [e.seq for e in follow(path, first.offset).read()] == [2, 3, 4, 5]


def test_the_last_document_is_found_from_the_end(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"x" * 200_000 + b"\n" + LINES[-1])
    assert last_document(path) == DOCUMENTS[-1]
    path.write_bytes(b"")
    assert last_document(path) is None
