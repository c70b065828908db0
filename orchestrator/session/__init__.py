"""What an IPython user gets: the same names in the shell, in scripts and in notebooks."""

from orchestrator.session.names import namespace
from orchestrator.session.screen import Screen
from orchestrator.session.summary import summarize

__all__ = ["Screen", "namespace", "summarize"]
