"""The fault matrix: its rows have tests, and the page says what the tests say."""

from __future__ import annotations

import json
import re

import pytest

from tests import fault_matrix, latencies
from tests.fault_matrix import PAGE, ROWS, page, rows_named, shown_by_row


def test_there_are_forty_three_rows():
    assert [row.number for row in ROWS] == list(range(1, 44))
    assert len({row.fault for row in ROWS}) == 43


def test_every_row_has_a_test_and_tests_name_rows_that_there_are():
    assert set(shown_by_row()) == {row.number for row in ROWS}


def test_no_row_is_shown_by_long_counts_alone():
    shown = shown_by_row()
    assert not [row for row, tests in shown.items() if all(test.soak for test in tests)]


@pytest.mark.parametrize(
    ("docstring", "rows", "rest"),
    [
        ("Row 31: the watchdog dies.\n\nMore.", [31], "the watchdog dies."),
        ("Row 31.", [31], ""),
        ("Rows 28, 30 and 42: killed.", [28, 30, 42], "killed."),
        ("Rows of a table.", [], "Rows of a table."),
        ("In row 3: nothing.", [], "In row 3: nothing."),
        (None, [], ""),
    ],
)
def test_rows_stand_at_the_beginning_of_a_docstring(docstring, rows, rest):
    assert rows_named(docstring) == (rows, rest)


def test_tests_are_found_without_being_imported(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text(
        "import nothing_that_exists\n"
        "@pytest.mark.soak\n"
        'def test_a_b():\n    """Row 4."""\n'
        'class TestX:\n    def test_c(self):\n        """Rows 4, 5: said."""\n'
        'def helper():\n    """Row 6."""\n'
        "def test_d():\n    pass\n"
    )
    found = {
        row: [(one.node, one.text, one.soak) for one in shown]
        for row, shown in shown_by_row(tmp_path / "tests").items()
    }
    assert found == {
        4: [("tests/test_one.py::test_a_b", "a b", True),
            ("tests/test_one.py::TestX::test_c", "said.", False)],
        5: [("tests/test_one.py::TestX::test_c", "said.", False)],
    }  # fmt: skip


def test_the_page_is_what_the_tests_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make faults`"


def test_latencies_replace_those_of_the_same_words(tmp_path):
    path = tmp_path / "figures.json"
    assert latencies.measured(path).of(28) == []
    latencies.write({(28, "a", 2.0): [0.1, 0.3, 0.2], (29, "b", 1.0): [0.5]}, path)
    latencies.write({(28, "a", 2.0): [0.4]}, path)
    found = latencies.measured(path)
    assert [(one.what, one.times, one.most_s) for one in found.of(28)] == [("a", 1, 0.4)]
    assert found.of(29)[0].median_s == 0.5
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found.date)
    assert json.loads(path.read_text())["machine"] == found.machine


def test_the_page_has_what_was_measured(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    latencies.write({(28, "SIGKILL to off", 2.0): [0.1, 0.3, 0.2]}, path)
    monkeypatch.setattr(fault_matrix, "measured", lambda: latencies.measured(path))
    assert "SIGKILL to off: 0.2 s in the median of 3, 0.3 s at most; 2 s are promised." in page()
