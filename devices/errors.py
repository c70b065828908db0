"""Errors of the instrument layer; every message says who, what and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

Policy = Literal["retry", "refuse", "abort", "pause", "safe_state"]
"""What supervision does by default: see docs/reference/errors.md."""


class ExplainedError(Exception):
    """An error that says who, what and the remedy; roots of the packages' errors derive from it.

    Args:
        who: Device, link, file, run or field that speaks, for example ``"pstat"``.
        what: What happened, with got and expected values and their units.
        remedy: What a person can do about it; shown in parentheses.
    """

    def __init__(self, who: str, what: str, *, remedy: str) -> None:
        self.who, self.what, self.remedy = who, what, remedy
        super().__init__(f"{who}: {what} ({remedy})")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with keyword arguments, so that errors cross processes."""
        return (_rebuild, (type(self), self.who, self.what, self.remedy))


def _rebuild(kind: type[ExplainedError], who: str, what: str, remedy: str) -> ExplainedError:
    return kind(who, what, remedy=remedy)


class DeviceError(ExplainedError):
    """Root of the instrument layer's errors."""

    policy: ClassVar[Policy] = "safe_state"


class LinkError(DeviceError):
    """The connection failed: refused, closed, reset, late or garbled."""

    policy = "retry"


class UnreadError(LinkError):
    """The output has been read back as off; what the instrument still holds could not be read."""


class IdentityError(DeviceError):
    """Another instrument answers than the profile names."""

    policy = "refuse"


class LimitError(DeviceError, ValueError):
    """A setpoint or program lies outside the limits; nothing was energised."""

    policy = "abort"


class PreflightError(DeviceError):
    """The cell is not what the experiment says; nothing has driven it but a probe."""

    policy = "refuse"


class NotReachedError(DeviceError, TimeoutError):
    """A setpoint or state was not reached before its deadline."""

    policy = "pause"


class InstrumentFault(DeviceError):  # noqa: N818 - what instruments call it
    """The instrument reports a fault or does not do what it acknowledged."""

    policy = "safe_state"


class OutputFault(InstrumentFault):
    """The output is not what was commanded: no policy of a step overrules this."""


@contextmanager
def output_is_off(who: str) -> Iterator[None]:
    """For reading the last records once the output is known to be off.

    Raises:
        UnreadError: In the place of a `LinkError`.
    """
    try:
        yield
    except LinkError as error:
        raise UnreadError(
            who,
            f"the output is off, verified; its last records could not be read: {error.what}",
            remedy="they are in the instrument until it is started again: read them",
        ) from error
