"""A number with its standard error and the reason to believe it or not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """A number with its standard error.

    Attributes:
        value: In the unit the function names; NaN if there is none.
        error: Standard error in the same unit.
        quality: ``ok`` or a reason.
    """

    value: float
    error: float
    quality: str = "ok"
