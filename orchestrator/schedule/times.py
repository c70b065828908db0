"""Start times as people write them: with a zone, and never guessed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from orchestrator.errors import ScheduleError

_EXAMPLE = "2026-12-01T18:00+01:00"


@dataclass(frozen=True)
class Start:
    """When a job may begin.

    Attributes:
        utc_s: Unix time, s.
        said: As it was written, with its offset.
    """

    utc_s: float
    said: str


def start_time(text: str, zone: str | None = None) -> Start:
    """Read a start time.

    Args:
        text: ISO 8601 with an offset or ``Z``; without one where `zone` says which it is.
        zone: IANA name, for example ``Europe/Zurich``.

    Raises:
        ScheduleError: It is no time, has no zone, has two, or occurs twice or never in its zone
            (the hour at which clocks are changed).
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        what = f"got {text!r}, expected an ISO 8601 time"
        raise ScheduleError("--at", what, remedy=f"write for example {_EXAMPLE}") from None
    if moment.tzinfo is not None:
        if zone is not None:
            what = f"got the offset of {text} and the zone {zone}, expected one of them"
            raise ScheduleError("--at", what, remedy="leave one out")
        return Start(moment.timestamp(), moment.isoformat())
    if zone is None:
        what = f"got {text} without a zone, expected one"
        raise ScheduleError("--at", what, remedy=f"write for example {_EXAMPLE}, or add --zone")
    return _in_zone(moment, zone)


def _in_zone(moment: datetime, name: str) -> Start:
    """A local time that exists once."""
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        what = f"got the zone {name!r}, expected an IANA name"
        raise ScheduleError("--zone", what, remedy="write for example Europe/Zurich") from None
    early, late = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if early.utcoffset() != late.utcoffset():
        there = early.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment
        happens = "happens twice" if there else "never happens"
        offsets = " or ".join(f"{one:%z}" for one in (early, late))
        what = f"got {moment.isoformat()}, which {happens} in {name}: the clocks are changed"
        raise ScheduleError("--at", what, remedy=f"write its offset: {offsets}")
    return Start(early.timestamp(), early.isoformat())
