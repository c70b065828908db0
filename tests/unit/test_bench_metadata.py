"""Standing metadata: one visible file, nothing lost, nothing changed behind a person's back."""

from __future__ import annotations

import copy

import bluesky.plans as bp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.bench import open_bench
from orchestrator.errors import RecordError
from orchestrator.records.bench_metadata import RESERVED, BenchMetadata, RunMetadata
from orchestrator.records.runs import find_run, load_run

KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True).filter(lambda k: k not in RESERVED)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(
    st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=("Cc", "Cs")),
    max_size=20,
)  # fmt: skip
VALUES = st.recursive(
    SCALARS | st.floats(-1e6, 1e6).map(lambda x: round(x, 3)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def md(tmp_path):
    return BenchMetadata(tmp_path / "benches" / "sim-mri.yaml", "sim-mri")


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_what_is_set_is_there_in_the_next_session(tmp_path_factory, given_md):
    path = tmp_path_factory.mktemp("md") / "bench.yaml"
    first = BenchMetadata(path, "b")
    for key, value in given_md.items():
        first[key] = value
    later = BenchMetadata(path, "b")
    assert copy.deepcopy(dict(later)) == given_md
    assert copy.deepcopy(RunMetadata(later)) == given_md


def test_the_file_can_be_read_and_edited_by_a_person(md):
    md["operator"] = "A. Person"
    text = md.path.read_text()
    assert "operator: A. Person\n" in text
    md.path.write_text(text.replace("A. Person", "B. Person  # since Monday"))
    assert md["operator"] == "B. Person"
    md["proposal_id"] = "P-1"
    assert "# since Monday" in md.path.read_text()  # what a person wrote stays


def test_a_change_inside_a_value_is_refused_instead_of_lost(md):
    md["sample"] = {"type": "small", "sides": [1, 2], "maker": {"name": "X"}}
    for change in (
        lambda: md["sample"].update(type="film"),
        lambda: md["sample"].__setitem__("type", "film"),
        lambda: md["sample"]["maker"].pop("name"),
        lambda: md["sample"]["sides"].append(3),
    ):
        with pytest.raises(TypeError, match="would be lost"):
            change()
    md["sample"] = {**md["sample"], "type": "film"}
    assert md["sample"]["type"] == "film"


@pytest.mark.parametrize("key", sorted(RESERVED))
def test_what_a_run_says_itself_is_refused(md, key):
    with pytest.raises(RecordError, match=f"got the key '{key}'"):
        md[key] = 1


def test_what_a_store_would_lose_is_refused(md):
    with pytest.raises(RecordError, match="expected a finite number"):
        md["pressure"] = float("nan")
    assert len(md) == 0


def test_a_file_that_cannot_be_read_says_so_and_is_not_overwritten(md):
    md["operator"] = "A"
    for broken in ("metadata: [", "metadata: 3\n", "- a\n"):
        md.path.write_text(broken)
        with pytest.raises(RecordError, match="correct the file"):
            md["operator"] = "B"
        with pytest.raises(RecordError, match="correct the file"):
            dict(md)
        assert md.path.read_text() == broken
        md.path.unlink()


def test_two_sessions_see_each_other(md):
    other = BenchMetadata(md.path, "sim-mri")
    md["operator"] = "A"
    other["proposal_id"] = "P-1"
    assert dict(md) == dict(other) == {"operator": "A", "proposal_id": "P-1"}
    del other["operator"]
    assert "operator" not in md
    assert [md.next_scan_id(), other.next_scan_id(), md.next_scan_id()] == [1, 2, 3]


def test_a_count_that_cannot_be_kept_goes_on(tmp_path):
    (tmp_path / "benches").write_text("a file where a directory belongs")
    md = BenchMetadata(tmp_path / "benches" / "b.yaml", "b")
    assert [md.next_scan_id(), md.next_scan_id()] == [1, 2]


def test_runs_carry_it_and_are_counted_on(tmp_path):
    for session in (1, 2):
        with open_bench("sim-chamber", data=tmp_path) as bench:
            if session == 1:
                bench.md["operator"] = "A. Person"
                bench.RE.md["proposal_id"] = "P-1"  # as bluesky has it; the same place
            assert bench.md.last_scan_id == 2 * (session - 1)
            bench.RE(bp.count([bench.press]), sample="S")
            start = load_run(find_run(tmp_path, "-1")).start
            assert start["scan_id"] == 2 * session - 1
            assert (start["operator"], start["proposal_id"]) == ("A. Person", "P-1")
            assert start["sample"] == "S"
            assert start["bench"] == "sim-chamber"
            assert dict(bench.md) == {"operator": "A. Person", "proposal_id": "P-1"}
            bench.RE(bp.count([bench.press]), operator="B")  # what a call says goes before
            assert load_run(find_run(tmp_path, "-1")).start["operator"] == "B"
