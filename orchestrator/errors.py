"""Errors of the orchestrator; every message says who, what and the remedy."""

from __future__ import annotations

from typing import ClassVar, Literal

Policy = Literal["refuse", "safe_state", "ask"]
"""What supervision does by default: see docs/reference/errors.md."""


class OrchestratorError(Exception):
    """Root of the orchestrator's errors.

    Args:
        who: File, run or part that speaks, for example ``"journal 3f2a"``.
        what: What happened, with got and expected values and their units.
        remedy: What a person can do about it; shown in parentheses.
    """

    policy: ClassVar[Policy] = "safe_state"

    def __init__(self, who: str, what: str, *, remedy: str) -> None:
        self.who, self.what, self.remedy = who, what, remedy
        super().__init__(f"{who}: {what} ({remedy})")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with keyword arguments, so that errors cross processes."""
        return (_rebuild, (type(self), self.who, self.what, self.remedy))


def _rebuild(kind: type[OrchestratorError], who: str, what: str, remedy: str) -> OrchestratorError:
    return kind(who, what, remedy=remedy)


class ProfileError(OrchestratorError):
    """A bench profile cannot be used; nothing was opened."""

    policy = "refuse"


class ExperimentError(OrchestratorError):
    """An experiment file cannot be used; nothing was energised."""

    policy = "refuse"


class InterlockTripped(OrchestratorError):  # noqa: N818 - what laboratories call it
    """What must hold while a cell is energised does not hold."""

    policy = "safe_state"


class RecordError(OrchestratorError):
    """Documents or frames cannot be written or read: never measure without recording."""

    policy = "safe_state"


class ResumeError(OrchestratorError):
    """An interrupted run cannot be continued without a person's decision."""

    policy = "ask"
