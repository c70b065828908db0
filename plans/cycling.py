"""What is done to the cell: the method, its limits, and what to do where a step fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aurora_unicycler import ImpedanceSpectroscopy

from devices.potentiostat import Potentiostat
from devices.roles import CellLimits
from devices.technique import OnPause
from plans.preflight import Preflight

AfterFailure = Literal["safe_state", "skip", "rest"]
"""What happens when a step has failed for good: the run fails, the step's rest is left out, or
the cell rests for a time and then the rest of the step is left out."""


@dataclass(frozen=True)
class StepPolicy:
    """What happens to one step when it fails, and when a pause cuts it.

    A step fails when a link fails, when an instrument reports a fault, or when something is not
    reached before its deadline. An exceeded limit and a condition (a short) are no failures: they
    say something of the cell, and end the protocol whatever the policy.

    Attributes:
        retries: How often it is tried again. What was energised is read first, and only what is
            left of the step is run.
        wait_s: Time before each try, the cell off as soon as the instrument can be reached, s.
        then: What happens after that.
        rest_s: How long the cell rests, off, where `then` is ``rest``, s.
        on_pause: What happens to the rest of the step after a pause; None: as `Cycling` says.
    """

    retries: int = 0
    wait_s: float = 10.0
    then: AfterFailure = "safe_state"
    rest_s: float = 0.0
    on_pause: OnPause | None = None

    @property
    def survivable(self) -> bool:
        """Whether a failure may do anything else than end the run."""
        return self.retries > 0 or self.then != "safe_state"


@dataclass(frozen=True)
class Cycling:
    """What is done to the cell.

    The blocks `before` and `after` hold rests, impedance spectra and the steps of `plans.steps`:
    nothing that passes a net charge. Their steps count before 0 and from the method's length on.

    Attributes:
        potentiostat: The device that does it.
        method: Steps of aurora-unicycler with absolute currents in mA, and of `plans.steps`, with
            loops and tags.
        period_s: Time between records, s.
        limits: Limits at the cell; exceeding one ends the run.
        max_capacity_mah: Ends the run when the net charge leaves +-this, mAh.
        journal_every_s: Longest time that records wait before they become a page, s.
        on_pause: What happens to the rest of a step after a pause.
        policies: What is special about some steps, by their index; those of `after` are left out
            where they fail, unless something else is said here.
        before: Steps before anything passes a current; what fails there ends the run.
        after: Steps when the protocol has ended by itself, by a condition or by a limit.
        preflight: What is checked of the cell before anything else is done to it; None: nothing.
    """

    potentiostat: Potentiostat
    method: Sequence[Any]
    period_s: float
    limits: CellLimits
    max_capacity_mah: float
    journal_every_s: float = 900.0
    on_pause: OnPause = "continue"
    policies: Mapping[int, StepPolicy] = field(default_factory=dict)
    before: Sequence[Any] = ()
    after: Sequence[Any] = ()
    preflight: Preflight | None = None

    def policy(self, step_index: int) -> StepPolicy:
        """What happens to a step when it fails."""
        usual = _LEFT_OUT if step_index >= len(self.method) else _ORDINARY
        return self.policies.get(step_index, usual)

    def pause_policy(self, step_index: int) -> OnPause:
        """What happens to the rest of a step after a pause."""
        return self.policy(step_index).on_pause or self.on_pause

    @property
    def takes_spectra(self) -> bool:
        """Whether a step, or the pre-flight, is an impedance spectrum."""
        steps = (*self.before, *self.method, *self.after)
        probed = self.preflight is not None and self.preflight.max_contact_resistance_ohm
        probe = bool(probed) and self.potentiostat.takes_spectra
        return probe or any(isinstance(step, ImpedanceSpectroscopy) for step in steps)


_ORDINARY = StepPolicy()
_LEFT_OUT = StepPolicy(then="skip")
