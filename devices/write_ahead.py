"""A potentiostat's instrument that says, before it is loaded or started, that it will be.

What a run knows must be on the disk before the instrument forgets the records of one program for
those of the next, and before a cell is energised: after a crash nothing must run that nobody
knows of.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.roles import Identity, Page, PotentiostatBackend, PotentiostatCapabilities, Program


class WriteAhead:
    """A `devices.roles.PotentiostatBackend` around another.

    Args:
        backend: The instrument behind its driver.

    Attributes:
        ahead: Called before anything is loaded or started; what it raises keeps it from that.
    """

    def __init__(self, backend: PotentiostatBackend) -> None:
        self.backend = backend
        self.ahead: Callable[[], None] | None = None

    def identity(self) -> Identity:
        """Who answers."""
        return self.backend.identity()

    def capabilities(self) -> PotentiostatCapabilities:
        """What it can do."""
        return self.backend.capabilities()

    def load(self, program: Program, *linked: Program) -> None:
        """Check and program a technique."""
        self._tell()
        self.backend.load(program, *linked)

    def start(self) -> None:
        """Energise and run the loaded program."""
        self._tell()
        self.backend.start()

    def poll(self) -> Page:
        """Records since the last poll."""
        return self.backend.poll()

    def rewind(self, index: int) -> None:
        """Let the next poll begin at this row again."""
        self.backend.rewind(index)

    def stop(self) -> Page:
        """End the program now and leave the cell off, verified."""
        return self.backend.stop()

    def output_on(self) -> bool:
        """Read back whether the cell is connected and driven."""
        return self.backend.output_on()

    def _tell(self) -> None:
        if self.ahead is not None:
            self.ahead()
