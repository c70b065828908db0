"""A row agrees when, and only when, the number does."""

from __future__ import annotations

import math

import pytest

from orchestrator.reproduce import PAPERS, arithmetic
from orchestrator.reproduce.row import HEADLINE, Line, headline, missed
from orchestrator.reproduce.statistics import mean, median, over_seeds, seeded
from orchestrator.reproduce.wording import measured, stated, verdict


def line(comparison="within", tolerance=0.5, kind="predicted") -> Line:
    return Line("liu", "x", "a length", 2.0, "um", kind, "", tolerance, comparison)


@pytest.mark.parametrize(
    ("comparison", "value", "ok"),
    [
        ("within", 2.5, True),
        ("within", 2.51, False),
        ("within", 1.5, True),
        ("below", 1.99, True),
        ("below", 2.0, False),
        ("above", 2.01, True),
        ("above", 2.0, False),
        ("impossible", 2.0, False),
        ("within", math.nan, False),
        ("within", math.inf, False),
        ("within", None, False),
    ],
)
def test_verdicts(comparison, value, ok):
    row = line(comparison).row(value)
    assert row.ok is ok
    assert row.value is None or math.isfinite(row.value)
    assert verdict(row) == ("n/a" if comparison == "impossible" else "ok" if ok else "MISS")


def test_words():
    assert stated(line().row(2.0)) == "2 ± 0.5"
    assert stated(line("below").row(1.0)) == "< 2"
    assert stated(line("above").row(1.0)) == "> 2"
    assert stated(line(tolerance=0.0).row(2.0)) == "2"
    assert measured(line().row(2.345678)) == "2.346 um"
    assert measured(line().row(None)) == "-"


def test_calibrated_and_impossible_rows_are_not_counted():
    rows = [
        line().row(2.0),
        line().row(9.0),
        line(kind="calibrated").row(9.0),
        line("impossible").row(9.0),
    ]
    assert headline(rows) == (1, 2)
    assert missed(rows) == [rows[1], rows[2]]
    assert "calibrated" not in HEADLINE


def test_statistics_over_the_samples_of_one_variation():
    seen = {
        ("a", seeded("x", 1)): {"n": 3.0},
        ("a", seeded("x", 0)): {"n": 1.0},
        ("a", seeded("x", 10)): {},
        ("a", seeded("y", 0)): {"n": 100.0},
        ("b", seeded("x", 0)): {"n": 100.0},
    }
    values = over_seeds(seen, "a", "x", "n")
    assert values[:2].tolist() == [1.0, 3.0]
    assert math.isnan(values[2])
    assert median(values) == mean(values) == 2.0
    assert median(values[2:]) is None


@pytest.mark.parametrize("paper", PAPERS)
def test_arithmetic_agrees_or_says_that_the_paper_does_not(paper):
    rows = arithmetic.rows(paper)
    assert rows
    for row in rows:
        assert row.kind == "arithmetic"
        assert row.value is not None
        if row.comparison == "impossible":
            assert row.note.startswith("impossible: ")
            assert abs(row.value - row.published) > 0.01 * abs(row.published)
        else:
            assert row.ok, row
    assert len({row.id for row in rows}) == len(rows)
