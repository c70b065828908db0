"""The audit log: append-only, in a chain that shows what was changed, and several may write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import RecordError
from orchestrator.records.audit import GENESIS, MAX_LINE_BYTES, AuditLog, read_audit, verify


def written(path: Path, lines: int = 4) -> AuditLog:
    log = AuditLog(path, now=lambda: 1_800_000_000.0)
    for number in range(lines):
        log.append("request", "somebody", verb="note", text=f"é {number}")
    return log


def test_lines_follow_each_other_and_say_who_and_when(tmp_path):
    path = tmp_path / "audit.jsonl"
    written(path)
    lines = read_audit(path)
    assert [line["seq"] for line in lines] == [0, 1, 2, 3]
    assert [line["prev"] for line in lines] == [GENESIS, *(line["hash"] for line in lines[:-1])]
    assert lines[0]["time"] == "2027-01-15T08:00:00.000+00:00"
    assert (lines[0]["who"], lines[0]["what"]["text"]) == ("somebody", "é 0")
    check = verify(path, head=lines[2]["hash"])
    assert (check.ok, check.lines, check.head) == (True, 4, lines[-1]["hash"])
    assert path.stat().st_mode & 0o077 == 0


def test_no_file_is_an_empty_chain(tmp_path):
    assert verify(tmp_path / "none").ok
    assert read_audit(tmp_path / "none") == []


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_byte_is_changed_is_noticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    written(path)
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 2))
    raw[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[at]))
    path.write_bytes(raw)
    assert not verify(path).ok


@pytest.mark.parametrize("gone", range(3))
def test_a_line_taken_out_or_put_elsewhere_is_noticed(tmp_path, gone):
    path = tmp_path / "audit.jsonl"
    written(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    assert "does not follow" in verify(path).problems[0]
    path.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    assert not verify(path).ok


def test_an_end_cut_off_is_noticed_by_who_kept_the_head(tmp_path):
    path = tmp_path / "audit.jsonl"
    written(path)
    head = verify(path).head
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert verify(path).ok  # a chain alone cannot know
    assert "cut off" in verify(path, head=head).problems[0]


def test_a_torn_line_stays_and_the_chain_goes_on(tmp_path):
    path = tmp_path / "audit.jsonl"
    log = written(path)
    path.write_bytes(path.read_bytes()[:-20])
    log.append("request", "somebody")
    assert [line["seq"] for line in read_audit(path)] == [0, 1, 2, 3]
    assert len(verify(path).problems) == 1  # the torn one; what follows names the last whole line


def test_what_cannot_be_written_is_said(tmp_path):
    log = written(tmp_path / "audit.jsonl")
    with pytest.raises(RecordError, match="cannot be written"):
        log.append("request", "somebody", text="x" * MAX_LINE_BYTES)
    with pytest.raises(RecordError, match="cannot be written"):
        log.append("request", "somebody", value=object())
    assert verify(tmp_path / "audit.jsonl").lines == 4


def test_processes_write_one_chain(tmp_path):
    path = tmp_path / "audit.jsonl"
    code = (
        "import sys, pathlib; from orchestrator.records.audit import AuditLog\n"
        "for k in range(20): AuditLog(pathlib.Path(sys.argv[1])).append('n', sys.argv[2], k=k)"
    )
    others = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in ("a", "b")
    ]
    assert [other.wait(timeout=60) for other in others] == [0, 0]
    check = verify(path)
    assert (check.ok, check.lines) == (True, 40)
    lines = read_audit(path)
    for name in ("a", "b"):
        assert [line["what"]["k"] for line in lines if line["who"] == name] == list(range(20))
    assert orjson.loads(path.read_bytes().splitlines()[-1])["seq"] == 39
