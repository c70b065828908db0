"""Figures and a one-page HTML report of a run, readable without a network."""

from orchestrator.report.page import write_report

__all__ = ["write_report"]
