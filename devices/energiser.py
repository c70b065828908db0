"""What the engine must be able to switch off."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Energiser(Protocol):
    """A device that can put energy into a cell or its surroundings."""

    name: str

    @property
    def energised(self) -> bool:
        """Whether the cell is, or may be, driven."""
        ...

    def stop(self, *, success: bool = False) -> None:
        """Switch off and verify; idempotent; raises if the output does not read back off."""
        ...
