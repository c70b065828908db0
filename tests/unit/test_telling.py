"""What somebody should be told: written at once, by whoever notices it, whatever else fails."""

from __future__ import annotations

import subprocess
import sys

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.telling import LONGEST_TEXT, Severity, Telling, spool_directory, tell
from tests.command import environment


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "state"))


def spooled():
    return [orjson.loads(path.read_bytes()) for path in sorted(spool_directory().glob("*.json"))]


def test_what_is_told_is_there_in_order():
    for number in (2, 1, 3):
        tell(Telling("run", Severity.FAILURE, f"n {number}", time=float(number), bench="b"))
    assert [one["text"] for one in spooled()] == ["n 1", "n 2", "n 3"]
    assert spooled()[0]["severity"] == "failure"
    assert spool_directory().stat().st_mode & 0o077 == 0


def test_telling_never_raises(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("OPERANDO_STATE", str(tmp_path / "file"))
    tell(Telling("run", Severity.FAILURE, "the disk is full"))
    assert "cannot be written down" in caplog.text


def test_a_process_that_is_killed_at_once_has_told():
    code = (
        "import os, signal\n"
        "from orchestrator.telling import *\n"
        "tell(Telling('watchdog', Severity.UNSAFE, 'last words'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), timeout=30, check=False)
    assert [one["text"] for one in spooled()] == ["last words"]


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60), severity=st.sampled_from(Severity))
def test_what_is_told_comes_back_without_what_breaks_lines(text, severity):
    told = Telling("run", severity, text, key=text, simulated=True)
    document = orjson.loads(orjson.dumps(told.to_document()))
    back = Telling.from_document(document | {"from a later version": 1})
    assert (back.severity, back.uid, back.time) == (severity, told.uid, told.time)
    assert len(back.text) == len(text)
    assert not set(back.text) & set(map(chr, [*range(10), *range(11, 32), 127]))


def test_what_is_too_long_is_cut_and_what_is_no_telling_is_refused():
    assert len(Telling("a", Severity.NOTICE, "x" * 9999).to_document()["text"]) == LONGEST_TEXT
    for document in ({}, {"severity": "loud"}, {"severity": "notice", "kind": "a"}):
        with pytest.raises(ValueError, match="no telling"):
            Telling.from_document(document)
