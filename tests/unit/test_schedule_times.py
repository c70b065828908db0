"""Row 33: start times in the past, without zone, ambiguous, at hours that do not exist."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ScheduleError
from orchestrator.schedule import start_time

ZURICH = ZoneInfo("Europe/Zurich")


def test_with_an_offset():
    assert start_time("2026-12-01T18:00+01:00").utc_s == 1_796_144_400.0
    assert start_time("2026-12-01T17:00Z").utc_s == 1_796_144_400.0
    assert start_time("2026-12-01T18:00", "Europe/Zurich").utc_s == 1_796_144_400.0
    assert start_time("2026-12-01T18:00", "Europe/Zurich").said == "2026-12-01T18:00:00+01:00"


@pytest.mark.parametrize(
    ("text", "zone", "said"),
    [
        ("2026-12-01T18:00", None, "without a zone"),
        ("tomorrow", None, "expected an ISO 8601 time"),
        ("2026-12-01T18:00+01:00", "Europe/Zurich", "one of them"),
        ("2026-12-01T18:00", "Europe/Nowhere", "expected an IANA name"),
        ("2026-12-01T18:00", "../etc/passwd", "expected an IANA name"),
        ("2026-10-25T02:30", "Europe/Zurich", r"happens twice .*\+0200 or \+0100"),
        ("2027-03-28T02:30", "Europe/Zurich", "never happens"),
        ("2026-13-01T18:00Z", None, "expected an ISO 8601 time"),
    ],
)
def test_what_is_not_one_moment_is_refused(text, zone, said):
    """Rows 32, 33: without zone, twice, never."""
    with pytest.raises(ScheduleError, match=said):
        start_time(text, zone)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)))  # noqa: DTZ001 - zone is drawn
def test_a_local_time_is_the_moment_at_which_a_clock_there_shows_it(local):
    """Row 32: DST."""
    try:
        start = start_time(local.isoformat(), "Europe/Zurich")
    except ScheduleError:
        return
    shown = datetime.fromtimestamp(start.utc_s, UTC).astimezone(ZURICH)
    assert abs((shown.replace(tzinfo=None) - local).total_seconds()) < 1e-5
