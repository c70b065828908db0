"""A campaign with a person beside it: run by run, what came of each, and of all."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.bench import Bench
from orchestrator.campaign import (
    CampaignResult,
    PointResult,
    check_hands,
    run_campaign,
)
from orchestrator.cli.attended import carried_out, code, opened, told, written_report
from orchestrator.cli.main import EXIT_INTERRUPTED, exit_code
from orchestrator.cli.output import Output, short
from orchestrator.experiment import Campaign, Point
from orchestrator.experiment.campaign import worded
from orchestrator.experiment.faults import Fault
from orchestrator.records.campaigns import find_campaign
from orchestrator.running import RunResult

_ASK = "put the sample of run {number} ({values}) in place, then press Enter; Ctrl-C ends here\n"


def run(
    campaign: Campaign,
    args: argparse.Namespace,
    out: Output,
    *,
    faults: Sequence[Fault] = (),
    uid: str = "",
    first_run: Callable[[Bench], RunResult] | None = None,
) -> int:
    """Run a campaign; returns the exit code.

    Args:
        campaign: What is run.
        args: The verb's arguments.
        out: Where to speak.
        faults: What goes wrong, beside what the experiment says.
        uid: Of the campaign that this goes on with; empty for a new one.
        first_run: Goes on with the first run, which was cut off; None: it begins.
    """
    profile = campaign.profile
    assert profile is not None  # noqa: S101 - `load_campaign` has loaded it
    attended = sys.stdin.isatty()
    check_hands(campaign, attended=attended)
    out.line(
        f"campaign {campaign.name}: {len(campaign.points)} runs of {', '.join(campaign.names)}"
    )
    first = campaign.points[0]

    @contextmanager
    def bench_for(point: Point) -> Iterator[Bench]:
        if point is not first and attended and not profile.simulated:
            ask_for_sample(point, out)
        with opened(
            point.experiment, profile, args, out, faults=faults, real_time=args.real_time
        ) as bench:
            yield bench

    def carry(point: Point, bench: Bench, told_of: Mapping[str, Any]) -> RunResult:
        out.line(f"run {point.number}: {worded(point.values)}")
        if first_run is not None and point is first:
            result = first_run(bench)
        else:
            result = carried_out(point.experiment, bench, out, campaign=told_of)
        told(result, out, report=False)
        return result

    result = run_campaign(campaign, bench_for, carry, uid=uid)
    finish(result, args.data, out, report=not args.no_report)
    return _code(result)


def ask_for_sample(point: Point, out: Output) -> None:
    """Wait until a person has put a run's sample in place.

    Raises:
        KeyboardInterrupt: The end of input.
    """
    out.prompt(_ASK.format(number=point.number, values=worded(point.values)))
    if not sys.stdin.readline():
        raise KeyboardInterrupt


def finish(result: CampaignResult, data: Path, out: Output, *, report: bool) -> None:
    """Say what came of all runs, and write the reports."""
    for one in result.runs:
        if one.error:
            out.error(one.error)
    if result.failure is not None and not any(one.error for one in result.runs):
        out.error(str(result.failure))
    done = [one for one in result.runs if one.outcome != "not_run"]
    good = sum(one.outcome == "success" for one in done)
    left = [one.number for one in result.runs if one.outcome == "not_run"]
    out.line(f"campaign {result.uid[:8]}: {good} of {len(result.runs)} runs ended in order")
    if left:
        out.line(f"{result.stop_reason}; the rest is run by `--points {_span(left)}`")
    value = {**result.to_document(), "data": str(data.resolve())}
    if report and result.results:
        for one, item in zip(result.runs, value["runs"], strict=True):
            if one.result is not None:
                item["report"] = str(written_report(data, one.uid))
        page = written_campaign(data, result.uid)
        value["report"] = str(page)
        out.line(f"report: {short(page)}")
    out.result(value)


def written_campaign(data: Path, uid: str) -> Path:
    """Write the page of a campaign; returns it."""
    from orchestrator.records.directory import DataDirectory  # matplotlib loads only now
    from orchestrator.report.campaign import write_campaign_report

    summary = find_campaign(data, uid)
    assert summary is not None  # noqa: S101 - its runs have just been recorded
    directory = DataDirectory(data)
    return write_campaign_report(summary, directory, directory.report(uid).parent)


def _span(numbers_: Sequence[int]) -> str:
    first, last = numbers_[0], numbers_[-1]
    whole = list(numbers_) == list(range(first, last + 1))
    return f"{first}-{last}" if whole and last > first else ",".join(map(str, numbers_))


def _code(result: CampaignResult) -> int:
    """Exit code: interrupted first, then that of the first run that failed."""
    if result.exit_status == "abort":
        return EXIT_INTERRUPTED
    if result.failure is not None:
        return exit_code(result.failure)
    return max((_code_of(one) for one in result.runs), default=0)


def _code_of(one: PointResult) -> int:
    return code(one.result) if one.result is not None else 0
