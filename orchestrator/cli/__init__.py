"""The `operando` command: one file per verb."""

from orchestrator.cli.main import main

__all__ = ["main"]
