"""What is done to the cell: the method, its limits, and what to do where a step fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aurora_unicycler import ImpedanceSpectroscopy

from devices.potentiostat import Potentiostat
from devices.roles import CellLimits
from devices.technique import OnPause

OnFailure = Literal["safe_state", "retry", "skip", "rest"]
"""What happens when a step fails."""


@dataclass(frozen=True)
class StepPolicy:
    """What happens to one step when it fails, and when a pause cuts it.

    Attributes:
        on_pause: What happens to the rest of the step after a pause; None: as `Cycling` says.
    """

    on_pause: OnPause | None = None


@dataclass(frozen=True)
class Cycling:
    """What is done to the cell.

    Attributes:
        potentiostat: The device that does it.
        method: Steps of aurora-unicycler with absolute currents in mA, with loops and tags.
        period_s: Time between records, s.
        limits: Limits at the cell; exceeding one ends the run.
        max_capacity_mah: Ends the run when the net charge leaves +-this, mAh.
        journal_every_s: Longest time that records wait before they become a page, s.
        on_pause: What happens to the rest of a step after a pause.
        policies: What is special about some steps, by their index in the method.
    """

    potentiostat: Potentiostat
    method: Sequence[Any]
    period_s: float
    limits: CellLimits
    max_capacity_mah: float
    journal_every_s: float = 900.0
    on_pause: OnPause = "continue"
    policies: Mapping[int, StepPolicy] = field(default_factory=dict)

    def policy(self, step_index: int) -> StepPolicy:
        """What is special about a step."""
        return self.policies.get(step_index, _ORDINARY)

    def pause_policy(self, step_index: int) -> OnPause:
        """What happens to the rest of a step after a pause."""
        return self.policy(step_index).on_pause or self.on_pause

    @property
    def takes_spectra(self) -> bool:
        """Whether a step is an impedance spectrum."""
        return any(isinstance(step, ImpedanceSpectroscopy) for step in self.method)


_ORDINARY = StepPolicy()
