"""Campaigns as their runs' start documents tell of them: nothing else is kept of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import RecordError
from orchestrator.records.chains import summarise_chain
from orchestrator.records.directory import DataDirectory
from orchestrator.records.summary import RunSummary, summarise


@dataclass(frozen=True)
class CampaignSummary:
    """Runs that belong together.

    Attributes:
        uid: Of the campaign.
        name: Name of the plan of its runs.
        planned: Number of points of its sweep.
        runs: Those that were begun, by their number.
    """

    uid: str
    name: str
    planned: int
    runs: tuple[RunSummary, ...]

    def as_dict(self) -> dict[str, Any]:
        """For a JSON result."""
        return {
            "campaign": self.uid,
            "name": self.name,
            "planned": self.planned,
            "runs": [one.as_dict() for one in self.runs],
        }


def campaigns_of(runs: Sequence[RunSummary]) -> list[CampaignSummary]:
    """The campaigns that some runs belong to, in the order of their first runs."""
    found: dict[str, list[RunSummary]] = {}
    for one in runs:
        if one.campaign is not None:
            found.setdefault(str(one.campaign.get("uid")), []).append(one)
    return [
        CampaignSummary(
            uid,
            members[0].plan_name,
            max(number_of(one, "runs") for one in members),
            tuple(sorted(members, key=number_of)),
        )
        for uid, members in found.items()
    ]


def experiments_of(directory: DataDirectory, runs: Sequence[RunSummary]) -> list[RunSummary]:
    """Runs with those that went on with them as one, in the order of their beginnings."""
    went_on = {one.resumes for one in runs if one.resumes}
    found = [
        summarise_chain(directory.journal(one.uid)) if one.uid in went_on else one
        for one in runs
        if not one.resumes
    ]
    known = {uid for one in found for uid in (one.uid, *one.parts)}
    return found + [one for one in runs if one.uid not in known]


def number_of(run: RunSummary, key: str = "number") -> int:
    """The run's number in its campaign; 0 where it does not say."""
    value = (run.campaign or {}).get(key)
    return value if isinstance(value, int) else 0


def find_campaign(data: Path, reference: str) -> CampaignSummary | None:
    """The campaign whose uid begins so; None if there is none, or a run is meant.

    Args:
        data: The data directory.
        reference: The beginning of a uid.

    Raises:
        RecordError: Several campaigns, or a campaign and a run, are meant.
    """
    if not reference or reference.startswith("-"):
        return None
    directory = DataDirectory(data)
    uids = list(directory.runs())
    runs = experiments_of(directory, [summarise(directory.journal(uid)) for uid in uids])
    found = [one for one in campaigns_of(runs) if one.uid.startswith(reference)]
    others = [uid for uid in uids if uid.startswith(reference)]
    if len(found) == 1 and not others:
        return found[0]
    if not found:
        return None
    raise RecordError(
        f"campaign {reference[:80]!r}",
        f"{len(found)} campaigns and {len(others)} runs in {data} begin so, expected one",
        remedy="give more of the uid; `operando runs` lists them",
    )
