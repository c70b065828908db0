"""Ends a step before its time, as a message of a plan."""

from __future__ import annotations

from ophyd.status import Status

from devices.potentiostat import Potentiostat


class StepEnd:
    """Triggerable: the running step of a potentiostat ends as if its time were over.

    What is left of a step that failed is dropped. Idempotent; without a step nothing happens.

    Args:
        potentiostat: Runs the step.
    """

    parent = None

    def __init__(self, potentiostat: Potentiostat) -> None:
        self.name = f"{potentiostat.name}_step_end"
        self._potentiostat = potentiostat

    def trigger(self) -> Status:
        """End it; the status is done."""
        self._potentiostat.end_step()
        done = Status(obj=self, timeout=None)
        done.set_finished()
        return done
