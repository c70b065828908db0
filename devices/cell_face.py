"""Where a potentiostat's work stands, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from devices.cell_records import Records
from devices.clock import Owner
from devices.errors import InstrumentFault


class Phase(StrEnum):
    """Where a step stands."""

    IDLE = "idle"
    PREPARED = "prepared"
    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    """The instrument may still run it: what is left is known once it could be read."""
    ENDED = "ended"


class Face(Owner, Protocol):
    """What shows the work to others; the clock's callbacks belong to it."""

    def show_records(self, records: Records) -> None:
        """New records were read."""
        ...

    def show_cell(self, *, on: bool) -> None:
        """The cell was connected, or is open."""
        ...

    def show_end(self, reason: str) -> None:
        """The step has ended."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a step stands in its method; -1 before the first."""

    step_index: int = -1
    cycle: int = 0


def ended_with_fault(name: str) -> InstrumentFault:
    """The instrument itself says that a step ended by a fault."""
    return InstrumentFault(name, "ended the step with a fault", remedy="read its log")
