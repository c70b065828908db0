"""Runs a campaign: each point of a sweep as a run of its own, everything off in between."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from devices.clock import monotonic
from devices.errors import ExplainedError, InstrumentFault
from orchestrator.bench import Bench, open_bench
from orchestrator.errors import ExperimentError, InterlockTripped, RecordError
from orchestrator.experiment import Campaign, Experiment, Point
from orchestrator.experiment.bench_checks import device_for
from orchestrator.experiment.campaign import worded
from orchestrator.laboratory import Surroundings
from orchestrator.planning import experiment_plan
from orchestrator.profile.models import BenchProfile
from orchestrator.running import RunResult, run_experiment

ENDS_BADLY = ("limit", "interlock")
"""Stop reasons of a run that ended in order and yet failed."""

SPOILS = ("hard_short", "soft_short")
"""Stop reasons after which the cell is not what the next run expects."""

Opened = Callable[[Point], AbstractContextManager[Bench]]
"""Opens the bench with a point's sample on it."""

Carry = Callable[[Point, Bench, Mapping[str, Any]], RunResult]
"""Runs a point; the mapping is what its start document says of the campaign."""


@dataclass(frozen=True)
class PointResult:
    """What came of a point.

    Attributes:
        number: Of the point, from 1.
        values: What was varied.
        outcome: ``success``, ``fail``, ``abort`` or ``not_run``; a run that ended in order at a
            limit has failed.
        stop_reason: Why the run ended; ``error`` where `error` says it; empty for what was not run.
        result: The whole result; None where the run has none.
        uid: Uid of the run; empty where none began.
        error: What an instrument or the records said.
    """

    number: int
    values: Mapping[str, Any]
    outcome: str = "not_run"
    stop_reason: str = ""
    result: RunResult | None = None
    uid: str = ""
    error: str = ""

    def to_document(self) -> dict[str, Any]:
        """For ``run --json``: the keys of a single run, where there is one, and these."""
        own = {key: value for key, value in asdict(self).items() if key != "result"}
        own |= {"uid": self.uid or None, "exit_status": self.outcome}
        return own if self.result is None else {**own, **asdict(self.result)}


@dataclass(frozen=True)
class CampaignResult:
    """What a campaign came to.

    Attributes:
        uid: Of the campaign; in the start document of each of its runs.
        name: Name of the experiment.
        runs: Every point, those that were not run included.
        exit_status: ``success``; ``fail`` if a run failed; ``abort`` if a person ended it.
        stop_reason: ``completed``, or why it ended before its last point.
        wall_s: Real time, s.
        failure: The first error that was raised; None if none was.
    """

    uid: str
    name: str
    runs: tuple[PointResult, ...]
    exit_status: str
    stop_reason: str
    wall_s: float
    failure: BaseException | None = None

    @property
    def results(self) -> list[RunResult]:
        """Results of the runs that have one."""
        return [one.result for one in self.runs if one.result is not None]

    def to_document(self) -> dict[str, Any]:
        """The object that ``run --json`` prints."""
        return {
            "campaign": self.uid,
            "name": self.name,
            "exit_status": self.exit_status,
            "stop_reason": self.stop_reason,
            "runs": [one.to_document() for one in self.runs],
            "duration_s": sum(one.duration_s for one in self.results),
            "wall_s": self.wall_s,
            "throughput_mah": sum(one.throughput_mah for one in self.results),
        }


def run_campaign(
    campaign: Campaign,
    opened: Opened | None = None,
    carry: Carry | None = None,
    *,
    data: str | Path | None = None,
    uid: str = "",
) -> CampaignResult:
    """Run every point, one after the other.

    The bench stays open from one point to the next while the cell on it is the same, so that a
    cell is cycled on as the run before left it; everything is switched off in between, verified.
    Where the sample changes, the bench is closed and opened again. What each run may do is limited
    by its own file: limits, conditions and disk are checked for each.

    A run fails by an instrument's error, by ending at a limit or an interlock, or, if the next is
    on the same cell, in a short. Then the sweep's `on_failure` decides. Whatever it says the
    campaign ends where a person aborts a run, an interlock trips, nothing can be recorded, or a
    device is not known to be off.

    Args:
        campaign: From `load_campaign`.
        opened: Opens the bench for a point; None: the bench that the campaign was checked against.
        carry: Runs a point; None: without a person, so that a pause aborts.
        data: Data directory, where `opened` is None; as for `open_bench`.
        uid: Of the campaign that this goes on with; empty for a new one.

    Raises:
        ExperimentError: A point asks for something that no plan does; nothing was run.
    """
    if opened is None:
        check_hands(campaign, attended=False)
    began_s, running = monotonic(), _Running(campaign, carry or _carried, uid)
    with suppress(_Ended):
        for group in groups(campaign):
            running.group(group, opened or partial(_opened, campaign, data))
    return CampaignResult(
        uid=running.uid,
        name=campaign.name,
        runs=tuple(running.done + [PointResult(p.number, p.values) for p in running.left]),
        exit_status=_status(running),
        stop_reason=running.reason or "completed",
        wall_s=monotonic() - began_s,
        failure=running.failure,
    )


@contextmanager
def _opened(campaign: Campaign, data: str | Path | None, point: Point) -> Iterator[Bench]:
    """The campaign's bench with a point's sample on it, if it is simulated."""
    assert campaign.profile is not None  # noqa: S101 - from `load_campaign`
    experiment = point.experiment
    recipe = experiment.sample.simulate_as
    with open_bench(
        campaign.profile,
        data=data,
        sample=recipe.model_dump(exclude_none=True) if recipe else None,
        surroundings=Surroundings(**experiment.environment.model_dump()),
    ) as bench:
        yield bench


def _carried(point: Point, bench: Bench, told: Mapping[str, Any]) -> RunResult:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        return run_experiment(point.experiment, bench, speak=nowhere, campaign=told)


class _Ended(Exception):  # noqa: N818 - it ends a campaign, and is no error
    """The campaign is over."""


class _Running:
    """A campaign under way."""

    def __init__(self, campaign: Campaign, carry: Carry, uid: str = "") -> None:
        self.campaign, self._carry = campaign, carry
        self.uid = uid or str(uuid.uuid4())
        self.done: list[PointResult] = []
        self.left = list(campaign.points)
        self.failure: BaseException | None = None
        self.reason = ""
        self._checked = self._unsafe = False
        self._began = ""

    @property
    def _goes_on(self) -> bool:
        sweep = self.campaign.sweep
        return sweep is not None and sweep.on_failure == "go_on"

    def group(self, points: list[Point], opened: Opened) -> None:
        """Run the points of one cell; a bench that failed is opened anew for the next."""
        while rest := [point for point in points if point in self.left]:
            try:
                with opened(rest[0]) as bench:
                    if not self._checked:
                        _check_plans(self.campaign, bench)
                        self._checked = True
                    for point in rest:
                        self._one(point, bench, last_on_cell=point is rest[-1])
            except (ExplainedError, KeyboardInterrupt) as error:
                if not self._checked:
                    raise
                self._failed(rest, error)

    def _one(self, point: Point, bench: Bench, *, last_on_cell: bool) -> None:
        before = bench.live.snapshot().run
        if bench.keeper is not None:
            bench.keeper.campaign = self._kept(point)
        try:
            result = self._carry(point, bench, self._metadata(point))
        except (ExplainedError, KeyboardInterrupt):
            uid = bench.live.snapshot().run
            self._began = uid if uid != before else ""
            self._unsafe = bool(bench.RE.unsafe)
            raise
        finally:
            if bench.keeper is not None:
                bench.keeper.campaign = {}
        status, reason = result.exit_status, result.stop_reason
        failed = status == "fail" or reason in ENDS_BADLY
        self._note(PointResult(
            point.number, point.values, "fail" if failed else status, reason, result, result.uid
        ))  # fmt: skip
        if bench.off():
            self.failure = self.failure or InstrumentFault(
                bench.profile.bench,
                f"is not known to be off after run {point.number}",
                remedy="disconnect the cell by hand",
            )
            self._end(f"a device is not known to be off after run {point.number}")
        if status == "abort":
            self._end(f"run {point.number} was aborted")
        spoiled = reason in SPOILS and not last_on_cell
        if reason == "interlock" or ((failed or spoiled) and not self._goes_on):
            self._end(f"run {point.number} ended with {reason}")

    def _failed(self, rest: list[Point], error: ExplainedError | KeyboardInterrupt) -> None:
        """An error ended a run, or the bench could not be opened for the next."""
        interrupted = isinstance(error, KeyboardInterrupt)
        here = next((point for point in rest if point in self.left), None)
        number = self.done[-1].number if here is None else here.number
        if here is not None:
            status, reason = ("abort", "interrupted") if interrupted else ("fail", "error")
            said = "" if interrupted else str(error)
            self._note(
                PointResult(here.number, here.values, status, reason, None, self._began, said)
            )
        self._began = ""
        self.failure = self.failure or error
        if interrupted:
            self._end(f"run {number} was interrupted")
        lasting = isinstance(error, RecordError | InterlockTripped)
        if self._unsafe or lasting or not self._goes_on:
            self._end(f"run {number} failed")

    def _note(self, result: PointResult) -> None:
        self.left = [point for point in self.left if point.number != result.number]
        self.done.append(result)

    def _end(self, reason: str) -> None:
        self.reason = reason if self.left else ""
        raise _Ended

    def _kept(self, point: Point) -> dict[str, Any]:
        """What a later process must know to go on with the campaign."""
        return {
            "uid": self.uid,
            "file": self.campaign.file,
            "number": point.number,
            "left": [one.number for one in self.left],
            "hashes": [[one.number, one.experiment.experiment_hash] for one in self.left],
        }

    def _metadata(self, point: Point) -> dict[str, Any]:
        sweep = self.campaign.sweep
        return {
            "uid": self.uid,
            "number": point.number,
            "runs": sweep.count if sweep is not None else len(self.campaign.points),
            "values": dict(point.values),
        }


def _status(running: _Running) -> str:
    statuses = {one.outcome for one in running.done}
    return next((one for one in ("abort", "fail") if one in statuses), "success")


def groups(campaign: Campaign) -> Iterator[list[Point]]:
    """Points in order, those together that follow one another on the same cell."""
    group: list[Point] = []
    for point in campaign.points:
        if group and not same_cell(group[-1].experiment, point.experiment, campaign.profile):
            yield group
            group = []
        group.append(point)
    yield group


def same_cell(one: Experiment, other: Experiment, profile: BenchProfile | None) -> bool:
    """Whether an experiment can follow another without a hand on the bench.

    The sample must be the same, and so must what surrounds it where the bench does not bring it
    about by itself: the pressure always, the temperature without a chamber.
    """
    if one.sample != other.sample:
        return False
    here, there = one.environment, other.environment
    chamber = profile is not None and device_for("chamber", one.roles, profile) is not None
    return here.stack_pressure_mpa == there.stack_pressure_mpa and (
        chamber or here.temperature_celsius == there.temperature_celsius
    )


def check_hands(campaign: Campaign, *, attended: bool) -> None:
    """Refuse what needs a person between its runs where there is none.

    Raises:
        ExperimentError: The bench is real, and sample or surroundings change.
    """
    changes = list(groups(campaign))[1:]
    if not changes or attended or campaign.profile is None or campaign.profile.simulated:
        return
    first = changes[0][0]
    raise ExperimentError(
        campaign.name,
        f"changes the sample or what surrounds it before run {first.number} "
        f"({worded(first.values)}), expected a person at a terminal who does it",
        remedy="run it at a terminal, or one campaign per sample",
    )


def _check_plans(campaign: Campaign, bench: Bench) -> None:
    """Make every plan once, so that what no plan does is known before anything moves."""
    for point in campaign.points:
        with _closing(experiment_plan(point.experiment, bench, md={})):
            pass


@contextmanager
def _closing(plan: Any) -> Iterator[None]:
    try:
        yield
    finally:
        plan.close()
