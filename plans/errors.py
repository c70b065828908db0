"""Errors of plans; every message says who, what and the remedy."""

from __future__ import annotations

from typing import ClassVar, Literal

from devices.errors import ExplainedError

Policy = Literal["refuse"]
"""What supervision does by default: see docs/reference/errors.md."""


class PlanError(ExplainedError, ValueError):
    """A plan was given an argument that it cannot be carried out with; no message was yielded."""

    policy: ClassVar[Policy] = "refuse"
