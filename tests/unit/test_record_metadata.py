"""A start document that some store would not keep is refused with every reason at once."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import RecordError
from orchestrator.records.metadata import MAX_BYTES, MAX_DEPTH, check_start, normalised, problems
from orchestrator.records.recorder import Recorder
from tests import sample_run


@pytest.mark.parametrize(
    ("md", "expected"),
    [
        ({"a": math.nan}, "a: got nan, expected a finite number"),
        ({"a": [1, {"b": -math.inf}]}, "a[1].b: got -inf"),
        ({"a": 2**53 + 1}, "a: got 9007199254740993, expected at most 2^53 (quote it)"),
        ({"a": {1, 2}}, "a: got a set, expected text, number, list or mapping"),
        ({"a": Path("/x")}, "a: got a PosixPath"),
        ({"a": {"b.c": 1}}, "a.b.c: got a key with '.'"),
        ({"a/b": 1}, "a/b: got a key with '.', '/'"),
        ({"$a": 1}, "$a: got a key"),
        ({3: 1}, "3: got the key 3, expected a text"),
        ({"": 1}, "got the key ''"),
        ({"a": "\ud800"}, "a: got a text that is not Unicode"),
        ({"a\ud800": 1}, "got a key that is not Unicode"),
        ({"a": b"x"}, "a: got a bytes"),
        ({"a": "x" * MAX_BYTES}, "metadata: 1048584 bytes, expected at most 1048576"),
    ],
)
def test_what_stores_would_lose_is_refused(md, expected):
    """Rows 1, 35: metadata that some store would not keep."""
    (found,) = problems(md)
    assert expected in found


def test_everything_is_said_at_once():
    md = {"a": math.nan, "b": {"c": {1}, "d.e": 2**60}}
    with pytest.raises(
        RecordError, match=r"a: got nan.*b\.c: got a set.*b\.d\.e: got a key.*2\^53"
    ):
        check_start(md)


def test_many_problems_are_counted():
    with pytest.raises(RecordError, match=r"; and 5 more \(nothing was energised"):
        check_start({"a": [math.nan] * 25})


def test_endless_nesting_is_refused():
    deep: dict = {}
    for _ in range(MAX_DEPTH + 1):
        deep = {"a": deep}
    assert "nested deeper than" in problems(deep)[0]


def test_ordinary_metadata_passes_and_becomes_json():
    md = {"a": (1, 2.5), "b": np.float32(0.5), "c": np.array([1, 2]), "d": {"e": None, "f": True}}
    plain = normalised(md)
    assert json.loads(json.dumps(plain)) == plain
    assert plain == {"a": [1, 2.5], "b": 0.5, "c": [1, 2], "d": {"e": None, "f": True}}
    assert problems(sample_run.start("run")) == []


def test_a_refused_start_leaves_no_trace(tmp_path):
    """Row 1: no file, no run."""
    recorder = Recorder(tmp_path)
    with pytest.raises(RecordError, match=r"start document: sample\.x: got nan"):
        recorder("start", sample_run.start("run", sample={"x": math.nan}))
    assert list(recorder.directory.runs()) == []
    assert recorder.uid == ""
