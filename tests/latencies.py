"""How long it took: what tests of the fault matrix measured, kept in a committed file.

A test that measures a latency takes the fixture `latency` and says so::

    latency(28, "SIGKILL to the cell being off", took_s, promised_s=2.0)

``pytest --latencies TIMES`` (``make latencies``) runs the tests that measure, and no others, so
many times, and replaces the figures of the same row and words in
docs/reference/fault-latencies.json, with date and machine. Other runs of the tests write nothing.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "docs" / "reference" / "fault-latencies.json"

KEY = "fault latency"
"""Name of the property of a test's report."""


@dataclass(frozen=True)
class Latency:
    """What was measured of one row.

    Attributes:
        what: From where to where.
        times: How often.
        median_s: Real seconds, unless `what` says otherwise.
        most_s: The longest, s.
        promised_s: What is promised, s.
    """

    what: str
    times: int
    median_s: float
    most_s: float
    promised_s: float


@dataclass(frozen=True)
class Measured:
    """What was measured last.

    Attributes:
        date: Of the measurement.
        machine: On what.
        rows: Latencies by row.
    """

    date: str
    machine: str
    rows: dict[int, list[Latency]]

    def of(self, row: int) -> list[Latency]:
        """Latencies of one row."""
        return self.rows.get(row, [])


def measured(path: Path = FILE) -> Measured:
    """What the committed file says; nothing where there is none."""
    if not path.exists():
        return Measured("", "", {})
    said = json.loads(path.read_text(encoding="utf-8"))
    rows = {int(row): [Latency(**one) for one in found] for row, found in said["rows"].items()}
    return Measured(said["date"], said["machine"], rows)


Found = Mapping[tuple[int, str, float], list[float]]
"""Seconds by row, words and promise."""


class Collector:
    """Repeats the tests that measure a latency, and gathers what they say.

    Args:
        times: How often each of them is run.
    """

    def __init__(self, times: int) -> None:
        self._times = times
        self._found: dict[tuple[int, str, float], list[float]] = defaultdict(list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """One after the other, again and again: a test is torn down before its next time."""
        measuring = [one for one in items if "latency" in getattr(one, "fixturenames", ())]
        items[:] = measuring * self._times

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Forget what the test said the last time."""
        item.user_properties.clear()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of what a test measured."""
        if report.when != "call" or not report.passed:
            return
        for key, value in report.user_properties:
            if key == KEY:
                row, what, seconds, promised_s = value
                self._found[row, what, promised_s].append(seconds)

    def pytest_sessionfinish(self) -> None:
        """Write it down."""
        if self._found:
            write(self._found)


def write(found: Found, path: Path = FILE) -> None:
    """Put new figures in the place of old ones of the same row and words."""
    rows = dict(measured(path).rows)
    for (row, what, promised_s), seconds in found.items():
        kept = [one for one in rows.get(row, []) if one.what != what]
        new = Latency(
            what,
            len(seconds),
            round(statistics.median(seconds), 3),
            round(max(seconds), 3),
            promised_s,
        )
        rows[row] = sorted([*kept, new], key=lambda one: one.what)
    said = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        "rows": {str(row): [vars(one) for one in rows[row]] for row in sorted(rows)},
    }
    path.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
