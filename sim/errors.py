"""Errors of the simulated laboratory."""

from __future__ import annotations


class SimulationError(Exception):
    """Root of the simulated laboratory's errors."""


class UnknownCommand(SimulationError):  # noqa: N818 - the name says what the test did wrong
    """A client sent a header that the real instrument does not have."""
