"""Figures and a one-page HTML report of a run, readable without a network."""

from orchestrator.report.page import write_report
from orchestrator.report.per_cycle import cycles_of

__all__ = ["cycles_of", "write_report"]
