"""A document is read back as it was written, or is known to be damaged."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import RecordError
from orchestrator.records import encoding
from orchestrator.records.encoding import UnreadableLine, decode_line, encode_line
from tests import sample_run

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab$.", max_size=3), inner),
    max_leaves=20,
)


def same(one, other):
    """Equal in type and value, NaN equal to NaN, and the sign of zero kept."""
    if isinstance(one, float) and isinstance(other, float):
        return math.copysign(1, one) == math.copysign(1, other) and (
            one == other or (math.isnan(one) and math.isnan(other))
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text("ab$", max_size=3), VALUES, max_size=4))
@pytest.mark.long
def test_any_json_document_survives(doc):
    seq, name, back = decode_line(encode_line(7, "event", doc))
    assert (seq, name) == (7, "event")
    # the sign of a NaN carries nothing and is not kept
    assert json.dumps(back) == json.dumps(doc) or same(back, doc)


def test_a_page_survives_and_says_its_times_once():
    page = sample_run.page("r", 1, 50)
    line = encode_line(0, "event_page", page)
    assert decode_line(line)[2] == page
    assert line.count(str(page["time"][-1]).encode()) == 1


def test_columns_with_their_own_times_keep_them():
    page = sample_run.page("r", 1, 4)
    own = [t + 0.25 for t in page["time"]]
    page["timestamps"] = {**page["timestamps"], "pstat_cycle": own}
    back = decode_line(encode_line(0, "event_page", page))[2]
    assert back["timestamps"]["pstat_cycle"] == own
    assert back["timestamps"]["pstat_voltage_v"] == page["time"]


def test_not_finite_values_in_a_page_are_not_missing_ones():
    page = sample_run.page("r", 1, 4)
    page["data"]["pstat_voltage_v"] = [1.0, math.nan, -math.inf, None]
    back = decode_line(encode_line(0, "event_page", page))[2]["data"]["pstat_voltage_v"]
    assert back[0] == 1.0
    assert math.isnan(back[1])
    assert back[2] == -math.inf
    assert back[3] is None


def test_numpy_becomes_the_same_numbers():
    doc = {
        "f8": np.float64(0.1),
        "f4": np.float32(0.1),
        "i": np.int64(3),
        "b": np.bool_(True),
        "nan": np.float64("nan"),
        "array": np.array([[0.1, np.nan]], dtype="f4"),
        "listed": [np.float64(1.5), np.float32(0.1)],
        "page": [np.float64(1.5), np.float64(2.5)],
        "t": (1, 2),
    }
    back = decode_line(encode_line(0, "event", doc))[2]
    assert back["f8"] == 0.1
    assert back["f4"] == float(np.float32(0.1))
    assert np.float32(back["array"][0][0]) == np.float32(0.1)
    assert math.isnan(back["array"][0][1])
    assert math.isnan(back["nan"])
    assert back["listed"] == [1.5, float(np.float32(0.1))]
    assert back["page"] == [1.5, 2.5]
    assert (back["i"], back["b"], back["t"]) == (3, True, [1, 2])


def test_a_line_is_json_for_any_tool():
    line = encode_line(3, "start", {"uid": "x", "t": 1.0})
    assert json.loads(line)["doc"] == {"uid": "x", "t": 1.0}
    assert line.count(b"\n") == 1


@pytest.mark.parametrize("value", [{1, 2}, Path("/x"), 2**70, object(), 1j, b"x"])
def test_what_json_cannot_carry_is_refused_by_its_path(value):
    with pytest.raises(RecordError, match=r"start document: start\.sample\.a\[1\].*\(use texts"):
        encode_line(0, "start", {"sample": {"a": [1, value]}})


def test_a_key_that_is_no_text_is_refused():
    with pytest.raises(RecordError, match=r"start\.sample has the key 3"):
        encode_line(0, "start", {"sample": {3: 1}})


def test_an_endless_line_is_refused():
    long = "x" * encoding.MAX_LINE_BYTES
    with pytest.raises(RecordError, match="expected at most"):
        encode_line(0, "start", {"text": long})


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_changed_byte_is_noticed(data):
    line = encode_line(5, "event", sample_run.event("r", "mri", 3, {"a": 1.25}))
    position = data.draw(st.integers(0, len(line) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != line[position]))
    damaged = line[:position] + bytes([byte]) + line[position + 1 :]
    with pytest.raises(UnreadableLine):
        decode_line(damaged)


@given(st.binary(max_size=200))
def test_rubbish_is_no_document(rubbish):
    with pytest.raises(UnreadableLine):
        decode_line(rubbish)
