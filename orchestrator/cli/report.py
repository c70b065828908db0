"""`operando report`: figures and a page of a run, to be opened without a network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.output import Output, short

if TYPE_CHECKING:
    from orchestrator.records.campaigns import CampaignSummary

HELP = "write a run's report: one HTML page and its figures"


def register(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "run",
        metavar="RUN",
        help="beginning of the uid of a run or campaign, or -1: the latest run",
    )
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="where to write (default DATA/reports/UID)"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Load the run, write its report and say where it is."""
    from orchestrator.records.campaigns import find_campaign  # keep `--help` fast
    from orchestrator.records.chains import load_chain
    from orchestrator.records.directory import DataDirectory
    from orchestrator.records.runs import find_run
    from orchestrator.report import write_report

    campaign = find_campaign(args.data, args.run)
    if campaign is not None:
        return _report_campaign(campaign, args, out)
    loaded = load_chain(find_run(args.data, args.run))
    directory = args.to or DataDirectory(args.data).report(loaded.uid).parent
    page = write_report(loaded, directory)
    figures = sorted(str(path) for path in directory.glob("*.png"))
    out.line(f"report: {short(page)}")
    out.result({"uid": loaded.uid, "report": str(page), "figures": figures})
    return 0


def _report_campaign(campaign: CampaignSummary, args: argparse.Namespace, out: Output) -> int:
    """Write the pages of every run of a campaign, and of all together."""
    from orchestrator.cli.attended import written_report
    from orchestrator.records.directory import DataDirectory
    from orchestrator.report.campaign import write_campaign_report

    pages = [str(written_report(args.data, one.uid)) for one in campaign.runs]
    directory = DataDirectory(args.data)
    page = write_campaign_report(
        campaign, directory, args.to or directory.report(campaign.uid).parent
    )
    out.line(f"report: {short(page)}")
    out.result({"campaign": campaign.uid, "report": str(page), "runs": pages})
    return 0
