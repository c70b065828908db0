"""A potentiostat with a relay in the cell's lead: what switches off when it does not.

The relay is closed before the cell is energised and opened only when the potentiostat could not be
switched off, since each opening under current wears it. After that the potentiostat is not started
again: somebody must look first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from devices.errors import DeviceError, InstrumentFault, UnreadError
from devices.roles import (
    Attached,
    Fit,
    Identity,
    Page,
    PotentiostatBackend,
    PotentiostatCapabilities,
    Program,
    ProgramState,
    Relay,
)

log = logging.getLogger(__name__)


@dataclass
class WithSecondPath:
    """Serves `devices.roles.PotentiostatBackend`.

    Args:
        who: Name of the potentiostat, for messages.
        first: The potentiostat.
        relay: In series with the cell.

    Attributes:
        tripped: Why the relay was opened; empty while it was not.
    """

    who: str
    first: PotentiostatBackend
    relay: Relay
    tripped: str = field(default="", init=False)
    _rows: int = field(default=0, init=False)
    _technique: int = field(default=0, init=False)

    def identity(self) -> Identity:
        """Who answers: the potentiostat."""
        return self.first.identity()

    def capabilities(self) -> PotentiostatCapabilities:
        """What the potentiostat can do."""
        return self.first.capabilities()

    def load(self, program: Program, *linked: Program) -> None:
        """As `PotentiostatBackend.load`; refused after the relay was opened."""
        self._require_not_tripped()
        self.first.load(program, *linked)

    def start(self) -> None:
        """Connect the cell, then energise it.

        Raises:
            InstrumentFault: The relay was opened because the potentiostat did not switch off, or
                does not close.
        """
        self._require_not_tripped()
        if not self.relay.connected():
            self.relay.connect()
        self._rows = self._technique = 0
        self.first.start()

    def poll(self) -> Page:
        """As `PotentiostatBackend.poll`."""
        page = self.first.poll()
        self._rows, self._technique = page.index + len(page.elapsed_s), page.technique
        return page

    def rewind(self, index: int) -> None:
        """As `PotentiostatBackend.rewind`."""
        self.first.rewind(index)

    def mark(self) -> Mapping[str, Any]:
        """As `PotentiostatBackend.mark`."""
        return self.first.mark()

    def attach(self, programs: Sequence[Program], mark: Mapping[str, Any]) -> Attached:
        """As `PotentiostatBackend.attach`; nothing is followed behind an open relay."""
        attached = self.first.attach(programs, mark)
        if attached.fit is not Fit.OURS or self.relay.connected() or not self.first.output_on():
            return attached
        return Attached(
            Fit.FOREIGN, "the relay in its cell's lead is open: nobody closes it blindly"
        )

    def stop(self) -> Page:
        """Switch off; where that fails, disconnect the cell.

        Returns:
            The last records; with the reason ``fault`` and no records where only the relay has
            ended it.

        Raises:
            DeviceError: Neither way is known to have worked.
        """
        if self.tripped:
            return self._by_relay(self.first.stop)
        try:
            return self.first.stop()
        except UnreadError:
            raise  # it is off: the relay is spared
        except DeviceError as error:
            log.critical("%s: not switched off, the relay is opened: %s", self.who, error)
            self.relay.disconnect()
            self.tripped = str(error)
            return self._nothing()

    def output_on(self) -> bool:
        """Read back whether the cell is connected and driven."""
        if self.tripped and not self.relay.connected():
            return False
        return self.first.output_on()

    def _require_not_tripped(self) -> None:
        if self.tripped:
            raise InstrumentFault(
                self.who,
                f"its cell was disconnected by the second path ({self.tripped})",
                remedy="look at the cell and the potentiostat, then open the bench again",
            )

    def _by_relay(self, stop: Callable[[], Page]) -> Page:
        """The cell is safe while the relay is open; the potentiostat is tried again anyway."""
        try:
            stop()
        except DeviceError as error:
            log.warning("%s: still not switched off: %s", self.who, error)
        if self.relay.connected():
            self.relay.disconnect()
        return self._nothing()

    def _nothing(self) -> Page:
        """What a potentiostat that cannot be reached any more has to say."""
        return Page(
            index=self._rows,
            elapsed_s=np.empty(0),
            current_ma=np.empty(0),
            voltage_v=np.empty(0),
            state=ProgramState.FINISHED,
            reason="fault",
            output_on=False,
            technique=self._technique,
        )
