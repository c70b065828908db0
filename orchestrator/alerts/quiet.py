"""Hours in which nobody wants to be woken for what can wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import model_validator
from typing_extensions import override

from orchestrator.inputs.fields import Expected, Text, problem
from orchestrator.inputs.models import StrictModel
from orchestrator.inputs.problems import name_remedy

_TIME = r"([01]\d|2[0-3]):[0-5]\d"


class _Zone(Expected):
    """A time zone by its IANA name."""

    @property
    @override
    def words(self) -> str:
        return "a time zone such as Europe/Zurich"

    @override
    def check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in available_timezones():
            remedy = name_remedy(str(value), available_timezones())
            raise self.refuse(value, remedy if len(remedy) < 200 else "write its IANA name")
        return value

    @override
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "description": "A time zone by its IANA name: Europe/Zurich."}


@dataclass(frozen=True)
class _Hour(Expected):
    """A time of day on a 24-hour clock."""

    @property
    @override
    def words(self) -> str:
        return "a time of day from 00:00 to 23:59"

    @override
    def check(self, value: Any) -> str:
        text: str = Text("a time of day", pattern=_TIME, form="such as 22:00").check(value)
        return text

    @override
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_TIME}$", "description": "A time of day: 22:00."}


class QuietHours(StrictModel):
    """From one time of day to another, where the reader lives.

    What is UNSAFE is told all the same; everything else waits for the end.

    Attributes:
        begin: Time of day, ``22:00``.
        end: Time of day; before `begin`, that of the next morning.
        zone: IANA name of the time zone.
    """

    begin: Annotated[str, _Hour()]
    end: Annotated[str, _Hour()]
    zone: Annotated[str, _Zone()]

    @model_validator(mode="after")
    def _not_always(self) -> Self:
        if self.begin == self.end:
            raise problem(
                f"got {self.begin} for both, expected two times",
                "leave quiet_hours out where there are none",
            )
        return self

    def until(self, now_s: float) -> float | None:
        """The end of the quiet hours that `now_s` lies in; None where it lies in none.

        Args:
            now_s: Unix s.

        Returns:
            Unix s, later than `now_s`. On a day on which clocks are changed the hours are those
            that the clock on the wall shows.
        """
        zone = ZoneInfo(self.zone)
        local = datetime.fromtimestamp(now_s, zone)
        begin, end = _clock(self.begin), _clock(self.end)
        wall = local.time().replace(tzinfo=None)
        inside = begin <= wall < end if begin < end else (wall >= begin or wall < end)
        if not inside:
            return None
        day = local.date() + timedelta(days=1 if wall >= end else 0)
        ends = datetime.combine(day, end, tzinfo=zone).astimezone(UTC).timestamp()
        return max(ends, now_s + 60.0)  # in an hour that is shown twice it may lie behind


def _clock(text: str) -> time:
    hours, minutes = re.findall(r"\d+", text)
    return time(int(hours), int(minutes))
