"""Rehearsal: the same file, plan and drivers on a simulated twin of the bench, in virtual time."""

from orchestrator.rehearsal.rehearse import rehearse
from orchestrator.rehearsal.result import Rehearsal

__all__ = ["Rehearsal", "rehearse"]
