"""A rehearsed campaign: every run of a sweep on a twin of its own, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.experiment import Campaign, Point
from orchestrator.rehearsal.rehearse import Setting, rehearse_experiment
from orchestrator.rehearsal.result import Rehearsal, Remark


@dataclass(frozen=True)
class RehearsedCampaign:
    """What the runs of a sweep come to.

    Attributes:
        name: Name of the experiment.
        points: Every run that was rehearsed, in order.
        runs: What each came to.
    """

    name: str
    points: Sequence[Point]
    runs: Sequence[Rehearsal]

    @property
    def exit_code(self) -> int:
        """That of the first run that would end with one."""
        return next((one.exit_code for one in self.runs if one.exit_code), 0)

    @property
    def duration_s(self) -> float:
        """All runs, one after the other, s; what a person does between them is not in it."""
        return sum(one.duration_s for one in self.runs)

    def said(self, kind: str) -> list[tuple[Remark, list[int]]]:
        """Violations or warnings, each once, with the numbers of the runs that have it.

        Where runs differ in a number only, the remark is that of the first of them.

        Args:
            kind: ``violations`` or ``warnings``.
        """
        found: dict[tuple[str, str], tuple[Remark, list[int]]] = {}
        for point, one in zip(self.points, self.runs, strict=True):
            for remark in getattr(one, kind):
                key = (remark.kind, remark.path)
                found.setdefault(key, (remark, []))[1].append(point.number)
        return list(found.values())

    def to_document(self) -> dict[str, Any]:
        """As JSON has it: sums, every remark once with its runs, and each run's own object."""
        frames: dict[str, int] = {}
        timeline, at_s = [], 0.0
        for point, one in zip(self.points, self.runs, strict=True):
            for device, count in one.frames.items():
                frames[device] = frames.get(device, 0) + count
            row = {"run": point.number, "from_s": at_s, "to_s": at_s + one.duration_s}
            timeline.append({**row, "stop_reason": one.stop_reason})
            at_s += one.duration_s
        return {
            "experiment": self.name,
            "bench": self.runs[0].bench,
            "simulated": True,
            "duration_s": self.duration_s,
            "wall_s": sum(one.wall_s for one in self.runs),
            "frames": frames,
            "bytes": sum(one.bytes for one in self.runs),
            "charge_mah": sum(one.charge_mah for one in self.runs),
            "throughput_mah": sum(one.throughput_mah for one in self.runs),
            "disk": asdict(self.runs[0].disk),
            "violations": _documents(self.said("violations")),
            "warnings": _documents(self.said("warnings")),
            "timeline": timeline,
            "runs": [
                {"number": point.number, "values": point.values, **one.to_document()}
                for point, one in zip(self.points, self.runs, strict=True)
            ],
        }


def _documents(said: Sequence[tuple[Remark, list[int]]]) -> list[dict[str, Any]]:
    return [{**asdict(remark), "runs": numbers} for remark, numbers in said]


def rehearse_campaign(
    campaign: Campaign,
    setting: Setting,
    *,
    file: Path,
    of_point: Callable[[Point, Setting], Setting] = lambda _point, setting: setting,
) -> RehearsedCampaign:
    """Rehearse every run of a campaign.

    Args:
        campaign: The runs, checked against their bench.
        setting: Where and how.
        file: Where they stand.
        of_point: What differs for one run: its progress, where it is kept.
    """
    profile = campaign.profile
    assert profile is not None  # noqa: S101 - `load_campaign` has loaded it
    runs = []
    for point in campaign.points:
        own = of_point(point, setting)
        if own.keep is not None and campaign.sweep is not None:
            own = replace(own, keep=own.keep / f"run-{point.number}")
        runs.append(
            rehearse_experiment(point.experiment, profile, own, file=file, run=point.number - 1)
        )
    return RehearsedCampaign(campaign.name, campaign.points, runs)
