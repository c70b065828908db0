"""Errors of the orchestrator; every message says who, what and the remedy."""

from __future__ import annotations

from typing import ClassVar, Literal

from devices.errors import ExplainedError

Policy = Literal["refuse", "safe_state", "ask"]
"""What supervision does by default: see docs/reference/errors.md."""


class OrchestratorError(ExplainedError):
    """Root of the orchestrator's errors."""

    policy: ClassVar[Policy] = "safe_state"


class ProfileError(OrchestratorError):
    """A bench profile cannot be used; nothing was opened."""

    policy = "refuse"


class ExperimentError(OrchestratorError):
    """An experiment file cannot be used; nothing was energised."""

    policy = "refuse"


class DataFileError(OrchestratorError):
    """A file of data from outside cannot be used."""

    policy = "refuse"


class InterlockTripped(OrchestratorError):  # noqa: N818 - what laboratories call it
    """What must hold while a cell is energised does not hold."""

    policy = "safe_state"


class UnsafeBenchError(OrchestratorError):
    """The bench could not be switched off before, or nothing would switch it off now."""

    policy = "refuse"


class BusyError(OrchestratorError):
    """Another process controls an instrument."""

    policy = "refuse"


class ScheduleError(OrchestratorError):
    """A job cannot be asked for or changed as it was; the queue is as it was."""

    policy = "refuse"


class RecordError(OrchestratorError):
    """Documents or frames cannot be written or read: never measure without recording."""

    policy = "safe_state"


class DiskError(RecordError):
    """The disk is full or refuses: the run ends, and nothing more is measured."""


class AlertError(OrchestratorError):
    """The file that says who is told what cannot be used; nobody was told."""

    policy = "refuse"


class ControlError(OrchestratorError):
    """A request to a run was refused, or there is no such run; nothing was changed."""

    policy = "refuse"


class NoAnswerError(OrchestratorError):
    """The process of a run does not answer; whether it did what was asked is not known."""

    policy = "ask"


class ResumeError(OrchestratorError):
    """An interrupted run cannot be continued without a person's decision."""

    policy = "ask"


class ResumeHeldError(ResumeError):
    """An interrupted run waits for a person's decision; the cell is off."""
