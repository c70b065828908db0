"""A potentiostat that asks before it energises the cell; everything else passes unasked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devices.adoption import Attached
from devices.roles import Identity, Page, PotentiostatBackend, PotentiostatCapabilities, Program


@dataclass
class WithPermission:
    """Serves `devices.roles.PotentiostatBackend`.

    Args:
        first: The potentiostat.
        permit: Called before every start; what it raises keeps the cell off. Nothing that a plan,
            a policy or a person does gets past it.
    """

    first: PotentiostatBackend
    permit: Callable[[], None]

    def identity(self) -> Identity:
        """Who answers."""
        return self.first.identity()

    def capabilities(self) -> PotentiostatCapabilities:
        """What it can do."""
        return self.first.capabilities()

    def load(self, program: Program, *linked: Program) -> None:
        """As `PotentiostatBackend.load`; nothing is energised."""
        self.first.load(program, *linked)

    def start(self) -> None:
        """Energise the cell, if that is allowed now."""
        self.permit()
        self.first.start()

    def poll(self) -> Page:
        """As `PotentiostatBackend.poll`."""
        return self.first.poll()

    def rewind(self, index: int) -> None:
        """As `PotentiostatBackend.rewind`."""
        self.first.rewind(index)

    def mark(self) -> Mapping[str, Any]:
        """As `PotentiostatBackend.mark`."""
        return self.first.mark()

    def attach(self, programs: Sequence[Program], mark: Mapping[str, Any]) -> Attached:
        """As `PotentiostatBackend.attach`: what runs there was allowed when it was started."""
        return self.first.attach(programs, mark)

    def stop(self) -> Page:
        """As `PotentiostatBackend.stop`; always allowed."""
        return self.first.stop()

    def output_on(self) -> bool:
        """Read back whether the cell is connected and driven."""
        return self.first.output_on()
