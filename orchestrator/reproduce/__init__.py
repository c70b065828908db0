"""The papers' experiments through the full stack, and what comes back beside what was published."""

from orchestrator.reproduce.campaign import PAPERS, Campaign, reproduce
from orchestrator.reproduce.row import Row

__all__ = ["PAPERS", "Campaign", "Row", "reproduce"]
